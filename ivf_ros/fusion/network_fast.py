# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of ``fast``: it predicts a weight of thermal and an offset for each pixel.

    F = V + w (T - V) + o,    0 <= w <= 1,  |o| <= 0.4

T is thermal, V luma. The network does not generate the image itself but the weight w of thermal
and the offset o of each pixel, so that structures that are sharp in a camera stay sharp. Its input
are blocks of 4 x 4 pixels as 16 channels per camera. All convolutions are thus at 1/4 of the size
and below, where a CPU is most efficient. The encoder down to 1/16 and the decoder provide the
context of a pixel. F is computed from T and V in float32 in any case, as neither bfloat16 nor
int8 can represent all gray levels.
"""

from __future__ import annotations

from ivf_ros.nn.blocks import make_convolution, upsample2x
import torch
from torch import nn, Tensor
import torch.nn.functional as F

BLOCK_PX = 4
SIZE_MULTIPLE_PX = 16  # the height and the width of an input are multiples of it
_MAX_OFFSET = 0.4
_CHANNELS = (32, 48, 64)  # at 1/4, 1/8 and 1/16


class FastFusionNetwork(nn.Module):
    """
    Fuse thermal and luma, ``(B, 1, H, W)`` from 0 to 1 each, into ``(B, 1, H, W)`` float32.

    H and W are multiples of 16.
    """

    def __init__(self) -> None:
        super().__init__()
        quarter, eighth, sixteenth = _CHANNELS
        self.quarter = _convolution(2 * BLOCK_PX ** 2, quarter)
        self.eighth = nn.Sequential(_convolution(quarter, eighth, 2), PlainResidualBlock(eighth))
        self.sixteenth = nn.Sequential(
            _convolution(eighth, sixteenth, 2), PlainResidualBlock(sixteenth),
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
        """Return w and o, ``(B, 16, H/4, W/4)`` each, of the blocks ``(B, 32, H/4, W/4)``."""
        quarter = self.quarter(blocks - 0.5)
        eighth = self.eighth(quarter)
        x = self.join_eighth(eighth + upsample2x(self.to_eighth(self.sixteenth(eighth))))
        x = self.join_quarter(quarter + upsample2x(self.to_quarter(x)))
        weight, offset = self.last(x).split(BLOCK_PX ** 2, 1)
        return torch.sigmoid(weight), _MAX_OFFSET * torch.tanh(offset)


class PlainResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut, without batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return make_convolution(in_channels, out_channels, nn.ReLU(), stride)
