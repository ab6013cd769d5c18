# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector as an ONNX file, in the layout of YOLOv8, which method ``onnx`` reads."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork, MULTIPLE_PX
from ivf_ros.nn.export import check_size, rgb_to_bgr, write_onnx
from ivf_ros.nn.weights import folded, load, shape_of
import torch
from torch import nn, Tensor


def export(weights: Path, path: Path, size: tuple[int, int]) -> None:
    """
    Write ``images`` ``(1, 3 or 4, H, W)``, RGB and thermal from 0 to 1, to ``(1, 4 + K, N)``.

    Parameters
    ----------
    weights:
        Weight file of ``DetectionNetwork``, for an image or for both cameras.
    path:
        The ONNX file.
    size:
        Width and height of the input.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.
    ExportError
        The size is no multiple of 32, or onnx or onnxscript is not installed.

    """
    check_size(size, MULTIPLE_PX)
    channels = shape_of(weights, 'stem.0.0.weight')[1]
    network = folded(load(DetectionNetwork(len(CLASS_NAMES), channels), weights))
    write_onnx(_AsYolov8(network), torch.zeros(1, channels, size[1], size[0]), 'output0', path,
               {'names': str(dict(enumerate(CLASS_NAMES)))})


class _AsYolov8(nn.Module):
    """Middle, width and height of each box, and the score of each class."""

    def __init__(self, network: DetectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits, boxes_px = self.network(rgb_to_bgr(images))
        from_px, to_px = boxes_px[..., :2], boxes_px[..., 2:]
        return torch.cat([(from_px + to_px) / 2, to_px - from_px, logits.sigmoid()],
                         -1).transpose(1, 2)
