# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera: from pixels of its images to rays in its optical frame, and back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from ivf_ros.camera_input import CameraGeometry
from ivf_ros.camera_model import CameraModel, CameraModelError
import numpy as np


@dataclass(frozen=True, eq=False)
class CalibratedCamera:
    """
    The RGB camera or a depth camera, in its optical frame as it is built in.

    Attributes
    ----------
    model:
        Calibration of the images, which have the size of the model.
    M_frame_to_view:
        ``(3, 3)`` orthogonal, from the optical frame of the camera to that of the images. It
        differs from the identity where the images are rotated or mirrored after the camera.

    """

    model: CameraModel
    M_frame_to_view: np.ndarray = field(default_factory=lambda: np.eye(3))

    @classmethod
    def from_geometry(cls, geometry: CameraGeometry, rectified: bool) -> CalibratedCamera | None:
        """
        Return the camera of corrected images; None if the camera sent no calibration.

        If ``rectified``, the camera sends rectified images: their pinhole matrix is ``P``.

        Raises
        ------
        CameraModelError
            The calibration does not fit the images, or the focal length is 0.

        """
        model, projection = geometry.model(), geometry.projection(rectified)
        if model is None:
            return None
        if rectified:
            model = replace(model, K=model.P[:, :3], distortion_model='', D=())
        if projection is None or not model.is_calibrated:
            raise CameraModelError('the camera is not calibrated: its focal length is 0')
        # ``projection`` maps the frame of the camera to pixels, ``K`` that of the turned images.
        return cls(model, np.linalg.inv(model.K) @ projection)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images in pixels."""
        return self.model.size

    @cached_property
    def grid_rays(self) -> np.ndarray:
        """The directions of all pixels, ``(H, W, 3)`` float32, z = 1."""
        width, height = self.size
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        return self.rays(pixels.reshape(-1, 2)).reshape(height, width, 3).astype(np.float32)

    def is_same(self, other: CalibratedCamera | None) -> bool:
        """Return whether another camera has the same calibration."""
        return other is not None and self.model.is_same(other.model) \
            and np.array_equal(self.M_frame_to_view, other.M_frame_to_view)

    def rays(self, points_px: np.ndarray) -> np.ndarray:
        """Return the directions ``(N, 3)``, z = 1, of pixels ``(N, 2)``."""
        return self.model.rays(points_px) @ self.M_frame_to_view

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Return the pixels ``(N, 2)`` of points ``(N, 3)`` in front of the camera."""
        if not np.array_equal(self.M_frame_to_view, np.eye(3)):
            points_m = points_m @ self.M_frame_to_view.T
        return self.model.project(points_m)
