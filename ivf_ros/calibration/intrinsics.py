# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Calibration of one camera: start values, views that lie off, parameters that the views determine.

A parameter that the views do not determine is not fitted. Radial coefficients are used up to the
order beyond which no further one lowers the RMS error by 2 %; p1 and p2 are used if they lower it
by 2 % together. A smaller gain is found in every set of views, from errors that are common to
them. The principal point is set to the centre of the image, and not fitted, if its deviation
exceeds 5 % of the width of the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros.calibration.boards import BoardPoints
from ivf_ros.calibration.bundle_adjustment import adjust, Fit, IDENTITY, Pose, Rig
from ivf_ros.calibration.cameras import Camera, COEFFICIENTS
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.outlying import find_outlying
import numpy as np

MIN_VIEWS = 5
_MIN_NOISE_PX = 0.01
_MIN_GAIN = 0.02  # of the RMS error
_MAX_CENTRE_DEVIATION = 0.05  # of the width of the image
_MAX_FOCAL_DEVIATION = 0.1  # of the focal length


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """
    A calibrated camera with the views that it was fitted to.

    Attributes
    ----------
    camera:
        The camera.
    fit:
        Errors and deviations; its views are those of ``kept``.
    kept:
        Names of the views of the fit.
    left_out:
        Reason for each view that lies off.
    not_determined:
        Parameters that the views do not determine, with the value at which they stay.

    """

    camera: Camera
    fit: Fit
    kept: tuple[str, ...]
    left_out: dict[str, str]
    not_determined: dict[str, float]


def calibrate_camera(stream: str, size: tuple[int, int], points_m: np.ndarray,
                     found: dict[str, BoardPoints], distortion: str,
                     board_deviation_m: float = 0.0) -> CameraCalibration:
    """
    Calibrate one camera from the board points of its views.

    Parameters
    ----------
    stream:
        ``'thermal'`` or ``'rgb'``, for messages.
    size:
        Width and height of the image in pixels.
    points_m:
        ``(N, 3)`` all points of the board.
    found:
        The found points by the name of the view.
    distortion:
        One of ``cameras.DISTORTION_MODELS``.
    board_deviation_m:
        Standard deviation of a coordinate of a board point, in metres; 0 if they are exact.

    Raises
    ------
    CalibrationError
        Too few views, or the views do not determine the focal length.

    """
    kept = dict(found)
    left_out: dict[str, str] = {}
    while True:
        if len(kept) < MIN_VIEWS:
            raise CalibrationError(
                f'{stream}: {len(kept)} usable views of the board'
                + (f', {len(left_out)} lie off' if left_out else '')
                + f', need {MIN_VIEWS}; take more views, tilted, near and far')
        views = _Views(stream, points_m, list(kept.values()), board_deviation_m)
        fit, fixed = _fit_determined(_start(size, points_m, views.found, distortion), views)
        errors_px = dict(zip(kept, fit.view_rms_px(stream)))
        outlying = find_outlying(list(kept), np.array(list(errors_px.values())))
        if not outlying:
            break
        left_out.update({name: f'reprojection error {errors_px[name]:.2f} px, limit {limit:.2f} px'
                         for name, limit in outlying.items()})
        kept = {name: points for name, points in kept.items() if name not in outlying}
    camera = fit.rig.cameras[stream]
    deviation = max(fit.deviation(stream, name) / camera.vector[camera.names.index(name)]
                    for name in ('fx', 'fy'))
    if not 0 <= deviation <= _MAX_FOCAL_DEVIATION:
        raise CalibrationError(
            f'{stream}: the views do not determine the focal length, its deviation is '
            f'{deviation:.0%}; tilt the board by 20 to 45 degrees in both directions')
    return CameraCalibration(camera, fit, tuple(kept), left_out, fixed)


@dataclass(frozen=True, eq=False)
class _Views:
    """The views of one camera, and how exact the board is."""

    stream: str
    points_m: np.ndarray
    found: Sequence[BoardPoints]
    board_deviation_m: float

    def fit(self, start: Camera, free: Iterable[str]) -> Fit:
        """Fit the free parameters; the others keep the values of ``start``."""
        observations = [{self.stream: points} for points in self.found]
        rig = Rig({self.stream: start}, {self.stream: IDENTITY}, {self.stream: frozenset(free)})
        poses = [locate(start, self.points_m, points)[0] for points in self.found]
        fit = adjust(rig, poses, self.points_m, observations, {self.stream: 1.0})
        if not self.board_deviation_m:
            return fit
        noise_px = {self.stream: max(fit.rms_px(self.stream) / np.sqrt(2), _MIN_NOISE_PX)}
        return adjust(fit.rig, fit.poses, self.points_m, observations, noise_px,
                      self.board_deviation_m)


