# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of fusion, registration, segmentation and detection, each as the field computes it."""

from ivf_ros.evaluation.metrics.detection import detection, DETECTION_METRICS, matched
from ivf_ros.evaluation.metrics.fusion import fusion, FUSION_METRIC_INFO, FUSION_METRICS
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.evaluation.metrics.registration import (
    area_under_curve,
    landmark_errors,
    likeness,
    LIKENESS_METRICS,
    registration,
    success_rate,
)
from ivf_ros.evaluation.metrics.segmentation import confusion, segmentation, SEGMENTATION_METRICS

__all__ = ['area_under_curve', 'confusion', 'detection', 'DETECTION_METRICS', 'fusion',
           'FUSION_METRIC_INFO', 'FUSION_METRICS', 'landmark_errors', 'likeness',
           'LIKENESS_METRICS', 'matched', 'MetricError', 'MetricInfo', 'registration',
           'segmentation', 'SEGMENTATION_METRICS', 'success_rate']
