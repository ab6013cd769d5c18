# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Input of the registration networks, for training and for inference."""

from __future__ import annotations

import cv2
import numpy as np

_WINDOW_PX = 17  # side of the normalisation window of the second channel
_LIMIT = 4.0  # values are clipped to +- this


def normalized_input(image: np.ndarray) -> np.ndarray:
    """
    Return the network input ``(2, H, W)`` float32 of a gray image ``(H, W)`` in any linear unit.

    The first channel is the image with mean 0 and standard deviation 1. The second channel is
    normalised by the mean and the deviation in a window around each pixel: it shows structure in
    shadow and in glare too. Both are independent of the gain and the offset of the camera. An
    image without contrast gives zeros.
    """
    image = image.astype(np.float32)
    centred = image - float(image.mean())
    deviation = float(np.sqrt(np.square(centred).mean()))
    if not deviation > 0:
        return np.zeros((2, *image.shape), np.float32)
    centred /= deviation
    window = (_WINDOW_PX, _WINDOW_PX)
    mean = cv2.blur(centred, window, borderType=cv2.BORDER_REFLECT_101)
    power = cv2.blur(centred * centred, window, borderType=cv2.BORDER_REFLECT_101)
    locally_normalized = (centred - mean) / (np.sqrt(np.maximum(power - mean * mean, 0)) + 0.05)
    return np.clip(np.stack([centred, locally_normalized]), -_LIMIT, _LIMIT)
