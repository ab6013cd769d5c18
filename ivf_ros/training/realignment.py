# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The common misalignment of all pairs of a rig, for example from lens distortion.

A single pair is ambiguous, because a block may be similar to several places. The rig is the same
in all pairs of a data set. So the correlations of each block are summed over the pairs. The sum
has one peak.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import resize_to
from ivf_ros.registration.matching import correlate_cells
import numpy as np

_SIZE = 320, 240  # width and height of the correlated images
_REACH_PX, _CELL_PX = 10, 16
_ROUNDS = 8


def common_displacement_px(pairs: Iterable[tuple[np.ndarray, np.ndarray]],
                           size: tuple[int, int]) -> np.ndarray:
    """
    Return the mean displacement from thermal to RGB over the pairs of one rig.

    A third-order polynomial in x and y is fitted to the peaks of the summed correlations. The
    weight of a peak is its sharpness times a Cauchy weight of its residual.

    Parameters
    ----------
    pairs:
        Thermal and luma ``(H, W)`` uint8, approximately aligned.
    size:
        Width and height of the result.

    Returns
    -------
    ndarray
        ``(height, width, 2)`` float32, displacement along x and y in pixels of ``size``.

    """
    side = 2 * _REACH_PX + 1
    total: np.ndarray | float = 0.0
    for thermal, luma in pairs:
        thermal_features, rgb_features = (
            structure(resize_to(image, _SIZE).astype(np.float32) / 255)
            for image in (thermal, luma))
        search_region = cv2.copyMakeBorder(rgb_features, *(_REACH_PX,) * 4, cv2.BORDER_CONSTANT)
        total = total + correlate_cells(thermal_features, search_region, _REACH_PX, _CELL_PX)
    summed = cv2.blur(np.asarray(total), (3, 3))  # over neighbouring cells
    rows, columns = summed.shape[:2]
    y, x = np.divmod(summed.argmax(2).ravel(), side)
    sharpness = summed.max(2).ravel() - np.median(summed, axis=2).ravel()

    row, column = np.mgrid[:rows, :columns]
    terms = _polynomial_terms((column.ravel() + 0.5) / columns, (row.ravel() + 0.5) / rows)
    peaks = np.stack([x, y], 1) - float(_REACH_PX)
    weights = sharpness / sharpness.max()
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)[:, None]
        coefficients = np.linalg.lstsq(terms * root, peaks * root, rcond=None)[0]
        squared_residual = np.square(peaks - terms @ coefficients).sum(1)
        weights = sharpness / sharpness.max() / (1 + squared_residual)

    row, column = np.mgrid[:size[1], :size[0]]
    terms = _polynomial_terms((column.ravel() + 0.5) / size[0], (row.ravel() + 0.5) / size[1])
    displacement_px = terms @ coefficients * (size[0] / _SIZE[0], size[1] / _SIZE[1])
    return displacement_px.reshape(size[1], size[0], 2).astype(np.float32)


def displace(thermal: np.ndarray, displacement_px: np.ndarray) -> np.ndarray:
    """Return a thermal image displaced by a smooth field ``(H, W, 2)`` in pixels."""
    row, column = np.mgrid[:thermal.shape[0], :thermal.shape[1]].astype(np.float32)
    return cv2.remap(thermal, column - displacement_px[..., 0], row - displacement_px[..., 1],
                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _polynomial_terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the monomials ``(N, 10)`` of x and y, from 0 to 1, up to the third order."""
    x, y = 2 * x - 1, 2 * y - 1
    return np.stack([x ** a * y ** b for a in range(4) for b in range(4 - a)], 1)
