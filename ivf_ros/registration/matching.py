# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Local search: where each block of one feature map lies in another, and what fits the blocks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
import numpy as np

MIN_MATCHES = 12

_ENTRIES = np.eye(8)
# Columns: the directions in which the eight entries of a homography near the identity may go.
MODELS = {
    'similarity': np.stack([_ENTRIES[0] + _ENTRIES[4], _ENTRIES[1] - _ENTRIES[3],
                            _ENTRIES[2], _ENTRIES[5]], 1),
    'affine': _ENTRIES[:, :6],
    'homography': _ENTRIES,
}


@dataclass(frozen=True, eq=False)
class Matches:
    """
    Blocks that were found again.

    Attributes
    ----------
    from_px, to_px:
        ``(N, 2)`` float64: centres of the blocks, and where they were found.
    distinct:
        ``(N,)`` by how much the normalised correlation at the best place exceeds the one at the
        best place elsewhere: 0 (ambiguous) to 1.
    blocks:
        How many blocks were looked for.

    """

    from_px: np.ndarray
    to_px: np.ndarray
    distinct: np.ndarray
    blocks: int


def match_blocks(features: np.ndarray, around: np.ndarray, reach_px: int, cell_px: int,
                 block_cells: int) -> Matches:
    """
    Find each block of ``features`` in ``around``, exhaustively, to a fraction of a pixel.

    Parameters
    ----------
    features:
        ``(H, W, C)`` float32.
    around:
        ``(H + 2 reach, W + 2 reach, C)``: the other map on the same grid, with a margin.
    reach_px:
        Greatest displacement that is tried, along x and along y.
    cell_px, block_cells:
        Blocks of ``block_cells`` by ``block_cells`` cells, one starting at each cell.

    """
    height, width = features.shape[:2]
    cells = (max(width // cell_px, block_cells), max(height // cell_px, block_cells))
    half = block_cells // 2
    inside = np.s_[half:cells[1] - block_cells + half + 1, half:cells[0] - block_cells + half + 1]

    def block_means(product: np.ndarray) -> np.ndarray:
        means = cv2.resize(product, cells, interpolation=cv2.INTER_AREA)
        return cv2.blur(means, (block_cells, block_cells))[inside]

    # The cost volume: the correlation of every block at every displacement.
    side = 2 * reach_px + 1
    by_channel = np.empty((side, side, *block_means(features).shape), np.float32)
    for dy in range(side):
        for dx in range(side):
            by_channel[dy, dx] = block_means(features * around[dy:dy + height, dx:dx + width])
    volume = by_channel.sum(-1)
    # Energy changes slowly over the image: that of the undisplaced block serves all of them.
    middle = around[reach_px:reach_px + height, reach_px:reach_px + width]
    energy = block_means(features ** 2).sum(-1) * block_means(middle ** 2).sum(-1)
    volume /= np.sqrt(np.maximum(energy, 1e-2 * energy.max() + 1e-9))

    rows, columns = np.mgrid[:energy.shape[0], :energy.shape[1]]
    cell = np.array([width / cells[0], height / cells[1]])
    centres = (np.stack([columns.ravel(), rows.ravel()], 1) + block_cells / 2) * cell - 0.5
    displacement, distinct, enclosed = _peaks(volume.reshape(side, side, -1))
    good = enclosed & (energy.ravel() > 2e-2 * energy.max())
    return Matches(centres[good], (centres + displacement)[good], distinct[good],
                   len(good))


def fit(matches: Matches, tolerance_px: float, model: str) -> tuple[np.ndarray | None, np.ndarray]:
    """
    Fit a mapping to most of the matches, robustly, then to all of them by their weight.

    Homographies are found by MAGSAC++ (Barath et al., CVPR 2020), the other models by RANSAC. The
    matches are then weighted by how distinct they are and how well they agree (Geman-McClure),
    with a narrowing tolerance.

    Parameters
    ----------
    matches:
        At least ``MIN_MATCHES``, or nothing is fitted.
    tolerance_px:
        How far off a match may lie and still agree.
    model:
        ``'similarity'``, ``'affine'`` or ``'homography'``.

    Returns
    -------
    H, inliers
        ``(3, 3)`` float64 or None, and ``(N,)`` bool.

    """
    nothing = None, np.zeros(len(matches.distinct), bool)
    if len(matches.distinct) < MIN_MATCHES:
        return nothing
    H = _consensus(matches, tolerance_px, model)
    if H is None:
        return nothing
    for narrowing in (1.0, 0.7, 0.5, 0.35, 0.35):
        off = _residual_px(H, matches)
        weights = matches.distinct / (1 + (off / (narrowing * tolerance_px)) ** 2) ** 2
        H = _least_squares(matches, weights, model)
        if H is None:
            return nothing
    return H, _residual_px(H, matches) < tolerance_px


def _peaks(volume: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return displacement (N, 2), distinctness and whether the peak lies within the volume."""
    side, _, count = volume.shape
    block = np.arange(count)
    y, x = np.divmod(volume.reshape(side * side, count).argmax(0), side)
    enclosed = (y > 0) & (y < side - 1) & (x > 0) & (x < side - 1)
    yc, xc = np.clip(y, 1, side - 2), np.clip(x, 1, side - 2)
    top = volume[yc, xc, block]
    x_part = _vertex(volume[yc, xc - 1, block], top, volume[yc, xc + 1, block])
    y_part = _vertex(volume[yc - 1, xc, block], top, volume[yc + 1, xc, block])
    axis = np.arange(side)
    elsewhere = (abs(axis[:, None, None] - y) > 2) | (abs(axis[None, :, None] - x) > 2)
    second = np.where(elsewhere, volume, -1).max((0, 1))
    displacement = np.stack([x + x_part, y + y_part], 1) - side // 2
    return displacement, np.clip(volume[y, x, block] - second, 0, 1), enclosed


def _vertex(before: np.ndarray, top: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return where the parabola through three samples has its vertex, in samples."""
    curvature = np.minimum(before - 2 * top + after, -1e-6)
    return np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)


def _residual_px(H: np.ndarray, matches: Matches) -> np.ndarray:
    return np.linalg.norm(geometry.transform_points(H, matches.from_px) - matches.to_px, axis=1)


def _consensus(matches: Matches, tolerance_px: float, model: str) -> np.ndarray | None:
    if model == 'homography':
        H, _ = cv2.findHomography(matches.from_px, matches.to_px, cv2.USAC_MAGSAC, tolerance_px,
                                  maxIters=2000, confidence=0.999)
        return H
    estimate = {'similarity': cv2.estimateAffinePartial2D, 'affine': cv2.estimateAffine2D}[model]
    affine, _ = estimate(matches.from_px, matches.to_px, method=cv2.RANSAC,
                         ransacReprojThreshold=tolerance_px, maxIters=2000, confidence=0.999)
    return None if affine is None else np.vstack([affine, (0.0, 0.0, 1.0)])


def _least_squares(matches: Matches, weights: np.ndarray, model: str) -> np.ndarray | None:
    """Solve the weighted direct linear transform, in coordinates of the order of one."""
    centre, spread = matches.from_px.mean(0), matches.from_px.std() + 1e-9
    shrink = geometry.scaling(1 / spread, 1 / spread) @ geometry.translation(*-centre)
    x, y = geometry.transform_points(shrink, matches.from_px).T
    u, v = geometry.transform_points(shrink, matches.to_px).T
    one, zero = np.ones_like(x), np.zeros_like(x)
    for_u = np.stack([x, y, one, zero, zero, zero, -x * u, -y * u], 1)
    for_v = np.stack([zero, zero, zero, x, y, one, -x * v, -y * v], 1)
    equations = np.concatenate([for_u, for_v]) @ MODELS[model]
    # The unknowns are what is added to the identity, so that leaving some out means no change.
    weighted = (equations * np.concatenate([weights, weights])[:, None]).T
    try:
        unknown = np.linalg.solve(weighted @ equations, weighted @ np.concatenate([u - x, v - y]))
    except np.linalg.LinAlgError:
        return None
    H = np.eye(3) + np.append(MODELS[model] @ unknown, 0.0).reshape(3, 3)
    return geometry.normalized(np.linalg.inv(shrink) @ H @ shrink)
