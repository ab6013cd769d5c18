# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration by SIFT and RANSAC, the yardstick of the benchmarks.

It is what a user would write first. It is no method of the stage: features of one sensor seldom
have partners in an image of the other.
"""

from __future__ import annotations

import cv2
import numpy as np

_RATIO = 0.8  # of Lowe's test
_MIN_MATCHES, _TOLERANCE_PX = 4, 3.0


def register_by_sift(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray | None:
    """
    Return H_thermal_to_rgb ``(3, 3)`` of two 8-bit images, or None for too few matches.

    Parameters
    ----------
    thermal, luma:
        ``(H, W)`` uint8, each of its own size.

    """
    sift = cv2.SIFT.create()
    (points, features), (other_points, other_features) = (
        sift.detectAndCompute(image, None)  # type: ignore[call-overload]
        for image in (thermal, luma))
    if features is None or other_features is None or len(other_features) < 2:
        return None
    pairs = cv2.BFMatcher().knnMatch(features, other_features, 2)
    matches = [best for best, second in pairs if best.distance < _RATIO * second.distance]
    if len(matches) < _MIN_MATCHES:
        return None
    from_px = np.array([points[match.queryIdx].pt for match in matches], np.float32)
    to_px = np.array([other_points[match.trainIdx].pt for match in matches], np.float32)
    return cv2.findHomography(from_px, to_px, cv2.RANSAC, _TOLERANCE_PX)[0]
