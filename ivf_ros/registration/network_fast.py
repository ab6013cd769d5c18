# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the method ``fast``: descriptors that do not depend on which camera took the image.

Each camera has a first layer of its own; everything after it is shared. A U-shaped trunk sees far
enough to tell places apart at 1/8 of the size, where every cell is compared with every other, and
finely enough to tell by how much at 1/2, where cells are compared with their surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ivf_ros.nn.weights import folded, load
from ivf_ros.registration.fast_inputs import normalized_input
import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

COARSE_STRIDE = 8
FINE_STRIDE = 2
_REPLICATE_FROM = 64  # channels
_LEAST_CERTAINTY = 0.02  # below, a match is noise
SIZE_MULTIPLE = 32  # width and height of the input are multiples of the deepest stride


class FastNetwork(nn.Module):
    """
    Dense descriptors of thermal or RGB images, coarse and fine.

    Parameters
    ----------
    widths:
        Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input size.
    coarse_dim, fine_dim:
        Length of the descriptors.

    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128),
                 coarse_dim: int = 64, fine_dim: int = 16) -> None:
        super().__init__()
        self.thermal_stem, self.rgb_stem = _Stem(widths[0]), _Stem(widths[0])
        self.down = nn.ModuleList(_Residual(a, b, 2) for a, b in pairwise(widths))
        self.deep = _Residual(widths[-1], widths[-1], 1)
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a in widths[:-1])
        self.inward = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False)
                                    for a, b in pairwise(widths))
        self.up = nn.ModuleList(_Residual(a, a, 1) for a in widths[:-1])
        self.coarse_head = nn.Conv2d(widths[2], coarse_dim, 1)
        self.fine_head = nn.Conv2d(widths[0], fine_dim, 1)
        # Inverse temperatures of the softmax over all cells and over the surroundings.
        self.coarse_log_scale = nn.Parameter(torch.tensor(2.3))
        self.fine_log_scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, image: Tensor, sensor: str, fine: bool = True) -> tuple[Tensor, Tensor]:
        """
        Describe images of one camera.

        Parameters
        ----------
        image:
            ``(B, 2, H, W)`` as ``normalized_input`` of ``fast_inputs`` makes it; H and W are
            multiples of ``SIZE_MULTIPLE``.
        sensor:
            ``'thermal'`` or ``'rgb'``.
        fine:
            Whether fine descriptors are wanted; without, there are none of them.

        Returns
        -------
        coarse, fine
            ``(B, coarse_dim, H / 8, W / 8)`` and ``(B, fine_dim, H / 2, W / 2)`` float32 of unit
            length along the channels.

        """
        stem = {'thermal': self.thermal_stem, 'rgb': self.rgb_stem}[sensor]
        x = stem(image)
        scales = [x]
        for block in self.down:
            x = block(x)
            scales.append(x)
        x = self._upward(3, self.deep(x), scales)
        x = self._upward(2, x, scales)
        coarse = F.normalize(self.coarse_head(x).float(), dim=1)
        if not fine:
            return coarse, coarse[:, :0]
        x = self._upward(0, self._upward(1, x, scales), scales)
        return coarse, F.normalize(self.fine_head(x).float(), dim=1)

    def _upward(self, level: int, x: Tensor, scales: list[Tensor]) -> Tensor:
        """Bring what was seen from further away to a level, and add what was seen there."""
        grown = F.interpolate(self.inward[level](x), scale_factor=2.0, mode='bilinear')
        return self.up[level](grown + self.lateral[level](scales[level]))


class _Stem(nn.Sequential):
    """The first layer, one for each camera."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(2, width, 5, stride=2, padding=2, bias=False),
                         nn.BatchNorm2d(width), nn.ReLU())


