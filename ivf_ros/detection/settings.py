# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the detection stage."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection.hog import HogParameters
from ivf_ros.parameters import group, parameter

METHODS = ('default', 'hog')


@dataclass(frozen=True)
class DetectionParameters:
    """What finds the objects."""

    method: str = parameter(
        'default', "The detector; 'default' is the best one there is, now 'hog'.",
        choices=METHODS, live=False)
    hog: HogParameters = group(HogParameters)
