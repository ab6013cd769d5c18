# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of objects in a fused image, or in any other."""

from __future__ import annotations

from typing import Any

from ivf_ros.detection.drawing import draw
from ivf_ros.detection.hog import DetectionError, HogDetector, HogParameters
from ivf_ros.detection.settings import DetectionParameters, METHODS
from ivf_ros.parameters import build

__all__ = ['create', 'DetectionError', 'DetectionParameters', 'draw', 'HogDetector',
           'HogParameters', 'methods']


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> HogDetector:
    """
    Make a detector; ``parameters`` are those of ``DetectionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    DetectionError
        This OpenCV lacks the detector.

    """
    built = build(DetectionParameters, {**parameters, 'method': method})
    return HogDetector(built.hog)
