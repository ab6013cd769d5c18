# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A small anchor-free one-stage detector.

Each cell of three grids, 8, 16 and 32 pixels wide, says how likely an object of each class is
that the cell belongs to, and how far the four edges of its box are from the middle of the cell
(FCOS, Tian et al. 2019). The finest grid is made of all there is, from 1/32 back up, as people at
night are far away and small.
"""

from __future__ import annotations

import math

from ivf_ros.nn.blocks import ConvBnRelu, ResidualBlock, upsample2x
from ivf_ros.nn.encoder import Encoder, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
import torch
from torch import nn, Tensor
import torch.nn.functional as F

STRIDES_PX = (8, 16, 32)
_HEAD_CHANNELS = 64  # of the features that the heads are given
_PRIOR_PROBABILITY = 0.01  # share of the cells that see an object, before anything is learned


class DetectionNetwork(Encoder):
    """
    Look for objects in ``(B, channels, H, W)`` from 0 to 1; sides are multiples of 32.

    The channels are BGR, or BGR and thermal.

    Returns
    -------
    logits
        ``(B, cells, classes)`` float32, of the finest grid first, row by row.
    boxes_px
        ``(B, cells, 4)`` float32: left, top, right, bottom edge in pixels.

    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__(channels)
        self.narrowed = nn.ModuleList(nn.Conv2d(wide, _HEAD_CHANNELS, 1)
                                      for wide in (self.eighth_channels, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS))
        self.joined = nn.ModuleList(ResidualBlock(_HEAD_CHANNELS, _HEAD_CHANNELS, 1, 'zeros') for _ in STRIDES_PX)
        self.heads = nn.ModuleList(Head(classes) for _ in STRIDES_PX)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.way_down(image)
        levels = [narrowed(x) for narrowed, x in zip(
            self.narrowed, (features.eighth, features.sixteenth, features.thirtysecond))]
        for finer in (1, 0):
            levels[finer] = levels[finer] + upsample2x(levels[finer + 1])
        outputs = [head(joined(x), stride_px) for head, joined, x, stride_px in
                   zip(self.heads, self.joined, levels, STRIDES_PX)]
        logits, boxes_px = zip(*outputs)
        return torch.cat(logits, 1), torch.cat(boxes_px, 1)


class Head(nn.Module):
    """What a grid says: a logit of each class, and the box, of each cell."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.looked = ConvBnRelu(_HEAD_CHANNELS, _HEAD_CHANNELS)
        self.what = nn.Conv2d(_HEAD_CHANNELS, classes, 3, padding=1)
        self.where = nn.Conv2d(_HEAD_CHANNELS, 4, 3, padding=1)
        nn.init.constant_(self.what.bias, -math.log(1 / _PRIOR_PROBABILITY - 1))  # type: ignore[arg-type]

    def forward(self, x: Tensor, stride_px: int) -> tuple[Tensor, Tensor]:
        x = self.looked(x)
        edges_px = F.softplus(self.where(x).float().flatten(2).mT) * (2 * stride_px)
        centres_px = cell_centres_px(x.shape[-2:], stride_px, x.device)
        boxes_px = torch.cat([centres_px - edges_px[..., :2], centres_px + edges_px[..., 2:]], -1)
        return self.what(x).float().flatten(2).mT, boxes_px


def cell_centres_px(grid: torch.Size, stride_px: int, device: torch.device) -> Tensor:
    """Return the middle ``(cells, 2)``, x and y, of each cell of a grid, row by row."""
    y, x = (((torch.arange(cells, device=device) + 0.5) * stride_px) for cells in grid)
    return torch.stack(torch.meshgrid(x, y, indexing='xy'), -1).reshape(-1, 2)
