# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The mapping near the identity that fits points best: a weighted direct linear transform."""

from __future__ import annotations

from ivf_ros import geometry
import numpy as np

_ENTRIES = np.eye(8)
# Columns: the directions in which the eight entries of a homography near the identity may go.
_MODELS = {
    'affine': _ENTRIES[:, :6],
    'homography': _ENTRIES,
}


def least_squares(from_px: np.ndarray, to_px: np.ndarray, weights: np.ndarray,
                  model: str) -> np.ndarray | None:
    """
    Solve the weighted direct linear transform, in coordinates of the order of one.

    Parameters
    ----------
    from_px, to_px:
        ``(N, 2)`` float64.
    weights:
        ``(N, 3)`` of each point, along x, across and along y.
    model:
        ``'affine'`` or ``'homography'``.

    Returns
    -------
    ndarray or None
        ``(3, 3)`` float64; None where the points do not determine it.

    """
    centre, spread = from_px.mean(0), from_px.std() + 1e-9
    (x, y), (u, v) = (((points - centre) / spread).T for points in (from_px, to_px))
    one, zero = np.ones_like(x), np.zeros_like(x)
    # The unknowns are what is added to the identity, so that leaving some out means no change.
    for_u = _MODELS[model].T @ np.stack([x, y, one, zero, zero, zero, -x * u, -y * u])
    for_v = _MODELS[model].T @ np.stack([zero, zero, zero, x, y, one, -x * v, -y * v])
    xx, xy, yy = weights.T
    weighted_u, weighted_v = xx * for_u + xy * for_v, xy * for_u + yy * for_v
    try:
        unknown = np.linalg.solve(weighted_u @ for_u.T + weighted_v @ for_v.T,
                                  weighted_u @ (u - x) + weighted_v @ (v - y))
    except np.linalg.LinAlgError:
        return None
    H = np.eye(3) + np.append(_MODELS[model] @ unknown, 0.0).reshape(3, 3)
    normalize = geometry.scaling(1 / spread, 1 / spread) @ geometry.translation(*-centre)
    return geometry.normalize_homography(np.linalg.inv(normalize) @ H @ normalize)
