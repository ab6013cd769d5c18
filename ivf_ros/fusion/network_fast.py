# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of ``fast``: which camera each pixel is taken from, and how much is added to it.

    F = V + w (T - V) + o,    0 <= w <= 1,  |o| <= 0.4

T is thermal, V luma. The network never draws: it says for each pixel the weight w of thermal and
the offset o, so that what a camera sees sharply stays sharp. It works on blocks of 4 x 4 pixels,
laid out as 16 channels a camera, so that all convolutions are at 1/4 of the size and below, where
a processor does them best; the way down to 1/16 and back tells it what surrounds a pixel.
"""

from __future__ import annotations

from ivf_ros.nn.blocks import upsample2x
import torch
from torch import nn, Tensor
import torch.nn.functional as F

BLOCK_PX = 4
SIZE_MULTIPLE_PX = 16  # of both sides of what the network is given
_MAX_OFFSET = 0.4
_CHANNELS = (32, 48, 64)  # at 1/4, 1/8 and 1/16


class FastFusionNetwork(nn.Module):
    """
    Fuse thermal and luma, ``(B, 1, H, W)`` from 0 to 1 each, into ``(B, 1, H, W)`` float32.

    Sides are multiples of 16.
    """

    def __init__(self) -> None:
        super().__init__()
        quarter, eighth, sixteenth = _CHANNELS
        self.quarter = _convolution(2 * BLOCK_PX ** 2, quarter)
        self.eighth = nn.Sequential(_convolution(quarter, eighth, 2), PlainResidualBlock(eighth))
        self.sixteenth = nn.Sequential(_convolution(eighth, sixteenth, 2), PlainResidualBlock(sixteenth),
                                       PlainResidualBlock(sixteenth))
        self.to_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.join_eighth = _convolution(eighth, eighth)
        self.to_quarter = nn.Conv2d(eighth, quarter, 1)
        self.join_quarter = _convolution(quarter, quarter)
        self.last = nn.Conv2d(quarter, 2 * BLOCK_PX ** 2, 3, padding=1)

    def forward(self, thermal: Tensor, luma: Tensor) -> Tensor:
        thermal, luma = (F.pixel_unshuffle(image, BLOCK_PX) for image in (thermal, luma))
        weight, offset = self.predict_weight_and_offset(torch.cat([thermal, luma], 1))
        fused = torch.addcmul(luma, weight.float(), thermal - luma) + offset.float()
        return F.pixel_shuffle(fused, BLOCK_PX)

    def predict_weight_and_offset(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Make of the blocks of both, ``(B, 32, H/4, W/4)``, w and o of each pixel (16 each)."""
        quarter = self.quarter(blocks - 0.5)
        eighth = self.eighth(quarter)
        x = self.join_eighth(eighth + upsample2x(self.to_eighth(self.sixteenth(eighth))))
        x = self.join_quarter(quarter + upsample2x(self.to_quarter(x)))
        weight, offset = self.last(x).split(BLOCK_PX ** 2, 1)
        return torch.sigmoid(weight), _MAX_OFFSET * torch.tanh(offset)


class PlainResidualBlock(nn.Module):
    """Two 3 x 3 convolutions whose result is added to what they were given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1), nn.ReLU())
