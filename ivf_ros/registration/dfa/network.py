# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the method ``dfa``: deep features of both cameras, fused over scales and enhanced.

After "Image Alignment Based on Deep Learning to Extract Deep Feature Information from Images",
Sensors 2025, 25, 4628; docs/dfa.md says where it departs from the paper.

Each camera has a first layer of its own; the residual trunk after it is shared (DFEN). At 1/16 of
the size the spatial information fusion module (SFM) adds what lies around each cell, near and
far, and the feature enhancement module (FEM) lets all cells of the image look at each other. At
1/8 cells are told apart, at 1/2 they are compared with their surroundings.
"""

from __future__ import annotations

from itertools import pairwise

from ivf_ros.nn.blocks import ResidualBlock, Stem, upsample2x
import torch
from torch import nn, Tensor
import torch.nn.functional as F

SIZE_MULTIPLE_PX = 16  # width and height of the input are multiples of the deepest stride
_WINDOWS = (1, 3, 5, 9)  # cells of 1/16, over which SFM takes the mean
_HEADS = 5


class DfaNetwork(nn.Module):
    """
    Dense descriptors of thermal or RGB images, coarse and fine, and the weight of coarse ones.

    Parameters
    ----------
    sfm, fem:
        Whether the two modules are there.
    widths:
        Channels at 1/2, 1/4, 1/8 and 1/16 of the input size.
    coarse_dim, fine_dim:
        Length of the descriptors.

    """

    def __init__(self, sfm: bool = True, fem: bool = True,
                 widths: tuple[int, int, int, int] = (16, 32, 64, 80),
                 coarse_dim: int = 64, fine_dim: int = 16) -> None:
        super().__init__()
        self.thermal_stem, self.rgb_stem = Stem(widths[0]), Stem(widths[0])
        self.down = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in pairwise(widths))
        self.deep = ResidualBlock(widths[-1], widths[-1], 1)
        self.sfm = SpatialFusion(widths[-1]) if sfm else nn.Identity()
        self.fem = FeatureEnhancement(widths[-1]) if fem else nn.Identity()
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a in widths[:-1])
        self.inward = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairwise(widths))
        self.up = nn.ModuleList(ResidualBlock(a, a, 1) for a in widths[:-1])
        self.coarse_head = nn.Conv2d(widths[2], coarse_dim, 1)
        self.weight_head = nn.Conv2d(widths[2], 1, 1)
        self.fine_head = nn.Conv2d(widths[0], fine_dim, 1)
        # Inverse temperatures of the softmax over all cells and over the surroundings.
        self.coarse_log_scale = nn.Parameter(torch.tensor(2.3))
        self.fine_log_scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, thermal: Tensor | None, rgb: Tensor | None,
                fine: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """
        Describe images of one camera or of both.

        Parameters
        ----------
        thermal, rgb:
            ``(B, 2, H, W)`` as ``normalized_input`` of ``learned_input`` makes it, or None; H and
            W are multiples of ``SIZE_MULTIPLE_PX``. Where both are given they share the statistics of
            the batch, as they share what is kept of them.
        fine:
            Whether fine descriptors are wanted; without, there are none of them.

        Returns
        -------
        coarse, weight, fine
            Thermal images first, then RGB: ``(N, coarse_dim, H / 8, W / 8)`` float32 of unit
            length along the channels, ``(N, H / 8, W / 8)`` float32 logits of whether the cell
            would be found again, and ``(N, fine_dim, H / 2, W / 2)`` float32 of unit length.

        """
        x = torch.cat([stem(image) for stem, image in ((self.thermal_stem, thermal),
                                                       (self.rgb_stem, rgb)) if image is not None])
        scales = [x]
        for block in self.down:
            x = block(x)
            scales.append(x)
        x = self._decode_level(2, self.fem(self.sfm(self.deep(x))), scales)
        coarse = F.normalize(self.coarse_head(x).float(), dim=1)
        weight = self.weight_head(x)[:, 0].float()
        if not fine:
            return coarse, weight, coarse[:, :0]
        x = self._decode_level(0, self._decode_level(1, x, scales), scales)
        return coarse, weight, F.normalize(self.fine_head(x).float(), dim=1)

    def _decode_level(self, level: int, x: Tensor, scales: list[Tensor]) -> Tensor:
        """Bring what was seen from further away to a level, and add what was seen there."""
        upsampled = upsample2x(self.inward[level](x))
        return self.up[level](upsampled + self.lateral[level](scales[level]))


class SpatialFusion(nn.Module):
    """
    The spatial information fusion module: a pyramid of means whose levels are weighted anew.

    y = x + sum_s w_s(x) C_s(mean of x over s x s cells). The weights are a softmax over the
    scales, predicted for each cell from what it shows. At the beginning of training y = x.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.which = nn.Conv2d(width, len(_WINDOWS), 1)
        self.mixed = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in _WINDOWS)
        _zero_initialize(*self.mixed)

    def forward(self, x: Tensor) -> Tensor:
        fused = x
        weights = self.which(x).softmax(1)
        for weight, side, mix in zip(weights.split(1, 1), _WINDOWS, self.mixed):
            # Beyond the border nothing is counted: zeros there would tell where a cell lies.
            mean = F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
            fused = fused + weight * mix(mean)
        return fused


class FeatureEnhancement(nn.Module):
    """
    The feature enhancement module: self-attention among all cells of an image, and a residual.

    Scaled dot-product attention with several heads and a layer for each cell on its own (Vaswani
    et al. 2017), each added to what was there. No cell knows where it lies: cells that change
    places change nothing but their order. At the beginning of training it is the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_layer = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        self.layer = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(),
                                   nn.Linear(2 * width, width, bias=False))
        _zero_initialize(self.merge, self.layer[-1])

    def forward(self, x: Tensor) -> Tensor:
        count, width, height, across = x.shape
        cells = x.flatten(2).transpose(1, 2)
        qkv = self.project(self.before_attention(cells))
        query, key, value = qkv.view(count, -1, 3, _HEADS, width // _HEADS).permute(
            2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        cells = cells + self.merge(attended.transpose(1, 2).flatten(2))
        cells = cells + self.layer(self.before_layer(cells))
        return cells.transpose(1, 2).reshape(count, width, height, across)


def _zero_initialize(*layers: nn.Module) -> None:
    """Let layers without bias give zeros, whatever they get."""
    for layer in layers:
        for weight in layer.parameters():
            nn.init.zeros_(weight)
