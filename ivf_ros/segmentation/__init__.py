# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation: a class for each pixel of a fused, RGB or thermal image."""

from __future__ import annotations

from ivf_ros.segmentation.bilateral import BilateralParameters, BilateralSegmenter
from ivf_ros.segmentation.drawing import overlay
from ivf_ros.segmentation.inputs import SegmentationError
from ivf_ros.segmentation.methods import create, create_from, methods, Segmenter
from ivf_ros.segmentation.settings import (
    DEFAULT_METHOD,
    SegmentationParameters,
    SegmentationStageParameters,
)
from ivf_ros.segmentation.stage import SegmentationStage
from ivf_ros.segmentation.thermal_saliency import ThermalSaliency, ThermalSaliencyParameters

__all__ = ['BilateralParameters', 'BilateralSegmenter', 'create', 'create_from',
           'DEFAULT_METHOD', 'methods', 'overlay', 'SegmentationError', 'SegmentationParameters',
           'SegmentationStage', 'SegmentationStageParameters', 'Segmenter', 'ThermalSaliency',
           'ThermalSaliencyParameters']
