# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of the segmenter with labels as its output, which other programs read."""

from __future__ import annotations

from ivf_ros.nn.export import rgb_to_bgr
from ivf_ros.segmentation.network import SegmentationNetwork
from torch import nn, Tensor
import torch.nn.functional as F

OUTPUT_NAME = 'labels'


class CommonLayout(nn.Module):
    """
    The most likely class of each pixel, ``(1, H, W)`` int64.

    The input is ``(1, 3 or 4, H, W)`` from 0 to 1: RGB, or RGB and thermal.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network.predict(self.network.encode(rgb_to_bgr(images)))
        return F.interpolate(logits, images.shape[-2:], mode='bilinear').argmax(1)
