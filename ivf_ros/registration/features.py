# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Dense structure features that thermal and visible images have in common.

Both cameras show the same outlines, with different contrast and often with opposite sign. So each
pixel is described by the orientation of the edges around it, modulo 180 degrees. It is invariant
to contrast and polarity. As in CFOG (Ye et al., Fast and Robust Matching for Multimodal Remote
Sensing Image Registration, IEEE TGRS 2019) the histogram of orientations is smoothed over space
and normalised per pixel. Unlike CFOG, which keeps nine bins, this module keeps the first circular
harmonic of the histogram, which is one complex number per pixel.
"""

from __future__ import annotations

import cv2
import numpy as np


def structure(image: np.ndarray) -> np.ndarray:
    """
    Return the features of a float32 gray image ``(H, W)`` as ``(H, W, 2)`` float32.

    The channels are the local mean of ``m cos 2a`` and ``m sin 2a``. ``a`` is the direction of the
    gradient, and ``m`` is its magnitude over the mean magnitude around it. The length of a vector
    is near 1 at edges, and near 0 elsewhere.
    """
    gx = cv2.Sobel(image, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(image, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    magnitude: np.ndarray = cv2.magnitude(gx, gy)
    mean = cv2.mean(magnitude)[0]
    if not mean > 0:
        return np.zeros((*image.shape, 2), np.float32)
    local_mean: np.ndarray = cv2.blur(magnitude, (25, 25), borderType=cv2.BORDER_REFLECT)
    local_mean += 0.6 * mean
    weight = np.minimum(cv2.divide(magnitude, local_mean), 2.0)
    # cos 2a = (gx^2 - gy^2) / magnitude^2, sin 2a = 2 gx gy / magnitude^2
    magnitude += 1e-6 * mean
    weight /= magnitude * magnitude
    cos = cv2.GaussianBlur((gx - gy) * (gx + gy) * weight, (0, 0), 0.6)
    sin = cv2.GaussianBlur(2 * gx * gy * weight, (0, 0), 0.6)
    length: np.ndarray = cv2.magnitude(cos, sin)
    length += 0.4
    return cv2.merge([cv2.divide(cos, length), cv2.divide(sin, length)])


def rotate_features(features: np.ndarray, angle_rad: float) -> np.ndarray:
    """Return the features of an image that is rotated by an angle, from x towards y."""
    rotation = np.complex64(np.exp(2j * angle_rad))
    return (features.view(np.complex64) * rotation).view(np.float32)


def downsample(features: np.ndarray, factor: int) -> np.ndarray:
    """
    Return the means of features on a grid that is coarser by a factor.

    Unlike the features of a smaller image, they include fine edges.
    """
    size = round(features.shape[1] / factor), round(features.shape[0] / factor)
    return cv2.resize(features, size, interpolation=cv2.INTER_AREA) if factor > 1 else features
