# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion of a thermal and an RGB image on one pixel grid into one image."""

from __future__ import annotations

from ivf_ros.fusion.fuser import Fuser, FusionError
from ivf_ros.fusion.methods import create, methods
from ivf_ros.fusion.settings import (
    DEFAULT_METHOD,
    FusionParameters,
    FusionStageParameters,
    LaplacianParameters,
)
from ivf_ros.fusion.stage import FusionMode, FusionResult, FusionStage

__all__ = ['create', 'DEFAULT_METHOD', 'Fuser', 'FusionError', 'FusionMode', 'FusionParameters',
           'FusionResult', 'FusionStage', 'FusionStageParameters', 'LaplacianParameters',
           'methods']
