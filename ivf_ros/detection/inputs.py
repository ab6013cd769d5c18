# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be searched."""

from __future__ import annotations

import cv2
import numpy as np


class DetectionError(ValueError):
    """An image that cannot be searched, or a detector that is not there."""


def check_image(image: np.ndarray) -> None:
    """
    Refuse what is no image ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.

    Raises
    ------
    DetectionError
        The message says what was got and what is allowed.

    """
    if image.shape[2:] not in ((), (3,)) or image.ndim < 2 or image.dtype != np.uint8 \
            or image.size == 0:
        raise DetectionError('image must be (H, W, 3) BGR or (H, W) gray of uint8, '
                             f'got {image.shape} {image.dtype}')


def with_thermal(bgr: np.ndarray, thermal: np.ndarray | None) -> np.ndarray:
    """
    Return ``(H, W, 4)``: BGR and, as the fourth channel, thermal ``(H, W)`` uint8.

    Raises
    ------
    DetectionError
        Thermal is missing, or of another size or type.

    """
    if thermal is None or thermal.shape != bgr.shape[:2] or thermal.dtype != np.uint8:
        raise DetectionError(f'this network needs thermal {bgr.shape[:2]} uint8 beside RGB, got '
                             + ('none' if thermal is None else f'{thermal.shape} {thermal.dtype}'))
    return cv2.merge([bgr, thermal])
