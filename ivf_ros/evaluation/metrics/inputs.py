# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the metrics accept."""

from __future__ import annotations

import numpy as np

# VIF filters and halves the image three times and needs a pixel at the end: 17 taps at the first
# scale, then 9, 5 and 3 twice.
MIN_SIDE_PX = 41

Sources = tuple[np.ndarray, np.ndarray]


class MetricError(ValueError):
    """Images or homographies that cannot be measured."""


def check_triple(thermal: np.ndarray, rgb: np.ndarray, fused: np.ndarray
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the three images as ``(H, W)`` float64.

    Raises
    ------
    MetricError
        Sizes differ or are too small, a type or a value is out of range, or not finite.

    """
    checked = [_check(name, image) for name, image in
               (('thermal', thermal), ('rgb', rgb), ('fused', fused))]
    shapes = [image.shape for image in checked]
    if len(set(shapes)) > 1:
        raise MetricError('thermal, rgb and fused must have one size, got '
                          + ', '.join(f'{shape[1]}x{shape[0]}' for shape in shapes))
    if min(shapes[0]) < MIN_SIDE_PX:
        raise MetricError(f'images must be at least {MIN_SIDE_PX} pixels a side, '
                          f'got {shapes[0][1]}x{shapes[0][0]}')
    return checked[0], checked[1], checked[2]


def _check(name: str, image: np.ndarray) -> np.ndarray:
    if image.ndim != 2:
        raise MetricError(f'{name} must be luma (H, W), got shape {image.shape}')
    if image.dtype != np.uint8 and image.dtype.kind != 'f':
        raise MetricError(f'{name} must be uint8 or float from 0 to 255, got {image.dtype}')
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise MetricError(f'{name} must be finite, got NaN or infinity')
    if values.size and not (values.min() >= 0.0 and values.max() <= 255.0):
        raise MetricError(f'{name} must lie within 0 and 255, '
                          f'got {values.min():g} to {values.max():g}')
    return values
