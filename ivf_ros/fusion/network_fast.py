# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of ``fast``: it predicts a weight of thermal and an offset for each pixel.

    F = V + w (T - V) + o,    0 <= w <= 1,  |o| <= 0.4

T is thermal, V luma. The network does not generate the image itself but the weight w of thermal
and the offset o of each pixel, so that structures that are sharp in a camera stay sharp. Its input
are blocks of 4 x 4 pixels as 16 channels per camera. All convolutions are thus at 1/4 of the size
and below, where a CPU is most efficient. The encoder down to 1/16 and the decoder provide the
context of a pixel.
"""

from __future__ import annotations

import cv2
from ivf_ros.nn.blocks import make_convolution, upsample2x
import numpy as np
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

    def fuse_8bit(self, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
        """
        Fuse ``(H, W)`` uint8 images of any size into a new one.

        The blocks are arranged here, as 8-bit channels-last data, which is fastest. F is computed
        from T and V in float32, as bfloat16 cannot represent all gray levels.
        """
        height, width = luma.shape
        border = 0, -height % SIZE_MULTIPLE_PX, 0, -width % SIZE_MULTIPLE_PX
        thermal, luma = (cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE)
                         for image in (thermal, luma))
        rows, columns = luma.shape[0] // BLOCK_PX, luma.shape[1] // BLOCK_PX
        blocks = np.empty((rows, columns, 2, BLOCK_PX, BLOCK_PX), np.uint8)
        for index, image in enumerate((thermal, luma)):
            blocks[:, :, index] = image.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
        stacked = torch.from_numpy(blocks.reshape(1, rows, columns, -1)).permute(0, 3, 1, 2)
        network_input = stacked.to(self.last.weight.dtype).div_(255)
        weight, offset = self.predict_weight_and_offset(network_input)
        T, V = stacked.float().chunk(2, 1)
        fused = torch.addcmul(V, weight.float(), T - V).add_(offset, alpha=255)
        levels = fused.round_().clamp_(0, 255).to(torch.uint8)
        out = levels.permute(0, 2, 3, 1).reshape(rows, columns, BLOCK_PX, BLOCK_PX)
        return out.swapaxes(1, 2).reshape(luma.shape)[:height, :width].numpy().copy()

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
