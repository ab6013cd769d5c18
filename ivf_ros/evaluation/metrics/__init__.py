# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of fusion, registration, segmentation and detection, as published code computes them."""

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
from ivf_ros.evaluation.metrics.segmentation import (
    confusion_matrix,
    segmentation,
    SEGMENTATION_METRICS,
)

__all__ = ['area_under_curve', 'confusion_matrix', 'count_hits', 'detection',
           'DETECTION_METRICS', 'fusion', 'FUSION_METRIC_INFO', 'FUSION_METRICS',
           'image_similarity', 'landmark_errors', 'MetricError', 'MetricInfo', 'registration',
           'segmentation', 'SEGMENTATION_METRICS', 'SIMILARITY_METRICS', 'success_rate']
