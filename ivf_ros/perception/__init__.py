# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation and detection together, by one network with a common encoder."""

from __future__ import annotations

from ivf_ros.perception.method import create, JointPerception, METHOD
from ivf_ros.perception.settings import PerceptionParameters, PerceptionStageParameters
from ivf_ros.perception.stage import PerceptionResult, PerceptionStage

__all__ = ['create', 'JointPerception', 'METHOD', 'PerceptionParameters', 'PerceptionResult',
           'PerceptionStage', 'PerceptionStageParameters']
