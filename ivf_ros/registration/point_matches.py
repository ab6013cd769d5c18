# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What mapping fits points that were found in both images, most of them rightly."""

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
    Points of one image that were found again in the other.

    Attributes
    ----------
    from_px, to_px:
        ``(N, 2)`` float64.
    distinct:
        ``(N,)`` how much better the match is than others would be: 0 (ambiguous) to 1.
    looked_for:
        How many points were looked for.

    """

    from_px: np.ndarray
    to_px: np.ndarray
    distinct: np.ndarray
    looked_for: int


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
