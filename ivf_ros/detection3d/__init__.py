# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Positions of detected objects in space, from their boxes and depth."""

from __future__ import annotations

from ivf_ros.detection3d.camera import CalibratedCamera
from ivf_ros.detection3d.cloud import ColoredCloud, make_colored_cloud
from ivf_ros.detection3d.depth import (
    convert_depth,
    DepthError,
    Extrinsics,
    make_points,
    render_points,
    resize_depth,
)
from ivf_ros.detection3d.position import Detection3d, locate
from ivf_ros.detection3d.settings import (
    DepthParameters,
    Detection3dStageParameters,
    PositionParameters,
)
from ivf_ros.detection3d.stage import Detection3dStage

__all__ = ['CalibratedCamera', 'ColoredCloud', 'convert_depth', 'DepthError', 'DepthParameters',
           'Detection3d', 'Detection3dStage', 'Detection3dStageParameters', 'Extrinsics',
           'locate', 'make_colored_cloud', 'make_points', 'PositionParameters', 'render_points',
           'resize_depth']
