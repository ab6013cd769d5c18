# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Refinement: Gauss-Newton on the difference of two feature maps."""

from __future__ import annotations

import cv2
from ivf_ros import geometry
import numpy as np

_MIN_PIXELS = 100


def refine(features: np.ndarray, around: np.ndarray, margin_px: int, stride_px: int,
           iterations: int) -> np.ndarray:
    """
    Return the homography near the identity that best lays one feature map over another.

    Inverse compositional alignment (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004,
    section 3.2) of all channels, with a Cauchy weight a pixel, since a part of the edges is seen
    by one camera only.

    Parameters
    ----------
    features:
        ``(H, W, C)`` float32.
    around:
        ``(H + 2 margin, W + 2 margin, C)``: the other map on the same grid, with a margin.
    stride_px:
        Every how many pixels along x and y one is used.
    iterations:
        At most so many steps.

    """
    height, width = features.shape[:2]
    rows, columns = np.mgrid[1:height - 1:stride_px, 1:width - 1:stride_px]
    values = features[rows, columns].reshape(-1, features.shape[2])
    x_slope = 0.5 * (features[rows, columns + 1] - features[rows, columns - 1])
    y_slope = 0.5 * (features[rows + 1, columns] - features[rows - 1, columns])
    pixels = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float64)
    if len(pixels) < _MIN_PIXELS:
        return np.eye(3)

    # Coordinates from -1 to 1, in which the eight unknowns are of the same order.
    centre, half = ((width - 1) / 2, (height - 1) / 2), width / 2
    shrink = geometry.scaling(1 / half, 1 / half) @ geometry.translation(-centre[0], -centre[1])
    grow = np.linalg.inv(shrink)
    x, y = (geometry.transform_points(shrink, pixels).T[..., None]).astype(np.float32)
    x_slope, y_slope = (slope.reshape(values.shape) * half for slope in (x_slope, y_slope))
    outward = x * x_slope + y * y_slope
    jacobian = np.stack([x * x_slope, y * x_slope, x_slope, x * y_slope, y * y_slope, y_slope,
                         -x * outward, -y * outward], 2)

    H = np.eye(3)
    for _ in range(iterations):
        places = (geometry.transform_points(H, pixels) + margin_px).astype(np.float32)
        x_map, y_map = np.ascontiguousarray(places.T).reshape(2, *rows.shape)
        seen = cv2.remap(around, x_map, y_map, cv2.INTER_LINEAR)
        seen = seen.reshape(values.shape)
        off = seen - values
        squared = np.einsum('nc,nc->n', off, off)
        valid = np.einsum('nc,nc->n', seen, seen) > 1e-2
        if valid.sum() < _MIN_PIXELS:
            break
        weight = valid / (1 + squared / (np.median(squared[valid]) + 1e-9))
        weighted = (jacobian * weight[:, None, None].astype(np.float32)).reshape(-1, 8)
        normal = weighted.T @ jacobian.reshape(-1, 8)
        normal += np.diag(1e-3 * np.diag(normal) + 1e-6)
        step = np.eye(3) + np.append(np.linalg.solve(normal, weighted.T @ off.ravel()),
                                     0.0).reshape(3, 3)
        H = geometry.normalized(H @ grow @ np.linalg.inv(step) @ shrink)
        if np.abs(step - np.eye(3)).max() * half < 0.02:
            break
    return H
