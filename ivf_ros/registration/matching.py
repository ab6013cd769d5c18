# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Block matching: displacements of blocks between two feature maps, and a homography fitted to them.

A single block is often similar to several places, above all where the cameras show different
edges. So the displacement of a block is not selected from its correlation alone: displacements far
from the current mapping are penalised, weakly at first. The mapping is then fitted to the selected
displacements, and both steps are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
from ivf_ros import geometry
from ivf_ros.registration.least_squares import least_squares
import numpy as np

MIN_BLOCKS = 12

_PRIOR_STRENGTH = 0.3  # of correlation; about the height of a peak above its surroundings


@dataclass(frozen=True, eq=False)
class Blocks:
    """
    Blocks of a feature map and their correlation with another map around them.

    Attributes
    ----------
    centres_px:
        ``(N, 2)`` float64, x and y.
    correlation:
        ``(N, side, side)`` float32: normalised, at each displacement from -reach to reach along y
        and x.
    n_searched:
        Number of all blocks, including those without texture.

    """

    centres_px: np.ndarray
    correlation: np.ndarray
    n_searched: int

    @cached_property
    def base(self) -> np.ndarray:
        """Return the median correlation of each block over the displacements, ``(N,)``."""
        return np.median(self.correlation[:, ::2, ::2], axis=(1, 2))

    def best(self, expected_px: np.ndarray,
             sigma_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return the best displacement of each block, with a prior around the expected one.

        The penalty on the correlation grows with the square of the distance from the expected
        displacement ``(N, 2)``. It is ``_PRIOR_STRENGTH / 2`` at a distance of ``sigma_px``.

        Returns
        -------
        displacement_px, correlation, curvature
            ``(N, 2)``, ``(N,)`` and ``(N, 3)``. The curvature of the peak has the entries xx, xy
            and yy. It is small along an edge.

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

        # The vertex of the paraboloid through the peak and its eight neighbours.
        x, y = np.clip(x, 1, side - 2), np.clip(y, 1, side - 2)
        offsets = np.array([-1, 0, 1])
        near = penalized[block, y + offsets[:, None, None], x + offsets[:, None]]
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
        """Return the displacement of the highest correlation of each block: ``(N, 2)`` pixels."""
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
        Largest displacement, along x and along y.
    cell_px, block_cells:
        Side of a cell in pixels and side of a block in cells. A block starts at each cell.

    """
    height, width = features.shape[:2]
    middle = search_region[reach_px:reach_px + height, reach_px:reach_px + width]
    side, half = 2 * reach_px + 1, block_cells // 2
    rows, columns = (max(length // cell_px - block_cells + 1, 0) for length in (height, width))
    if not (rows and columns):
        return Blocks(np.zeros((0, 2)), np.zeros((0, side, side), np.float32), 0)
    inside = np.s_[half:half + rows, half:half + columns]
    # The energy changes slowly over the image: all displacements use that of displacement zero.
    correlation, block_energy, region_energy = (
        cv2.blur(cells, (block_cells, block_cells))[inside]
        for cells in (correlate_cells(features, search_region, reach_px, cell_px),
                      _energy(features, cell_px), _energy(middle, cell_px)))
    energy = block_energy * region_energy
    correlation = correlation / np.sqrt(np.maximum(energy, 1e-2 * energy.max()) + 1e-9)[..., None]
    row, column = np.mgrid[:rows, :columns]
    centres = (np.stack([column.ravel(), row.ravel()], 1) + block_cells / 2) * cell_px - 0.5
    is_textured = energy.ravel() > 2e-2 * energy.max()
    return Blocks(centres[is_textured], correlation.reshape(-1, side, side)[is_textured],
                  len(is_textured))


def fit(blocks: Blocks, stages: tuple[tuple[str, float], ...]) -> np.ndarray | None:
    """
    Fit a homography ``(3, 3)`` near the identity to the displacements of the blocks.

    Returns None for fewer than ``MIN_BLOCKS`` blocks, and if the blocks do not determine it.

    Parameters
    ----------
    blocks:
        Blocks with their correlation.
    stages:
        Fits in turn: the model ``'affine'`` or ``'homography'``, and the standard deviation in
        pixels of a block from the position that the previous fit predicts.

    """
    if len(blocks.centres_px) < MIN_BLOCKS:
        return None
    H: np.ndarray = np.eye(3)
    for model, sigma_px in stages:
        expected = geometry.transform_points(H, blocks.centres_px) - blocks.centres_px
        displacement, correlation, curvature = blocks.best(expected, sigma_px)
        squared = np.square(displacement - expected).sum(1)
        weights = np.maximum(correlation - blocks.base, 1e-6) / (1 + squared / sigma_px ** 2) ** 2
        estimate = least_squares(blocks.centres_px, blocks.centres_px + displacement,
                                 curvature * weights[:, None], model)
        if estimate is None:
            return None
        H = estimate
    return H


def correlate_cells(features: np.ndarray, search_region: np.ndarray, reach_px: int,
                    cell_px: int) -> np.ndarray:
    """
    Correlate every cell with the search region at every displacement.

    One matrix product multiplies all pixels of a row of a cell with all pixels in their reach.
    Only its diagonals are used, but this is the fastest way. The products of one column of cells
    at a time fit into the cache of the processor.

    Returns ``(rows, columns, side * side)`` float32: the sum of products over each cell.
    """
    side, channels = 2 * reach_px + 1, features.shape[2]
    rows, columns = features.shape[0] // cell_px, features.shape[1] // cell_px
    # columns first, so that the rows of a cell are contiguous
    features = np.ascontiguousarray(features.transpose(1, 0, 2))
    search_region = np.ascontiguousarray(search_region.transpose(1, 0, 2))
    x, y, item = features.strides
    x_region, y_region, _ = search_region.strides
    cells = np.lib.stride_tricks.as_strided(
        features, (columns, rows, 1, cell_px, cell_px * channels),
        (cell_px * x, cell_px * y, 0, x, item), writeable=False)
    regions = np.lib.stride_tricks.as_strided(
        search_region, (columns, rows, side, cell_px * channels, cell_px + 2 * reach_px),
        (cell_px * x_region, cell_px * y_region, y_region, item, x_region), writeable=False)
    products = np.empty((rows, side, cell_px, cell_px + 2 * reach_px), np.float32)
    *outer, down, across = products.strides
    diagonals = np.lib.stride_tricks.as_strided(
        products, (rows, side, cell_px, side), (*outer, down + across, across), writeable=False)
    correlation = np.empty((rows, columns, side, side), np.float32)
    for column in range(columns):
        np.matmul(cells[column], regions[column], out=products)
        # Adding slices takes a quarter of the time of a sum over an axis as short as this one.
        summed = correlation[:, column]
        summed[:] = diagonals[:, :, 0]
        for pixel in range(1, cell_px):
            summed += diagonals[:, :, pixel]
    return correlation.reshape(rows, columns, side * side)


def _energy(features: np.ndarray, cell_px: int) -> np.ndarray:
    rows, columns = features.shape[0] // cell_px, features.shape[1] // cell_px
    squared = np.square(features[:rows * cell_px, :columns * cell_px])
    return cv2.resize(squared, (columns, rows), interpolation=cv2.INTER_AREA).sum(2) * cell_px ** 2
