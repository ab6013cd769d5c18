# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels laid over an image in fixed colours."""

from __future__ import annotations

import cv2
from ivf_ros.types import Segmentation
import numpy as np

# One colour a class, far apart in hue or lightness; class 0 is the background.
_COLORS_BGR = np.array([
    (0, 0, 0), (40, 80, 255), (255, 160, 30), (60, 210, 60), (0, 220, 255), (230, 60, 220),
    (240, 230, 60), (120, 60, 160), (60, 140, 240), (190, 190, 255), (160, 110, 40),
    (100, 255, 190), (90, 40, 90), (255, 190, 230), (40, 120, 110), (180, 180, 180)], np.uint8)


def overlay(image: np.ndarray, segmentation: Segmentation, opacity: float = 0.5) -> np.ndarray:
    """
    Lay the colours of the classes over a copy of the image; the background stays as it is.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8, of the size of the labels.
    opacity:
        0 (nothing is seen of the labels) to 1 (nothing of the image under them).

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` BGR uint8, new.

    """
    below = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
    labels = segmentation.labels
    colors = _COLORS_BGR[np.where(labels == 0, 0, (labels.astype(np.intp) - 1) % 15 + 1)]
    blended = cv2.addWeighted(below, 1 - opacity, colors, opacity, 0)
    return np.where((labels == 0)[..., None], below, blended)
