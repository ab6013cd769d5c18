# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How far the pairs of one rig are off in common, as by a lens that nobody rectified.

One pair says little of it, since a block may look like several places. But the rig is the same in
all pairs of a data set: the correlations of a block are added up over the pairs, and then they
have one peak.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import resize_to
from ivf_ros.registration.matching import correlate_cells
import numpy as np

_SIZE = 320, 240  # of the compared images
_REACH_PX, _CELL_PX = 10, 16
_ROUNDS = 8


def common_displacement_px(pairs: Iterable[tuple[np.ndarray, np.ndarray]],
                           size: tuple[int, int]) -> np.ndarray:
    """
    Return where what thermal shows lies in RGB, on the average over the pairs of one rig.

    A polynomial of third order in x and y is fitted to the peaks of the summed correlations, with
    Cauchy weights, and less where the peak is blunt.

    Parameters
    ----------
    pairs:
        Thermal and luma ``(H, W)`` uint8, nearly aligned.
    size:
        Width and height of the answer.

    Returns
    -------
    ndarray
        ``(height, width, 2)`` float32 x and y, in pixels of ``size``.

    """
    side = 2 * _REACH_PX + 1
    total: np.ndarray | float = 0.0
    for thermal, luma in pairs:
        features, others = (structure(resize_to(image, _SIZE).astype(np.float32) / 255)
                            for image in (thermal, luma))
        search_region = cv2.copyMakeBorder(others, *(_REACH_PX,) * 4, cv2.BORDER_CONSTANT)
        total = total + correlate_cells(features, search_region, _REACH_PX, _CELL_PX)
    summed = cv2.blur(np.asarray(total), (3, 3))  # neighbouring cells
    rows, columns = summed.shape[:2]
    y, x = np.divmod(summed.argmax(2).ravel(), side)
    sharp = summed.max(2).ravel() - np.median(summed, axis=2).ravel()

    row, column = np.mgrid[:rows, :columns]
    terms = _terms((column.ravel() + 0.5) / columns, (row.ravel() + 0.5) / rows)
    found = np.stack([x, y], 1) - float(_REACH_PX)
    weights = sharp / sharp.max()
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)[:, None]
        coefficients = np.linalg.lstsq(terms * root, found * root, rcond=None)[0]
        off = np.square(found - terms @ coefficients).sum(1)
        weights = sharp / sharp.max() / (1 + off)

    row, column = np.mgrid[:size[1], :size[0]]
    field = _terms((column.ravel() + 0.5) / size[0], (row.ravel() + 0.5) / size[1]) @ coefficients
    in_pixels = field * (size[0] / _SIZE[0], size[1] / _SIZE[1])
    return in_pixels.reshape(size[1], size[0], 2).astype(np.float32)


def displace(thermal: np.ndarray, displacement_px: np.ndarray) -> np.ndarray:
    """Return a thermal image moved by ``(H, W, 2)`` pixels, which change slowly over it."""
    row, column = np.mgrid[:thermal.shape[0], :thermal.shape[1]].astype(np.float32)
    return cv2.remap(thermal, column - displacement_px[..., 0], row - displacement_px[..., 1],
                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the products of powers of x and y up to the third order, about the middle."""
    x, y = 2 * x - 1, 2 * y - 1
    return np.stack([x ** a * y ** b for a in range(4) for b in range(4 - a)], 1)
