# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The way down that segmentation and detection share: from images to features of what is there.

An image alone is looked at by one stem. RGB and thermal together are looked at each by itself
down to 1/8 of the size and side by side from there on ("halfway fusion", Liu et al., BMVC 2016):
edges and heat are told by different filters, and a stem that sees both at once is too narrow to
learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from pathlib import Path
from typing import cast, NamedTuple, TypeVar

import cv2
from ivf_ros.nn.blocks import Convolution, stage
from ivf_ros.nn.packed import packed
from ivf_ros.nn.weights import folded, for_use, load, shapes_of, WeightsError
import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

Network = TypeVar('Network', bound='WayDown')

MULTIPLE_PX = 32  # of both sides of what is looked at
SIXTEENTH, THIRTYSECOND = 128, 192  # channels at these shares of the size
_COLOURS = 3
_HALF, _QUARTER, _EIGHTH = 16, 32, 64  # of an image
_EIGHTH_OF_CAMERA = 48  # of each of two cameras


class Features(NamedTuple):
    """What was seen, ``(B, channels, H / n, W / n)`` each."""

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    thirtysecond: Tensor


class WayDown(nn.Module):
    """
    Look at ``(B, channels, H, W)`` from 0 to 1; sides are multiples of 32.

    Parameters
    ----------
    channels:
        3, of a BGR image, or 4, BGR and thermal.

    Attributes
    ----------
    channels:
        As above.
    quarter_wide, eighth_wide:
        Channels at 1/4 and 1/8 of the size.

    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        cameras = [_COLOURS, channels - _COLOURS] if channels > _COLOURS else [channels]
        apart = len(cameras) > 1
        wide = _EIGHTH_OF_CAMERA if apart else _EIGHTH
        self.quarter_wide, self.eighth_wide = _QUARTER * len(cameras), wide * len(cameras)
        self.stem = PerCamera(cameras, _stem) if apart else _stem(channels)
        self.eighth = PerCamera([_QUARTER] * len(cameras), lambda each: stage(each, wide, 2)) \
            if apart else stage(_QUARTER, wide, 2)
        self.sixteenth = stage(self.eighth_wide, SIXTEENTH, 2)
        self.thirtysecond = stage(SIXTEENTH, THIRTYSECOND, 2)
        self.scene = nn.Conv2d(THIRTYSECOND, THIRTYSECOND, 1)

    def way_down(self, image: Tensor) -> Features:
        """Return what is seen; at 1/32 of the size each place knows the whole scene."""
        quarter = self.stem((image - 0.5).mul_(4))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        thirtysecond = self.thirtysecond(sixteenth)
        scene = self.scene(thirtysecond.mean((2, 3), keepdim=True))
        return Features(quarter, eighth, sixteenth, thirtysecond + scene)


class PerCamera(nn.ModuleList):
    """
    The same layers for each camera with weights of its own, channels side by side.

    Parameters
    ----------
    channels:
        How many of the channels that come in belong to each camera, in order.
    layers_of:
        Makes the layers for so many.

    """

    def __init__(self, channels: Sequence[int], layers_of: Callable[[int], nn.Module]) -> None:
        super().__init__(layers_of(wide) for wide in channels)
        self._channels = list(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layers(own) for layers, own in zip(self, x.split(self._channels, 1))], 1)


def loaded(network_of: Callable[[int], Network], path: Path) -> Network:
    """
    Return the network of a weight file, which ``network_of`` makes for so many channels.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    return load(network_of(channels_of(path)), path)


def at_work(network: Network, precision: str) -> Network:
    """Return a trained network as fast as it gets, for inference only; see ``for_use``."""
    return packed(for_use(side_by_side(network), precision))


def given_to(network: WayDown, image: np.ndarray, beyond: int) -> Tensor:
    """
    Return an image ``(H, W, channels)`` uint8 as a network at work is given it.

    It becomes ``(1, channels, H', W')`` from 0 to 1 of the type of the weights, whose sides are
    multiples of 32; what is added at the right and the bottom is ``beyond``, a border of OpenCV.
    """
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % MULTIPLE_PX, 0, -width % MULTIPLE_PX, beyond)
    kind = next(network.parameters()).dtype
    return torch.from_numpy(padded).permute(2, 0, 1)[None].to(kind).div_(255)


def side_by_side(network: Network) -> Network:
    """
    Return a trained network that looks at both cameras at once, for inference only; in place.

    What it says stays the same: each convolution of one camera and that of the other become one
    in two groups, which takes less time than two.
    """
    for name in ('stem', 'eighth'):
        layers = getattr(network, name)
        if isinstance(layers, PerCamera):
            setattr(network, name, _merged(list(folded(layers))))
    return network


def _merged(layers: list[nn.Module]) -> nn.Module:
    """Return layers of the same kind as one that works on their channels side by side."""
    if isinstance(layers[0], nn.Conv2d):
        return _merged_convolutions(cast(list[nn.Conv2d], layers))
    merged = copy.copy(layers[0])
    merged._modules = {name: _merged([layer.get_submodule(name) for layer in layers])
                       for name, _ in layers[0].named_children()}
    return merged


def _merged_convolutions(layers: list[nn.Conv2d]) -> nn.Conv2d:
    """Return one convolution, in groups where all have as many channels, else with zeros."""
    alike = len({layer.in_channels for layer in layers}) == 1
    merged = nn.utils.skip_init(
        nn.Conv2d, sum(layer.in_channels for layer in layers),
        sum(layer.out_channels for layer in layers), layers[0].kernel_size, layers[0].stride,
        layers[0].padding, groups=len(layers) if alike else 1)
    weights, biases = ([getattr(layer, name).data for layer in layers]
                       for name in ('weight', 'bias'))
    merged.weight.data = torch.cat(weights) if alike else _in_blocks(weights)
    merged.bias.data = torch.cat(biases)
    return merged


def _in_blocks(weights: list[Tensor]) -> Tensor:
    """Return ``(sum out, sum in, k, k)`` in which no output sees the inputs of another."""
    wide = sum(weight.shape[1] for weight in weights)
    rows, before = [], 0
    for weight in weights:
        after = wide - before - weight.shape[1]
        rows.append(F.pad(weight, (0, 0, 0, 0, before, after)))
        before += weight.shape[1]
    return torch.cat(rows)


def channels_of(path: Path) -> int:
    """
    Return how many channels the network of a weight file looks at.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of a network without this way down.

    """
    first = 'stem.0.0.weight', *(f'stem.{camera}.0.0.weight' for camera in range(2))
    channels = sum(shape[1] for name, shape in shapes_of(path).items() if name in first)
    if not channels:
        raise WeightsError(f"{path} is no weight file of this network: no '{first[0]}'")
    return channels


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(Convolution(channels, _HALF, stride=2),
                         Convolution(_HALF, _QUARTER, stride=2))
