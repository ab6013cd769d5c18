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
from typing import NamedTuple

from ivf_ros.nn.blocks import ConvBnRelu, make_stage
import torch
from torch import nn, Tensor

SIZE_MULTIPLE_PX = 32  # of both sides of what is looked at
SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS = 128, 192  # channels at these shares of the size
_BGR_CHANNELS = 3
_HALF_CHANNELS, _QUARTER_CHANNELS, _EIGHTH_CHANNELS = 16, 32, 64  # of an image
_EIGHTH_CHANNELS_PER_CAMERA = 48  # of each of two cameras


class Features(NamedTuple):
    """What was seen, ``(B, channels, H / n, W / n)`` each."""

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    thirtysecond: Tensor


class Encoder(nn.Module):
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
        cameras = [_BGR_CHANNELS, channels - _BGR_CHANNELS] if channels > _BGR_CHANNELS else [channels]
        has_two_cameras = len(cameras) > 1
        wide = _EIGHTH_CHANNELS_PER_CAMERA if has_two_cameras else _EIGHTH_CHANNELS
        self.quarter_channels, self.eighth_channels = _QUARTER_CHANNELS * len(cameras), wide * len(cameras)
        self.stem = PerCamera(cameras, _stem) if has_two_cameras else _stem(channels)
        self.eighth = PerCamera([_QUARTER_CHANNELS] * len(cameras), lambda each: make_stage(each, wide, 2)) \
            if has_two_cameras else make_stage(_QUARTER_CHANNELS, wide, 2)
        self.sixteenth = make_stage(self.eighth_channels, SIXTEENTH_CHANNELS, 2)
        self.thirtysecond = make_stage(SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS, 2)
        self.scene = nn.Conv2d(THIRTYSECOND_CHANNELS, THIRTYSECOND_CHANNELS, 1)

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

    def __init__(self, channels: Sequence[int], make_layers: Callable[[int], nn.Module]) -> None:
        super().__init__(make_layers(wide) for wide in channels)
        self._channels = list(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([layers(camera_input) for layers, camera_input in zip(self, x.split(self._channels, 1))], 1)


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvBnRelu(channels, _HALF_CHANNELS, stride=2),
                         ConvBnRelu(_HALF_CHANNELS, _QUARTER_CHANNELS, stride=2))
