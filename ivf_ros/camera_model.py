# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The calibration of one camera, as CameraInfo has it, and how it follows the image.

Pixel coordinates are x right, y down, with pixel centres at integers. A binned or resized pixel
``x'`` covers the pixels around ``x = (x' + 0.5) * scale - 0.5``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import cv2
import numpy as np

Size = tuple[int, int]  # width and height in pixels

# Distortion models (REP 104 and later), with the numbers of coefficients that they may have.
DISTORTION_MODELS = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}

# No camera has more: a telescope of 10 m with pixels of 10 micrometres.
_MAX_FOCAL_LENGTH_PX = 1e6
_MAX_SIDE_PX = 65535

# The undistortion of single points is iterative.
_UNDISTORTION_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)


class CameraModelError(ValueError):
    """A calibration does not fit the image, or its distortion model is unknown."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """
    Calibration of one camera; the matrices refer to the full image (REP 104).

    Attributes
    ----------
    size:
        Width and height of the full image in pixels; (0, 0) if unknown.
    K:
        ``(3, 3)`` camera matrix of the distorted image; ``K[0, 0] == 0`` if uncalibrated.
    distortion_model:
        One of ``DISTORTION_MODELS``, or empty.
    D:
        Distortion coefficients; empty or zeros if there is no distortion.
    R, P:
        ``(3, 3)`` and ``(3, 4)``, of the rectified image.
    binning:
        Pixels of the full image that one pixel of the image combines, in x and y.
    roi:
        Left, top, width and height of the region of interest on the full image, in its pixels;
        width and height 0 for the full image.

    """

    size: Size
    K: np.ndarray
    distortion_model: str = ''
    D: tuple[float, ...] = ()
    R: np.ndarray = field(default_factory=lambda: np.eye(3))
    P: np.ndarray = field(default_factory=lambda: np.eye(3, 4))
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)

    def is_same(self, other: CameraModel | None) -> bool:
        """Return whether another calibration has the same values."""
        return other is not None and all(
            np.array_equal(getattr(self, spec.name), getattr(other, spec.name))
            for spec in fields(self))

    def check(self) -> None:
        """
        Check the numbers of a calibration, as they come from a message or a file.

        An uncalibrated camera, with zeros in ``K``, is valid.

        Raises
        ------
        CameraModelError
            A number is not finite, or ``K`` or ``P`` is none of a camera.

        """
        for name in ('K', 'D', 'R', 'P'):
            if not np.isfinite(getattr(self, name)).all():
                raise CameraModelError(f'{name} must be finite, got NaN or infinity')
        if max(*self.size, *self.roi, *self.binning) > _MAX_SIDE_PX:
            raise CameraModelError(f'sizes must be at most {_MAX_SIDE_PX} pixels, got '
                                   f'{max(*self.size, *self.roi, *self.binning)}')
        if self.is_calibrated:
            _check_camera_matrix('K', self.K)
        if self.P[0, 0] != 0:
            _check_camera_matrix('P', self.P[:, :3])

    @property
    def is_calibrated(self) -> bool:
        """Whether the focal length is known."""
        return bool(self.K[0, 0] != 0)

    def fit_to_image(self, size: Size) -> CameraModel:
        """
        Return the calibration of an image of this size, without binning and region of interest.

        The image may be the one that binning and region of interest describe, or that one or the
        full image at another resolution, as a smaller stream of the same camera has it.

        Raises
        ------
        CameraModelError
            The aspect ratio is another one, so that the image cannot be a resized one.

        """
        left, top, width, height = self.roi
        region = width or self.size[0], height or self.size[1]
        if 0 in region:  # the size is unknown: the image is what the other fields describe
            return self._map(self.binning, (left, top), size)
        binned = region[0] // self.binning[0], region[1] // self.binning[1]
        if binned == size:
            return self._map(self.binning, (left, top), size)
        for full, offset in ((region, (left, top)), (self.size, (0, 0))):
            if 0 not in full and _is_same_shape(full, size):
                return self._map((full[0] / size[0], full[1] / size[1]), offset, size)
        raise CameraModelError(
            f'the calibration is for images of {binned[0]}x{binned[1]}, got {size[0]}x{size[1]}, '
            'which has another aspect ratio; calibrate the camera at the size that it sends')

    def crop(self, left: int, top: int, size: Size) -> CameraModel:
        """Return the calibration of the part of the image that begins at (left, top)."""
        return self._map((1, 1), (left, top), size)

    def undistort(self) -> CameraModel:
        """Return the calibration of the undistorted image with the same camera matrix."""
        return replace(self, distortion_model='plumb_bob', D=(0.0,) * 5, R=np.eye(3),
                       P=np.hstack([self.K, np.zeros((3, 1))]))

    def turn(self, M_image: np.ndarray, size: Size) -> CameraModel:
        """
        Return the calibration of an image that is rotated by quarter turns or mirrored.

        ``M_image`` ``(3, 3)`` maps pixels to pixels of the turned image, of ``size``. The result
        is that of a camera turned about its optical axis, so that its focal lengths are positive.
        A mirrored image gets that of the mirrored camera.
        """
        turn = np.eye(3)
        turn[:2, :2] = M_image[:2, :2]
        K, P = M_image @ self.K @ turn.T, self.P.copy()
        P[:, :3] = M_image @ self.P[:, :3] @ turn.T
        return replace(self, size=size, K=K, P=P, R=turn @ self.R @ turn.T, D=self._turn_D(turn))

    def make_undistortion_maps(self) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the maps for ``cv2.remap`` that undistort an image of ``size``.

        Raises
        ------
        CameraModelError
            The camera is not calibrated, or the distortion model is unknown.

        """
        D = self._check_calibration()
        if self.distortion_model == 'equidistant':
            return cv2.fisheye.initUndistortRectifyMap(self.K, D, np.eye(3), self.K, self.size,
                                                       cv2.CV_16SC2)
        return cv2.initUndistortRectifyMap(self.K, D, np.eye(3), self.K, self.size, cv2.CV_16SC2)

    def rays(self, points_px: np.ndarray) -> np.ndarray:
        """
        Return the directions in which the camera sees pixels.

        Parameters
        ----------
        points_px:
            ``(N, 2)`` pixels of an image of ``size``.

        Returns
        -------
        np.ndarray
            ``(N, 3)`` float64 in the optical frame, with z = 1.

        Raises
        ------
        CameraModelError
            The camera is not calibrated, or the distortion model is unknown.

        """
        D = self._check_calibration()
        points = np.asarray(points_px, np.float64).reshape(-1, 1, 2)
        if self._is_pinhole(D):
            pixels = np.column_stack([points.reshape(-1, 2), np.ones(len(points))])
            return pixels @ np.linalg.inv(self.K).T
        if not len(points):
            return np.empty((0, 3))
        if self.distortion_model == 'equidistant':
            normalized = cv2.fisheye.undistortPoints(points, self.K, D)
        else:
            normalized = cv2.undistortPointsIter(points, self.K, D, np.eye(3), np.eye(3),
                                                 _UNDISTORTION_STOP)
        return np.hstack([normalized.reshape(-1, 2), np.ones((len(points), 1))])

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """
        Return the pixels ``(N, 2)`` float64 of points ``(N, 3)`` in front of the camera.

        The distortion models hold within the image only; a point far outside the view may be
        mapped into it.

        Raises
        ------
        CameraModelError
            The camera is not calibrated, or the distortion model is unknown.

        """
        D = self._check_calibration()
        points = np.asarray(points_m, np.float64).reshape(-1, 1, 3)
        if self._is_pinhole(D):
            x, y = points[:, 0, 0] / points[:, 0, 2], points[:, 0, 1] / points[:, 0, 2]
            K = self.K
            return np.column_stack([K[0, 0] * x + K[0, 1] * y + K[0, 2],
                                    K[1, 0] * x + K[1, 1] * y + K[1, 2]])
        if not len(points):
            return np.empty((0, 2))
        project = cv2.fisheye.projectPoints if self.distortion_model == 'equidistant' \
            else cv2.projectPoints
        pixels, _ = project(points, np.zeros(3), np.zeros(3), self.K, D)
        return pixels.reshape(-1, 2)

    def _is_pinhole(self, D: np.ndarray) -> bool:
        """Return whether the camera with these coefficients has no distortion."""
        return self.distortion_model != 'equidistant' and not D.any()

    def _check_calibration(self) -> np.ndarray:
        """Return the distortion coefficients of a calibrated camera."""
        if not self.is_calibrated:
            raise CameraModelError('the camera is not calibrated: its focal length is 0')
        return self._check_distortion()

    def _check_distortion(self) -> np.ndarray:
        if not any(self.D):
            return np.zeros(4)
        counts = DISTORTION_MODELS.get(self.distortion_model)
        if counts is None:
            raise CameraModelError(f"unknown distortion model '{self.distortion_model}'; known: "
                                   f"{', '.join(DISTORTION_MODELS)}")
        if len(self.D) not in counts:
            raise CameraModelError(
                f"distortion model '{self.distortion_model}' has "
                f"{' or '.join(map(str, counts))} coefficients, got {len(self.D)}")
        return np.array(self.D, np.float64)

    def _map(self, scale: tuple[float, float], offset: tuple[int, int], size: Size
             ) -> CameraModel:
        """Return the calibration after a crop at ``offset`` and a division of the resolution."""
        factors = np.array(scale, np.float64)
        to_image = np.diag([*1 / factors, 1.0])
        to_image[:2, 2] = (-np.array(offset) - (factors - 1) / 2) / factors
        P = self.P.copy()
        P[:, :3] = to_image @ self.P[:, :3]
        P[:2, 3] /= factors
        return replace(self, size=size, K=to_image @ self.K, P=P, binning=(1, 1), roi=(0, 0, 0, 0))

    def _turn_D(self, turn: np.ndarray) -> tuple[float, ...]:
        """Turn the tangential distortion (p1, p2); (p2, p1) is a vector in the image plane."""
        if self.distortion_model == 'equidistant' or len(self.D) < 4:
            return self.D
        p2, p1 = turn[:2, :2] @ (self.D[3], self.D[2])
        return (*self.D[:2], float(p1), float(p2), *self.D[4:])


def _check_camera_matrix(name: str, matrix: np.ndarray) -> None:
    """Raise CameraModelError unless a ``(3, 3)`` matrix is one of a pinhole camera."""
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if not (0 < fx < _MAX_FOCAL_LENGTH_PX and 0 < fy < _MAX_FOCAL_LENGTH_PX):
        raise CameraModelError(f'{name}: focal lengths must be between 0 and '
                               f'{_MAX_FOCAL_LENGTH_PX:g} pixels, got {fx:g} and {fy:g}')
    if np.abs(matrix[:2]).max() > _MAX_FOCAL_LENGTH_PX or matrix[1, 0] != 0:
        raise CameraModelError(f'{name}: expected rows fx, skew, cx and 0, fy, cy, got '
                               + ', '.join(f'{value:g}' for value in matrix[:2].ravel()))
    if tuple(matrix[2]) != (0.0, 0.0, 1.0):
        raise CameraModelError(f'{name}: the last row must be 0, 0, 1, got '
                               + ', '.join(f'{value:g}' for value in matrix[2]))


def _is_same_shape(a: Size, b: Size) -> bool:
    """Return whether two sizes have the same aspect ratio, up to a rounding of one pixel."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= max(*a, *b)
