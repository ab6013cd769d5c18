# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation: a class for each pixel of a fused, RGB or thermal image."""

from __future__ import annotations

from ivf_ros.segmentation.bilateral import BilateralParameters, BilateralSegmenter
from ivf_ros.segmentation.drawing import color_bgr, overlay
from ivf_ros.segmentation.inputs import check_images, SegmentationError
from ivf_ros.segmentation.labels import label_pixels
from ivf_ros.segmentation.methods import create, create_from, methods, Segmenter
from ivf_ros.segmentation.settings import (
    DEFAULT_METHOD,
    SegmentationParameters,
    SegmentationStageParameters,
)
from ivf_ros.segmentation.stage import SegmentationStage
from ivf_ros.segmentation.thermal_saliency import ThermalSaliency, ThermalSaliencyParameters

__all__ = ['BilateralParameters', 'BilateralSegmenter', 'check_images', 'color_bgr', 'create',
           'create_from', 'DEFAULT_METHOD', 'label_pixels', 'methods', 'overlay',
           'SegmentationError', 'SegmentationParameters', 'SegmentationStage',
           'SegmentationStageParameters', 'Segmenter', 'ThermalSaliency',
           'ThermalSaliencyParameters']
