# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Refinement: Gauss-Newton alignment of two feature maps."""

from __future__ import annotations

import cv2
from ivf_ros import geometry
from ivf_ros.registration.features import structure
import numpy as np

_MIN_PIXELS = 100


def refine(features: np.ndarray, search_region: np.ndarray, margin_px: int, cell_px: int,
           iterations: int) -> np.ndarray:
    """
    Return the homography ``(3, 3)`` near the identity that aligns two feature maps.

    Inverse compositional alignment (Baker and Matthews, Lucas-Kanade 20 Years On, IJCV 2004,
    section 3.2) of all channels. Each pixel has a Cauchy weight, because some edges are visible to
    one camera only.

    Parameters
    ----------
    features:
        ``(H, W, C)`` float32.
    search_region:
        ``(H + 2 margin, W + 2 margin, C)``: the other map on the same grid, with a margin.
    cell_px:
        Side of a cell. The pixel with the strongest feature of each cell is used.
    iterations:
        Maximum number of Gauss-Newton steps.

    """
    height, width = features.shape[:2]
    rows, columns = _strongest(features, cell_px)
    if len(rows) < _MIN_PIXELS:
        return np.eye(3)
    values = features[rows, columns]
    x_slope = 0.5 * (features[rows, columns + 1] - features[rows, columns - 1])
    y_slope = 0.5 * (features[rows + 1, columns] - features[rows - 1, columns])
    pixels = np.stack([columns, rows], 1).astype(np.float64)

    # In coordinates from -1 to 1 the eight unknowns are of the same order.
    centre, half = ((width - 1) / 2, (height - 1) / 2), width / 2
    normalize = geometry.scaling(1 / half, 1 / half) @ geometry.translation(-centre[0], -centre[1])
    denormalize = np.linalg.inv(normalize)
    x, y = ((pixels - centre) / half).T.astype(np.float32)[..., None]
    x_slope, y_slope = x_slope * half, y_slope * half
    outward = x * x_slope + y * y_slope
    # the unknowns are the first axis, so that each is contiguous in memory
    jacobian = np.stack([x * x_slope, y * x_slope, x_slope, x * y_slope, y * y_slope, y_slope,
                         -x * outward, -y * outward])

    H = np.eye(3)
    for _ in range(iterations):
        sample_px = (geometry.transform_points(H, pixels) + margin_px).astype(np.float32)
        sampled = cv2.remap(search_region, sample_px[:, None, 0], sample_px[:, None, 1],
                            cv2.INTER_LINEAR)[:, 0]
        residual = sampled - values
        squared = np.square(residual).sum(1)
        valid = np.square(sampled).sum(1) > 1e-2
        if valid.sum() < _MIN_PIXELS:
            break
        weight = valid / (1 + squared / (np.median(squared[valid]) + 1e-9))
        weighted = (jacobian * weight.astype(np.float32)[:, None]).reshape(8, -1)
        normal = weighted @ jacobian.reshape(8, -1).T
        normal += np.diag(1e-3 * np.diag(normal) + 1e-6)
        step = np.eye(3) + np.append(np.linalg.solve(normal, weighted @ residual.ravel()),
                                     0.0).reshape(3, 3)
        H = geometry.normalize_homography(H @ denormalize @ np.linalg.inv(step) @ normalize)
        if np.abs(step - np.eye(3)).max() * half < 0.02:
            break
    return H


def refine_structure(thermal: np.ndarray, rgb: np.ndarray, coverage: np.ndarray, margin_px: int,
                     cell_px: int, iterations: int) -> np.ndarray:
    """
    Return the result of ``refine`` for the structure features of two gray images.

    ``rgb`` and ``coverage``, bool where ``rgb`` is valid, have a margin of ``margin_px`` on each
    side.
    """
    # the gradient filter covers 3 x 3 pixels
    inner = cv2.erode(coverage.astype(np.float32), np.ones((3, 3)), borderValue=0)
    return refine(structure(thermal), structure(rgb) * inner[..., None], margin_px, cell_px,
                  iterations)


def _strongest(features: np.ndarray, cell_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the strongest pixel of each textured cell, without the border."""
    rows, columns = ((length - 2) // cell_px for length in features.shape[:2])
    inner = features[1:1 + rows * cell_px, 1:1 + columns * cell_px]
    strength = np.square(inner).sum(2).reshape(rows, cell_px, columns, cell_px)
    strength_in_cell = strength.swapaxes(1, 2).reshape(rows, columns, cell_px ** 2)
    y, x = np.divmod(strength_in_cell.argmax(2), cell_px)
    row, column = np.mgrid[:rows, :columns]
    is_textured = strength_in_cell.max(2) > 0.05
    return (1 + row * cell_px + y)[is_textured], (1 + column * cell_px + x)[is_textured]
