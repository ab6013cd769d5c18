# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Levels of thermal images: which pixels have a value, percentiles, linear maps to integers.

A thermal image is as in ``thermal``.
"""

from __future__ import annotations

import numpy as np

_MAX_FLOAT = 1e30  # differences of larger floats may be infinite


def subsample(image: np.ndarray, n_pixels: int = 16384) -> np.ndarray:
    """Subsample an image to about ``n_pixels`` pixels on a regular grid, for percentiles."""
    stride = max(1, int(np.sqrt(image.size / n_pixels)))
    return image[::stride, ::stride]


def percentiles(thermal: np.ndarray, low: float, high: float) -> tuple[float, float] | None:
    """Return two percentiles, exact for 0 and 100; None if no pixel has a value."""
    exact = (low, high) == (0.0, 100.0)
    pixels = thermal if exact else subsample(thermal)
    if thermal.dtype.kind == 'f':
        pixels = pixels[is_measured(pixels)]
        if pixels.size == 0:  # none of the sample
            pixels = thermal[is_measured(thermal)]
    if pixels.size == 0:
        return None
    if exact:
        return float(pixels.min()), float(pixels.max())
    bounds = np.percentile(pixels, (low, high))
    return float(bounds[0]), float(bounds[1])


def is_measured(thermal: np.ndarray) -> np.ndarray:
    """Return which floats are values of a scene: not NaN, infinite, or as good as infinite."""
    return np.abs(thermal) < _MAX_FLOAT


def fill_like_tile(levels: np.ndarray, is_empty: np.ndarray, n_tiles: int) -> None:
    """
    Fill empty pixels in place, so that the histograms of the tiles of CLAHE stay in proportion.

    A tile gets the quantiles of its own pixels, and a tile without any those of the image. The
    tiles are those of OpenCV, which enlarges an image to multiples of their number.
    """
    height, width = levels.shape
    fits = height % n_tiles == 0 and width % n_tiles == 0
    tile_height, tile_width = (side // n_tiles + (not fits) for side in (height, width))
    in_order = np.sort(levels[~is_empty])
    for top in range(0, height, tile_height):
        for left in range(0, width, tile_width):
            tile = np.s_[top:top + tile_height, left:left + tile_width]
            n_empty = np.count_nonzero(is_empty[tile])
            if n_empty:
                known = np.sort(levels[tile][~is_empty[tile]])
                known = known if known.size else in_order
                ranks = (np.arange(n_empty) + 0.5) * known.size / n_empty
                levels[tile][is_empty[tile]] = known[ranks.astype(int)]


def stretch_to_range(thermal: np.ndarray, low: float, high: float, dtype: type) -> np.ndarray:
    """Map low to 0 and high to the maximum of ``dtype`` linearly, with saturation."""
    maximum = np.iinfo(dtype).max
    by_level = thermal.dtype.kind == 'u'
    levels = np.arange(2 ** (8 * thermal.itemsize), dtype=np.float32) if by_level else thermal
    bounded = np.fmin(np.fmax(levels, low), high)  # fmin and fmax replace NaN by low
    # Rounding errors of a narrow range can exceed the limits.
    gray = ((bounded - low) * (maximum / (high - low)) + 0.5).clip(0, maximum).astype(dtype)
    return np.take(gray, thermal) if by_level else gray
