# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Dense structure features that thermal and visible images share.

Both cameras see the same outlines, with other contrast and often with opposite sign. So a pixel
is described by the orientation of the edges around it, modulo a half turn, which no change of
contrast or polarity alters. As in CFOG (Ye et al., Fast and Robust Matching for Multimodal
Remote Sensing Image Registration, IEEE TGRS 2019) the histogram of orientations is smoothed over
space and normalised per pixel; unlike there it is kept as its first circular harmonic instead of
as nine bins, which is one complex number a pixel.
"""

from __future__ import annotations

import cv2
import numpy as np


def structure(image: np.ndarray) -> np.ndarray:
    """
    Return the features of a float32 gray image ``(H, W)`` as ``(H, W, 2)`` float32.

    The channels are the local mean of ``m cos 2a`` and ``m sin 2a``, with ``a`` the direction of
    the gradient and ``m`` its magnitude over that of its surroundings. A vector has length near 1
    where edges are, and near 0 where there are none.
    """
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    magnitude: np.ndarray = cv2.magnitude(gx, gy)
    mean = cv2.mean(magnitude)[0]
    if not mean > 0:
        return np.zeros((*image.shape, 2), np.float32)
    around: np.ndarray = cv2.blur(magnitude, (25, 25), borderType=cv2.BORDER_REFLECT)
    around += 0.6 * mean
    weight = np.minimum(cv2.divide(magnitude, around), 2.0)
    # cos 2a = (gx^2 - gy^2) / magnitude^2, sin 2a = 2 gx gy / magnitude^2
    magnitude += 1e-6 * mean
    weight /= magnitude * magnitude
    cos = cv2.GaussianBlur((gx - gy) * (gx + gy) * weight, (0, 0), 0.6)
    sin = cv2.GaussianBlur(2 * gx * gy * weight, (0, 0), 0.6)
    length: np.ndarray = cv2.magnitude(cos, sin)
    length += 0.4
    return cv2.merge([cv2.divide(cos, length), cv2.divide(sin, length)])


def rotate_features(features: np.ndarray, angle_rad: float) -> np.ndarray:
    """Return the features of an image that is turned by an angle, taking x towards y."""
    turn = np.complex64(np.exp(2j * angle_rad))
    return (features.view(np.complex64) * turn).view(np.float32)


def downsample(features: np.ndarray, times: int) -> np.ndarray:
    """
    Return the means of features on a grid that is so many times coarser.

    Unlike the features of a smaller image these tell of fine edges, too.
    """
    size = round(features.shape[1] / times), round(features.shape[0] / times)
    return cv2.resize(features, size, interpolation=cv2.INTER_AREA) if times > 1 else features
