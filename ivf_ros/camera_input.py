# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Correction of the images of a camera as it is built into a robot, before all stages.

The order is fixed: crop, undistort, rotate, mirror. The calibration of the camera follows each
step. For thermal, ``thermal_input`` converts the pixels first.
"""

from __future__ import annotations

from dataclasses import dataclass
import threading

import cv2
from ivf_ros.camera_model import CameraModel, CameraModelError, Size
from ivf_ros.parameters import parameter, ParameterError
import numpy as np

ROTATIONS = (0, 90, 180, 270)
MIRRORS = ('none', 'horizontal', 'vertical')

_ROTATE_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180,
                 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIP_CODES = {'horizontal': 1, 'vertical': 0}


class CameraInputError(ValueError):
    """An image of a camera cannot be corrected as the parameters say."""


@dataclass(frozen=True)
class CameraParameters:
    """How a camera is built in, and which part of its image is the picture."""

    crop: tuple = parameter(
        (), 'Four numbers: pixels to remove at the left, top, right and bottom, for rows of '
        'telemetry, borders, or the second picture of a double frame. Empty for none.', live=False)
    undistort: bool = parameter(
        False, 'Undistort the image with the CameraInfo of the camera: models plumb_bob, '
        'rational_polynomial and equidistant. Images wait for the CameraInfo.', live=False)
    rotate: int = parameter(
        0, 'Clockwise rotation of the image in degrees, for a camera that is built in turned.',
        choices=ROTATIONS, live=False)
    mirror: str = parameter(
        'none', 'Mirror the image, after the rotation: horizontal exchanges left and right, '
        'vertical exchanges top and bottom.', choices=MIRRORS, live=False)

    def __post_init__(self) -> None:
        if len(self.crop) not in (0, 4) or any(side < 0 or side != int(side)
                                               for side in self.crop):
            raise ParameterError('crop must be empty or four whole numbers from 0 (left, top, '
                                 f'right, bottom), got {list(self.crop)}')

    @property
    def moves_pixels(self) -> bool:
        """Whether a corrected image has another geometry than the image of the camera."""
        return bool(self.crop) or self.undistort or self.rotate != 0 or self.mirror != 'none'


class CameraGeometry:
    """Crops, undistorts, rotates and mirrors the images of one camera; thread-safe."""

    def __init__(self, parameters: CameraParameters) -> None:
        self.parameters = parameters
        self._lock = threading.Lock()
        self._model: CameraModel | None = None  # as the camera sends it
        self._size: Size | None = None  # of the images that the camera sends
        self._rows = (0, 0)  # removed by the caller at the top and the bottom
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def set_model(self, model: CameraModel) -> None:
        """Take the calibration of the camera, as its CameraInfo has it."""
        with self._lock:
            if not model.is_same(self._model):
                self._model, self._maps = model, None

    def apply(self, image: np.ndarray, removed_rows: tuple[int, int] = (0, 0)) -> np.ndarray:
        """
        Return the corrected image; it is the input itself if there is nothing to correct.

        Parameters
        ----------
        image:
            ``(H, W)`` or ``(H, W, 3)`` of any type.
        removed_rows:
            Rows at the top and the bottom that are no image, which the caller has removed.

        Raises
        ------
        CameraInputError
            The crop leaves nothing, or ``undistort`` is set and there is no usable calibration.

        """
        p = self.parameters
        size = image.shape[1], image.shape[0] + sum(removed_rows)
        with self._lock:
            if (size, removed_rows) != (self._size, self._rows):
                self._size, self._rows, self._maps = size, removed_rows, None
            if p.crop:
                left, top, right, bottom = map(int, p.crop)
                image = image[top:image.shape[0] - bottom, left:image.shape[1] - right]
                if not image.size:
                    raise CameraInputError(f'crop {list(p.crop)} leaves nothing of an image of '
                                           f'{size[0]}x{size[1]}')
            if p.undistort:
                image = self._undistort(image)
        if p.rotate:
            image = cv2.rotate(image, _ROTATE_CODES[p.rotate])
        if p.mirror != 'none':
            image = cv2.flip(image, _FLIP_CODES[p.mirror])
        return image

    def model(self) -> CameraModel | None:
        """
        Return the calibration of the corrected image; None if the camera sent none.

        Raises
        ------
        CameraModelError
            The calibration does not fit the image.

        """
        with self._lock:
            model = self._cropped_model()
        if model is None:
            return None
        if self.parameters.undistort:
            model = model.undistort()
        M_image, size = self._turn(model.size)
        return model.turn(M_image, size)

    def projection(self, rectified: bool = False) -> np.ndarray | None:
        """
        Return the ``(3, 3)`` matrix from the optical frame of the camera to corrected pixels.

        In contrast to ``model().K``, the optical frame is that of the camera as it is built, so
        that extrinsics to it remain valid. None without calibration, also if the focal length
        is 0. If ``rectified``, the images are, so that the matrix is that of ``P``.
        """
        with self._lock:
            model = self._cropped_model()
        if model is None or not model.is_calibrated:
            return None
        return self._turn(model.size)[0] @ (model.P[:, :3] if rectified else model.K)

    def _cropped_model(self) -> CameraModel | None:
        """Return the calibration of the image after the crop."""
        model, size = self._model, self._size
        if model is None:
            return None
        if size is None:  # no image yet: that of the CameraInfo is expected
            region = model.roi[2] or model.size[0], model.roi[3] or model.size[1]
            size = region[0] // model.binning[0], region[1] // model.binning[1]
        left, top, right, bottom = map(int, self.parameters.crop or (0, 0, 0, 0))
        top, bottom = top + self._rows[0], bottom + self._rows[1]
        cropped = size[0] - left - right, size[1] - top - bottom
        try:
            return model.fit_to_image(size).crop(left, top, cropped)
        except CameraModelError:
            # The calibration may be that of the picture without telemetry.
            return model.fit_to_image(cropped)

    def _undistort(self, image: np.ndarray) -> np.ndarray:
        if self._maps is None:
            try:
                model = self._cropped_model()
                if model is None:
                    raise CameraInputError('undistort needs the CameraInfo of the camera, and '
                                           'none has arrived')
                self._maps = model.make_undistortion_maps()
            except CameraModelError as error:
                raise CameraInputError(f'cannot undistort: {error}') from None
        return cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _turn(self, size: Size) -> tuple[np.ndarray, Size]:
        """Return the map of pixels by rotation and mirror, and the size after it."""
        width, height = size
        M_image = np.eye(3)
        if self.parameters.rotate == 90:
            M_image = np.array([[0.0, -1.0, height - 1], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        elif self.parameters.rotate == 180:
            M_image = np.array([[-1.0, 0.0, width - 1], [0.0, -1.0, height - 1], [0.0, 0.0, 1.0]])
        elif self.parameters.rotate == 270:
            M_image = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1], [0.0, 0.0, 1.0]])
        if self.parameters.rotate in (90, 270):
            width, height = height, width
        if self.parameters.mirror == 'horizontal':
            M_image = np.array([[-1.0, 0.0, width - 1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) \
                @ M_image
        elif self.parameters.mirror == 'vertical':
            M_image = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height - 1], [0.0, 0.0, 1.0]]) \
                @ M_image
        return M_image, (width, height)
