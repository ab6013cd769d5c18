# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The people detector of OpenCV: it needs no weight file, and its accuracy is low."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import images
from ivf_ros.detection.errors import DetectionError
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

_WINDOW_PX = (64, 128)
# The window contains a person and some background. These fractions of it are cut off at each side,
# to fit the boxes of human labels best. The training images have 16 of 128 pixels above and below.
_MARGIN_X, _MARGIN_Y = 0.20, 0.10


@dataclass(frozen=True)
class HogParameters:
    """Parameters of the search for people."""

    hit_threshold: float = parameter(
        0.3, 'Minimum distance from the separating plane of the classifier. A larger value gives '
        'fewer false detections, and misses more people.', minimum=-2.0, maximum=5.0)
    stride_px: int = parameter(
        8, 'Step of the search window, a multiple of 8. 16 is four times as fast and finds fewer '
        'people.', minimum=8, maximum=64)
    scale_step: float = parameter(
        1.2, 'Ratio between successive scales of the search.', minimum=1.01, maximum=2.0)
    nms_iou: float = parameter(
        0.4, 'If two boxes have a larger IoU than this, the one with the lower score is dropped.',
        minimum=0.0, maximum=1.0)
    search_width_px: int = parameter(
        960, 'Images are resized to this width before the search. The computing time grows with '
        'its square. People with a height below about 100 pixels after that are not found.',
        minimum=64, maximum=4096)
    largest_enlargement: float = parameter(
        2.0, 'Maximum factor by which small images are enlarged.', minimum=1.0, maximum=8.0)


class HogDetector:
    """
    Histograms of oriented gradients with a linear SVM, trained on upright people by day.

    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, with the
    coefficients of ``cv2.HOGDescriptor_getDefaultPeopleDetector``. ``parameters`` may be replaced
    between two images.
    """

    class_names = ('person',)
    takes_thermal = False

    def __init__(self, parameters: HogParameters | None = None) -> None:
        """
        Load the coefficients.

        Raises
        ------
        DetectionError
            The installed OpenCV has no ``HOGDescriptor``.

        """
        if not hasattr(cv2, 'HOGDescriptor'):
            raise DetectionError(
                f"OpenCV {cv2.__version__} lacks HOGDescriptor, which method 'hog' needs; install "
                "OpenCV 4 (pip install 'opencv-python-headless<5') or opencv-contrib-python")
        self.parameters = parameters or HogParameters()
        self._hog = cv2.HOGDescriptor()
        coefficients = cv2.HOGDescriptor_getDefaultPeopleDetector()  # type: ignore[attr-defined]
        self._hog.setSVMDetector(coefficients)

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find people, highest score first.

        The score is ``1 / (1 + exp(-2 m))``, where m is the distance from the separating plane. It
        increases with m and is between 0 and 1, but it is not a probability.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            Must be None: this method takes one image.

        Returns
        -------
        list[Detection]
            Boxes in pixels of ``image``, clipped to it; empty for images smaller than the search
            window.

        Raises
        ------
        DetectionError
            The shape or the dtype of ``image`` is wrong, or ``thermal`` is not None.

        """
        images.check_8bit(image, 'image', DetectionError)
        if thermal is not None:
            raise DetectionError('hog takes one image, got RGB and thermal')
        height, width = image.shape[:2]
        p = self.parameters
        scale = min(p.search_width_px / width, p.largest_enlargement)
        size = round(width * scale), round(height * scale)
        if size[0] < _WINDOW_PX[0] or size[1] < _WINDOW_PX[1]:
            return []
        searched = cv2.resize(image, size, interpolation=(
            cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA))
        stride = max(8, p.stride_px // 8 * 8)  # blocks lie on a grid of 8 pixels
        # Positional, as OpenCV renamed the last argument, which switches the grouping off.
        windows, margins = self._hog.detectMultiScale(
            searched, p.hit_threshold, (stride, stride), (0, 0), p.scale_step, 0)
        if len(windows) == 0:
            return []
        scores = 1.0 / (1.0 + np.exp(-2.0 * np.ravel(margins)))
        to_image_px = np.array([width / size[0], height / size[1]] * 2)
        boxes_xywh = _cut_margin(np.asarray(windows, np.float64)) * to_image_px
        kept = cv2.dnn.NMSBoxes(boxes_xywh.tolist(), scores.tolist(), 0.0, p.nms_iou)
        return [_make_detection(boxes_xywh[index], float(scores[index]), width, height)
                for index in np.ravel(kept)]


def _cut_margin(windows_xywh: np.ndarray) -> np.ndarray:
    x, y, w, h = windows_xywh.T
    return np.stack([x + _MARGIN_X * w, y + _MARGIN_Y * h,
                     (1 - 2 * _MARGIN_X) * w, (1 - 2 * _MARGIN_Y) * h], axis=1)


def _make_detection(box_xywh: np.ndarray, score: float, width: int, height: int) -> Detection:
    """Return a person with this box, clipped to the image."""
    x, y, w, h = (float(value) for value in box_xywh)
    box = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
    return Detection(box, 'person', score)
