# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The layout of NanoDet: the distance to each edge of a box is a distribution over bins."""

from __future__ import annotations

from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.onnx.layout import count_cells
import numpy as np

# NanoDet-Plus counts from the left top corner of a cell; NanoDet, with three grids, from its
# centre. In units of cells.
_ORIGINS = {(8, 16, 32, 64): 0.0, (8, 16, 32): 0.5}
_MIN_BINS = 2


def count_bins(columns: int, classes: int) -> int:
    """Return the bins of each edge in an output of this width; 0 if it does not fit."""
    bins, rest = divmod(columns - classes, 4)
    return bins if rest == 0 and bins >= _MIN_BINS else 0


def find_strides(cells: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Return the strides of the grids with this number of cells; empty if there are none."""
    return next((strides for strides in _ORIGINS if count_cells(size, strides) == cells), ())


def decode_nanodet(output: np.ndarray, classes: int, size: tuple[int, int]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return scores ``(N, K)`` and boxes ``(N, 4)`` of an output ``(N, K + 4 bins)``.

    Boxes are left, top, right, bottom edges in pixels of the input of width and height ``size``.
    The distance to an edge is the mean of its distribution, in units of cells.

    Raises
    ------
    DetectionError
        The number of cells is not that of an input of this size.

    """
    width, height = size
    strides_px = find_strides(len(output), size)
    if not strides_px:
        allowed = ' or '.join(str(count_cells(size, strides)) for strides in _ORIGINS)
        raise DetectionError(f'NanoDet has {allowed} cells for {width}x{height}, '
                             f'got {len(output)}')
    origins, cell_sizes = [], []
    for stride_px in strides_px:
        columns, rows = -(-width // stride_px), -(-height // stride_px)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        origins.append((np.stack([x.ravel(), y.ravel()], 1) + _ORIGINS[strides_px]) * stride_px)
        cell_sizes.append(np.full(columns * rows, stride_px))
    bins = output[:, classes:].reshape(len(output), 4, -1)
    weights = np.exp(bins - bins.max(-1, keepdims=True))
    cells = (weights @ np.arange(bins.shape[2], dtype=np.float32)) / weights.sum(-1)
    distance_px = cells * np.concatenate(cell_sizes)[:, None]
    origin_px = np.concatenate(origins)
    return output[:, :classes], np.concatenate([origin_px - distance_px[:, :2],
                                                origin_px + distance_px[:, 2:]],
                                               axis=1).astype(np.float32)
