# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The camera models of ``sensor_msgs/CameraInfo``: pinhole matrix and lens distortion.

``plumb_bob`` has k1 k2 p1 p2 k3, ``rational_polynomial`` k4 k5 k6 in addition, ``equidistant`` is
the fisheye model of Kannala and Brandt with k1 to k4, and ``none`` is a pinhole camera. Pixel
centres are at integer coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

COEFFICIENTS = {
    'plumb_bob': ('k1', 'k2', 'p1', 'p2', 'k3'),
    'rational_polynomial': ('k1', 'k2', 'p1', 'p2', 'k3', 'k4', 'k5', 'k6'),
    'equidistant': ('k1', 'k2', 'k3', 'k4'),
    'none': (),
}
DISTORTION_MODELS = tuple(COEFFICIENTS)


@dataclass(frozen=True, eq=False)
class Camera:
    """
    A calibrated camera.

    Attributes
    ----------
    size:
        Width and height in pixels.
    K:
        ``(3, 3)`` float64, without skew.
    distortion:
        One of ``DISTORTION_MODELS``.
    coefficients:
        ``(n,)`` float64, in the order of ``COEFFICIENTS``.

    """

    size: tuple[int, int]
    K: np.ndarray
    distortion: str
    coefficients: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of ``vector``."""
        return ('fx', 'fy', 'cx', 'cy', *COEFFICIENTS[self.distortion])

    @property
    def vector(self) -> np.ndarray:
        """Return focal lengths and principal point in pixels, then the coefficients."""
        K = self.K
        return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2], *self.coefficients])

    def with_vector(self, vector: np.ndarray) -> Camera:
        """Return the camera with other values of ``vector``."""
        fx, fy, cx, cy = vector[:4]
        return Camera(self.size, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]),
                      self.distortion, np.array(vector[4:], np.float64))

    def project(self, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Project points ``(N, 3)`` of the optical frame into the image.

        Returns
        -------
        points_px, by_point, by_camera
            ``(N, 2)``, and the derivatives ``(N, 2, 3)`` by the points and
            ``(2 N, len(vector))`` by ``vector``.

        """
        count = len(self.coefficients)
        zero = np.zeros(3)  # a shift of the camera is a shift of every point
        if self.distortion == 'equidistant':
            points_px, jacobian = cv2.fisheye.projectPoints(
                points_m.reshape(1, -1, 3), zero.reshape(3, 1), zero.reshape(3, 1), self.K,
                self.coefficients.reshape(4, 1))
            by_point, by_camera = jacobian[:, 11:14], jacobian[:, :8]
        else:
            points_px, jacobian = cv2.projectPoints(
                points_m, zero, zero, self.K, self.coefficients if count else np.zeros(4))
            by_point, by_camera = jacobian[:, 3:6], jacobian[:, 6:10 + count]
        return points_px.reshape(-1, 2), by_point.reshape(-1, 2, 3), by_camera

    def rays(self, points_px: np.ndarray) -> np.ndarray:
        """Return the directions ``(N, 3)`` of pixels ``(N, 2)``, with z = 1; lens undone."""
        points = np.asarray(points_px, np.float64).reshape(-1, 1, 2)
        if self.distortion == 'equidistant':
            undistorted = cv2.fisheye.undistortPoints(points, self.K,
                                                      self.coefficients.reshape(4, 1))
        else:
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
            undistorted = cv2.undistortPointsIter(
                points, self.K, self.coefficients if len(self.coefficients) else np.zeros(4),
                np.eye(3), np.eye(3), criteria)
        return np.hstack([undistorted.reshape(-1, 2), np.ones((len(points), 1))])
