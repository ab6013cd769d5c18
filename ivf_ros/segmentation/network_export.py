# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of the trained segmenter to ONNX."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ivf_ros.nn import export as nn_export
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES
from torch import nn, Tensor
import torch.nn.functional as F


def export(weights: Path, path: Path, size: tuple[int, int]) -> None:
    """Write a segmenter as an ONNX model with the output ``labels``, ``(1, H, W)`` int64."""
    nn_export.export(weights, path, size,
                     make_network=partial(SegmentationNetwork, len(MFNET_CLASSES)),
                     wrap_for_export=_LabelsOutput, output_name='labels',
                     class_names=MFNET_CLASSES)


class _LabelsOutput(nn.Module):
    """The most likely class of each pixel, int64."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        quarter, _ = self.network.features(nn_export.rgb_to_bgr(images))
        logits = F.interpolate(self.network.head(quarter), images.shape[-2:], mode='bilinear')
        return logits.argmax(1)
