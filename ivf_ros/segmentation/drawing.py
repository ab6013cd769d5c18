# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Overlay of segmentation labels on an image, in fixed colours."""

from __future__ import annotations

import cv2
from ivf_ros.types import Segmentation
import numpy as np

# One colour for each class, distinct in hue or lightness; class 0 is the background.
_COLORS_BGR = np.array([
    (0, 0, 0), (40, 80, 255), (255, 160, 30), (60, 210, 60), (0, 220, 255), (230, 60, 220),
    (240, 230, 60), (120, 60, 160), (60, 140, 240), (190, 190, 255), (160, 110, 40),
    (100, 255, 190), (90, 40, 90), (255, 190, 230), (40, 120, 110), (180, 180, 180)], np.uint8)


def color_bgr(label: int) -> tuple[int, int, int]:
    """Return the colour of a label; the colours repeat after 15 classes."""
    blue, green, red = _COLORS_BGR[(label - 1) % 15 + 1 if label else 0].tolist()
    return blue, green, red


def overlay(image: np.ndarray, segmentation: Segmentation, opacity: float = 0.5) -> np.ndarray:
    """
    Blend the colours of the classes into a copy of the image; the background is unchanged.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8, of the size of the labels.
    segmentation:
        Labels of the image; the colours repeat after 15 classes.
    opacity:
        From 0 (only the image is visible) to 1 (only the labels are visible).

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` BGR uint8, new.

    """
    bgr = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
    labels = segmentation.labels
    colors = _COLORS_BGR[np.where(labels == 0, 0, (labels.astype(np.intp) - 1) % 15 + 1)]
    blended = cv2.addWeighted(bgr, 1 - opacity, colors, opacity, 0)
    return np.where((labels == 0)[..., None], bgr, blended)
