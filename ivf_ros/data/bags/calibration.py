# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of a camera rig, as a recording or the simulator has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordedCameraInfo:
    """
    A ``sensor_msgs/CameraInfo``; the fields are those of the message.

    Attributes
    ----------
    k, r, p:
        9, 9 and 12 numbers, row-major.
    roi:
        x_offset, y_offset, height and width in pixels, and whether the image is rectified.

    """

    frame_id: str
    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning_x: int
    binning_y: int
    roi: tuple[int, int, int, int, bool]


@dataclass(frozen=True)
class RecordedTransform:
    """
    A ``geometry_msgs/TransformStamped`` between frames that are fixed to one body.

    A point of the child frame is rotated, then translated, into the parent frame.

    Attributes
    ----------
    rotation_xyzw:
        Unit quaternion.

    """

    parent_frame_id: str
    child_frame_id: str
    rotation_xyzw: tuple[float, float, float, float]
    translation_m: tuple[float, float, float]
