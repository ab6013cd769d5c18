# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The encoder that the segmentation and detection networks share.

A single image passes through one stem. RGB and thermal pass through separate branches down to 1/8
of the size. From there on common layers process the concatenated channels ("halfway fusion", Liu
et al., BMVC 2016). Edges and heat need different filters, and a common stem of this size is too
narrow to learn both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ivf_ros.nn.blocks import ConvBnRelu, make_stage
import torch
from torch import nn, Tensor

SIZE_MULTIPLE_PX = 32  # the height and the width of an input are multiples of it
SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS = 128, 192  # channels at 1/16 and 1/32 of the size
_BGR_CHANNELS = 3
_HALF_CHANNELS, _QUARTER_CHANNELS = 16, 32  # of each branch
_EIGHTH_CHANNELS = 64  # of the single branch of one image
_EIGHTH_CHANNELS_PER_CAMERA = 48  # of each branch of two cameras


class Features(NamedTuple):
    """The feature maps of the encoder, ``(B, channels, H / n, W / n)`` each."""

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    thirtysecond: Tensor


class Encoder(nn.Module):
    """
    Encode images ``(B, channels, H, W)`` from 0 to 1; H and W are multiples of 32.

    Parameters
    ----------
    channels:
        3 for a BGR image, or 4 for BGR and thermal.

    Attributes
    ----------
    channels:
        As above.
    quarter_channels, eighth_channels:
        Channels of the feature maps at 1/4 and 1/8 of the size.

    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        has_two_cameras = channels > _BGR_CHANNELS
        cameras = [_BGR_CHANNELS, channels - _BGR_CHANNELS] if has_two_cameras else [channels]
        branch_channels = _EIGHTH_CHANNELS_PER_CAMERA if has_two_cameras else _EIGHTH_CHANNELS
        self.quarter_channels = _QUARTER_CHANNELS * len(cameras)
        self.eighth_channels = branch_channels * len(cameras)
        if has_two_cameras:
            self.stem: nn.Module = PerCamera(cameras, _make_stem)
            self.eighth: nn.Module = PerCamera(
                [_QUARTER_CHANNELS] * len(cameras),
                lambda in_channels: make_stage(in_channels, branch_channels, 2))
        else:
            self.stem = _make_stem(channels)
            self.eighth = make_stage(_QUARTER_CHANNELS, branch_channels, 2)
        self.sixteenth = make_stage(self.eighth_channels, SIXTEENTH_CHANNELS, 2)
        self.thirtysecond = make_stage(SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS, 2)
        self.scene = nn.Conv2d(THIRTYSECOND_CHANNELS, THIRTYSECOND_CHANNELS, 1)

    def encode(self, image: Tensor) -> Features:
        """Return the feature maps; those at 1/32 include the mean over the whole image."""
        quarter = self.stem((image - 0.5).mul_(4))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        thirtysecond = self.thirtysecond(sixteenth)
        scene = self.scene(thirtysecond.mean((2, 3), keepdim=True))
        return Features(quarter, eighth, sixteenth, thirtysecond + scene)


class PerCamera(nn.ModuleList):
    """
    A branch of the same layers for each camera, with separate weights.

    The outputs of the branches are concatenated along the channels.

    Parameters
    ----------
    channels:
        The number of input channels of each camera, in order.
    make_layers:
        Makes the layers of a branch from its number of input channels.

    """

    def __init__(self, channels: Sequence[int], make_layers: Callable[[int], nn.Module]) -> None:
        super().__init__(make_layers(in_channels) for in_channels in channels)
        self._channels = list(channels)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.split(self._channels, 1)
        return torch.cat([layers(camera_input) for layers, camera_input in zip(self, inputs)], 1)


def _make_stem(channels: int) -> nn.Sequential:
    return nn.Sequential(ConvBnRelu(channels, _HALF_CHANNELS, stride=2),
                         ConvBnRelu(_HALF_CHANNELS, _QUARTER_CHANNELS, stride=2))
