# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A small anchor-free one-stage detector.

For each cell of three grids with cells of 8, 16 and 32 pixels, the network predicts a logit for
each class and the distances from the centre of the cell to the four edges of the box (FCOS, Tian
et al. 2019). A feature pyramid adds the features of the coarser grids to the finer ones, as people
at night are far away and small.
"""

from __future__ import annotations

import math
from typing import ClassVar

from ivf_ros.nn.blocks import ConvBnRelu, ResidualBlock, upsample2x
from ivf_ros.nn.encoder import Encoder, Features, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
import torch
from torch import nn, Tensor
import torch.nn.functional as F

STRIDES_PX = (8, 16, 32)
_HEAD_CHANNELS = 64  # input channels of the heads
_PRIOR_PROBABILITY = 0.01  # initial score of each cell and class, before training


class DetectionNetwork(Encoder):
    """
    Detect objects in images ``(B, channels, H, W)`` from 0 to 1; H and W are multiples of 32.

    The channels are BGR, or BGR and thermal.

    Returns
    -------
    logits
        ``(B, cells, classes)`` float32, finest grid first, row by row.
    boxes_px
        ``(B, cells, 4)`` float32: left, top, right, bottom edge in pixels.

    """

    RENAMED_LAYERS: ClassVar = {
        'looked': 'tower', 'what': 'class_logits', 'where': 'box_distances',
        'narrowed': 'lateral', 'joined': 'fpn_blocks'}

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__(channels)
        encoder_channels = self.eighth_channels, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
        self.lateral = nn.ModuleList(nn.Conv2d(in_channels, _HEAD_CHANNELS, 1)
                                     for in_channels in encoder_channels)
        self.fpn_blocks = nn.ModuleList(
            ResidualBlock(_HEAD_CHANNELS, _HEAD_CHANNELS, 1, 'zeros') for _ in STRIDES_PX)
        self.heads = nn.ModuleList(Head(classes) for _ in STRIDES_PX)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(image))

    def decode(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the result of ``forward`` from the features of the encoder."""
        levels = [lateral(x) for lateral, x in zip(
            self.lateral, (features.eighth, features.sixteenth, features.thirtysecond))]
        for finer in (1, 0):
            levels[finer] = levels[finer] + upsample2x(levels[finer + 1])
        outputs = [head(block(x), stride_px) for head, block, x, stride_px in
                   zip(self.heads, self.fpn_blocks, levels, STRIDES_PX)]
        logits, boxes_px = zip(*outputs)
        return torch.cat(logits, 1), torch.cat(boxes_px, 1)


class Head(nn.Module):
    """Predict a logit for each class and a box from the features of each cell of a grid."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tower = ConvBnRelu(_HEAD_CHANNELS, _HEAD_CHANNELS)
        self.class_logits = nn.Conv2d(_HEAD_CHANNELS, classes, 3, padding=1)
        self.box_distances = nn.Conv2d(_HEAD_CHANNELS, 4, 3, padding=1)
        nn.init.constant_(self.class_logits.bias,  # type: ignore[arg-type]
                          -math.log(1 / _PRIOR_PROBABILITY - 1))

    def forward(self, x: Tensor, stride_px: int) -> tuple[Tensor, Tensor]:
        x = self.tower(x)
        distances = F.softplus(self.box_distances(x).float().flatten(2).mT)
        distances_px = distances * (2 * stride_px)
        centres_px = cell_centres_px(x.shape[-2:], stride_px, x.device)
        boxes_px = torch.cat([centres_px - distances_px[..., :2],
                              centres_px + distances_px[..., 2:]], -1)
        return self.class_logits(x).float().flatten(2).mT, boxes_px


def cell_centres_px(grid: torch.Size, stride_px: int, device: torch.device) -> Tensor:
    """Return the centre ``(cells, 2)``, x and y, of each cell of a grid, row by row."""
    y, x = (((torch.arange(cells, device=device) + 0.5) * stride_px) for cells in grid)
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), -1).reshape(-1, 2)
