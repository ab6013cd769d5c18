# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Least squares over all views: cameras, their relative pose, the board and its pose in each view.

The reprojection errors of a camera are weighted by its noise, so that a thermal camera of 0.1 px
and an RGB camera of 1 px both count. The poses of the board are eliminated view by view (Schur
complement), so the cost grows with the number of views only linearly. The steps are those of
Levenberg and Marquardt.

The deviations of the parameters are the larger of two estimates: that of independent errors of
equal size, and that of errors which are common to a view (the sandwich estimator over views).

The points of the board may be estimated, too, as in Strobl and Hirzinger (2011), here with a
prior: each coordinate is known to a given standard deviation. A board for thermal cameras is often
made by hand, and a bent board otherwise looks like lens distortion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros.calibration.boards import BoardPoints
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.errors import CalibrationError
import numpy as np

_MAX_STEPS, _MAX_DAMPINGS = 60, 12
_CONVERGED = 1e-7  # relative decrease of the cost


@dataclass(frozen=True, eq=False)
class Pose:
    """
    A rotation and a translation: ``X' = R X + t``.

    Attributes
    ----------
    R:
        ``(3, 3)`` float64.
    t_m:
        ``(3,)`` float64, in metres.

    """

    R: np.ndarray
    t_m: np.ndarray

    def transform(self, points_m: np.ndarray) -> np.ndarray:
        """Return points ``(N, 3)`` in the other frame."""
        return points_m @ self.R.T + self.t_m

    def after(self, first: Pose) -> Pose:
        """Return the pose that applies ``first``, then this one."""
        return Pose(self.R @ first.R, self.R @ first.t_m + self.t_m)

    def inverse(self) -> Pose:
        """Return the pose of the other direction."""
        return Pose(self.R.T, -self.R.T @ self.t_m)

    def moved(self, step: np.ndarray) -> Pose:
        """Return the pose after a small rotation ``step[:3]`` and a shift ``step[3:]``."""
        return Pose(cv2.Rodrigues(step[:3])[0] @ self.R, self.t_m + step[3:])

    def derivatives(self, points_m: np.ndarray) -> np.ndarray:
        """Return the derivatives ``(N, 3, 6)`` of transformed points by the step of ``moved``."""
        x, y, z = (points_m @ self.R.T).T
        by_step = np.zeros((len(points_m), 3, 6))
        by_step[:, 0, 1], by_step[:, 0, 2] = z, -y
        by_step[:, 1, 0], by_step[:, 1, 2] = -z, x
        by_step[:, 2, 0], by_step[:, 2, 1] = y, -x
        by_step[:, :, 3:] = np.eye(3)
        return by_step


POSE_NAMES = ('rx', 'ry', 'rz', 'tx', 'ty', 'tz')
IDENTITY = Pose(np.eye(3), np.zeros(3))


