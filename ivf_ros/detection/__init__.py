# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of objects in a fused image, or in any other."""

from __future__ import annotations

from typing import Any, TypeAlias

from ivf_ros.detection.anchor_free import AnchorFreeDetector, AnchorFreeParameters
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.drawing import draw
from ivf_ros.detection.hog import HogDetector, HogParameters
from ivf_ros.detection.inputs import DetectionError
from ivf_ros.detection.onnx import OnnxDetector, OnnxParameters
from ivf_ros.detection.settings import DEFAULT_METHOD, DetectionParameters, METHODS
from ivf_ros.detection.temperature import with_temperatures
from ivf_ros.detection.tracking import Tracker, TrackingParameters
from ivf_ros.parameters import build

__all__ = ['AnchorFreeDetector', 'AnchorFreeParameters', 'CLASS_NAMES', 'create',
           'DEFAULT_METHOD', 'DetectionError', 'DetectionParameters', 'Detector', 'draw',
           'HogDetector', 'HogParameters', 'methods', 'OnnxDetector', 'OnnxParameters',
           'Tracker', 'TrackingParameters', 'with_temperatures']

# What ``create`` makes.
Detector: TypeAlias = AnchorFreeDetector | OnnxDetector | HogDetector


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Detector:
    """
    Make a detector; ``parameters`` are those of ``DetectionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    DetectionError
        A library or the model that the method needs is missing.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    built = build(DetectionParameters, {**parameters, 'method': method})
    if built.method == 'hog':
        return HogDetector(built.hog)
    if built.method == 'onnx':
        return OnnxDetector(built.onnx)
    return AnchorFreeDetector(built.anchor_free)
