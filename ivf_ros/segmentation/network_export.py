# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmenter as an ONNX file."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.nn.export import check_size, rgb_to_bgr, write_onnx
from ivf_ros.nn.weights import folded, load, shape_of
from ivf_ros.segmentation.network import MULTIPLE_PX, SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES
import torch
from torch import nn, Tensor
import torch.nn.functional as F


def export(weights: Path, path: Path, size: tuple[int, int]) -> None:
    """
    Write ``images`` ``(1, 3 or 4, H, W)``, RGB and thermal from 0 to 1, to ``(1, H, W)`` labels.

    Parameters
    ----------
    weights:
        Weight file of ``SegmentationNetwork``, for an image or for both cameras.
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
    network = folded(load(SegmentationNetwork(len(MFNET_CLASSES), channels), weights))
    write_onnx(_Labels(network), torch.zeros(1, channels, size[1], size[0]), 'labels', path,
               {'names': str(dict(enumerate(MFNET_CLASSES)))})


class _Labels(nn.Module):
    """The most likely class of each pixel, int64."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        quarter, _ = self.network.features(rgb_to_bgr(images))
        logits = F.interpolate(self.network.head(quarter), images.shape[-2:], mode='bilinear')
        return logits.argmax(1)