@dataclass(frozen=True, eq=False)
class Rig:
    """
    One or two cameras.

    Attributes
    ----------
    cameras:
        The cameras by stream; the first one is the reference.
    from_reference:
        For each stream the pose that maps points of the reference camera to this camera.
    free:
        Names of the free parameters of each camera.

    """

    cameras: Mapping[str, Camera]
    from_reference: Mapping[str, Pose]
    free: Mapping[str, frozenset[str]]

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Return stream and name of each shared parameter."""
        reference = next(iter(self.cameras))
        return tuple((stream, name) for stream, camera in self.cameras.items()
                     for name in (*camera.names,
                                  *(POSE_NAMES if stream != reference else ())))

    def free_indices(self) -> np.ndarray:
        """Return which of ``names`` are free; the relative pose always is."""
        return np.array([i for i, (stream, name) in enumerate(self.names)
                         if name in self.free[stream] or name in POSE_NAMES], dtype=int)

    def moved(self, step: np.ndarray) -> Rig:
        """Return the rig with a step over ``names`` added."""
        reference = next(iter(self.cameras))
        cameras, poses, at = {}, {}, 0
        for stream, camera in self.cameras.items():
            count = len(camera.names)
            cameras[stream] = camera.with_vector(camera.vector + step[at:at + count])
            at += count
            poses[stream] = self.from_reference[stream]
            if stream != reference:
                poses[stream] = poses[stream].moved(step[at:at + 6])
                at += 6
        return Rig(cameras, poses, self.free)


Observation = Mapping[str, BoardPoints]  # of one view, by stream


@dataclass(frozen=True, eq=False)
class Fit:
    """
    The result of an adjustment.

    Attributes
    ----------
    rig:
        The fitted cameras.
    poses:
        Pose of the board in the reference camera, for each view.
    errors_px:
        Reprojection errors ``(N, 2)`` of each view by stream.
    covariance:
        ``(n, n)`` of ``rig.names``; 0 for those that are not free.
    points_m:
        ``(N, 3)`` points of the board, estimated if they are free.

    """

    rig: Rig
    poses: tuple[Pose, ...]
    errors_px: tuple[Mapping[str, np.ndarray], ...]
    covariance: np.ndarray
    points_m: np.ndarray

    def rms_px(self, stream: str) -> float:
        """Return the root mean square of the distances of all points of a camera."""
        squares = np.concatenate([(errors[stream] ** 2).sum(1) for errors in self.errors_px
                                  if stream in errors])
        return float(np.sqrt(squares.mean()))

    def view_rms_px(self, stream: str) -> np.ndarray:
        """Return the same for each view; NaN where the camera does not see the board."""
        return np.array([np.sqrt((errors[stream] ** 2).sum(1).mean()) if stream in errors
                         else np.nan for errors in self.errors_px])

    def deviation(self, stream: str, name: str) -> float:
        """Return the standard deviation of one parameter."""
        index = self.rig.names.index((stream, name))
        return float(np.sqrt(self.covariance[index, index]))


@dataclass(frozen=True, eq=False)
class _State:
    """All that is estimated."""

    rig: Rig
    points_m: np.ndarray
    poses: Sequence[Pose]

    def moved(self, shared: np.ndarray, pose_steps: Sequence[np.ndarray]) -> _State:
        count = len(self.rig.names)
        return _State(self.rig.moved(shared[:count]),
                      self.points_m + shared[count:].reshape(-1, 3),
                      [pose.moved(step) for pose, step in zip(self.poses, pose_steps)])


def adjust(rig: Rig, poses: Sequence[Pose], points_m: np.ndarray,
           observations: Sequence[Observation], noise_px: Mapping[str, float],
           board_deviation_m: float = 0.0) -> Fit:
    """
    Fit the free parameters of a rig and the poses of the board.

    Parameters
    ----------
    rig, poses:
        Start values.
    points_m:
        ``(N, 3)`` all points of the board.
    observations:
        The found points of each view.
    noise_px:
        Standard deviation of a coordinate, by stream.
    board_deviation_m:
        Standard deviation of a coordinate of a board point, in metres; 0 if they are exact.

    Raises
    ------
    CalibrationError
        The adjustment does not converge to finite values.

    """
    free = rig.free_indices()
    board = np.arange(points_m.size if board_deviation_m else 0)
    free = np.concatenate([free, len(rig.names) + board])
    prior_weight = np.zeros(len(free))
    if board_deviation_m:
        prior_weight[-len(board):] = 1 / board_deviation_m ** 2
    state = _State(rig, points_m, list(poses))

    def offset(at: _State) -> np.ndarray:
        values = np.zeros(len(free))
        if board_deviation_m:
            values[-len(board):] = (at.points_m - points_m).ravel()
        return values

    def cost_of(at: _State) -> float:
        prior = float((prior_weight * offset(at) ** 2).sum())
        return prior + sum(
            float((errors ** 2).sum()) / noise_px[stream] ** 2
            for pose, observation in zip(at.poses, observations)
            for stream, errors in reprojection_errors_px(at.rig, pose, at.points_m,
                                                         observation).items())

    def linearize(at: _State) -> list[_Block]:
        return [_linearize(at, pose, observation, noise_px, free)
                for pose, observation in zip(at.poses, observations)]

    count = len(rig.names) + points_m.size
    cost, damping = cost_of(state), 1e-3
    if not np.isfinite(cost):
        raise CalibrationError('the start values put the board behind a camera; is the board of '
                               'the views the one of the options?')
    for _ in range(_MAX_STEPS):
        blocks = linearize(state)
        for _ in range(_MAX_DAMPINGS):
            step, pose_steps = _solve(blocks, damping, prior_weight, offset(state))
            moved = state.moved(_spread(step, free, count), pose_steps)
            moved_cost = cost_of(moved)
            if np.isfinite(moved_cost) and moved_cost < cost:
                break
            damping *= 5
        else:
            break
        decrease = (cost - moved_cost) / max(cost, 1e-30)
        state, cost, damping = moved, moved_cost, max(damping / 10, 1e-12)
        if decrease < _CONVERGED:
            break
    if not (np.isfinite(cost) and all(np.isfinite(camera.vector).all()
                                      for camera in state.rig.cameras.values())):
        raise CalibrationError('the adjustment does not converge; more views from different '
                               'directions are needed')
    errors = tuple(reprojection_errors_px(state.rig, pose, state.points_m, observation)
                   for pose, observation in zip(state.poses, observations))
    covariance = np.zeros((count, count))
    covariance[np.ix_(free, free)] = _estimate_covariance(linearize(state), prior_weight)
    return Fit(state.rig, tuple(state.poses), errors,
               covariance[:len(rig.names), :len(rig.names)], state.points_m)


def relative_pose_covariance(fit: Fit, observations: Sequence[Observation],
                             noise_px: Mapping[str, float], stream: str,
                             camera_covariances: Mapping[str, np.ndarray]) -> np.ndarray:
    """
    Return the covariance ``(6, 6)`` of the pose of a camera that was fitted with fixed cameras.

    The errors of the cameras, with the covariances ``(n, n)`` of their vectors, are added to those
    of the fit, by the change of the fitted pose with each camera parameter.
    """
    names = fit.rig.names
    state = _State(fit.rig, fit.points_m, fit.poses)
    blocks = [_linearize(state, pose, observation, noise_px, np.arange(len(names)))
              for pose, observation in zip(fit.poses, observations)]
    normal = np.zeros((len(names), len(names)))
    for block in blocks:
        shared = _without_pose(block)
        normal += shared.T @ shared
    pose = np.array([names.index((stream, name)) for name in POSE_NAMES])
    covariance = fit.covariance[np.ix_(pose, pose)].copy()
    for camera_stream, camera_covariance in camera_covariances.items():
        first = names.index((camera_stream, 'fx'))
        camera = first + np.arange(len(camera_covariance))
        change = -np.linalg.solve(normal[np.ix_(pose, pose)], normal[np.ix_(pose, camera)])
        covariance += change @ camera_covariance @ change.T
    return covariance


@dataclass(frozen=True, eq=False)
class _Block:
    """Weighted errors of one view ``(n,)`` and their derivatives ``(n, shared)``, ``(n, 6)``."""

    errors: np.ndarray
    by_shared: np.ndarray
    by_pose: np.ndarray


def _spread(values: np.ndarray, free: np.ndarray, count: int) -> np.ndarray:
    spread = np.zeros(count)
    spread[free] = values
    return spread


def _project(rig: Rig, stream: str, pose: Pose, points_m: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels, and derivatives by points, board pose, camera and pose of the camera."""
    to_camera = rig.from_reference[stream]
    in_reference = pose.transform(points_m)
    points_px, by_point, by_camera = rig.cameras[stream].project(
        to_camera.transform(in_reference))
    by_reference_point = by_point @ to_camera.R
    by_board = by_reference_point @ pose.derivatives(points_m)
    by_relative = by_point @ to_camera.derivatives(in_reference)
    return (points_px, by_reference_point @ pose.R, by_board.reshape(-1, 6), by_camera,
            by_relative.reshape(-1, 6))


