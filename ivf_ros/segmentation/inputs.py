# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the input images of the segmentation stage."""

from __future__ import annotations

from ivf_ros import images
from ivf_ros.thermal import check_thermal
import numpy as np


class SegmentationError(ValueError):
    """Images cannot be segmented, or a segmenter is not available."""


def check_images(image: np.ndarray, thermal: np.ndarray | None) -> None:
    """
    Check shape and dtype of an image, and of thermal on the same grid.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    thermal:
        ``(H, W)`` uint8, uint16, float32 or float64, or None.

    Raises
    ------
    SegmentationError
        A shape or dtype is wrong.

    """
    images.check_8bit(image, 'image', SegmentationError)
    if thermal is None:
        return
    check_thermal(thermal, SegmentationError)
    if thermal.shape != image.shape[:2]:
        raise SegmentationError('thermal must lie on the grid of the image: '
                                f'got {thermal.shape}, expected {image.shape[:2]}')
