# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector as an ONNX file, in the layout of YOLOv8, which method ``onnx`` reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import export as nn_export
import torch
from torch import nn, Tensor


def export(weights: Path, path: Path, size: tuple[int, int]) -> None:
    """Write a detector from ``images`` to ``(1, 4 + K, N)``; see ``nn.export.export``."""
    nn_export.export(weights, path, size, make_network=partial(DetectionNetwork, len(CLASS_NAMES)),
                     wrap_for_export=_AsYolov8, output='output0', class_names=CLASS_NAMES)


class _AsYolov8(nn.Module):
    """Middle, width and height of each box, and the score of each class."""

    def __init__(self, network: DetectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits, boxes_px = self.network(nn_export.rgb_to_bgr(images))
        from_px, to_px = boxes_px[..., :2], boxes_px[..., 2:]
        return torch.cat([(from_px + to_px) / 2, to_px - from_px, logits.sigmoid()],
                         -1).transpose(1, 2)
