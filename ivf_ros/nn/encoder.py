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

from ivf_ros.nn.blocks import Convolution, stage
import torch
from torch import nn, Tensor

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


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(Convolution(channels, _HALF, stride=2),
                         Convolution(_HALF, _QUARTER, stride=2))
