# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion rules that use each pixel without its neighbours."""

from __future__ import annotations

import cv2
import numpy as np


def average(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Return the mean of both, ``(H, W)`` uint8; halves are rounded to the even level."""
    return cv2.addWeighted(thermal, 0.5, luma, 0.5, 0.0)


def maximum(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Return the maximum of both at each pixel, ``(H, W)`` uint8."""
    return np.maximum(thermal, luma)


def pca(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Return the sum of the two images, weighted by their first principal component.

    Naidu and Raol, "Pixel-level image fusion using wavelets and principal component analysis",
    Defence Science Journal 58(3), 2008: F = w_T T + w_V V, with one weight for each image, see
    ``principal_weights``. The image with more contrast has the larger weight.

    The images and the result are ``(H, W)`` uint8.
    """
    T, V = thermal.astype(np.float32), luma.astype(np.float32)
    w_T, w_V = principal_weights(T, V)
    return to_gray8(w_T * T + w_V * V)


def principal_weights(T: np.ndarray, V: np.ndarray) -> tuple[float, float]:
    """
    Return the components of the first eigenvector of the covariance of two images, with sum 1.

    With the variances a and b and the covariance c, the ratio of their squares is r + d to r - d,
    where d = (a - b) / 2 and r = sqrt(d^2 + c^2). If c < 0, their signs differ: the published
    division by their sum would subtract one image from the other, without a limit as a approaches
    b. Here the absolute values are used, so that both weights are from 0 to 1. The weights of two
    constant images are equal. If c >= 0, the weights are the published ones.
    """
    covariance = np.cov(T.ravel(), V.ravel(), bias=True)
    d = (covariance[0, 0] - covariance[1, 1]) / 2
    r = np.hypot(d, covariance[0, 1])
    if r == 0:
        return 0.5, 0.5
    # |d| may exceed r by a rounding error.
    v_T, v_V = np.sqrt(max(r + d, 0.0)), np.sqrt(max(r - d, 0.0))
    return float(v_T / (v_T + v_V)), float(v_V / (v_T + v_V))


def to_gray8(levels: np.ndarray) -> np.ndarray:
    """Round float gray levels ``(H, W)`` to uint8, with saturation at 0 and 255."""
    return cv2.convertScaleAbs(np.maximum(levels, 0))
