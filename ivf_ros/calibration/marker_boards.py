# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Detection of boards whose points have numbers: AprilGrid of Kalibr, and ChArUco of OpenCV.

An AprilGrid has tags of the family 36h11, row by row. Printed grids differ in the border of the
tags (Kalibr prints two bits), in the direction in which the numbers run, and in the corner at
which a tag begins. The layout that fits the found tags with one homography is used.
"""

from __future__ import annotations

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.scaled_copies import scaled_copies, unscale
import numpy as np

_TAG_FAMILY = cv2.aruco.DICT_APRILTAG_36H11
_BORDER_BITS = (2, 1)  # of Kalibr, and of other grids
_REFINEMENT_RADIUS = 0.12  # of the side of a tag
_MAX_LAYOUT_ERROR = 0.1  # of the side of a tag, median over the corners
_MAX_MISPLACED = 0.06  # of the side of a tag, of a single corner
_NOTHING = np.zeros(0, np.int64), np.zeros((0, 2))


def aprilgrid_points(columns: int, rows: int, tag_m: float, spacing: float) -> np.ndarray:
    """
    Return the corners of all tags, ``(rows * columns * 4, 2)`` in metres.

    Tag by tag, row by row; the corners of a tag run clockwise in the image from the top left.
    """
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    origins = np.stack([column, row], -1).reshape(-1, 1, 2) * (1 + spacing)
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return ((origins + square) * tag_m).reshape(-1, 2)


def charuco_points(columns: int, rows: int, square_m: float) -> np.ndarray:
    """Return the inner corners ``((rows - 1) * (columns - 1), 2)`` in metres, row by row."""
    column, row = np.meshgrid(np.arange(1, columns), np.arange(1, rows))
    return np.stack([column, row], -1).reshape(-1, 2) * square_m


def find_aprilgrid(gray: np.ndarray, grid: tuple[int, int], tag_m: float, spacing: float
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the corners of the tags of an AprilGrid.

    Returns
    -------
    ids, points_px
        ``(N,)`` indices into ``aprilgrid_points`` and ``(N, 2)`` float64; empty if no two tags
        are found, or if they do not lie as on the board.

    """
    tags: dict[int, np.ndarray] = {}
    for image, scale in scaled_copies(gray):
        for polarity in (image, 255 - image):
            found = _find_tags(polarity, grid[0] * grid[1])
            if len(found) > len(tags):
                tags = {tag: unscale(corners, scale) for tag, corners in found.items()}
        if len(tags) == grid[0] * grid[1]:
            break
    if len(tags) < 2:
        return _NOTHING
    return _lay_out(tags, grid, aprilgrid_points(*grid, tag_m, spacing).reshape(-1, 4, 2))


def _find_tags(image: np.ndarray, tag_count: int) -> dict[int, np.ndarray]:
    """Return the corners ``(4, 2)`` of the tags by number."""
    best: dict[int, np.ndarray] = {}
    for border_bits in _BORDER_BITS:
        parameters = cv2.aruco.DetectorParameters()
        parameters.markerBorderBits = border_bits
        parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_NONE
        detector = cv2.aruco.ArucoDetector(
            cv2.aruco.getPredefinedDictionary(_TAG_FAMILY), parameters)
        corners, ids, _ = detector.detectMarkers(image)
        if ids is None:
            continue
        found = {int(tag): quad.reshape(4, 2) for tag, quad in zip(ids.ravel(), corners)
                 if tag < tag_count}
        if len(found) > len(best):
            best = {tag: _refine_quad(image, quad) for tag, quad in found.items()}
    return best


def _refine_quad(image: np.ndarray, quad_px: np.ndarray) -> np.ndarray:
    side_px = np.linalg.norm(quad_px - np.roll(quad_px, 1, axis=0), axis=1).min()
    radius_px = max(2, round(_REFINEMENT_RADIUS * side_px))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-3)
    return cv2.cornerSubPix(image, quad_px.reshape(-1, 1, 2).astype(np.float32),
                            (radius_px, radius_px), (-1, -1), criteria).reshape(4, 2)


def _lay_out(tags: dict[int, np.ndarray], grid: tuple[int, int], quads_m: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray]:
    """Assign the corners of tags to the points of the board by the layout that fits best."""
    columns, rows = grid
    numbers = np.array(sorted(tags))
    points_px = np.concatenate([tags[number] for number in numbers])
    best = np.inf, _NOTHING
    for upwards in (False, True):
        row, column = np.divmod(numbers, columns)
        places = (rows - 1 - row if upwards else row) * columns + column
        for first_corner in range(4):
            order = (np.arange(4) + first_corner) % 4
            ids = (places[:, None] * 4 + order).ravel()
            target = quads_m.reshape(-1, 2)[ids]
            H, _ = cv2.findHomography(target, points_px, cv2.LMEDS)
            if H is None:
                continue
            errors_px = np.linalg.norm(geometry.transform_points(H, target) - points_px, axis=1)
            error = float(np.median(errors_px))
            if error < best[0]:
                side_px = np.linalg.norm(points_px[0] - points_px[1])
                good = errors_px < max(_MAX_MISPLACED * side_px, 4 * error)
                if error < _MAX_LAYOUT_ERROR * side_px:
                    best = error, (ids[good], points_px[good].astype(np.float64))
    return best[1]


def find_charuco(gray: np.ndarray, grid: tuple[int, int], square_m: float, marker_m: float,
                 dictionary: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the inner corners of a ChArUco board.

    Returns
    -------
    ids, points_px
        ``(N,)`` indices into ``charuco_points`` and ``(N, 2)`` float64; empty if none is found.

    """
    board = cv2.aruco.CharucoBoard(grid, square_m, marker_m, cv2.aruco.getPredefinedDictionary(
        getattr(cv2.aruco, dictionary)))
    detector = cv2.aruco.CharucoDetector(board)
    best = _NOTHING
    for image, scale in scaled_copies(gray):
        for polarity in (image, 255 - image):
            corners, ids, _, _ = detector.detectBoard(polarity)
            if ids is not None and len(ids) > len(best[0]):
                best = ids.ravel().astype(np.int64), unscale(corners, scale)
        if len(best[0]) == (grid[0] - 1) * (grid[1] - 1):
            break
    return best
