# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the method ``fast``: maps in which both cameras see the same.

Each camera has a first layer of its own; everything after it is shared. A U-shaped trunk sees far
enough to tell places apart, and maps at three sizes say what is where: blocks of a thermal map
are looked for in the RGB map of the same size, from coarse to fine.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from ivf_ros.nn.blocks import ResidualBlock, Stem, upsample2x
from ivf_ros.nn.inference import convert_for_inference
from ivf_ros.nn.weights import load
from ivf_ros.registration.learned_input import normalized_input
import numpy as np
import torch
from torch import nn, Tensor

STRIDES = (8, 4, 2)  # of the maps, coarse to fine
SIZE_MULTIPLE_PX = 32  # width and height of the input are multiples of the deepest stride

FeatureMaps = tuple[Tensor, Tensor, Tensor]


class FastNetwork(nn.Module):
    """
    Maps of thermal or RGB images at 1/8, 1/4 and 1/2 of their size.

    Parameters
    ----------
    widths:
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size.
    channels:
        Of the maps at 1/8, 1/4 and 1/2.

    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (16, 32, 48, 64, 96),
                 channels: tuple[int, int, int] = (24, 16, 8)) -> None:
        super().__init__()
        self.thermal_stem, self.rgb_stem = Stem(widths[0]), Stem(widths[0])
        self.down = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in pairwise(widths))
        self.deep = ResidualBlock(widths[-1], widths[-1], 1)
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a in widths[:-1])
        self.inward = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False)
                                    for a, b in pairwise(widths))
        self.up = nn.ModuleList(ResidualBlock(a, a, 1) for a in widths[:-1])
        self.heads = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False)
                                   for a, b in zip(reversed(widths[:3]), channels))
        # By which correlations are multiplied before a softmax over displacements.
        self.log_scales = nn.Parameter(torch.full((3,), 2.3))

    def forward(self, thermal: Tensor, rgb: Tensor) -> tuple[FeatureMaps, FeatureMaps]:
        """
        Map images of both cameras, for training.

        They go through the trunk as one batch: its batch normalisation is shared, and must be
        trained on the mixture that its running statistics describe.

        Parameters
        ----------
        thermal, rgb:
            ``(B, 2, H, W)`` as ``normalized_input`` of ``learned_input`` makes it; H and W are
            multiples of ``SIZE_MULTIPLE_PX``.

        Returns
        -------
        thermal, rgb
            Three maps each: ``(B, C, H / s, W / s)`` float32, s of ``STRIDES``. A pixel is a
            vector shorter than 1; the longer, the more it counts.

        """
        maps = self._trunk(torch.cat([self.thermal_stem(thermal), self.rgb_stem(rgb)]), 3)
        eighth, quarter, half = (one.split(len(thermal)) for one in maps)
        return (eighth[0], quarter[0], half[0]), (eighth[1], quarter[1], half[1])

    def maps(self, image: Tensor, sensor: str) -> list[Tensor]:
        """
        Map images of one camera, ``'thermal'`` or ``'rgb'``, for use: at 1/8 and 1/4 only.

        What the map at 1/2 says is said more exactly by features that need no training. It is
        there for the training, in which it makes the trunk keep what is fine.
        """
        stem = {'thermal': self.thermal_stem, 'rgb': self.rgb_stem}[sensor]
        return self._trunk(stem(image), 2)

    def _trunk(self, x: Tensor, count: int) -> list[Tensor]:
        """Return so many of the three maps, coarse to fine."""
        scales = [x]
        for block in self.down:
            x = block(x)
            scales.append(x)
        x = self._decode_level(3, self.deep(x), scales)
        maps = []
        for level, head in zip((2, 1, 0)[:count], self.heads):
            x = self._decode_level(level, x, scales)
            v = head(x).float()
            maps.append(v / (1 + v.square().sum(1, keepdim=True)).sqrt())
        return maps

    def _decode_level(self, level: int, x: Tensor, scales: list[Tensor]) -> Tensor:
        """Bring what was seen from further away to a level, and add what was seen there."""
        upsampled = upsample2x(self.inward[level](x))
        return self.up[level](upsampled + self.lateral[level](scales[level]))


class FeatureExtractor:
    """
    The trained network, from an image to its maps.

    Raises
    ------
    WeightsError
        The weight file is missing or damaged.

    """

    def __init__(self, path: Path, precision: str = 'bfloat16') -> None:
        self._network = convert_for_inference(load(FastNetwork(), path), precision)

    def maps(self, image: np.ndarray, sensor: str) -> tuple[np.ndarray, ...]:
        """
        Map a gray image ``(H, W)``; sides are multiples of ``SIZE_MULTIPLE_PX``.

        Returns
        -------
        eighth, quarter
            ``(H / s, W / s, C)`` float32, s = 8 and 4.

        """
        given = torch.from_numpy(normalized_input(image))[None].to(
            self._network.log_scales.dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            return tuple(one[0].permute(1, 2, 0).contiguous().numpy()
                         for one in self._network.maps(given, sensor))