def _fit_determined(start: Camera, views: _Views) -> tuple[Fit, dict[str, float]]:
    """Fit what the views determine; return the fit and the values of the other parameters."""
    stream = views.stream
    pinhole = ['fx', 'fy', 'cx', 'cy']
    best = _fit_lens(start, pinhole, views)
    limit_px = _MAX_CENTRE_DEVIATION * start.size[0]
    if max(best.deviation(stream, name) for name in ('cx', 'cy')) > limit_px:
        pinhole = ['fx', 'fy']
        best = _fit_lens(start, pinhole, views)
    camera = best.rig.cameras[stream]
    return best, {name: float(value) for name, value in zip(camera.names, camera.vector)
                  if name not in best.rig.free[stream]}


def _fit_lens(start: Camera, pinhole: list[str], views: _Views) -> Fit:
    """Fit the free pinhole parameters with the coefficients that lower the error."""
    stream = views.stream
    radial = sorted(name for name in start.names if name.startswith('k'))
    fits = [views.fit(start, pinhole)]
    for count in range(1, len(radial) + 1):
        fits.append(views.fit(fits[-1].rig.cameras[stream], [*pinhole, *radial[:count]]))
    errors_px = [fit.rms_px(stream) for fit in fits]
    order = next(count for count, error_px in enumerate(errors_px)
                 if min(errors_px[count:]) > (1 - _MIN_GAIN) * error_px)
    best = fits[order]
    tangential = [name for name in start.names if name.startswith('p')]
    if tangential:
        fit = views.fit(best.rig.cameras[stream], [*pinhole, *radial[:order], *tangential])
        if fit.rms_px(stream) < (1 - _MIN_GAIN) * best.rms_px(stream):
            best = fit
    return best


def locate(camera: Camera, points_m: np.ndarray, points: BoardPoints) -> list[Pose]:
    """
    Return the poses of the board in a camera that its points allow, the best one first.

    A small or distant board in a plane has two, tilted to opposite sides.
    """
    rays = np.ascontiguousarray(camera.rays(points.points_px)[:, :2])
    _, rvecs, tvecs, _ = cv2.solvePnPGeneric(points_m[points.ids], rays, np.eye(3), None,
                                             flags=cv2.SOLVEPNP_IPPE)
    poses = [Pose(cv2.Rodrigues(rvec)[0], tvec.ravel()) for rvec, tvec in zip(rvecs, tvecs)
             if np.isfinite(rvec).all() and np.isfinite(tvec).all()]
    if not poses:
        raise CalibrationError('the pose of the board cannot be computed from its points')
    return poses


def _start(size: tuple[int, int], points_m: np.ndarray, found: Sequence[BoardPoints],
           distortion: str) -> Camera:
    """Return start values: a pinhole camera with square pixels and a centred principal point."""
    if not found:
        raise CalibrationError('no view of the board')
    width, height = size
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    focal_px = _focal_length(points_m, found, centre) or float(max(size))
    K = np.array([[focal_px, 0, centre[0]], [0, focal_px, centre[1]], [0, 0, 1.0]])
    return Camera(size, K, distortion, np.zeros(len(COEFFICIENTS[distortion])))


def _focal_length(points_m: np.ndarray, found: Sequence[BoardPoints], centre: np.ndarray
                  ) -> float | None:
    """
    Return the focal length from the homographies of the board, or None.

    With the principal point at the origin, the two conditions of Zhang (2000, eq. 3 and 4) on each
    homography are linear in 1 / f^2.
    """
    left, right = [], []
    for points in found:
        H, _ = cv2.findHomography(points_m[points.ids, :2], points.points_px - centre, 0)
        if H is None:
            continue
        H = H / np.linalg.norm(H[2])
        h1, h2 = H[:, 0], H[:, 1]
        left += [h1[:2] @ h2[:2], h1[:2] @ h1[:2] - h2[:2] @ h2[:2]]
        right += [-h1[2] * h2[2], h2[2] ** 2 - h1[2] ** 2]
    a, b = np.array(left), np.array(right)
    inverse_square = float(a @ b / (a @ a)) if len(a) and (a @ a) > 0 else 0.0
    return 1 / np.sqrt(inverse_square) if inverse_square > 0 else None
