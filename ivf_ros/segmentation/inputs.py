# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be segmented."""

from __future__ import annotations

from ivf_ros import images
from ivf_ros.thermal import check_thermal
import numpy as np


class SegmentationError(ValueError):
    """Images that cannot be segmented, or a segmenter that is not there."""


def check_images(image: np.ndarray, thermal: np.ndarray | None) -> None:
    """
    Refuse what is no image ``(H, W, 3)`` or ``(H, W)`` uint8 with thermal, if any, on its grid.

    Raises
    ------
    SegmentationError
        The message says what was got and what is allowed.

    """
    images.check_8bit(image, 'image', SegmentationError)
    if thermal is None:
        return
    check_thermal(thermal, SegmentationError)
    if thermal.shape != image.shape[:2]:
        raise SegmentationError('thermal must lie on the grid of the image: '
                                f'got {thermal.shape}, expected {image.shape[:2]}')
