# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks that networks of the package share."""

from __future__ import annotations

from typing import Literal

from torch import nn, Tensor
import torch.nn.functional as F

Beyond = Literal['replicate', 'zeros']

_REPLICATE_FROM = 48  # channels


class Stem(nn.Sequential):
    """The first layer of a camera, to half of the size: from ``normalized_input``, 2 channels."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(2, width, 5, stride=2, padding=2, bias=False),
                         nn.BatchNorm2d(width), nn.ReLU())


class Convolution(nn.Sequential):
    """A convolution that keeps or halves the size, batch normalisation, and a rectifier."""

    def __init__(self, wide_in: int, wide_out: int, side: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(wide_in, wide_out, side, stride=stride, padding=side // 2, bias=False),
            nn.BatchNorm2d(wide_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """
    Two 3 x 3 convolutions beside a shortcut (He et al. 2016).

    Deep in a network for registration the border is replicated. Zeros beyond it would tell each
    cell where in the image it lies, and a network would learn places instead of what is there.
    Networks that name things may know the place, and are faster with ``beyond='zeros'``.
    """

    def __init__(self, wide_in: int, wide_out: int, stride: int, beyond: Beyond | None = None
                 ) -> None:
        super().__init__()
        beyond = beyond or ('replicate' if wide_out >= _REPLICATE_FROM else 'zeros')
        self.first = nn.Sequential(
            nn.Conv2d(wide_in, wide_out, 3, stride=stride, padding=1, padding_mode=beyond,
                      bias=False),
            nn.BatchNorm2d(wide_out), nn.ReLU(inplace=True))
        self.second = nn.Sequential(
            nn.Conv2d(wide_out, wide_out, 3, padding=1, padding_mode=beyond, bias=False),
            nn.BatchNorm2d(wide_out))
        self.shortcut = nn.Identity() if wide_in == wide_out and stride == 1 else nn.Sequential(
            nn.Conv2d(wide_in, wide_out, 1, stride=stride, bias=False), nn.BatchNorm2d(wide_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.second(self.first(x)) + self.shortcut(x))


def stage(wide_in: int, wide_out: int, blocks: int) -> nn.Sequential:
    """Halve the size, and look ``blocks`` times, for networks that name things."""
    return nn.Sequential(Residual(wide_in, wide_out, 2, 'zeros'),
                         *(Residual(wide_out, wide_out, 1, 'zeros') for _ in range(blocks - 1)))


def twice(x: Tensor) -> Tensor:
    """Return features ``(B, C, H, W)`` at twice the size, bilinear."""
    return F.interpolate(x, scale_factor=2, mode='bilinear')
