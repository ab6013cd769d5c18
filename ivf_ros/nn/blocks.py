# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers that the networks of the package share."""

from __future__ import annotations

from typing import Literal

from torch import nn, Tensor
import torch.nn.functional as F

PaddingMode = Literal['replicate', 'zeros']

# Residual blocks with at least this number of output channels replicate the border by default.
_MIN_CHANNELS_TO_REPLICATE = 48


class Stem(nn.Sequential):
    """
    The first layer of one camera in a registration network.

    The input is a ``(B, 2, H, W)`` tensor of ``normalized_input`` images. The output has half the
    size.
    """

    def __init__(self, out_channels: int) -> None:
        super().__init__(nn.Conv2d(2, out_channels, 5, stride=2, padding=2, bias=False),
                         nn.BatchNorm2d(out_channels), nn.ReLU())


class ConvBnRelu(nn.Sequential):
    """A convolution that keeps the size or divides it by ``stride``, batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3,
                 stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride,
                      padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """
    Two 3 x 3 convolutions with a shortcut (He et al. 2016).

    The deep layers of a registration network replicate the border. With zero padding a cell can
    infer its position in the image, and the network would learn positions instead of image
    content. Segmentation and detection networks may use the position; they are faster with
    ``padding_mode='zeros'``.

    Parameters
    ----------
    in_channels, out_channels, stride:
        As for ``nn.Conv2d``.
    padding_mode:
        None means 'replicate' from 48 output channels on and 'zeros' below.

    """

    def __init__(self, in_channels: int, out_channels: int, stride: int,
                 padding_mode: PaddingMode | None = None) -> None:
        super().__init__()
        if padding_mode is None:
            padding_mode = 'replicate' if out_channels >= _MIN_CHANNELS_TO_REPLICATE else 'zeros'
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1,
                      padding_mode=padding_mode, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
        self.second = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, padding_mode=padding_mode,
                      bias=False),
            nn.BatchNorm2d(out_channels))
        self.shortcut = nn.Identity() if in_channels == out_channels and stride == 1 \
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.second(self.first(x)) + self.shortcut(x))


def make_stage(in_channels: int, out_channels: int, n_blocks: int) -> nn.Sequential:
    """Return ``n_blocks`` residual blocks with zero padding; the first one halves the size."""
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels, 2, 'zeros'),
        *(ResidualBlock(out_channels, out_channels, 1, 'zeros') for _ in range(n_blocks - 1)))


def upsample2x(x: Tensor) -> Tensor:
    """Return features ``(B, C, H, W)`` at twice the size, with bilinear interpolation."""
    return F.interpolate(x, scale_factor=2, mode='bilinear')


def make_convolution(in_channels: int, out_channels: int, activation: nn.Module,
                     stride: int = 1) -> nn.Sequential:
    """Return a 3 x 3 convolution with bias and an activation, without batch normalisation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
                         activation)
