# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation: a class for each pixel of a fused image."""

from __future__ import annotations

from typing import Any, TypeAlias

from ivf_ros.parameters import build
from ivf_ros.segmentation.bilateral import BilateralParameters, BilateralSegmenter
from ivf_ros.segmentation.drawing import overlay
from ivf_ros.segmentation.inputs import SegmentationError
from ivf_ros.segmentation.settings import DEFAULT_METHOD, METHODS, SegmentationParameters
from ivf_ros.segmentation.thermal_saliency import ThermalSaliency, ThermalSaliencyParameters

__all__ = ['BilateralParameters', 'BilateralSegmenter', 'create', 'DEFAULT_METHOD', 'methods',
           'overlay', 'SegmentationError', 'SegmentationParameters', 'Segmenter',
           'ThermalSaliency', 'ThermalSaliencyParameters']

# What ``create`` makes.
Segmenter: TypeAlias = BilateralSegmenter | ThermalSaliency


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Segmenter:
    """
    Make a segmenter; ``parameters`` are those of ``SegmentationParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    SegmentationError
        The method is a network, and PyTorch or safetensors is not installed.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    built = build(SegmentationParameters, {**parameters, 'method': method})
    if built.method == 'thermal_saliency':
        return ThermalSaliency(built.thermal_saliency)
    return BilateralSegmenter(built.bilateral)
