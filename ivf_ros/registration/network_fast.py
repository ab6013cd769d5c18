# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the method ``fast``: feature maps in which both cameras give similar features.

Each camera has its own stem; all later layers are shared. A U-shaped trunk has a receptive field
that is large enough to distinguish places. It outputs maps at three sizes. Blocks of a thermal map
are searched in the RGB map of the same size, from coarse to fine.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from ivf_ros.nn.blocks import ResidualBlock, Stem, upsample2x
import torch
from torch import nn, Tensor

STRIDES = (8, 4, 2)  # of the maps, from coarse to fine
SIZE_MULTIPLE_PX = 32  # width and height of the input are multiples of the largest stride

FeatureMaps = tuple[Tensor, Tensor, Tensor]


class FastNetwork(nn.Module):
    """
    Feature maps of thermal or RGB images at 1/8, 1/4 and 1/2 of their size.

    Parameters
    ----------
    channels:
        Channels of the trunk at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size.
    map_channels:
        Channels of the maps at 1/8, 1/4 and 1/2.

    """

    RENAMED_LAYERS: ClassVar = {'inward': 'top_down'}  # layer names of older weight files

    def __init__(self, channels: tuple[int, int, int, int, int] = (16, 32, 48, 64, 96),
                 map_channels: tuple[int, int, int] = (24, 16, 8)) -> None:
        super().__init__()
        self.thermal_stem, self.rgb_stem = Stem(channels[0]), Stem(channels[0])
        self.down = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in pairwise(channels))
        self.deep = ResidualBlock(channels[-1], channels[-1], 1)
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a in channels[:-1])
        self.top_down = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False)
                                      for a, b in pairwise(channels))
        self.up = nn.ModuleList(ResidualBlock(a, a, 1) for a in channels[:-1])
        self.heads = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False)
                                   for a, b in zip(reversed(channels[:3]), map_channels))
        # logarithm of the factor of correlations before the softmax over displacements
        self.log_scales = nn.Parameter(torch.full((3,), 2.3))

    def forward(self, thermal: Tensor, rgb: Tensor) -> tuple[FeatureMaps, FeatureMaps]:
        """
        Return the maps of images of both cameras, for training.

        Both pass the trunk as one batch, because its batch normalisation is shared: the batch
        statistics must describe the same mixture as the running statistics.

        Parameters
        ----------
        thermal, rgb:
            ``(B, 2, H, W)`` float32 from ``learned_input.normalized_input``; H and W are multiples
            of ``SIZE_MULTIPLE_PX``.

        Returns
        -------
        thermal, rgb
            Three maps each: ``(B, C, H / s, W / s)`` float32, with s from ``STRIDES``. The feature
            vector of a pixel has a length below 1. A longer vector has more weight.

        """
        maps = self.compute_maps(torch.cat([self.thermal_stem(thermal), self.rgb_stem(rgb)]), 3)
        eighth, quarter, half = (features.split(len(thermal)) for features in maps)
        return (eighth[0], quarter[0], half[0]), (eighth[1], quarter[1], half[1])

    def compute_maps(self, x: Tensor, count: int) -> list[Tensor]:
        """
        Return the first ``count`` of the three maps, of the output ``x`` of a stem.

        The map at 1/2 serves the training only: it keeps fine detail in the trunk. For inference
        the structure features, which need no training, are more exact at this size.
        """
        pyramid = [x]
        for block in self.down:
            x = block(x)
            pyramid.append(x)
        x = self._decode_level(3, self.deep(x), pyramid)
        maps = []
        for level, head in zip((2, 1, 0)[:count], self.heads):
            x = self._decode_level(level, x, pyramid)
            features = head(x).float()
            maps.append(features / (1 + features.square().sum(1, keepdim=True)).sqrt())
        return maps

    def _decode_level(self, level: int, x: Tensor, pyramid: list[Tensor]) -> Tensor:
        """Upsample features of the next coarser level and add the encoder features of a level."""
        upsampled = upsample2x(self.top_down[level](x))
        return self.up[level](upsampled + self.lateral[level](pyramid[level]))
