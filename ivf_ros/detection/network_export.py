# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of the detector in the layout of YOLOv8, which other programs read."""

from __future__ import annotations

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.export import rgb_to_bgr
import torch
from torch import nn, Tensor

OUTPUT_NAME = 'output0'


class CommonLayout(nn.Module):
    """
    A detector of K classes with the output ``(1, 4 + K, N)``.

    The input is ``(1, 3 or 4, H, W)`` from 0 to 1: RGB, or RGB and thermal. The output has centre,
    width and height of each box, and the score of each class.
    """

    def __init__(self, network: DetectionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits, boxes_px = self.network(rgb_to_bgr(images))
        top_left_px, bottom_right_px = boxes_px[..., :2], boxes_px[..., 2:]
        centres_px = (top_left_px + bottom_right_px) / 2
        return torch.cat([centres_px, bottom_right_px - top_left_px, logits.sigmoid()],
                         -1).transpose(1, 2)
