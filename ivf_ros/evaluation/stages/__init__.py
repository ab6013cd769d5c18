# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measurement of each stage of the graph on samples of data sets."""

from __future__ import annotations

from ivf_ros.evaluation.stages.appearance import AppearanceEvaluation
from ivf_ros.evaluation.stages.detection import DetectionEvaluation
from ivf_ros.evaluation.stages.flicker import FlickerEvaluation
from ivf_ros.evaluation.stages.fusion import DEFAULT_METRICS, FusionEvaluation
from ivf_ros.evaluation.stages.identities import IdentityEvaluation
from ivf_ros.evaluation.stages.pipeline import KNOWN_HOMOGRAPHY, PipelineEvaluation
from ivf_ros.evaluation.stages.registration import DEFAULT_SETS, RegistrationEvaluation, SETS
from ivf_ros.evaluation.stages.segmentation import SegmentationEvaluation
from ivf_ros.evaluation.stages.tracking import TrackingEvaluation

__all__ = ['AppearanceEvaluation', 'DEFAULT_METRICS', 'DEFAULT_SETS', 'DetectionEvaluation',
           'FlickerEvaluation', 'FusionEvaluation', 'IdentityEvaluation', 'KNOWN_HOMOGRAPHY',
           'PipelineEvaluation', 'RegistrationEvaluation', 'SegmentationEvaluation', 'SETS',
           'TrackingEvaluation']
