# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the method ``dfa``: deep features of both cameras, fused over scales and enhanced.

After "Image Alignment Based on Deep Learning to Extract Deep Feature Information from Images",
Sensors 2025, 25, 4628; docs/dfa.md describes the differences from the paper.

Each camera has its own stem; the residual trunk after it is shared (DFEN). At 1/16 of the size the
spatial information fusion module (SFM) adds context around each cell at four scales, and the
feature enhancement module (FEM) is self-attention among all cells of the image. The descriptors at
1/8 match cells globally. The descriptors at 1/2 match patches locally.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from ivf_ros.nn.blocks import ResidualBlock, Stem, upsample2x
import torch
from torch import nn, Tensor
import torch.nn.functional as F

SIZE_MULTIPLE_PX = 16  # width and height of the input are multiples of the largest stride
_WINDOWS = (1, 3, 5, 9)  # sides of the windows of SFM, in cells of 1/16
_HEADS = 5


class DfaNetwork(nn.Module):
    """
    Dense coarse and fine descriptors of thermal or RGB images, and weights of the coarse ones.

    Parameters
    ----------
    sfm, fem:
        Whether the network has the two modules.
    channels:
        Channels at 1/2, 1/4, 1/8 and 1/16 of the input size.
    coarse_dim, fine_dim:
        Channels of the descriptors.

    """

    RENAMED_LAYERS: ClassVar = {  # layer names of older weight files
        'inward': 'top_down', 'which': 'scale_logits', 'mixed': 'scale_convs',
        'before_attention': 'attention_norm', 'before_layer': 'feed_forward_norm',
        'layer': 'feed_forward'}

    def __init__(self, sfm: bool = True, fem: bool = True,
                 channels: tuple[int, int, int, int] = (16, 32, 64, 80),
                 coarse_dim: int = 64, fine_dim: int = 16) -> None:
        super().__init__()
        self.thermal_stem, self.rgb_stem = Stem(channels[0]), Stem(channels[0])
        self.down = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in pairwise(channels))
        self.deep = ResidualBlock(channels[-1], channels[-1], 1)
        self.sfm = SpatialFusion(channels[-1]) if sfm else nn.Identity()
        self.fem = FeatureEnhancement(channels[-1]) if fem else nn.Identity()
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1, bias=False) for a in channels[:-1])
        self.top_down = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False)
                                      for a, b in pairwise(channels))
        self.up = nn.ModuleList(ResidualBlock(a, a, 1) for a in channels[:-1])
        self.coarse_head = nn.Conv2d(channels[2], coarse_dim, 1)
        self.weight_head = nn.Conv2d(channels[2], 1, 1)
        self.fine_head = nn.Conv2d(channels[0], fine_dim, 1)
        # logarithms of the inverse temperatures of the softmax over all cells and over a window
        self.coarse_log_scale = nn.Parameter(torch.tensor(2.3))
        self.fine_log_scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, thermal: Tensor | None, rgb: Tensor | None
                ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return the descriptors of images of one camera or of both.

        Parameters
        ----------
        thermal, rgb:
            ``(B, 2, H, W)`` float32 from ``learned_input.normalized_input``, or None; H and W are
            multiples of ``SIZE_MULTIPLE_PX``. With both cameras the batch statistics are shared,
            as the running statistics are.

        Returns
        -------
        coarse, weight, fine
            Thermal images first, then RGB: ``(N, coarse_dim, H / 8, W / 8)`` float32 of unit
            length along the channels, ``(N, H / 8, W / 8)`` float32 logits that a cell will be
            found again, and ``(N, fine_dim, H / 2, W / 2)`` float32 of unit length.

        """
        return self.describe(torch.cat([
            stem(image) for stem, image in ((self.thermal_stem, thermal), (self.rgb_stem, rgb))
            if image is not None]))

    def describe(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the result of ``forward`` from the output of a stem."""
        pyramid = [x]
        for block in self.down:
            x = block(x)
            pyramid.append(x)
        x = self._decode_level(2, self.fem(self.sfm(self.deep(x))), pyramid)
        coarse = F.normalize(self.coarse_head(x).float(), dim=1)
        weight = self.weight_head(x)[:, 0].float()
        x = self._decode_level(0, self._decode_level(1, x, pyramid), pyramid)
        return coarse, weight, F.normalize(self.fine_head(x).float(), dim=1)

    def scales(self) -> Tensor:
        """Return the factors of the coarse and of the fine similarities: ``(2,)``."""
        return torch.stack([self.coarse_log_scale, self.fine_log_scale]).exp()

    def _decode_level(self, level: int, x: Tensor, pyramid: list[Tensor]) -> Tensor:
        """Upsample features of the next coarser level and add the encoder features of a level."""
        upsampled = upsample2x(self.top_down[level](x))
        return self.up[level](upsampled + self.lateral[level](pyramid[level]))


class SpatialFusion(nn.Module):
    """
    The spatial information fusion module: means over windows of several sizes, weighted per cell.

    y = x + sum_s w_s(x) C_s(mean of x over s x s cells). The weights are a softmax over the
    scales, predicted for each cell from its features. At the beginning of training y = x.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale_logits = nn.Conv2d(channels, len(_WINDOWS), 1)
        self.scale_convs = nn.ModuleList(
            nn.Conv2d(channels, channels, 1, bias=False) for _ in _WINDOWS)
        _zero_initialize(*self.scale_convs)

    def forward(self, x: Tensor) -> Tensor:
        fused = x
        weights = self.scale_logits(x).softmax(1)
        for weight, side, conv in zip(weights.split(1, 1), _WINDOWS, self.scale_convs):
            # The mean excludes padding: zeros there would encode the position of a cell.
            mean = F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
            fused = fused + weight * conv(mean)
        return fused


class FeatureEnhancement(nn.Module):
    """
    The feature enhancement module: self-attention among all cells of an image, and a residual.

    Scaled dot-product attention with several heads, and a feed-forward layer per cell (Vaswani et
    al. 2017), each with a residual connection. There is no positional encoding: a permutation of
    the cells permutes the output only. At the beginning of training it is the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 3 * channels, bias=False)
        self.merge = nn.Linear(channels, channels, bias=False)
        self.feed_forward = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(),
                                          nn.Linear(2 * channels, channels, bias=False))
        _zero_initialize(self.merge, self.feed_forward[-1])

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        cells = x.flatten(2).transpose(1, 2)
        qkv = self.project(self.attention_norm(cells))
        query, key, value = qkv.view(count, -1, 3, _HEADS, channels // _HEADS).permute(
            2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        cells = cells + self.merge(attended.transpose(1, 2).flatten(2))
        cells = cells + self.feed_forward(self.feed_forward_norm(cells))
        return cells.transpose(1, 2).reshape(count, channels, height, width)


def _zero_initialize(*layers: nn.Module) -> None:
    """Set all parameters to zero, so that the layers output zeros."""
    for feed_forward in layers:
        for weight in feed_forward.parameters():
            nn.init.zeros_(weight)
