# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The colour rule: the result has the fused luma and the chroma of RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def replace_luma(bgr: np.ndarray, luma: np.ndarray, new_luma: np.ndarray) -> np.ndarray:
    """
    Replace the luma of a colour image by Y' and keep its chroma where that can be displayed.

    In YCrCb, Cr and Cb are multiples of R - Y and B - Y. Adding Y' - Y to all three channels keeps
    both. Where a channel would leave the range from 0 to 255, the chroma is scaled down as little
    as possible::

        c' = Y' + s (c - Y),    s = min(1, (255 - Y') / (max_c - Y), Y' / (Y - min_c))

    The luma is thus always the fused one, and the hue does not change. A hot object that is white
    after fusion is white in any colour, and dark regions stay dark. Cr and Cb are not scaled up
    with the luma, so the colour noise of a night image becomes weaker where thermal brightens it.

    Parameters
    ----------
    bgr:
        ``(H, W, 3)`` uint8.
    luma:
        ``(H, W)`` uint8, the BT.601 luma Y of ``bgr``.
    new_luma:
        ``(H, W)`` uint8, Y'.

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` uint8, new.

    """
    # Where no channel leaves the range, s is 1: nearly everywhere in most images.
    channels, highest, lowest = _split_with_extremes(bgr)
    change = cv2.subtract(new_luma, luma, dtype=cv2.CV_16S)
    shifted = cv2.merge([cv2.add(channel, change, dtype=cv2.CV_8U) for channel in channels])
    leaves_range = (np.asarray(cv2.add(highest, change, dtype=cv2.CV_16S)) > 255) \
        | (np.asarray(cv2.add(lowest, change, dtype=cv2.CV_16S)) < 0)
    points = cv2.findNonZero(leaves_range.view(np.uint8))
    if points is not None:
        columns, rows = points[:, 0].T
        shifted[rows, columns] = _scale_chroma(bgr[rows, columns][None], luma[rows, columns][None],
                                               new_luma[rows, columns][None])[0]
    return shifted


def _scale_chroma(bgr: np.ndarray, luma: np.ndarray, new_luma: np.ndarray) -> np.ndarray:
    """Return the result of ``replace_luma``, with s computed for every pixel."""
    channels, highest, lowest = _split_with_extremes(bgr)
    # The two quotients of s. The divisors are at least 1, as x / 0 is 0 in OpenCV; at a gray pixel
    # the value of s has no effect.
    above = cv2.divide(cv2.bitwise_not(new_luma), np.maximum(cv2.subtract(highest, luma), 1),
                       dtype=cv2.CV_32F)
    below = cv2.divide(new_luma, np.maximum(cv2.subtract(luma, lowest), 1), dtype=cv2.CV_32F)
    scale = np.minimum(cv2.min(above, below), 1, out=below)
    chroma = above  # the array is reused
    for channel in channels:
        cv2.subtract(channel, luma, dst=chroma, dtype=cv2.CV_32F)
        cv2.multiply(chroma, scale, dst=chroma)
        cv2.add(chroma, new_luma, dst=channel, dtype=cv2.CV_8U)
    return cv2.merge(channels)


def _split_with_extremes(bgr: np.ndarray) -> tuple[Sequence[np.ndarray], np.ndarray, np.ndarray]:
    """Return the three channels, and the highest and the lowest of them at each pixel."""
    blue, green, red = channels = cv2.split(bgr)
    return channels, cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
