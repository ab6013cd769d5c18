# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A small network that labels the pixels of a fused image, or of RGB and thermal together.

Two branches, in the spirit of the bilateral attention decoder (Peng et al., "Bilateral attention
decoder: a lightweight decoder for real-time semantic segmentation", Neural Networks 137, 2021)
that SeAFusion trains with: one keeps the detail at 1/4 of the size, the other goes down to 1/32
and sees what a thing is. On the way back each join lets the two speak to each other: what the
scene is says which channels of the detail count, and the detail says where the context counts.
"""

from __future__ import annotations

from ivf_ros.nn.blocks import Convolution, stage, twice
import torch
from torch import nn, Tensor

MULTIPLE_PX = 32  # of both sides of what the network is given
_HALF, _QUARTER, _EIGHTH, _SIXTEENTH, _THIRTYSECOND = 16, 32, 64, 128, 192  # channels


class SegmentationNetwork(nn.Module):
    """
    Make logits of the classes of ``(B, channels, H, W)`` from 0 to 1; sides: multiples of 32.

    The channels are BGR, or BGR and thermal.

    Returns
    -------
    logits
        ``(B, classes, H / 4, W / 4)``.
    auxiliary
        ``(B, classes, H / 8, W / 8)``; they help the context to learn.

    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(Convolution(channels, _HALF, stride=2),
                                  Convolution(_HALF, _QUARTER, stride=2))
        self.detail = Convolution(_QUARTER, _QUARTER)
        self.eighth = stage(_QUARTER, _EIGHTH, 2)
        self.sixteenth = stage(_EIGHTH, _SIXTEENTH, 2)
        self.thirtysecond = stage(_SIXTEENTH, _THIRTYSECOND, 2)
        self.scene = nn.Conv2d(_THIRTYSECOND, _THIRTYSECOND, 1)
        self.join_sixteenth = BilateralAttention(_THIRTYSECOND, _SIXTEENTH)
        self.join_eighth = BilateralAttention(_SIXTEENTH, _EIGHTH)
        self.join_quarter = BilateralAttention(_EIGHTH, _QUARTER)
        self.head = nn.Conv2d(_QUARTER, classes, 3, padding=1)
        self.auxiliary = nn.Conv2d(_EIGHTH, classes, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        quarter, eighth = self.features(image)
        return self.head(quarter), self.auxiliary(eighth)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joined features at 1/4 and at 1/8 of the size."""
        quarter = self.stem((image - 0.5) * 4)
        detail = self.detail(quarter)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        context = self.thirtysecond(sixteenth)
        context = context + self.scene(context.mean((2, 3), keepdim=True))
        context = self.join_sixteenth(context, sixteenth)
        context = self.join_eighth(context, eighth)
        return self.join_quarter(context, detail), context


class BilateralAttention(nn.Module):
    """Join context with detail of twice its size: each weighs the other."""

    def __init__(self, wide_context: int, wide_detail: int) -> None:
        super().__init__()
        self.narrowed = nn.Conv2d(wide_context, wide_detail, 1)
        self.which = nn.Conv2d(wide_detail, wide_detail, 1)  # channels of the detail
        self.where = nn.Conv2d(wide_detail, 1, 1)  # pixels of the context
        self.joined = Convolution(wide_detail, wide_detail)

    def forward(self, context: Tensor, detail: Tensor) -> Tensor:
        context = self.narrowed(context)
        which = torch.sigmoid(self.which(context.mean((2, 3), keepdim=True)))
        where = torch.sigmoid(self.where(detail))
        return self.joined(detail * which + twice(context) * where)
