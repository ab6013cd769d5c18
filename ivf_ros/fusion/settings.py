# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the fusion stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivf_ros.fusion.classical import RULES
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.thermal import AgcParameters, FreezeParameters, RadiometryParameters

LEARNED = ('fast', 'seafusion', 'cs2fusion')
METHODS = (*LEARNED, 'laplacian', *RULES)
DEFAULT_METHOD = 'fast'
LOST_POLICIES = ('rgb', 'fuse', 'thermal')


@dataclass(frozen=True)
class LaplacianParameters:
    """How the pyramid weighs thermal against RGB; gray levels are those of 8 bit."""

    coarsest_px: int = parameter(
        16, 'Shorter side, about, of the coarsest level of the pyramid.', minimum=2, maximum=256)
    noise_levels: float = parameter(
        8.0, 'Contrast in gray levels below which a source says nothing about the brightness of a '
        'region, and no pixel is hot.', minimum=0.1, maximum=128.0)
    darkening: float = parameter(
        0.5, 'How far cold thermal regions may darken RGB where RGB shows nothing, as in smoke; 0 '
        'never, 1 as far as warm ones brighten it.', minimum=0.0, maximum=1.0)
    hot_from_sigmas: float = parameter(
        1.0, 'A pixel that exceeds the median of the thermal image by this multiple of its robust '
        'standard deviation starts to be kept bright.', minimum=0.0, maximum=20.0)
    hot_to_sigmas: float = parameter(
        2.5, 'From this multiple on a pixel is at least as bright as in the thermal image.',
        minimum=0.1, maximum=20.0)


@dataclass(frozen=True)
class FusionParameters:
    """What is fused, how, and when one camera is passed on alone."""

    method: str = parameter(DEFAULT_METHOD, 'How luma and thermal become one.', choices=METHODS)
    feather_px: float = parameter(
        32.0, 'Width of the seam along the border of the thermal image.',
        minimum=1.0, maximum=500.0)
    lost_policy: str = parameter(
        'rgb', 'What to show while thermal is not registered: RGB alone, both by the last '
        'homography (shows every object twice), or thermal alone.', choices=LOST_POLICIES)
    min_confidence: float = parameter(
        0.0, 'A registration less confident than this counts as lost.', minimum=0.0, maximum=1.0)
    dark_luma: float = parameter(
        16.0, 'RGB is dark where 99 of 100 pixels are at most this bright; thermal is then shown '
        'alone.', minimum=0.0, maximum=255.0)
    saturated_percent: float = parameter(
        90.0, 'RGB is blind where at least this share of the pixels is saturated.',
        minimum=1.0, maximum=100.0)
    flat_levels: float = parameter(
        2.0, 'RGB is blind where its luma has less standard deviation than this.',
        minimum=0.0, maximum=128.0)
    network: NetworkParameters = group(NetworkParameters)
    laplacian: LaplacianParameters = group(LaplacianParameters)
    agc: AgcParameters = group(AgcParameters)

    RENAMED: ClassVar = {'learned.': 'network.'}


@dataclass(frozen=True)
class FusionStageParameters:
    """What the fusion stage knows of its cameras, and how it fuses them."""

    homography_timeout_s: float = parameter(
        10.0, 'A homography older than this counts as lost; 0 trusts the last one for ever.',
        minimum=0.0, maximum=86400.0)
    fusion: FusionParameters = group(FusionParameters)
    radiometry: RadiometryParameters = group(RadiometryParameters)
    freeze: FreezeParameters = group(FreezeParameters)