def reprojection_errors_px(rig: Rig, pose: Pose, points_m: np.ndarray, observation: Observation
                           ) -> dict[str, np.ndarray]:
    """Return found minus projected points ``(N, 2)`` by stream, for a pose of the board."""
    return {stream: points.points_px - _project(rig, stream, pose, points_m[points.ids])[0]
            for stream, points in observation.items()}


def _linearize(state: _State, pose: Pose, observation: Observation,
               noise_px: Mapping[str, float], free: np.ndarray) -> _Block:
    rig = state.rig
    reference, names = next(iter(rig.cameras)), rig.names
    errors, shared, by_pose = [], [], []
    for stream, points in observation.items():
        projected, by_point, by_board, by_camera, by_relative = _project(
            rig, stream, pose, state.points_m[points.ids])
        count = len(points.ids)
        jacobian = np.zeros((count, 2, len(names) + state.points_m.size))
        first, width = names.index((stream, 'fx')), by_camera.shape[1]
        jacobian[:, :, first:first + width] = by_camera.reshape(count, 2, width)
        if stream != reference:
            jacobian[:, :, first + width:first + width + 6] = by_relative.reshape(count, 2, 6)
        columns = len(names) + 3 * points.ids[:, None] + np.arange(3)
        jacobian[np.arange(count)[:, None], :, columns] = by_point.transpose(0, 2, 1)
        weight = 1 / noise_px[stream]
        errors.append(weight * (points.points_px - projected).ravel())
        shared.append(weight * jacobian.reshape(2 * count, -1)[:, free])
        by_pose.append(weight * by_board)
    return _Block(np.concatenate(errors), np.vstack(shared), np.vstack(by_pose))


