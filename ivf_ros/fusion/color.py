# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The colour rule: the fused luma, the chroma of RGB."""

from __future__ import annotations

import cv2
import numpy as np


def replace_luma(bgr: np.ndarray, luma: np.ndarray, new_luma: np.ndarray) -> np.ndarray:
    """
    Give a colour image another luma Y' and keep its chroma wherever that is displayable.

    In YCrCb, Cr and Cb are multiples of R - Y and B - Y. To keep both is to add Y' - Y to all
    three channels. Where a channel would leave 0 to 255 the colour moves towards the gray of Y'
    just as far as needed::

        c' = Y' + s (c - Y),    s = min(1, (255 - Y') / (max_c - Y), Y' / (Y - min_c))

    So the luma is always the fused one and the hue stays; a hot object that fusion made white is
    white, whatever its paint, and darkness stays dark. As Cr and Cb are not scaled up with the
    luma, the colour noise of a night image fades where thermal brightens it.

    Parameters
    ----------
    bgr:
        ``(H, W, 3)`` uint8.
    luma:
        ``(H, W)`` uint8, the BT.601 luma of ``bgr``.
    new_luma:
        ``(H, W)`` uint8.

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` uint8, new.

    """
    blue, green, red = cv2.split(bgr)
    highest = cv2.max(cv2.max(blue, green), red)
    lowest = cv2.min(cv2.min(blue, green), red)
    # Room to the limits of the display over the chroma that wants to go there, the latter at
    # least 1: OpenCV takes x / 0 for 0, and a gray pixel has no chroma to lose.
    above = cv2.divide(cv2.bitwise_not(new_luma), np.maximum(cv2.subtract(highest, luma), 1),
                       dtype=cv2.CV_32F)
    below = cv2.divide(new_luma, np.maximum(cv2.subtract(luma, lowest), 1), dtype=cv2.CV_32F)
    scale = np.minimum(cv2.min(above, below), 1, out=below)
    chroma = above  # from here on only room for what follows
    for channel in (blue, green, red):
        cv2.subtract(channel, luma, dst=chroma, dtype=cv2.CV_32F)
        cv2.multiply(chroma, scale, dst=chroma)
        cv2.add(chroma, new_luma, dst=channel, dtype=cv2.CV_8U)
    return cv2.merge((blue, green, red))
