# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The networks of CS2Fusion: the fusion backbone, and the network that guides its training.

Wang et al., "CS2Fusion: Contrastive learning for self-supervised infrared and visible image
fusion by estimating feature compensation map", Information Fusion 102, 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivf_ros.nn.blocks import make_convolution
import torch
from torch import nn, Tensor

LAYER_CHANNELS = 16
LAYERS = 4
_CAMERA_CHANNELS = LAYER_CHANNELS * LAYERS  # of the features of one camera
# The encoders take images from 0 to 255, so that the strength of features follows the brightness
# in the image. The salience of thermal depends on that.
_LEVELS = 255.0
_STEEPNESS = 4.0  # of the logistic function, per standard deviation of the activation
_EPSILON = 1e-10


@dataclass(frozen=True, eq=False)
class BackboneOutput:
    """
    The output of the backbone for a batch of image pairs.

    Attributes
    ----------
    thermal, luma:
        The features of each camera: ``(B, 16, H, W)`` of each of four layers, first layer first.
    fused:
        ``(B, 1, H, W)`` float32.

    """

    thermal: tuple[Tensor, ...]
    luma: tuple[Tensor, ...]
    fused: Tensor


class DenseEncoder(nn.Module):
    """Four convolutions of 16 channels; each takes the outputs of all previous ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _convolution(in_channels, LAYER_CHANNELS)
            for in_channels in (1, LAYER_CHANNELS, 2 * LAYER_CHANNELS, 3 * LAYER_CHANNELS))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = [self.layers[0](image)]
        for layer in list(self.layers)[1:]:
            features.insert(0, layer(torch.cat(features, 1)))
        return tuple(reversed(features))


class DemandDrivenModule(nn.Module):
    """
    The demand-driven module: attention from a layer of the decoder to the encoder features.

    The query is computed from the average and the maximum of each channel of the layer. The values
    are the features of both cameras, projected to the channels of the layer. The features are
    detached here, so that the encoders get gradients through the decoder only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Conv2d(2 * channels, 1, 3, padding=1), nn.Sigmoid())
        self.value = _convolution(_CAMERA_CHANNELS, channels)

    def forward(self, x: Tensor, thermal: Tensor, luma: Tensor) -> Tensor:
        gate = self.query(torch.cat([x.amax((2, 3), keepdim=True),
                                     x.mean((2, 3), keepdim=True)], 1))
        return x + gate * (self.value(thermal.detach()) + self.value(luma.detach()))


class Cs2FusionNetwork(nn.Module):
    """Fuse thermal and luma, ``(B, 1, H, W)`` from 0 to 1 each, into ``(B, 1, H, W)`` float32."""

    RENAMED_LAYERS: ClassVar = {'answer': 'value'}

    def __init__(self) -> None:
        super().__init__()
        self.thermal, self.luma = DenseEncoder(), DenseEncoder()
        self.decoder = nn.ModuleList([_convolution(2 * _CAMERA_CHANNELS, 64), _convolution(64, 32),
                                      _convolution(32, 16)])
        self.demand = nn.ModuleList([DemandDrivenModule(64), DemandDrivenModule(32),
                                     DemandDrivenModule(16)])
        self.last = nn.Conv2d(16, 1, 3, padding=1)

    def features(self, thermal: Tensor, luma: Tensor
                 ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the encoder features of thermal and of luma, first layer first."""
        return self.thermal(_LEVELS * thermal), self.luma(_LEVELS * luma)

    def encoded(self, thermal: Tensor, luma: Tensor) -> BackboneOutput:
        """Return the fused image together with the features of both cameras."""
        thermal_features, luma_features = self.features(thermal, luma)
        per_camera = [torch.cat(features[::-1], 1)
                      for features in (thermal_features, luma_features)]
        x = torch.cat(per_camera, 1)
        for layer, demand in zip(self.decoder, self.demand, strict=True):
            x = demand(layer(x), *per_camera)
        return BackboneOutput(thermal_features, luma_features, self.last(x).float() / _LEVELS)

    def forward(self, thermal: Tensor, luma: Tensor) -> Tensor:
        return self.encoded(thermal, luma).fused


@dataclass(frozen=True, eq=False)
class Compensation:
    """
    The output of the compensation perception network.

    Attributes
    ----------
    thermal_map:
        ``(B, 1, H, W)`` from 0 to 1, large where thermal has information that luma lacks. The map
        of luma is 1 minus it.
    of_thermal, of_luma:
        ``(B, N)``: the common features, weighted with the map of either camera.
    thermal_specific, luma_specific:
        ``(B, N)``: self-correlation and saliency of the features of each camera.

    """

    thermal_map: Tensor
    of_thermal: Tensor
    of_luma: Tensor
    thermal_specific: Tensor
    luma_specific: Tensor


class CompensationPerception(nn.Module):
    """
    The compensation perception network (CPN), for training only.

    The published program stretches the activation so that its extremes become 0 and 1. A single
    outlier then sets the scale of the map; in the training of this package, the map soon assigned
    nearly everything to thermal. Therefore the activation is standardised over the batch, and a
    logistic function is applied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.common = _convolution(2 * _CAMERA_CHANNELS, _CAMERA_CHANNELS)
        self.activation = nn.Conv2d(_CAMERA_CHANNELS, 1, 3, padding=1)

    def forward(self, encoded: BackboneOutput) -> Compensation:
        """Return the compensation; the backbone gets no gradients from it."""
        thermal, luma = (tuple(layer.detach() for layer in features)
                         for features in (encoded.thermal, encoded.luma))
        common = self.common(torch.cat([*thermal[::-1], *luma[::-1]], 1))
        activation = self.activation(common).float()
        centred = activation - activation.mean()
        thermal_map = torch.sigmoid(_STEEPNESS * centred / (activation.std() + _EPSILON))
        thermal_specific, luma_specific = (
            torch.cat([self_correlation_and_saliency(layer.float()) for layer in features], 1)
            for features in (thermal, luma))
        return Compensation(thermal_map, (thermal_map * common).flatten(1),
                            ((1 - thermal_map) * common).flatten(1),
                            thermal_specific.flatten(1), luma_specific.flatten(1))


def self_correlation_and_saliency(features: Tensor) -> Tensor:
    """
    Enhance features that correlate and features that are salient (SSO).

    Returns ``f + softmax(f f^T) f + n(max(f - mean(f), 0))``, where the correlations are between
    channels, and n maps the smallest value to 0 and the largest to 1. The features and the result
    are ``(B, C, H, W)`` float32.
    """
    flat = features.flatten(2)
    correlated = torch.softmax(flat @ flat.transpose(1, 2), 1) @ flat
    salient = stretch_to_unit_range((features - features.mean()).clamp_min(_EPSILON))
    return salient + correlated.reshape(features.shape) + features


def stretch_to_unit_range(x: Tensor) -> Tensor:
    """Map the values of ``x`` linearly, so that the smallest is 0 and the largest is 1."""
    low, high = x.amin(), x.amax()
    return (x - low) / (high - low + _EPSILON)


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return make_convolution(in_channels, out_channels, nn.LeakyReLU(0.01))