def _solve(blocks: Sequence[_Block], damping: float, prior_weight: np.ndarray,
           offset: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the damped step of the shared parameters and of each pose."""
    count = len(prior_weight)
    normal, right = np.diag(prior_weight), -prior_weight * offset
    parts = []
    for block in blocks:
        pose_normal = block.by_pose.T @ block.by_pose
        pose_normal += damping * np.diag(np.diag(pose_normal))
        mixed = block.by_shared.T @ block.by_pose
        gain = np.linalg.solve(pose_normal, mixed.T).T
        pose_right = block.by_pose.T @ block.errors
        normal += block.by_shared.T @ block.by_shared - gain @ mixed.T
        right += block.by_shared.T @ block.errors - gain @ pose_right
        parts.append((pose_normal, mixed, pose_right))
    # Scaled, because focal lengths and distortion differ by many orders of magnitude.
    squares = prior_weight + sum((block.by_shared ** 2).sum(0) for block in blocks)
    scale = np.sqrt(np.maximum(squares, 1e-30))
    scaled = normal / np.outer(scale, scale) + damping * np.eye(count)
    step = np.linalg.lstsq(scaled, right / scale, rcond=None)[0] / scale
    return step, [np.linalg.solve(pose_normal, pose_right - mixed.T @ step)
                  for pose_normal, mixed, pose_right in parts]


def _without_pose(block: _Block) -> np.ndarray:
    """Return the part of the derivatives that the pose of the board cannot explain."""
    basis, _ = np.linalg.qr(block.by_pose)
    return block.by_shared - basis @ (basis.T @ block.by_shared)


def _estimate_covariance(blocks: Sequence[_Block], prior_weight: np.ndarray) -> np.ndarray:
    """Return the covariance of the shared parameters, with the larger of two deviations."""
    normal, scores, squares = np.diag(prior_weight), [], 0.0
    degrees = -int((prior_weight == 0).sum())
    for block in blocks:
        shared = _without_pose(block)
        normal += shared.T @ shared
        scores.append(shared.T @ block.errors)
        squares += float(block.errors @ block.errors)
        degrees += len(block.errors) - 6
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-13, hermitian=True)
    inverse = inverse / np.outer(scale, scale)
    equal = np.diag(inverse) * squares / max(degrees, 1)
    views = len(blocks)
    score = np.stack(scores) - np.mean(scores, axis=0)
    by_view = np.diag(inverse @ (score.T @ score) @ inverse) * views / max(views - 1, 1)
    ratio = np.sqrt(np.maximum(equal, by_view) / np.maximum(np.diag(inverse), 1e-300))
    return inverse * np.outer(ratio, ratio)
