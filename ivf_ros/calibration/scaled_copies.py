# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Copies of an image at the scales at which the detectors of boards work."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

_SHORT_SIDES_PX = (480, 360, 240)  # in the order in which they are tried
_NATIVE_PX = 480  # images with a longer short side are tried at their own scale first
_MAX_ENLARGEMENT = 6.0


def scaled_copies(gray: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Yield copies of an image ``(H, W)`` uint8, plain and with local contrast, and the scale."""
    short_px = min(gray.shape)
    scales = [1.0] if short_px >= _NATIVE_PX else []
    scales += [scale for side_px in _SHORT_SIDES_PX
               if (scale := side_px / short_px) <= _MAX_ENLARGEMENT and abs(scale - 1) > 0.1]
    clahe = cv2.createCLAHE(2.0, (4, 4))
    for scale in scales or [_MAX_ENLARGEMENT]:
        copy = gray if scale == 1.0 else cv2.resize(
            gray, None, fx=scale, fy=scale,
            interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
        yield copy, scale
        yield clahe.apply(copy), scale


def unscale(points_px: np.ndarray, scale: float) -> np.ndarray:
    """Return points ``(N, 2)`` of a scaled copy in pixels of the image."""
    return (points_px.reshape(-1, 2).astype(np.float64) + 0.5) / scale - 0.5
