# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Detection of a checkerboard in thermal and RGB images of any size.

A candidate comes from the detectors of OpenCV, on copies of the image at several scales and with
local contrast. It counts only if all squares of the board, with the ring around the inner corners,
are alternately brighter and darker than their neighbours: a candidate that is shifted by a square
or sits on something else fails. Which squares are the bright ones does not matter, so a heated
board and a cold one are found alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.saddle_points import refine_corners
from ivf_ros.calibration.scaled_copies import scaled_copies, unscale
import numpy as np

_SB_FLAGS = cv2.CALIB_CB_NORMALIZE_IMAGE
_CLASSIC_FLAGS = (cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
                  | cv2.CALIB_CB_FAST_CHECK)
_MAX_LATTICE_ERROR = 0.2  # of a square, between the corners and the fitted lattice
_MIN_STEP = 0.15  # of the median difference of two neighbouring squares
_MIN_ALTERNATING = 0.7  # share of the steps in a row or column


def find_checkerboard(gray: np.ndarray, grid: tuple[int, int]) -> np.ndarray | None:
    """
    Find the inner corners of a checkerboard.

    Parameters
    ----------
    gray:
        ``(H, W)`` uint8.
    grid:
        Columns and rows of the inner corners.

    Returns
    -------
    np.ndarray or None
        ``(rows * columns, 2)`` float64 in pixels, row by row; None if there is no board. The
        order may begin at either end of the board.

    """
    levels = gray.astype(np.float32)
    for candidate in _find_candidates(gray, grid):
        refined = refine_corners(levels, candidate, grid)
        # From the lattice again: a corner of the candidate may be off by too much.
        corners = None if refined is None else refine_corners(levels, _fit_lattice(refined, grid),
                                                              grid)
        if corners is not None and is_checkerboard(levels, corners, grid):
            return corners
    return None


def is_checkerboard(gray: np.ndarray, corners_px: np.ndarray, grid: tuple[int, int]) -> bool:
    """Return whether corners form a lattice whose squares are alternately bright and dark."""
    columns, rows = grid
    lattice = _lattice(grid)
    H, _ = cv2.findHomography(lattice, corners_px, 0)
    if H is None:
        return False
    square_px = np.sqrt(abs(np.linalg.det(H[:2, :2])))
    errors_px = np.linalg.norm(geometry.transform_points(H, lattice) - corners_px, axis=1)
    if not errors_px.max() < _MAX_LATTICE_ERROR * max(square_px, 1.0):
        return False
    centres = np.stack(np.meshgrid(np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5), -1)
    levels = _sample(gray, geometry.transform_points(H, centres.reshape(-1, 2)))
    return _alternates(levels.reshape(rows + 1, columns + 1))


def _lattice(grid: tuple[int, int]) -> np.ndarray:
    columns, rows = grid
    return np.stack(np.meshgrid(np.arange(columns, dtype=np.float64), np.arange(rows)),
                    -1).reshape(-1, 2)


def _fit_lattice(corners_px: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return the corners ``(N, 2)`` of the lattice that fits most of the given ones best."""
    H, _ = cv2.findHomography(_lattice(grid), corners_px, cv2.LMEDS)
    return corners_px if H is None else geometry.transform_points(H, _lattice(grid))


def _alternates(levels: np.ndarray) -> bool:
    """
    Return whether neighbours differ, with the same parity brighter, in all rows and columns.

    A board that is shifted by a square has a line of squares beside it that do not alternate.
    """
    sign = np.where(np.indices(levels.shape).sum(0) % 2, -1.0, 1.0)
    steps = [np.diff(levels, axis=1) * sign[:, 1:], (np.diff(levels, axis=0) * sign[1:]).T]
    known = np.concatenate([step[np.isfinite(step)] for step in steps])
    if not known.size:
        return False
    polarity = 1.0 if np.median(known) > 0 else -1.0
    limit = _MIN_STEP * abs(np.median(known))
    lines = [polarity * line[np.isfinite(line)] for step in steps for line in step]
    # The border of the image hides squares: they have no level.
    return limit > 0 and all((line > limit).mean() >= _MIN_ALTERNATING for line in lines
                             if line.size)


def _sample(gray: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """Return the levels ``(N,)`` at points; NaN beyond the image."""
    x_px, y_px = points_px.astype(np.float32).T[:, :, None]
    return cv2.remap(gray, x_px, y_px, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                     borderValue=(np.nan,) * 4).ravel()


def _find_candidates(gray: np.ndarray, grid: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield corners ``(N, 2)`` in pixels of the image, the most reliable detector first."""
    for image, scale in scaled_copies(gray):
        found, corners = cv2.findChessboardCornersSB(image, grid, flags=_SB_FLAGS)
        if found:
            yield unscale(corners, scale)
        # The classic detector looks for dark squares on a bright ground.
        for polarity in (image, 255 - image):
            found, corners = cv2.findChessboardCorners(polarity, grid, flags=_CLASSIC_FLAGS)
            if found:
                yield unscale(corners, scale)
