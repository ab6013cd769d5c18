# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of a thermal and an RGB camera together, and the homographies that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.boards import Board, BoardPoints
from ivf_ros.calibration.bundle_adjustment import (
    adjust,
    Fit,
    IDENTITY,
    Pose,
    relative_pose_covariance,
    reprojection_errors_px,
    Rig,
)
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.intrinsics import calibrate_camera, CameraCalibration, locate, MIN_VIEWS
from ivf_ros.calibration.orientation import match_orientations, order_points, relabel
from ivf_ros.calibration.outlying import find_outlying
import numpy as np

STREAMS = ('thermal', 'rgb')
MIN_PAIRS = 3
_GRID = 17  # points in each direction to which a homography is fitted
_MIN_NOISE_PX = 0.01
_MAX_PAIR_ERROR = 1.5  # of a pair that is always used, in multiples of the noise


@dataclass(frozen=True, eq=False)
class View:
    """
    One view of the board.

    Attributes
    ----------
    name:
        Name of the file, or time in the recording.
    found:
        The points of the board by stream, for the cameras that see it.

    """

    name: str
    found: Mapping[str, BoardPoints]


@dataclass(frozen=True, eq=False)
class RigCalibration:
    """
    A calibrated rig.

    Attributes
    ----------
    cameras:
        Both cameras by stream.
    thermal_to_rgb:
        Pose that maps points of the thermal optical frame to the RGB optical frame, in metres.
    pose_deviations:
        ``(6,)`` standard deviations of ``thermal_to_rgb``: a rotation about the three axes of the
        RGB optical frame in radians, and the translation in metres. Those of the cameras count.
    fit:
        The fit of ``thermal_to_rgb``; its views are ``names``.
    names:
        Names of the pairs of the fit.
    single:
        The calibration of each camera by itself.
    left_out:
        Reason for each view that lies off, by ``thermal``, ``rgb`` or ``pair`` and name. A pair
        that is left out still serves each camera by itself.
    views:
        All views, with their points in one order.

    """

    cameras: Mapping[str, Camera]
    thermal_to_rgb: Pose
    pose_deviations: np.ndarray
    fit: Fit
    names: tuple[str, ...]
    single: Mapping[str, CameraCalibration]
    left_out: Mapping[tuple[str, str], str]
    views: tuple[View, ...]

    @property
    def board_distance_m(self) -> float:
        """Return the median distance of the board from the thermal camera along its axis."""
        centre = self.fit.points_m.mean(0)
        return float(np.median([(pose.R @ centre + pose.t_m)[2] for pose in self.fit.poses]))

    def homography(self, distance_m: float = np.inf) -> np.ndarray:
        """Return H_thermal_to_rgb ``(3, 3)`` of the rectified images for a plane."""
        return geometry.from_rig(self.cameras['thermal'].K, self.cameras['rgb'].K,
                                 self.thermal_to_rgb.R, self.thermal_to_rgb.t_m, distance_m)

    def map_pixels(self, thermal_px: np.ndarray, distance_m: float = np.inf) -> np.ndarray:
        """
        Return the RGB pixels ``(N, 2)`` of thermal pixels ``(N, 2)`` of the images as recorded.

        The scene is a plane at this distance, parallel to the thermal image. What lies behind the
        RGB camera is mapped to infinity.
        """
        rays = self.cameras['thermal'].rays(thermal_px)
        scene = rays @ self.thermal_to_rgb.R.T if np.isinf(distance_m) \
            else self.thermal_to_rgb.transform(rays * distance_m)
        mapped_px = self.cameras['rgb'].project(scene)[0]
        mapped_px[scene[:, 2] <= 0] = np.inf
        return mapped_px

    def recorded_homography(self, distance_m: float = np.inf) -> tuple[np.ndarray, float]:
        """
        Return the homography that suits the images as recorded best, with lens distortion.

        Returns
        -------
        H_thermal_to_rgb, rms_px
            ``(3, 3)``, and the RMS distance in RGB pixels between it and the mapping by both
            lenses, over the thermal pixels that lie in the RGB image.

        Raises
        ------
        CalibrationError
            The thermal image does not lie in the RGB image.

        """
        width, height = self.cameras['thermal'].size
        grid = np.stack(np.meshgrid(np.linspace(0, width - 1, _GRID),
                                    np.linspace(0, height - 1, _GRID)), -1).reshape(-1, 2)
        target = self.map_pixels(grid, distance_m)
        inside = ((target >= 0) & (target < self.cameras['rgb'].size)).all(1)
        if inside.sum() < _GRID:
            raise CalibrationError('the two cameras do not look in the same direction: the '
                                   'thermal image does not lie in the RGB image')
        H, _ = cv2.findHomography(grid[inside], target[inside], 0)
        errors_px = geometry.transform_points(H, grid[inside]) - target[inside]
        return geometry.normalize_homography(H), float(np.sqrt((errors_px ** 2).sum(1).mean()))


