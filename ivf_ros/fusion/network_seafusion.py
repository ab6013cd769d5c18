# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of SeAFusion.

Tang, Yuan and Ma, "Image fusion in the loop of high-level vision tasks: a semantic-aware
real-time infrared and visible image fusion network", Information Fusion 82, 2022. Each camera has
a branch of a convolution and two gradient residual dense blocks, with 16, 32 and 48 channels. Four
convolutions compute the fused image from both branches. All layers work at the full size.
"""

from __future__ import annotations

from ivf_ros.nn.blocks import make_convolution
import torch
from torch import nn, Tensor
import torch.nn.functional as F

_SLOPE = 0.2  # negative slope of the leaky ReLUs
_BLOCK_SLOPE = 0.1  # the same at the outputs of the blocks
CHANNELS = (16, 32, 48)  # after the convolution and the two blocks of a branch


class SobelMagnitude(nn.Module):
    """|Sobel x| + |Sobel y| of each channel, with fixed weights and zero padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        along_x = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        for name, kernel in (('along_x', along_x), ('along_y', along_x.T)):
            self.register_buffer(name, kernel.repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # One output per group: CPUs have a fast implementation for this case only.
        along_x, along_y = (F.conv2d(x, self.get_buffer(name).to(x.dtype), padding=1,
                                     groups=x.shape[1]) for name in ('along_x', 'along_y'))
        return along_x.abs() + along_y.abs()


class GradientResidualDenseBlock(nn.Module):
    """
    The gradient residual dense block of Fig. 3 of the paper.

    The main path has two densely connected convolutions. The residual path has the gradient
    magnitude and keeps the fine details that a deep network loses.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = _convolution(in_channels, in_channels)
        self.second = _convolution(2 * in_channels, in_channels)
        self.main = nn.Conv2d(3 * in_channels, out_channels, 1)
        self.gradient = SobelMagnitude(in_channels)
        self.residual = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = torch.cat([x, self.first(x)], 1)
        dense = torch.cat([dense, self.second(dense)], 1)
        return F.leaky_relu(self.main(dense) + self.residual(self.gradient(x)), _BLOCK_SLOPE)


class SeaFusionNetwork(nn.Module):
    """Fuse thermal and luma, ``(B, 1, H, W)`` from 0 to 1 each, into ``(B, 1, H, W)`` float32."""

    def __init__(self) -> None:
        super().__init__()
        self.thermal, self.luma = (nn.Sequential(
            _convolution(1, CHANNELS[0]),
            GradientResidualDenseBlock(CHANNELS[0], CHANNELS[1]),
            GradientResidualDenseBlock(CHANNELS[1], CHANNELS[2])) for _ in range(2))
        self.reconstruction = nn.Sequential(
            _convolution(2 * CHANNELS[2], 2 * CHANNELS[1]),
            _convolution(2 * CHANNELS[1], 2 * CHANNELS[0]),
            _convolution(2 * CHANNELS[0], CHANNELS[0]))
        self.last = nn.Conv2d(CHANNELS[0], 1, 3, padding=1)

    def forward(self, thermal: Tensor, luma: Tensor) -> Tensor:
        features = torch.cat([self.luma(luma), self.thermal(thermal)], 1)
        fused = self.last(self.reconstruction(features))
        return torch.tanh(fused.float()) / 2 + 0.5


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return make_convolution(in_channels, out_channels, nn.LeakyReLU(_SLOPE))
