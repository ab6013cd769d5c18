# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Local search: where each block of one feature map may lie in another, and what fits the blocks.

A block on its own often looks like several places, above all where the cameras see different
edges. So no block decides for itself: the places that a mapping gives to the blocks attract them,
weakly at first, and the mapping is fitted again to where they then lie best.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.least_squares import least_squares
import numpy as np

MIN_BLOCKS = 12

_PRIOR_STRENGTH = 0.3  # of correlation, about what a peak rises above its surroundings


@dataclass(frozen=True, eq=False)
class Blocks:
    """
    Blocks of a feature map and how they correlate with another map around them.

    Attributes
    ----------
    centres_px:
        ``(N, 2)`` float64.
    correlation:
        ``(N, side, side)`` float32: normalised, at each displacement from -reach to reach along y
        and x.
    looked_for:
        How many blocks there are, with those that show nothing.

    """

    centres_px: np.ndarray
    correlation: np.ndarray
    n_searched: int

    def best(self, expected_px: np.ndarray,
             sigma_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return where each block lies best, given where it is expected.

        Correlation counts less far from the displacement that is expected ``(N, 2)``, by
        ``_PRIOR_STRENGTH / 2`` at ``sigma_px`` and with the square of the distance.

        Returns
        -------
        displacement_px, correlation, curvature
            ``(N, 2)``, ``(N,)`` and ``(N, 3)``, the last along x, across and along y: how sharply
            the peak says where the block lies. Along an edge it says little.

        """
        count, side, _ = self.correlation.shape
        axis = np.arange(side, dtype=np.float32) - side // 2
        prior_curvature = np.float32(_PRIOR_STRENGTH / sigma_px ** 2)
        penalty = 0.5 * prior_curvature * (axis - expected_px.astype(np.float32)[..., None]) ** 2
        penalized = self.correlation - penalty[:, 1, :, None]
        penalized -= penalty[:, 0, None, :]
        block = np.arange(count)
        y, x = np.divmod(penalized.reshape(count, side * side).argmax(1), side)
        correlation = self.correlation[block, y, x]

        # The vertex of the paraboloid through the peak and what surrounds it.
        x, y = np.clip(x, 1, side - 2), np.clip(y, 1, side - 2)
        near = [[penalized[block, y + dy, x + dx] for dx in (-1, 0, 1)] for dy in (-1, 0, 1)]
        slope_x, slope_y = (near[1][2] - near[1][0]) / 2, (near[2][1] - near[0][1]) / 2
        xx = np.maximum(2 * near[1][1] - near[1][0] - near[1][2], prior_curvature)
        yy = np.maximum(2 * near[1][1] - near[0][1] - near[2][1], prior_curvature)
        limit = 0.95 * np.sqrt(xx * yy)
        xy = np.clip((near[0][2] + near[2][0] - near[0][0] - near[2][2]) / 4, -limit, limit)
        step = np.stack([yy * slope_x - xy * slope_y, xx * slope_y - xy * slope_x])
        step = np.clip(step / (xx * yy - xy * xy), -0.7, 0.7)
        return (np.stack([x, y], 1) - side // 2 + step.T, correlation,
                np.stack([xx, xy, yy], 1))

    def displacement_px(self) -> np.ndarray:
        """Return where each block lies best on its own: ``(N, 2)`` whole pixels."""
        count, side, _ = self.correlation.shape
        y, x = np.divmod(self.correlation.reshape(count, side * side).argmax(1), side)
        return np.stack([x, y], 1) - side // 2


def correlate_blocks(features: np.ndarray, search_region: np.ndarray, reach_px: int, cell_px: int,
                     block_cells: int) -> Blocks:
    """
    Correlate each block of ``features`` with ``search_region`` at every displacement.

    Parameters
    ----------
    features:
        ``(H, W, C)`` float32.
    search_region:
        ``(H + 2 reach, W + 2 reach, C)``: the other map on the same grid, with a margin.
    reach_px:
        Greatest displacement, along x and along y.
    cell_px, block_cells:
        Blocks of ``block_cells`` by ``block_cells`` cells, one starting at each cell.

    """
    height, width = features.shape[:2]
    middle = search_region[reach_px:reach_px + height, reach_px:reach_px + width]
    side, half = 2 * reach_px + 1, block_cells // 2
    rows, columns = (max(length // cell_px - block_cells + 1, 0) for length in (height, width))
    if not (rows and columns):
        return Blocks(np.zeros((0, 2)), np.zeros((0, side, side), np.float32), 0)
    inside = np.s_[half:half + rows, half:half + columns]
    # Energy changes slowly over the image: that of the undisplaced block serves all of them.
    correlation, here, there = (
        cv2.blur(cells, (block_cells, block_cells))[inside]
        for cells in (correlate_cells(features, search_region, reach_px, cell_px),
                      _energy(features, cell_px), _energy(middle, cell_px)))
    energy = here * there
    correlation = correlation / np.sqrt(np.maximum(energy, 1e-2 * energy.max()) + 1e-9)[..., None]
    row, column = np.mgrid[:rows, :columns]
    centres = (np.stack([column.ravel(), row.ravel()], 1) + block_cells / 2) * cell_px - 0.5
    is_textured = energy.ravel() > 2e-2 * energy.max()
    return Blocks(centres[is_textured], correlation.reshape(-1, side, side)[is_textured], len(is_textured))


def fit(blocks: Blocks, stages: tuple[tuple[str, float], ...]) -> np.ndarray | None:
    """
    Return the homography ``(3, 3)`` near the identity that best moves the blocks, or None.

    Parameters
    ----------
    blocks:
        At least ``MIN_BLOCKS``, or nothing is fitted.
    stages:
        One after the other: the model ``'affine'`` or ``'homography'``, and how far in pixels
        blocks may go from where the mapping so far puts them, as a standard deviation.

    """
    if len(blocks.centres_px) < MIN_BLOCKS:
        return None
    H: np.ndarray = np.eye(3)
    base = np.median(blocks.correlation[:, ::2, ::2], axis=(1, 2))
    for model, sigma_px in stages:
        expected = geometry.transform_points(H, blocks.centres_px) - blocks.centres_px
        displacement, correlation, curvature = blocks.best(expected, sigma_px)
        squared = np.square(displacement - expected).sum(1)
        weights = np.maximum(correlation - base, 1e-6) / (1 + squared / sigma_px ** 2) ** 2
        fitted = least_squares(blocks.centres_px, blocks.centres_px + displacement,
                               curvature * weights[:, None], model)
        if fitted is None:
            return None
        H = fitted
    return H


def correlate_cells(features: np.ndarray, search_region: np.ndarray, reach_px: int,
                    cell_px: int) -> np.ndarray:
    """
    Correlate every cell with what lies at every displacement from it.

    The products of all pixels of a few cells with all pixels they may meet are one product of
    matrices; of these only the diagonals are needed, and yet it is the fastest way.

    Returns ``(rows, columns, side * side)`` float32: the sum over each cell.
    """
    side, channels = 2 * reach_px + 1, features.shape[2]
    rows, columns = features.shape[0] // cell_px, features.shape[1] // cell_px
    # columns first, so that the rows of a cell follow each other
    features = np.ascontiguousarray(features.transpose(1, 0, 2))
    search_region = np.ascontiguousarray(search_region.transpose(1, 0, 2))
    joined = next(count for count in (4, 3, 2, 1) if columns % count == 0)
    width = joined * cell_px
    x, y, item = features.strides
    x_around, y_around, _ = search_region.strides
    few = np.lib.stride_tricks.as_strided(
        features, (columns // joined, rows, 1, width, cell_px * channels),
        (width * x, cell_px * y, 0, x, item), writeable=False)
    met = np.lib.stride_tricks.as_strided(
        search_region, (columns // joined, rows, side, cell_px * channels, width + 2 * reach_px),
        (width * x_around, cell_px * y_around, y_around, item, x_around), writeable=False)
    products = few @ met
    outer, (down, across) = products.strides[:3], products.strides[3:]
    diagonals = np.lib.stride_tricks.as_strided(
        products, (*products.shape[:3], joined, cell_px, side),
        (*outer, cell_px * (down + across), down + across, across), writeable=False)
    # columns/joined, rows, dy, joined, dx -> rows, columns, dy and dx
    return diagonals.sum(4).transpose(1, 0, 3, 2, 4).reshape(rows, columns, side * side)


def _energy(features: np.ndarray, cell_px: int) -> np.ndarray:
    rows, columns = features.shape[0] // cell_px, features.shape[1] // cell_px
    squared = np.square(features[:rows * cell_px, :columns * cell_px])
    return cv2.resize(squared, (columns, rows), interpolation=cv2.INTER_AREA).sum(2) * cell_px ** 2
