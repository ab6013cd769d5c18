# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much of a scene an image shows: little in smoke, in fog and in darkness."""

from __future__ import annotations

import cv2
import numpy as np

_SAMPLE_PX = 160  # approximate shorter side of the subsampled image
_WINDOW_PX = 9  # of the subsampled image
_PERCENT = 75


def subsample(image: np.ndarray) -> np.ndarray:
    """Return every n-th pixel of ``(H, W)`` or ``(H, W, C)``; the shorter side keeps >= 160 px."""
    stride = max(1, min(image.shape[:2]) // _SAMPLE_PX)
    return np.ascontiguousarray(image[::stride, ::stride])


def measure_structure(gray: np.ndarray) -> float:
    """
    Return the local contrast of the more structured quarter of an image.

    This is percentile 75 of the local standard deviation, in windows of 9 px of the subsampled
    image. It is 10 or more for a street by day or by night, 6 in thick smoke, and 2 where smoke
    hides everything.

    Parameters
    ----------
    gray:
        ``(H, W)`` uint8.

    Returns
    -------
    float
        In gray levels.

    """
    values = subsample(gray).astype(np.float32)
    window = (_WINDOW_PX, _WINDOW_PX)
    mean = cv2.blur(values, window)
    variance = cv2.blur(values * values, window) - mean * mean
    return float(np.sqrt(max(0.0, float(np.percentile(variance, _PERCENT)))))
