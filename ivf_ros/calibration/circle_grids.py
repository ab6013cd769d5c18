# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of an asymmetric grid of circles."""

from __future__ import annotations

import cv2
from ivf_ros.calibration.scaled_copies import scaled_copies, unscale
import numpy as np

_MIN_AREA_PX, _MAX_AREA_RATIO = 12.0, 0.02  # of a circle in a copy; the ratio is to the image


def asymmetric_grid(columns: int, rows: int) -> np.ndarray:
    """Return the centres ``(rows, columns, 2)``: every second row is shifted by one unit."""
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.stack([2 * column + row % 2, row], -1)


def find_circles(gray: np.ndarray, grid: tuple[int, int]) -> np.ndarray | None:
    """
    Find the centres of an asymmetric grid of circles, dark or bright.

    Parameters
    ----------
    gray:
        ``(H, W)`` uint8.
    grid:
        Circles in a row, and rows.

    Returns
    -------
    np.ndarray or None
        ``(rows * columns, 2)`` float64 in pixels, row by row; None if there is no grid.

    """
    for image, scale in scaled_copies(gray):
        for polarity in (image, 255 - image):
            found, centres = cv2.findCirclesGrid(
                polarity, grid, flags=cv2.CALIB_CB_ASYMMETRIC_GRID | cv2.CALIB_CB_CLUSTERING,
                blobDetector=_make_blob_detector(image.size))
            if found:
                return unscale(centres, scale)
    return None


def _make_blob_detector(pixels: int) -> cv2.SimpleBlobDetector:
    parameters = cv2.SimpleBlobDetector.Params()
    parameters.filterByColor, parameters.blobColor = True, 0
    parameters.filterByArea = True
    parameters.minArea, parameters.maxArea = _MIN_AREA_PX, _MAX_AREA_RATIO * pixels
    parameters.filterByCircularity, parameters.minCircularity = True, 0.6
    parameters.filterByConvexity, parameters.minConvexity = True, 0.8
    parameters.filterByInertia, parameters.minInertiaRatio = True, 0.1
    parameters.minDistBetweenBlobs = 4.0
    return cv2.SimpleBlobDetector.create(parameters)
