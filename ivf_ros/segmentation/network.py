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

from ivf_ros.nn.blocks import ConvBnRelu, upsample2x
from ivf_ros.nn.encoder import Encoder, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
import torch
from torch import nn, Tensor

_DETAIL_CHANNELS, _CONTEXT_CHANNELS = 32, 64  # channels at 1/4 and 1/8 of the size, on the way back


class SegmentationNetwork(Encoder):
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
        self.detail = ConvBnRelu(self.quarter_channels, _DETAIL_CHANNELS)
        # Two cameras side by side are wider than the context that they are joined with.
        self.narrowed = nn.Identity() if self.eighth_channels == _CONTEXT_CHANNELS \
            else ConvBnRelu(self.eighth_channels, _CONTEXT_CHANNELS, kernel_size=1)
        self.join_sixteenth = BilateralAttention(THIRTYSECOND_CHANNELS, SIXTEENTH_CHANNELS)
        self.join_eighth = BilateralAttention(SIXTEENTH_CHANNELS, _CONTEXT_CHANNELS)
        self.join_quarter = BilateralAttention(_CONTEXT_CHANNELS, _DETAIL_CHANNELS)
        self.head = nn.Conv2d(_DETAIL_CHANNELS, classes, 3, padding=1)
        self.auxiliary = nn.Conv2d(_CONTEXT_CHANNELS, classes, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        quarter, eighth = self.features(image)
        return self.head(quarter), self.auxiliary(eighth)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joined features at 1/4 and at 1/8 of the size."""
        pyramid = self.way_down(image)
        context = self.join_sixteenth(pyramid.thirtysecond, pyramid.sixteenth)
        context = self.join_eighth(context, self.narrowed(pyramid.eighth))
        return self.join_quarter(context, self.detail(pyramid.quarter)), context


class BilateralAttention(nn.Module):
    """Join context with detail of twice its size: each weighs the other."""

    def __init__(self, context_channels: int, detail_channels: int) -> None:
        super().__init__()
        self.narrowed = nn.Conv2d(context_channels, detail_channels, 1)
        self.which = nn.Conv2d(detail_channels, detail_channels, 1)  # channels of the detail
        self.where = nn.Conv2d(detail_channels, 1, 1)  # pixels of the context
        self.joined = ConvBnRelu(detail_channels, detail_channels)

    def forward(self, context: Tensor, detail: Tensor) -> Tensor:
        context = self.narrowed(context)
        which = torch.sigmoid(self.which(context.mean((2, 3), keepdim=True)))
        where = torch.sigmoid(self.where(detail))
        return self.joined(torch.addcmul(detail * which, upsample2x(context), where))
