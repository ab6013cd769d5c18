# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The networks of CS2Fusion: the backbone that fuses, and what guides it in training.

Wang et al., "CS2Fusion: Contrastive learning for self-supervised infrared and visible image
fusion by estimating feature compensation map", Information Fusion 102, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn, Tensor

LAYER_CHANNELS = 16
LAYERS = 4
_CAMERA_CHANNELS = LAYER_CHANNELS * LAYERS  # of the features of one camera
# Inside the network images run from 0 to 255, so that features are as strong as what they show is
# bright: what stands out in thermal is found by that.
_LEVELS = 255.0
_STEEPNESS = 4.0  # of the map, for each standard deviation of the activation
_TINY = 1e-10


@dataclass(frozen=True, eq=False)
class BackboneOutput:
    """
    What the backbone sees in a pair.

    Attributes
    ----------
    thermal, luma:
        The features of each camera, ``(B, 16, H, W)`` of four layers, first layer first.
    fused:
        ``(B, 1, H, W)`` float32.

    """

    thermal: tuple[Tensor, ...]
    luma: tuple[Tensor, ...]
    fused: Tensor


class DenseEncoder(nn.Module):
    """Four convolutions of 16 channels; from the third on each sees all those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_convolution(wide, LAYER_CHANNELS)
                                    for wide in (1, LAYER_CHANNELS, 2 * LAYER_CHANNELS, 3 * LAYER_CHANNELS))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = [self.layers[0](image)]
        for layer in list(self.layers)[1:]:
            features.insert(0, layer(torch.cat(features, 1)))
        return tuple(reversed(features))


class DemandDrivenModule(nn.Module):
    """
    The demand-driven module: how much a layer of the decoder asks of the encoders.

    The query is the average and the maximum of each channel of the layer; the answer, features of
    both cameras at the width of the layer. Features are only read here: what they learn comes
    through the decoder.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Conv2d(2 * width, 1, 3, padding=1), nn.Sigmoid())
        self.answer = _convolution(_CAMERA_CHANNELS, width)

    def forward(self, x: Tensor, thermal: Tensor, luma: Tensor) -> Tensor:
        gate = self.query(torch.cat([x.amax((2, 3), keepdim=True),
                                     x.mean((2, 3), keepdim=True)], 1))
        return x + gate * (self.answer(thermal.detach()) + self.answer(luma.detach()))


class Cs2FusionNetwork(nn.Module):
    """Fuse thermal and luma, ``(B, 1, H, W)`` from 0 to 1 each, into ``(B, 1, H, W)`` float32."""

    def __init__(self) -> None:
        super().__init__()
        self.thermal, self.luma = DenseEncoder(), DenseEncoder()
        self.decoder = nn.ModuleList([_convolution(2 * _CAMERA_CHANNELS, 64), _convolution(64, 32),
                                      _convolution(32, 16)])
        self.demand = nn.ModuleList([DemandDrivenModule(64), DemandDrivenModule(32), DemandDrivenModule(16)])
        self.last = nn.Conv2d(16, 1, 3, padding=1)

    def features(self, thermal: Tensor, luma: Tensor
                 ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return what the encoders see in both, first layer first."""
        return self.thermal(_LEVELS * thermal), self.luma(_LEVELS * luma)

    def encoded(self, thermal: Tensor, luma: Tensor) -> BackboneOutput:
        """Return the fused image together with the features of both cameras."""
        of_thermal, of_luma = self.features(thermal, luma)
        both = [torch.cat(features[::-1], 1) for features in (of_thermal, of_luma)]
        x = torch.cat(both, 1)
        for layer, demand in zip(self.decoder, self.demand, strict=True):
            x = demand(layer(x), *both)
        return BackboneOutput(of_thermal, of_luma, self.last(x).float() / _LEVELS)

    def forward(self, thermal: Tensor, luma: Tensor) -> Tensor:
        return self.encoded(thermal, luma).fused


@dataclass(frozen=True, eq=False)
class Compensation:
    """
    What the compensation perception network makes of encoded features.

    Attributes
    ----------
    map_thermal:
        ``(B, 1, H, W)`` from 0 to 1: where thermal has what luma lacks. Luma has the rest.
    of_thermal, of_luma:
        ``(B, N)``: the common features, weighed by either map.
    thermal_specific, luma_specific:
        ``(B, N)``: self-correlation and saliency of each camera by itself.

    """

    thermal_map: Tensor
    of_thermal: Tensor
    of_luma: Tensor
    thermal_specific: Tensor
    luma_specific: Tensor


class CompensationPerception(nn.Module):
    """
    The compensation perception network (CPN); in training only.

    The published program stretches the activation so that its extremes become 0 and 1; then one
    odd pixel sets the scale of the map, which here soon gave nearly everything to thermal. So the
    activation is standardised over the batch and goes through a logistic function instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.common = _convolution(2 * _CAMERA_CHANNELS, _CAMERA_CHANNELS)
        self.activation = nn.Conv2d(_CAMERA_CHANNELS, 1, 3, padding=1)

    def forward(self, encoded: BackboneOutput) -> Compensation:
        """Look at features without changing them."""
        thermal, luma = (tuple(one.detach() for one in features)
                         for features in (encoded.thermal, encoded.luma))
        common = self.common(torch.cat([*thermal[::-1], *luma[::-1]], 1))
        activation = self.activation(common).float()
        centred = activation - activation.mean()
        thermal_map = torch.sigmoid(_STEEPNESS * centred / (activation.std() + _TINY))
        alone = [torch.cat([self_correlation_and_saliency(one.float()) for one in features], 1)
                 for features in (thermal, luma)]
        return Compensation(thermal_map, (thermal_map * common).flatten(1),
                            ((1 - thermal_map) * common).flatten(1),
                            *(one.flatten(1) for one in alone))


def self_correlation_and_saliency(features: Tensor) -> Tensor:
    """
    Return the features with what correlates and what stands out made stronger (SSO).

    ``f + softmax(f f^T) f + n(max(f - mean(f), 0))``: the correlations are between channels, n
    brings the smallest value to 0 and the largest to 1. ``(B, C, H, W)`` float32 both.
    """
    flat = features.flatten(2)
    correlated = torch.softmax(flat @ flat.transpose(1, 2), 1) @ flat
    salient = stretch_to_unit_range((features - features.mean()).clamp_min(_TINY))
    return salient + correlated.reshape(features.shape) + features


def stretch_to_unit_range(x: Tensor) -> Tensor:
    """Return ``x`` stretched so that its extremes are 0 and 1."""
    low, high = x.amin(), x.amax()
    return (x - low) / (high - low + _TINY)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.LeakyReLU(0.01))
