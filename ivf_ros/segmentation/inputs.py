# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be segmented."""

from __future__ import annotations

import numpy as np

_THERMAL_TYPES = ('uint8', 'uint16', 'float32', 'float64')


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
    if image.shape[2:] not in ((), (3,)) or image.ndim < 2 or image.dtype != np.uint8 \
            or image.size == 0:
        raise SegmentationError('image must be (H, W, 3) BGR or (H, W) gray of uint8, '
                                f'got {image.shape} {image.dtype}')
    if thermal is None:
        return
    if thermal.ndim != 2 or thermal.dtype.name not in _THERMAL_TYPES:
        raise SegmentationError(f'thermal must be (H, W) of {", ".join(_THERMAL_TYPES)}, '
                                f'got {thermal.shape} {thermal.dtype}')
    if thermal.shape != image.shape[:2]:
        raise SegmentationError('thermal must lie on the grid of the image: '
                                f'got {thermal.shape}, expected {image.shape[:2]}')
