# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weighted direct linear transform: an affine mapping or homography near the identity."""

from __future__ import annotations

from ivf_ros import geometry
import numpy as np

# The number of free entries of a homography near the identity, in row-major order.
_FREE_ENTRIES = {'affine': 6, 'homography': 8}


def least_squares(from_px: np.ndarray, to_px: np.ndarray, weights: np.ndarray,
                  model: str) -> np.ndarray | None:
    """
    Fit a mapping to point pairs by a weighted direct linear transform.

    Points are normalised to coordinates of the order of one.

    Parameters
    ----------
    from_px, to_px:
        ``(N, 2)`` float64: the points and their positions in the other image.
    weights:
        ``(N, 3)``: entries xx, xy and yy of the 2 x 2 weight matrix of each point.
    model:
        ``'affine'`` or ``'homography'``.

    Returns
    -------
    ndarray or None
        ``(3, 3)`` float64; None if the points do not determine the mapping.

    """
    centre, scale = from_px.mean(0), from_px.std() + 1e-9
    (x, y), (u, v) = (((points - centre) / scale).T for points in (from_px, to_px))
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    # The unknowns are the differences from the identity: an omitted unknown means no change.
    count = _FREE_ENTRIES[model]
    design_u = np.array([x, y, ones, zeros, zeros, zeros, -x * u, -y * u][:count])
    design_v = np.array([zeros, zeros, zeros, x, y, ones, -x * v, -y * v][:count])
    xx, xy, yy = weights.T
    weighted_u, weighted_v = xx * design_u + xy * design_v, xy * design_u + yy * design_v
    try:
        solution = np.linalg.solve(weighted_u @ design_u.T + weighted_v @ design_v.T,
                                   weighted_u @ (u - x) + weighted_v @ (v - y))
    except np.linalg.LinAlgError:
        return None
    H = np.eye(3)
    H.flat[:count] += solution
    normalize = geometry.scaling(1 / scale, 1 / scale) @ geometry.translation(*-centre)
    return geometry.normalize_homography(np.linalg.inv(normalize) @ H @ normalize)
