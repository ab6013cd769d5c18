# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation: a class for each pixel of a fused image."""

from __future__ import annotations

from typing import Any

from ivf_ros.parameters import build
from ivf_ros.segmentation.drawing import overlay
from ivf_ros.segmentation.settings import METHODS, SegmentationParameters
from ivf_ros.segmentation.thermal_saliency import (
    SegmentationError,
    ThermalSaliency,
    ThermalSaliencyParameters,
)

__all__ = ['create', 'methods', 'overlay', 'SegmentationError', 'SegmentationParameters',
           'ThermalSaliency', 'ThermalSaliencyParameters']


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> ThermalSaliency:
    """
    Make a segmenter; ``parameters`` are those of ``SegmentationParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.

    """
    built = build(SegmentationParameters, {**parameters, 'method': method})
    return ThermalSaliency(built.thermal_saliency)
