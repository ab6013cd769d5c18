# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Calibration boards: where their points lie, and how the points are found in an image.

Four kinds are known. ``checkerboard`` and ``circles`` (the asymmetric grid of OpenCV) are found
only as a whole. ``aprilgrid`` (the layout of Kalibr) and ``charuco`` are found in part as well,
because each of their points has a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
from ivf_ros.calibration.checkerboards import find_checkerboard
from ivf_ros.calibration.circle_grids import asymmetric_grid, find_circles
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.marker_boards import (
    aprilgrid_points,
    charuco_points,
    find_aprilgrid,
    find_charuco,
)
from ivf_ros.parameters import parameter
import numpy as np

KINDS = ('checkerboard', 'circles', 'aprilgrid', 'charuco')
MIN_POINTS = 6  # of a board in an image


@dataclass(frozen=True)
class BoardParameters:
    """Kind and dimensions of a board."""

    kind: str = parameter('checkerboard', 'Kind of the board.', choices=KINDS)
    columns: int = parameter(
        4, 'Inner corners in a row of a checkerboard, circles in a row, tags in a row of an '
        'aprilgrid, squares in a row of a charuco board.', minimum=2, maximum=100)
    rows: int = parameter(6, 'The same in a column.', minimum=2, maximum=100)
    square_m: float = parameter(
        0.05, 'Side of a square in metres; of a tag for aprilgrid; for circles half the distance '
        'of two neighbours in a row.', minimum=1e-4, maximum=10.0)
    marker_m: float = parameter(
        0.0, 'Side of a marker of a charuco board in metres; 0 is 0.75 squares.', minimum=0.0,
        maximum=10.0)
    tag_spacing: float = parameter(
        0.3, 'Gap between two tags of an aprilgrid, as a fraction of the tag (tagSpacing of '
        'Kalibr).', minimum=0.01, maximum=2.0)
    dictionary: str = parameter(
        'DICT_5X5_1000', 'Dictionary of a charuco board, a name of cv2.aruco.')


@dataclass(frozen=True, eq=False)
class BoardPoints:
    """
    The points of a board in one image.

    Attributes
    ----------
    ids:
        ``(N,)`` int, indices into ``Board.points_m``.
    points_px:
        ``(N, 2)`` float64.

    """

    ids: np.ndarray
    points_px: np.ndarray


@dataclass(frozen=True, eq=False)
class Board:
    """
    A board, as its parameters describe it.

    Attributes
    ----------
    points_m:
        ``(N, 3)`` float64: all points in the frame of the board, z = 0.

    """

    parameters: BoardParameters = field(default_factory=BoardParameters)

    def __post_init__(self) -> None:
        p = self.parameters
        if p.kind == 'charuco' and p.marker_m >= p.square_m:
            raise CalibrationError(f'the marker of a charuco board must be smaller than its '
                                   f'square of {p.square_m:g} m, got {p.marker_m:g} m')
        if p.kind == 'charuco' and not hasattr(cv2.aruco, p.dictionary):
            raise CalibrationError(f"cv2.aruco has no dictionary '{p.dictionary}'; an example is "
                                   'DICT_5X5_1000')

    @cached_property
    def points_m(self) -> np.ndarray:
        """Return all points of the board, ``(N, 3)``."""
        p = self.parameters
        if p.kind == 'checkerboard':
            plane = np.stack(np.meshgrid(np.arange(p.columns), np.arange(p.rows)), -1) * p.square_m
        elif p.kind == 'circles':
            plane = asymmetric_grid(p.columns, p.rows) * p.square_m
        elif p.kind == 'aprilgrid':
            plane = aprilgrid_points(p.columns, p.rows, p.square_m, p.tag_spacing)
        else:
            plane = charuco_points(p.columns, p.rows, p.square_m)
        plane = plane.reshape(-1, 2).astype(np.float64)
        return np.hstack([plane, np.zeros((len(plane), 1))])

    @cached_property
    def symmetries(self) -> tuple[np.ndarray, ...]:
        """
        Return the orders ``(N,)`` of the points that look alike, the identity first.

        A rectangular checkerboard looks the same after half a turn. Points with numbers do not.
        """
        identity = np.arange(len(self.points_m))
        if self.parameters.kind in ('aprilgrid', 'charuco'):
            return (identity,)
        plane = self.points_m[:, :2] - self.points_m[:, :2].mean(0)
        orders = []
        for quarter in range(4):
            cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
            turned = plane @ np.array([[cos, sin], [-sin, cos]])
            distances = np.linalg.norm(turned[:, None] - plane[None], axis=2)
            if (distances.min(1) < 1e-3 * self.parameters.square_m).all():
                orders.append(distances.argmin(1))
        return tuple(orders)

    def find(self, gray: np.ndarray) -> BoardPoints | None:
        """
        Find the board in an image ``(H, W)`` uint8; return None if it is not there.

        Both polarities are tried: a heated board has bright squares where the print is dark.
        """
        p = self.parameters
        grid = p.columns, p.rows
        if p.kind in ('checkerboard', 'circles'):
            find = find_checkerboard if p.kind == 'checkerboard' else find_circles
            points_px = find(gray, grid)
            return None if points_px is None else BoardPoints(np.arange(len(points_px)), points_px)
        if p.kind == 'aprilgrid':
            ids, points_px = find_aprilgrid(gray, grid, p.square_m, p.tag_spacing)
        else:
            ids, points_px = find_charuco(gray, grid, p.square_m, self.marker_m, p.dictionary)
        if len(ids) < MIN_POINTS or not _spans_a_plane(self.points_m[ids]):
            return None
        return BoardPoints(ids, points_px)

    @property
    def marker_m(self) -> float:
        """Return the side of a marker of a charuco board in metres."""
        return self.parameters.marker_m or 0.75 * self.parameters.square_m


def _spans_a_plane(points_m: np.ndarray) -> bool:
    """Return whether points do not lie on one line."""
    spread = np.linalg.svd(points_m - points_m.mean(0), compute_uv=False)
    return bool(spread[1] > 0.1 * spread[0])
