# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the networks for registration look at, in training and at work alike."""

from __future__ import annotations

import cv2
import numpy as np

_WINDOW_PX = 17  # side of the window over which the second channel is normalised
_LIMIT = 4.0


def normalized_input(image: np.ndarray) -> np.ndarray:
    """
    Return ``(2, H, W)`` float32 of a gray image ``(H, W)`` of any linear unit.

    The first channel is the image with mean 0 and standard deviation 1, the second the same
    within the surroundings of each pixel, which shows structure in shadow and in glare alike.
    Neither depends on gain and offset of the camera. An image without contrast gives zeros.
    """
    image = image.astype(np.float32)
    centred = image - float(image.mean())
    spread = float(np.sqrt(np.square(centred).mean()))
    if not spread > 0:
        return np.zeros((2, *image.shape), np.float32)
    centred /= spread
    window = (_WINDOW_PX, _WINDOW_PX)
    mean = cv2.blur(centred, window, borderType=cv2.BORDER_REFLECT_101)
    power = cv2.blur(centred * centred, window, borderType=cv2.BORDER_REFLECT_101)
    local = (centred - mean) / (np.sqrt(np.maximum(power - mean * mean, 0)) + 0.05)
    return np.clip(np.stack([centred, local]), -_LIMIT, _LIMIT)
