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

from typing import cast

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
        weight, offset = self.predict_weight_and_offset(
            self.quarter(torch.cat([thermal, luma], 1) - 0.5))
        fused = torch.addcmul(luma, weight.float(), thermal - luma) + offset.float()
        return F.pixel_shuffle(fused, BLOCK_PX)

    def predict_weight_and_offset(self, quarter: Tensor) -> tuple[Tensor, Tensor]:
        """Return w and o, ``(B, 16, H/4, W/4)`` each, of the features of the first layer."""
        eighth = self.eighth(quarter)
        x = self.join_eighth(eighth + upsample2x(self.to_eighth(self.sixteenth(eighth))))
        x = self.join_quarter(quarter + upsample2x(self.to_quarter(x)))
        weight, offset = self.last(x).split(BLOCK_PX ** 2, 1)
        return torch.sigmoid(weight), _MAX_OFFSET * torch.tanh(offset)

    def first_layer_on_pixels(self) -> nn.Module:
        """
        Return the first layer for images ``(B, 2, H, W)``, thermal and luma, minus 0.5.

        A convolution of 3 x 3 blocks of 4 x 4 pixels is one of 12 x 12 pixels with a stride of 4.
        It needs no rearranged input, which takes longer than the convolution itself.
        """
        convolution = cast(nn.Conv2d, self.quarter[0])
        side = 3 * BLOCK_PX
        layer = nn.Conv2d(2, _CHANNELS[0], side, stride=BLOCK_PX, padding=BLOCK_PX)
        # Output, camera, row and column in a block, row and column of the block.
        weight = convolution.weight.data.view(-1, 2, BLOCK_PX, BLOCK_PX, 3, 3)
        layer.weight.data = weight.permute(0, 1, 4, 2, 5, 3).reshape(-1, 2, side, side)
        layer.bias = convolution.bias
        return nn.Sequential(layer, nn.ReLU())


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
