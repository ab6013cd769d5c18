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

from ivf_ros.nn.blocks import Convolution, twice
from ivf_ros.nn.encoder import SIXTEENTH, THIRTYSECOND, WayDown
import torch
from torch import nn, Tensor

_DETAIL, _CONTEXT = 32, 64  # channels at 1/4 and 1/8 of the size, on the way back


class SegmentationNetwork(WayDown):
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
        super().__init__(channels)
        self.detail = Convolution(self.quarter_wide, _DETAIL)
        # Two cameras side by side are wider than the context that they are joined with.
        self.narrowed = nn.Identity() if self.eighth_wide == _CONTEXT \
            else Convolution(self.eighth_wide, _CONTEXT, side=1)
        self.join_sixteenth = BilateralAttention(THIRTYSECOND, SIXTEENTH)
        self.join_eighth = BilateralAttention(SIXTEENTH, _CONTEXT)
        self.join_quarter = BilateralAttention(_CONTEXT, _DETAIL)
        self.head = nn.Conv2d(_DETAIL, classes, 3, padding=1)
        self.auxiliary = nn.Conv2d(_CONTEXT, classes, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        quarter, eighth = self.features(image)
        return self.head(quarter), self.auxiliary(eighth)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joined features at 1/4 and at 1/8 of the size."""
        seen = self.way_down(image)
        context = self.join_sixteenth(seen.thirtysecond, seen.sixteenth)
        context = self.join_eighth(context, self.narrowed(seen.eighth))
        return self.join_quarter(context, self.detail(seen.quarter)), context


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
        return self.joined(torch.addcmul(detail * which, twice(context), where))
