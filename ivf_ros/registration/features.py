# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Dense structure features that thermal and visible images share.

Both cameras see the same outlines, with other contrast and often with opposite sign. So a pixel
is described by the orientation of the edges around it, modulo a half turn, which no change of
contrast or polarity alters. As in CFOG (Ye et al., Fast and Robust Matching for Multimodal
Remote Sensing Image Registration, IEEE TGRS 2019) the histogram of orientations is smoothed over
space and normalised per pixel; unlike there it is kept as its first two circular harmonics
instead of as nine bins, which holds nearly the same in four channels.
"""

from __future__ import annotations

import cv2
import numpy as np

CHANNELS = 2


def structure(image: np.ndarray) -> np.ndarray:
    """
    Return the features of a float32 gray image ``(H, W)`` as ``(H, W, 4)`` float32.

    The channels are the local mean of ``m cos 2a, m sin 2a, m cos 4a, m sin 4a``, with ``a`` the
    direction of the gradient and ``m`` its magnitude over that of its surroundings. A vector has
    length near 1 where edges are, and near 0 where there are none.
    """
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    magnitude = cv2.magnitude(gx, gy)
    mean = float(magnitude.mean())
    if not mean > 0:
        return np.zeros((*image.shape, CHANNELS), np.float32)
    around = cv2.blur(magnitude, (25, 25), borderType=cv2.BORDER_REFLECT)
    weight = np.minimum(magnitude / (around + 0.6 * mean), 2.0)
    unit = 1.0 / (magnitude + 1e-6 * mean)
    cos, sin = gx * unit, gy * unit
    features = cv2.merge([weight * (cos * cos - sin * sin), weight * (2 * cos * sin)])
    features = cv2.GaussianBlur(features, (0, 0), 0.6)
    length = np.sqrt(np.einsum('yxc,yxc->yx', features, features))
    return features / (length + 0.4)[..., None]
