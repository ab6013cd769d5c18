# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which end of a board is which, in the two images of a view.

A checkerboard looks the same after half a turn, or its detector does not see which end is which.
Over the views only one choice gives the same pose between the cameras every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ivf_ros.calibration.boards import Board, BoardPoints
from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.intrinsics import locate
import numpy as np

_AMBIGUOUS_RATIO = 1.5  # of the disagreements of two choices
_OUTLIER = 0.35  # largest disagreement that counts, in radians and fractions of the distance
_SAME_RAD = 0.5


def order_points(board: Board, points: BoardPoints) -> BoardPoints:
    """Return the points in the order in which the board stands upright in the image."""
    if len(board.symmetries) == 1:
        return points
    first, last = np.argmin(points.ids), np.argmax(points.ids)

    def height(symmetry: np.ndarray) -> float:
        ids = list(symmetry[points.ids])
        return float(points.points_px[ids.index(points.ids[last]), 1]
                     - points.points_px[ids.index(points.ids[first]), 1])

    return relabel(points, max(board.symmetries, key=height))


def relabel(points: BoardPoints, symmetry: np.ndarray) -> BoardPoints:
    """Return the same pixels as other points of the board."""
    ids = symmetry[points.ids]
    order = np.argsort(ids)
    return BoardPoints(ids[order], points.points_px[order])


def match_orientations(board: Board, cameras: Mapping[str, Camera],
                       pairs: Sequence[Mapping[str, BoardPoints]]
                       ) -> tuple[list[np.ndarray], Pose]:
    """
    Choose the order of the thermal points of each view that agrees with the other views.

    Parameters
    ----------
    board:
        The board.
    cameras:
        The calibrated cameras ``thermal`` and ``rgb``.
    pairs:
        The points of both cameras, view by view.

    Returns
    -------
    symmetries, thermal_to_rgb
        For each view the one of ``board.symmetries`` to apply to the thermal points, and the pose
        between the cameras on which they agree. If two poses agree equally well, as when the board
        was never tilted, it is that of the smaller rotation.

    """
    relative, depths_m = [], []
    for pair in pairs:
        in_rgb = locate(cameras['rgb'], board.points_m, pair['rgb'])
        depths_m.append(np.linalg.norm(in_rgb[0].t_m))
        relative.append([
            [rgb.after(thermal.inverse()) for rgb in in_rgb
             for thermal in locate(cameras['thermal'], board.points_m,
                                   relabel(pair['thermal'], symmetry))]
            for symmetry in board.symmetries])
    depth_m = float(np.median(depths_m))
    candidates = [(_total_disagreement(pose, relative, depth_m), pose)
                  for choices in relative for poses in choices for pose in poses]
    least, best = min(candidates, key=lambda candidate: candidate[0])
    for disagreement, pose in candidates:
        if disagreement < _AMBIGUOUS_RATIO * least and _angle(pose, best) > _SAME_RAD \
                and _turn(pose) < _turn(best) - _SAME_RAD:
            best = pose
    chosen = [int(np.argmin([_disagreement(best, poses, depth_m) for poses in choices]))
              for choices in relative]
    return [board.symmetries[index] for index in chosen], best


def _total_disagreement(pose: Pose, relative: Sequence[Sequence[Sequence[Pose]]],
                        depth_m: float) -> float:
    return sum(min(*(_disagreement(pose, poses, depth_m) for poses in choices), _OUTLIER)
               for choices in relative)


def _disagreement(pose: Pose, others: Sequence[Pose], depth_m: float) -> float:
    """Return the disagreement with the most similar one of several poses."""
    return min(_angle(pose, other) + float(np.linalg.norm(pose.t_m - other.t_m)) / depth_m
               for other in others)


def _angle(first: Pose, second: Pose) -> float:
    """Return the angle in radians between two rotations."""
    return float(np.arccos(np.clip((np.sum(first.R * second.R) - 1) / 2, -1, 1)))


def _turn(pose: Pose) -> float:
    return float(np.arccos(np.clip((np.trace(pose.R) - 1) / 2, -1, 1)))
