# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of fusion, registration, segmentation and detection, each as the field computes it."""

from ivf_ros.evaluation.metrics.detection import count_hits, detection, DETECTION_METRICS
from ivf_ros.evaluation.metrics.fusion import fusion, FUSION_METRIC_INFO, FUSION_METRICS
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.evaluation.metrics.registration import (
    area_under_curve,
    image_similarity,
    landmark_errors,
    registration,
    SIMILARITY_METRICS,
    success_rate,
)
from ivf_ros.evaluation.metrics.segmentation import confusion, segmentation, SEGMENTATION_METRICS

__all__ = ['area_under_curve', 'confusion', 'detection', 'DETECTION_METRICS', 'fusion',
           'FUSION_METRIC_INFO', 'FUSION_METRICS', 'landmark_errors', 'image_similarity',
           'SIMILARITY_METRICS', 'count_hits', 'MetricError', 'MetricInfo', 'registration',
           'segmentation', 'SEGMENTATION_METRICS', 'success_rate']
