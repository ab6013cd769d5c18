# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The people detector that comes with OpenCV: no weights to fetch, and no great accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import images
from ivf_ros.detection.inputs import DetectionError
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

_WINDOW_PX = (64, 128)
# The window holds a person with context around; these shares of it are cut from each side, as
# fits human boxes best. The training images have 16 of 128 pixels above and below.
_MARGIN_X, _MARGIN_Y = 0.20, 0.10


@dataclass(frozen=True)
class HogParameters:
    """How people are searched."""

    hit_threshold: float = parameter(
        0.3, 'Least distance from the separating plane; more finds fewer people and fewer ghosts.',
        minimum=-2.0, maximum=5.0)
    stride_px: int = parameter(
        8, 'Step of the search window; a multiple of 8; 16 is four times as fast and finds less.',
        minimum=8, maximum=64)
    scale_step: float = parameter(
        1.2, 'Ratio of neighbouring sizes that are searched.', minimum=1.01, maximum=2.0)
    nms_iou: float = parameter(
        0.4, 'Of two boxes that overlap by more than this the better one stays.',
        minimum=0.0, maximum=1.0)
    search_width_px: int = parameter(
        960, 'Images are resized to this width before the search, whose time grows with its '
        'square. People lower than about 100 pixels after that are not found.',
        minimum=64, maximum=4096)
    largest_enlargement: float = parameter(
        2.0, 'Small images are enlarged by no more than this.', minimum=1.0, maximum=8.0)


class HogDetector:
    """
    Histograms of oriented gradients with a linear SVM, trained on people upright by day.

    Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, with the
    coefficients of ``cv2.HOGDescriptor_getDefaultPeopleDetector``. ``parameters`` may be replaced
    between two images.
    """

    class_names = ('person',)
    takes_thermal = False  # beside the image

    def __init__(self, parameters: HogParameters | None = None) -> None:
        """
        Load the coefficients.

        Raises
        ------
        DetectionError
            This OpenCV lacks the detector.

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
        Find people, best first.

        The score is ``1 / (1 + exp(-2 m))`` of the distance m from the separating plane: monotone
        and between 0 and 1, but no probability.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            None: this method takes one image.

        Returns
        -------
        list[Detection]
            Boxes in pixels of ``image``, clipped to it; empty for images smaller than the search
            window.

        Raises
        ------
        DetectionError
            No such image, or thermal beside it.

        """
        images.check_8bit(image, 'image', DetectionError)
        if thermal is not None:
            raise DetectionError('hog takes one image, got RGB and thermal')
        height, width = image.shape[:2]
        p = self.parameters
        enlargement = min(p.search_width_px / width, p.largest_enlargement)
        size = round(width * enlargement), round(height * enlargement)
        if size[0] < _WINDOW_PX[0] or size[1] < _WINDOW_PX[1]:
            return []
        searched = cv2.resize(image, size, interpolation=(
            cv2.INTER_LINEAR if enlargement >= 1 else cv2.INTER_AREA))
        stride = max(8, p.stride_px // 8 * 8)  # blocks lie on a grid of 8 pixels
        # By position: the last argument, which switches the grouping off, changed its name.
        windows, margins = self._hog.detectMultiScale(
            searched, p.hit_threshold, (stride, stride), (0, 0), p.scale_step, 0)
        if len(windows) == 0:
            return []
        scores = 1.0 / (1.0 + np.exp(-2.0 * np.ravel(margins)))
        scale = np.array([width / size[0], height / size[1]] * 2)
        boxes_xywh = _without_margin(np.asarray(windows, np.float64)) * scale
        kept = cv2.dnn.NMSBoxes(boxes_xywh.tolist(), scores.tolist(), 0.0, p.nms_iou)
        return [_detection(boxes_xywh[k], float(scores[k]), width, height) for k in np.ravel(kept)]


def _without_margin(windows_xywh: np.ndarray) -> np.ndarray:
    x, y, w, h = windows_xywh.T
    return np.stack([x + _MARGIN_X * w, y + _MARGIN_Y * h,
                     (1 - 2 * _MARGIN_X) * w, (1 - 2 * _MARGIN_Y) * h], axis=1)


def _detection(box_xywh: np.ndarray, score: float, width: int, height: int) -> Detection:
    x, y, w, h = (float(value) for value in box_xywh)
    box = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
    return Detection(box, 'person', score)