class _Residual(nn.Module):
    """
    Two 3 x 3 convolutions beside a shortcut (He et al. 2016).

    Deep in the network the border is replicated. Zeros beyond it would tell each cell where in
    the image it lies, and the descriptors would learn places instead of what is there.
    """

    def __init__(self, wide_in: int, wide_out: int, stride: int) -> None:
        super().__init__()
        beyond: Literal['replicate', 'zeros'] = (
            'replicate' if wide_out >= _REPLICATE_FROM else 'zeros')
        self.first = nn.Sequential(
            nn.Conv2d(wide_in, wide_out, 3, stride=stride, padding=1, padding_mode=beyond,
                      bias=False),
            nn.BatchNorm2d(wide_out), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(wide_out, wide_out, 3, padding=1, padding_mode=beyond, bias=False),
            nn.BatchNorm2d(wide_out))
        self.shortcut = nn.Identity() if wide_in == wide_out and stride == 1 else nn.Sequential(
            nn.Conv2d(wide_in, wide_out, 1, stride=stride, bias=False), nn.BatchNorm2d(wide_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


@dataclass(frozen=True, eq=False)
class Descriptors:
    """
    Of one image.

    Attributes
    ----------
    coarse:
        ``(C, h * w)`` at 1/8 of its size, of unit length.
    fine:
        ``(h, w, C)`` at 1/2 of its size, float32, of unit length.
    cells:
        Width and height of the coarse grid.

    """

    coarse: Tensor
    fine: np.ndarray
    cells: tuple[int, int]


class Describer:
    """
    The trained network, from image to descriptors and from descriptors to matches.

    Raises
    ------
    WeightsError
        The weight file is missing or damaged.

    """

    def __init__(self, path: Path, precision: str = 'bfloat16') -> None:
        network = load(FastNetwork(), path)
        self._scale = float(network.coarse_log_scale.detach().exp())
        self._type = {'bfloat16': torch.bfloat16, 'float32': torch.float32}[precision]
        self._network = folded(network).to(self._type)
        for layer in self._network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = layer.weight.data.contiguous(
                    memory_format=torch.channels_last)

    def describe(self, image: np.ndarray, sensor: str, fine: bool = True) -> Descriptors:
        """Describe a gray image ``(H, W)``; sides are multiples of ``SIZE_MULTIPLE``."""
        given = torch.from_numpy(normalized_input(image))[None].to(
            self._type, memory_format=torch.channels_last)
        with torch.inference_mode():
            coarse, of_pixels = self._network(given, sensor, fine)
        return Descriptors(coarse[0].flatten(1), of_pixels[0].permute(1, 2, 0).numpy(),
                           (coarse.shape[3], coarse.shape[2]))

    def matches(self, thermal: Descriptors, rgb: Descriptors
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return the cells that choose each other, by dual softmax.

        P = softmax over RGB cells times softmax over thermal cells of the scaled similarity
        (Rocco et al. 2018, Sun et al. 2021). The place in RGB is the mean over the 3 x 3 cells
        around the best one, weighed by P.

        Returns
        -------
        thermal_cells, rgb_cells, certainty
            ``(N, 2)``, ``(N, 2)`` x and y in cells, and ``(N,)`` P, from 0 to 1.

        """
        width, height = rgb.cells
        with torch.inference_mode():
            similarity = self._scale * (thermal.coarse.T @ rgb.coarse)
            probability = similarity.softmax(0).mul_(similarity.softmax(1))
            certainty, best = probability.max(1)
            chosen = (probability.argmax(0)[best] == torch.arange(len(best))) \
                & (certainty > _LEAST_CERTAINTY)
            own, best = chosen.nonzero()[:, 0], best[chosen]
            x = (best % width).clamp(1, width - 2)[:, None] + torch.tensor([-1, 0, 1] * 3)
            y = (best // width).clamp(1, height - 2)[:, None] \
                + torch.tensor([-1, 0, 1]).repeat_interleave(3)
            weight = probability[own[:, None], y * width + x]
            total = weight.sum(1)
            found = torch.stack([(weight * x).sum(1), (weight * y).sum(1)], 1) / total[:, None]
            asked = torch.stack([own % width, own // width], 1)
        return asked.numpy().astype(np.float64), found.double().numpy(), certainty[chosen].numpy()
