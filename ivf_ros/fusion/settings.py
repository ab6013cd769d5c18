# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the fusion stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ivf_ros.fusion.background import BackgroundParameters
from ivf_ros.fusion.classical import RULES
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.thermal import AgcParameters, FreezeParameters, RadiometryParameters

# Method to the class of its network, in the module network_<method>.
NETWORKS = {'fast': 'FastFusionNetwork', 'seafusion': 'SeaFusionNetwork',
            'cs2fusion': 'Cs2FusionNetwork'}
LEARNED = tuple(NETWORKS)
METHODS = (*LEARNED, 'laplacian', *RULES)
DEFAULT_METHOD = 'fast'
LOST_POLICIES = ('rgb', 'fuse', 'thermal')


@dataclass(frozen=True)
class LaplacianParameters:
    """Weights of thermal and RGB in the pyramid; gray levels are those of 8 bit."""

    coarsest_px: int = parameter(
        16, 'Approximate shorter side of the coarsest level of the pyramid.',
        minimum=2, maximum=256)
    noise_levels: float = parameter(
        8.0, 'Noise in gray levels. A smaller contrast neither decides the brightness of a region '
        'nor makes a pixel hot.', minimum=0.1, maximum=128.0)
    darkening: float = parameter(
        0.5, 'How much cold thermal regions darken RGB where RGB has no contrast, as in smoke: 0 '
        'is not at all, 1 is as much as warm regions brighten it.', minimum=0.0, maximum=1.0)
    hot_from_sigmas: float = parameter(
        1.0, 'A pixel that exceeds the median of the thermal image by this multiple of the robust '
        'standard deviation begins to be raised to its thermal brightness.',
        minimum=0.0, maximum=20.0)
    hot_to_sigmas: float = parameter(
        2.5, 'From this multiple on, a pixel is at least as bright as in the thermal image.',
        minimum=0.1, maximum=20.0)


@dataclass(frozen=True)
class FusionParameters:
    """The fusion method, and when the output shows only one camera."""

    method: str = parameter(
        DEFAULT_METHOD, 'Method that fuses thermal and the luma of RGB.', choices=METHODS)
    feather_px: float = parameter(
        32.0, 'Width in pixels of the blending zone at the border of the thermal image.',
        minimum=1.0, maximum=500.0)
    lost_policy: str = parameter(
        'rgb', 'Output while the registration is lost: rgb for RGB alone, fuse for both with the '
        'last homography (every object appears twice), thermal for thermal alone.',
        choices=LOST_POLICIES)
    min_confidence: float = parameter(
        0.0, 'A registration with a lower confidence counts as lost.', minimum=0.0, maximum=1.0)
    dark_luma: float = parameter(
        16.0, 'RGB is dark if the luma of 99 % of its pixels is at most this. The output is then '
        'thermal alone.', minimum=0.0, maximum=255.0)
    saturated_percent: float = parameter(
        90.0, 'RGB is blind if at least this percentage of its pixels is saturated.',
        minimum=1.0, maximum=100.0)
    flat_levels: float = parameter(
        2.0, 'RGB is blind if the standard deviation of its luma is below this.',
        minimum=0.0, maximum=128.0)
    obscured_levels: float = parameter(
        6.5, 'While the registration is lost, thermal alone is shown where the local contrast of '
        'RGB is below this number of gray levels (percentile 75 over the image), as in smoke. '
        'With lost_policy fuse it is not considered.', minimum=0.0, maximum=128.0)
    network: NetworkParameters = group(NetworkParameters)
    laplacian: LaplacianParameters = group(LaplacianParameters)
    background: BackgroundParameters = group(BackgroundParameters)
    agc: AgcParameters = group(AgcParameters)

    RENAMED: ClassVar = {'learned.': 'network.'}


@dataclass(frozen=True)
class FusionStageParameters:
    """Parameters of the fusion stage: registration timeout, fusion and thermal camera."""

    homography_timeout_s: float = parameter(
        10.0, 'An older homography counts as lost; 0 means no timeout.',
        minimum=0.0, maximum=86400.0)
    fusion: FusionParameters = group(FusionParameters)
    radiometry: RadiometryParameters = group(RadiometryParameters)
    freeze: FreezeParameters = group(FreezeParameters)
