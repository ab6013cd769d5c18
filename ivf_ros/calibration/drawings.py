# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a calibration: coverage of the views, found points, and thermal edges on RGB."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.rig_calibration import RigCalibration
from ivf_ros.calibration.view_collection import COVERAGE_CELLS, to_gray8
import numpy as np

_LONG_SIDE_PX = 640
_GOOD, _BAD = (160, 114, 0), (0, 94, 213)  # BGR; blue and vermilion of Okabe and Ito
_EDGE = (0, 200, 255)


def draw_coverage(calibration: RigCalibration, stream: str) -> np.ndarray:
    """Return ``(h, w, 3)`` uint8: the points of all views on the image plane of a camera."""
    size = calibration.cameras[stream].size
    scale = _LONG_SIDE_PX / max(size)
    canvas = np.full((round(size[1] * scale), round(size[0] * scale), 3), 255, np.uint8)
    for fraction in np.arange(1, COVERAGE_CELLS) / COVERAGE_CELLS:
        x, y = (round(fraction * side) for side in (canvas.shape[1], canvas.shape[0]))
        cv2.line(canvas, (x, 0), (x, canvas.shape[0]), (225, 225, 225), 1)
        cv2.line(canvas, (0, y), (canvas.shape[1], y), (225, 225, 225), 1)
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), (160, 160, 160), 1)
    for view in calibration.views:
        if stream not in view.found:
            continue
        points = (view.found[stream].points_px + 0.5) * scale - 0.5
        kept = (stream, view.name) not in calibration.left_out
        outline = cv2.convexHull(points.astype(np.float32)).astype(np.int32)
        cv2.polylines(canvas, [outline], True, _GOOD if kept else _BAD, 1, cv2.LINE_AA)
        for x, y in points:
            cv2.circle(canvas, (round(x), round(y)), 2, _GOOD if kept else _BAD, -1, cv2.LINE_AA)
    return canvas


def draw_thermal_edges(images: Mapping[str, np.ndarray], H_thermal_to_rgb: np.ndarray
                       ) -> np.ndarray:
    """
    Return RGB with the edges of thermal on it, ``(h, w, 3)`` uint8.

    ``images`` are thermal and RGB of one view.
    """
    rgb = images['rgb']
    if rgb.ndim == 2:
        rgb = cv2.cvtColor(rgb, cv2.COLOR_GRAY2BGR)
    thermal = to_gray8(images['thermal'])
    size = geometry.size_of(rgb)
    warped = geometry.warp(thermal, H_thermal_to_rgb, size, cv2.INTER_CUBIC)
    covered = geometry.coverage(H_thermal_to_rgb, geometry.size_of(thermal), size)
    sigma_px = geometry.scale_at_centre(H_thermal_to_rgb, geometry.size_of(thermal))
    smooth = cv2.GaussianBlur(warped, (0, 0), max(1.0, sigma_px)).astype(np.float32)
    strength = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F,
                                                                            0, 1))
    inner = cv2.erode(covered.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    limit = float(np.percentile(strength[inner], 88)) if inner.any() else np.inf
    edges = (strength > max(limit, 1e-6)) & inner
    drawn = rgb.copy()
    drawn[edges] = (0.35 * drawn[edges] + 0.65 * np.array(_EDGE)).astype(np.uint8)
    outline = geometry.transform_points(H_thermal_to_rgb,
                                        geometry.corners_px(geometry.size_of(thermal)))
    cv2.polylines(drawn, [outline.round().astype(np.int32)], True, _EDGE, 2, cv2.LINE_AA)
    scale = min(1.0, 1.5 * _LONG_SIDE_PX / max(size))
    return cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