def calibrate_rig(board: Board, views: Sequence[View], sizes: Mapping[str, tuple[int, int]],
                  distortion: Mapping[str, str], board_deviation_m: float = 0.0) -> RigCalibration:
    """
    Calibrate both cameras and the pose between them.

    Each camera is calibrated by itself, with all views that it sees. The pose between them then
    follows from the views that both see, each camera weighted by its noise. So a board that moved
    between the two images of a view does not spoil the lenses.

    Parameters
    ----------
    board:
        The board.
    views:
        The views, also those of one camera only.
    sizes:
        Width and height of the images by stream.
    distortion:
        Lens model by stream.
    board_deviation_m:
        Standard deviation of a coordinate of a board point in metres; 0 if they are exact.

    Raises
    ------
    CalibrationError
        Too few views, or views that do not determine a camera.

    """
    ordered = [View(view.name, {stream: order_points(board, points)
                                for stream, points in view.found.items()}) for view in views]
    for stream in STREAMS:
        count = sum(stream in view.found for view in ordered)
        if count < MIN_VIEWS:
            raise CalibrationError(f'{stream}: found the board in {count} of {len(ordered)} '
                                   f'views, need {MIN_VIEWS}')
    single = {stream: calibrate_camera(
        stream, sizes[stream], board.points_m,
        {view.name: view.found[stream] for view in ordered if stream in view.found},
        distortion[stream], board_deviation_m) for stream in STREAMS}
    left_out = {(stream, name): reason for stream in STREAMS
                for name, reason in single[stream].left_out.items()}
    ordered, thermal_to_rgb = _match(board, ordered, single, left_out)
    noise_px = {stream: max(single[stream].fit.rms_px(stream) / np.sqrt(2), _MIN_NOISE_PX)
                for stream in STREAMS}
    while True:
        pairs = {view.name: view.found for view in ordered
                 if len(_used(view, left_out)) == 2 and ('pair', view.name) not in left_out}
        fit = _fit_pose(board, list(pairs.values()), single, noise_px, thermal_to_rgb,
                        board_deviation_m)
        errors = {name: _pair_error(errors_px, noise_px)
                  for name, errors_px in zip(pairs, fit.errors_px)}
        outlying = find_outlying(list(errors), np.array(list(errors.values())), _MAX_PAIR_ERROR)
        if not outlying:
            break
        left_out.update({('pair', name): 'the two cameras disagree: error '
                         f'{errors[name]:.1f} times that of each camera by itself, limit '
                         f'{limit:.1f}; did the board move between the two images?'
                         for name, limit in outlying.items()})
        thermal_to_rgb = fit.rig.from_reference['rgb']
    covariance = relative_pose_covariance(
        fit, list(pairs.values()), noise_px, 'rgb',
        {stream: single[stream].fit.covariance for stream in STREAMS})
    return RigCalibration(fit.rig.cameras, fit.rig.from_reference['rgb'],
                          np.sqrt(np.diag(covariance)), fit, tuple(pairs), single, left_out,
                          tuple(ordered))


def _match(board: Board, views: list[View], single: Mapping[str, CameraCalibration],
           left_out: Mapping[tuple[str, str], str]) -> tuple[list[View], Pose]:
    """Order the thermal points of all views as the RGB points; return the pose they agree on."""
    pairs = [view for view in views if len(_used(view, left_out)) == 2]
    if len(pairs) < MIN_PAIRS:
        raise CalibrationError(f'both cameras see the board in {len(pairs)} views, need '
                               f'{MIN_PAIRS}; hold it where both cameras see it')
    cameras = {stream: single[stream].camera for stream in STREAMS}
    symmetries, thermal_to_rgb = match_orientations(board, cameras,
                                                    [view.found for view in pairs])
    chosen = {view.name: symmetry for view, symmetry in zip(pairs, symmetries)}
    return [View(view.name, {**view.found, 'thermal': relabel(view.found['thermal'],
                                                              chosen[view.name])})
            if view.name in chosen else view for view in views], thermal_to_rgb


def _used(view: View, left_out: Mapping[tuple[str, str], str]) -> dict[str, BoardPoints]:
    return {stream: points for stream, points in view.found.items()
            if (stream, view.name) not in left_out}


def _pair_error(errors_px: Mapping[str, np.ndarray], noise_px: Mapping[str, float]) -> float:
    """Return the RMS error of the coordinates of both cameras, as a multiple of their noise."""
    scaled = np.concatenate([errors.ravel() / noise_px[stream]
                             for stream, errors in errors_px.items()])
    return float(np.sqrt((scaled ** 2).mean()))


def _fit_pose(board: Board, pairs: Sequence[Mapping[str, BoardPoints]],
              single: Mapping[str, CameraCalibration], noise_px: Mapping[str, float],
              thermal_to_rgb: Pose, board_deviation_m: float) -> Fit:
    """Fit the pose between the cameras, with the cameras as they are."""
    if len(pairs) < MIN_PAIRS:
        raise CalibrationError(f'the views of the two cameras do not agree: {len(pairs)} remain, '
                               f'need {MIN_PAIRS}; was the board still, and do the two images of '
                               'a view have the same time?')
    rig = Rig({stream: single[stream].camera for stream in STREAMS},
              {'thermal': IDENTITY, 'rgb': thermal_to_rgb}, dict.fromkeys(STREAMS, frozenset()))
    poses = [_locate_in_rig(rig, board.points_m, points, noise_px) for points in pairs]
    return adjust(rig, poses, board.points_m, pairs, noise_px, board_deviation_m)


def _locate_in_rig(rig: Rig, points_m: np.ndarray, found: Mapping[str, BoardPoints],
                   noise_px: Mapping[str, float]) -> Pose:
    """Return the pose of the board in the thermal frame that suits both cameras best."""
    poses = [rig.from_reference[stream].inverse().after(pose)
             for stream, points in found.items()
             for pose in locate(rig.cameras[stream], points_m, points)]

    def cost(pose: Pose) -> float:
        return sum(float((errors ** 2).sum()) / noise_px[stream] ** 2
                   for stream, errors in reprojection_errors_px(rig, pose, points_m,
                                                                found).items())

    return min(poses, key=cost)
