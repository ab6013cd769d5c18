# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Areas and overlaps of the boxes of detections."""

from __future__ import annotations

from ivf_ros.types import Detection


def area_px2(box: Detection) -> float:
    """Return the area of a box."""
    left, top, right, bottom = box.box_xyxy_px
    return (right - left) * (bottom - top)


def intersection_px2(a: Detection, b: Detection) -> float:
    """Return the area that two boxes have in common."""
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = \
        a.box_xyxy_px, b.box_xyxy_px
    width = min(a_right, b_right) - max(a_left, b_left)
    height = min(a_bottom, b_bottom) - max(a_top, b_top)
    return max(width, 0.0) * max(height, 0.0)


def iou(a: Detection, b: Detection) -> float:
    """Return the intersection of two boxes over their union."""
    shared_px2 = intersection_px2(a, b)
    return shared_px2 / (area_px2(a) + area_px2(b) - shared_px2) if shared_px2 else 0.0
