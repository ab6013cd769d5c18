# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks that networks of the package share."""

from __future__ import annotations

from typing import Literal

from torch import nn, Tensor
import torch.nn.functional as F

PaddingMode = Literal['replicate', 'zeros']

_MIN_CHANNELS_TO_REPLICATE = 48  # channels


class Stem(nn.Sequential):
    """The first layer of a camera, to half of the size: from ``normalized_input``, 2 channels."""

    def __init__(self, out_channels: int) -> None:
        super().__init__(nn.Conv2d(2, out_channels, 5, stride=2, padding=2, bias=False),
                         nn.BatchNorm2d(out_channels), nn.ReLU())


class ConvBnRelu(nn.Sequential):
    """A convolution that keeps or halves the size, batch normalisation, and a rectifier."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """
    Two 3 x 3 convolutions beside a shortcut (He et al. 2016).

    Deep in a network for registration the border is replicated. Zeros beyond it would tell each
    cell where in the image it lies, and a network would learn places instead of what is there.
    Networks that name things may know the place, and are faster with ``padding_mode='zeros'``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, padding_mode: PaddingMode | None = None
                 ) -> None:
        super().__init__()
        padding_mode = padding_mode or ('replicate' if out_channels >= _MIN_CHANNELS_TO_REPLICATE else 'zeros')
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, padding_mode=padding_mode,
                      bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
        self.second = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, padding_mode=padding_mode, bias=False),
            nn.BatchNorm2d(out_channels))
        self.shortcut = nn.Identity() if in_channels == out_channels and stride == 1 else nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.second(self.first(x)) + self.shortcut(x))


def make_stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Halve the size, and look ``blocks`` times, for networks that name things."""
    return nn.Sequential(ResidualBlock(in_channels, out_channels, 2, 'zeros'),
                         *(ResidualBlock(out_channels, out_channels, 1, 'zeros') for _ in range(blocks - 1)))


def upsample2x(x: Tensor) -> Tensor:
    """Return features ``(B, C, H, W)`` at twice the size, bilinear."""
    return F.interpolate(x, scale_factor=2, mode='bilinear')
