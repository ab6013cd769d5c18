# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gradient transfer: the intensities of thermal with the edges of RGB."""

from __future__ import annotations

import cv2
from ivf_ros.fusion.pixelwise import to_gray8
import numpy as np

_LAMBDA = 4.0  # the value of Ma et al.
_ITERATIONS = 100  # at each scale; the energy is then within about 1 % of its minimum
_PRIMAL_STEP = 1.0  # gray levels
_DUAL_STEP = 1 / (8 * _PRIMAL_STEP)  # the largest step that converges
_COARSEST_PX = 32  # shorter side of the coarsest scale; coarser scales save no time


def gradient_transfer(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Return the image with the intensities of thermal T and the gradients of RGB V.

    Ma, Chen, Li and Huang, "Infrared and visible image fusion via gradient transfer and total
    variation minimization", Information Fusion 31, 2016: the F that minimises ::

        sum |F - T| + lambda sum |grad F - grad V|,    lambda = 4

    is V + Y, where Y minimises ``sum |Y - (T - V)| + lambda TV(Y)``. The problem is convex. The
    paper solves it by reweighted least squares. This implementation uses the primal-dual iteration
    of Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with
    applications to imaging", J. Mathematical Imaging and Vision 40, 2011, section 6.2.2, from
    coarse to fine.

    The images and the result are ``(H, W)`` uint8. The rule is not symmetric in the two images.
    """
    difference = thermal.astype(np.float32) - luma.astype(np.float32)
    return to_gray8(luma + _minimize_variation(difference, _LAMBDA)[0])


def _minimize_variation(f: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Minimise ``sum |Y - f| + weight TV(Y)`` over Y.

    Returns Y and the dual variable along x and y, whose length is at most ``weight``. The solution
    at half the scale is the start. There the number of pixels is a quarter, and the variation
    around the same shapes is half, so the weight is half.
    """
    height, width = f.shape
    if min(height, width) > _COARSEST_PX:
        half = cv2.resize(f, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
        Y, along_x, along_y = (cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
                               for part in _minimize_variation(half, weight / 2))
        along_x *= 2
        along_y *= 2
        along_x[:, -1] = 0
        along_y[-1] = 0
    else:
        Y, along_x, along_y = f, np.zeros_like(f), np.zeros_like(f)

    for _ in range(_ITERATIONS):
        X = Y - f + _PRIMAL_STEP * _divergence(along_x, along_y)
        X -= np.clip(X, -_PRIMAL_STEP, _PRIMAL_STEP)
        X += f
        extrapolated = 2 * X - Y
        extrapolated *= _DUAL_STEP
        along_x[:, :-1] += extrapolated[:, 1:] - extrapolated[:, :-1]
        along_y[:-1] += extrapolated[1:] - extrapolated[:-1]
        excess_length = np.maximum(cv2.magnitude(along_x, along_y) / weight, 1)
        np.divide(along_x, excess_length, out=along_x)
        np.divide(along_y, excess_length, out=along_y)
        Y = X
    return Y, along_x, along_y


def _divergence(along_x: np.ndarray, along_y: np.ndarray) -> np.ndarray:
    """Return the negative adjoint of the forward difference, which is 0 at the last pixel."""
    divergence = along_x + along_y
    divergence[:, 1:] -= along_x[:, :-1]
    divergence[1:] -= along_y[:-1]
    return divergence
