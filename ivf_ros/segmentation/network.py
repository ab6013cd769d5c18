# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A small network that labels the pixels of a fused image, or of RGB and thermal together.

It has two branches, following the bilateral attention decoder (Peng et al., "Bilateral attention
decoder: a lightweight decoder for real-time semantic segmentation", Neural Networks 137, 2021)
that SeAFusion trains with. The detail branch keeps the features at 1/4 of the size. The context
branch goes down to 1/32, where the features describe whole objects. The decoder joins the two with
attention in both directions: the context weights the channels of the detail, and the detail
weights the pixels of the context.
"""

from __future__ import annotations

from typing import ClassVar

from ivf_ros.nn.blocks import ConvBnRelu, upsample2x
from ivf_ros.nn.encoder import Encoder, Features, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
import torch
from torch import nn, Tensor

_DETAIL_CHANNELS, _CONTEXT_CHANNELS = 32, 64  # of the decoder at 1/4 and 1/8 of the size


class SegmentationNetwork(Encoder):
    """
    Segment images ``(B, channels, H, W)`` from 0 to 1; H and W are multiples of 32.

    The channels are BGR, or BGR and thermal.

    Returns
    -------
    logits
        ``(B, classes, H / 4, W / 4)``.
    auxiliary
        ``(B, classes, H / 8, W / 8)``, for an auxiliary loss on the context in training.

    """

    RENAMED_LAYERS: ClassVar = {
        'which': 'channel_gate', 'where': 'spatial_gate', 'narrowed': 'reduce', 'joined': 'fuse'}

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__(channels)
        self.detail = ConvBnRelu(self.quarter_channels, _DETAIL_CHANNELS)
        # The features of two cameras have more channels than the context that they join.
        self.reduce = nn.Identity() if self.eighth_channels == _CONTEXT_CHANNELS \
            else ConvBnRelu(self.eighth_channels, _CONTEXT_CHANNELS, kernel_size=1)
        self.join_sixteenth = BilateralAttention(THIRTYSECOND_CHANNELS, SIXTEENTH_CHANNELS)
        self.join_eighth = BilateralAttention(SIXTEENTH_CHANNELS, _CONTEXT_CHANNELS)
        self.join_quarter = BilateralAttention(_CONTEXT_CHANNELS, _DETAIL_CHANNELS)
        self.head = nn.Conv2d(_DETAIL_CHANNELS, classes, 3, padding=1)
        self.auxiliary = nn.Conv2d(_CONTEXT_CHANNELS, classes, 3, padding=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(image))

    def decode(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the result of ``forward`` from the features of the encoder."""
        quarter, eighth = self._join(features)
        return self.head(quarter), self.auxiliary(eighth)

    def predict(self, features: Features) -> Tensor:
        """Return the logits only, for inference."""
        return self.head(self._join(features)[0])

    def _join(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the features of the decoder at 1/4 and at 1/8 of the size."""
        context = self.join_sixteenth(features.thirtysecond, features.sixteenth)
        context = self.join_eighth(context, self.reduce(features.eighth))
        return self.join_quarter(context, self.detail(features.quarter)), context


class BilateralAttention(nn.Module):
    """Join context with detail of twice its size; each is weighted by attention from the other."""

    def __init__(self, context_channels: int, detail_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(context_channels, detail_channels, 1)
        self.channel_gate = nn.Conv2d(detail_channels, detail_channels, 1)  # from the context
        self.spatial_gate = nn.Conv2d(detail_channels, 1, 1)  # from the detail
        self.fuse = ConvBnRelu(detail_channels, detail_channels)

    def forward(self, context: Tensor, detail: Tensor) -> Tensor:
        context = self.reduce(context)
        channel_weights = torch.sigmoid(self.channel_gate(context.mean((2, 3), keepdim=True)))
        pixel_weights = torch.sigmoid(self.spatial_gate(detail))
        return self.fuse(torch.addcmul(detail * channel_weights, upsample2x(context),
                                       pixel_weights))
