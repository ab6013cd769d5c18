# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection, tracking and temperatures of objects in fused, RGB or thermal images."""

from __future__ import annotations

from ivf_ros.detection.anchor_free import (
    AnchorFreeDetector,
    AnchorFreeParameters,
    select_boxes,
)
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.drawing import class_color_bgr, describe, draw
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.hog import HogDetector, HogParameters
from ivf_ros.detection.methods import create, create_from, Detector, methods
from ivf_ros.detection.object_tracking import add_weak_boxes, ObjectTracking
from ivf_ros.detection.onnx import OnnxDetector, OnnxParameters
from ivf_ros.detection.settings import (
    DEFAULT_METHOD,
    DetectionParameters,
    DetectionStageParameters,
)
from ivf_ros.detection.stage import DetectionStage
from ivf_ros.detection.temperature import add_temperatures
from ivf_ros.detection.tracking import Tracker, TrackingParameters

__all__ = ['add_temperatures', 'add_weak_boxes', 'AnchorFreeDetector', 'AnchorFreeParameters',
           'CLASS_NAMES', 'class_color_bgr', 'create', 'create_from', 'DEFAULT_METHOD', 'describe',
           'DetectionError', 'DetectionParameters', 'DetectionStage', 'DetectionStageParameters',
           'Detector', 'draw', 'HogDetector', 'HogParameters', 'methods', 'ObjectTracking',
           'OnnxDetector', 'OnnxParameters', 'select_boxes', 'Tracker', 'TrackingParameters']
