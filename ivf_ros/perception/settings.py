# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the perception stage."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection import AnchorFreeParameters, TrackingParameters
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group
from ivf_ros.thermal import RadiometryParameters


@dataclass(frozen=True)
class PerceptionParameters(AnchorFreeParameters):
    """The size at which images are searched, which boxes are reported, and the network."""

    network: NetworkParameters = group(NetworkParameters)


@dataclass(frozen=True)
class PerceptionStageParameters:
    """Parameters of segmentation and detection together, of tracking and of temperatures."""

    perception: PerceptionParameters = group(PerceptionParameters)
    tracking: TrackingParameters = group(TrackingParameters)
    radiometry: RadiometryParameters = group(RadiometryParameters)
