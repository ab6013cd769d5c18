# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A small network that labels the pixels of a colour image.

Residual stages to 1/16 of the size see what a thing is; the way back up to 1/4 joins them with
where it ends. A second, auxiliary head at 1/8 helps the stages before it to learn.
"""

from __future__ import annotations

from ivf_ros.nn.blocks import Residual, twice
from torch import nn, Tensor
import torch.nn.functional as F

_WIDTHS = (24, 32, 64, 96)  # at 1/2, 1/4, 1/8 and 1/16


class SegmentationNetwork(nn.Module):
    """
    Make logits of the classes of ``(B, 3, H, W)`` BGR from 0 to 1; sides are multiples of 16.

    Returns
    -------
    logits, auxiliary
        ``(B, classes, H, W)``.

    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = _WIDTHS
        self.stem = nn.Sequential(nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False),
                                  nn.BatchNorm2d(half), nn.ReLU())
        self.quarter = Residual(half, quarter, 2)
        self.eighth = nn.Sequential(Residual(quarter, eighth, 2), Residual(eighth, eighth, 1))
        self.sixteenth = nn.Sequential(Residual(eighth, sixteenth, 2),
                                       Residual(sixteenth, sixteenth, 1))
        self.context = nn.Conv2d(sixteenth, sixteenth, 1)
        self.up_eighth, self.up_quarter = (nn.Conv2d(sixteenth, eighth, 1),
                                           nn.Conv2d(eighth, quarter, 1))
        self.join_eighth, self.join_quarter = (Residual(eighth, eighth, 1),
                                               Residual(quarter, quarter, 1))
        self.head = nn.Conv2d(quarter, classes, 3, padding=1)
        self.auxiliary = nn.Conv2d(eighth, classes, 3, padding=1)

    def forward(self, bgr: Tensor) -> tuple[Tensor, Tensor]:
        quarter = self.quarter(self.stem((bgr - 0.5) * 4))
        eighth = self.eighth(quarter)
        x = self.sixteenth(eighth)
        x = x + self.context(x.mean((2, 3), keepdim=True))  # what kind of scene it is
        x = self.join_eighth(eighth + twice(self.up_eighth(x)))
        x = self.join_quarter(quarter + twice(self.up_quarter(x)))
        size = bgr.shape[2:]
        return (F.interpolate(self.head(x).float(), size, mode='bilinear'),
                F.interpolate(self.auxiliary(eighth).float(), size, mode='bilinear'))
