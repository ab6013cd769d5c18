# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of the trained detector to ONNX in the layout of YOLOv8, which method ``onnx`` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import export as nn_export
import torch
from torch import nn, Tensor


def export(weights: Path, path: Path, size: tuple[int, int]) -> None:
    """Write a detector of K classes as an ONNX model with the output ``(1, 4 + K, N)``."""
    nn_export.export(weights, path, size, make_network=partial(DetectionNetwork, len(CLASS_NAMES)),
                     wrap_for_export=_Yolov8Output, output_name='output0',
                     class_names=CLASS_NAMES)


class _Yolov8Output(nn.Module):
    """Centre, width and height of each box, and the score of each class."""

    def __init__(self, network: DetectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits, boxes_px = self.network(nn_export.rgb_to_bgr(images))
        top_left_px, bottom_right_px = boxes_px[..., :2], boxes_px[..., 2:]
        centres_px = (top_left_px + bottom_right_px) / 2
        return torch.cat([centres_px, bottom_right_px - top_left_px, logits.sigmoid()],
                         -1).transpose(1, 2)
