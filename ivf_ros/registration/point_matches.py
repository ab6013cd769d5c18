# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point matches with outliers, and a robust fit of a homography to them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.least_squares import least_squares
import numpy as np

MIN_MATCHES = 12


@dataclass(frozen=True, eq=False)
class Matches:
    """
    Points of one image and their matches in the other.

    Attributes
    ----------
    from_px, to_px:
        ``(N, 2)`` float64.
    distinctiveness:
        ``(N,)``, from 0 (ambiguous) to 1: how much better the match is than the alternatives.
    n_searched:
        Number of points that were searched, with those without a match.

    """

    from_px: np.ndarray
    to_px: np.ndarray
    distinctiveness: np.ndarray
    n_searched: int


def fit(matches: Matches, tolerance_px: float) -> tuple[np.ndarray | None, np.ndarray]:
    """
    Fit a homography to matches with outliers.

    MAGSAC++ (Barath et al., CVPR 2020) gives the first estimate. Five weighted fits to all matches
    follow. The weight of a match is its distinctiveness times a Geman-McClure weight of its
    residual, with a decreasing tolerance.

    Parameters
    ----------
    matches:
        Fewer than ``MIN_MATCHES`` give no homography.
    tolerance_px:
        Largest residual of an inlier.

    Returns
    -------
    H, inliers
        ``(3, 3)`` float64 or None without a fit, and ``(N,)`` bool.

    """
    no_fit = None, np.zeros(len(matches.distinctiveness), bool)
    if len(matches.distinctiveness) < MIN_MATCHES:
        return no_fit
    H: np.ndarray | None
    H, _ = cv2.findHomography(matches.from_px, matches.to_px, cv2.USAC_MAGSAC, tolerance_px,
                              maxIters=2000, confidence=0.999)
    if H is None:
        return no_fit
    for narrowing in (1.0, 0.7, 0.5, 0.35, 0.35):
        residual_px = _residual_px(H, matches)
        relative = residual_px / (narrowing * tolerance_px)
        weights = matches.distinctiveness / (1 + relative ** 2) ** 2
        # isotropic weights
        H = least_squares(matches.from_px, matches.to_px, np.outer(weights, (1, 0, 1)),
                          'homography')
        if H is None:
            return no_fit
    return H, _residual_px(H, matches) < tolerance_px


def _residual_px(H: np.ndarray, matches: Matches) -> np.ndarray:
    """Return the distances ``(N,)`` of the mapped points from their matches."""
    return np.linalg.norm(geometry.transform_points(H, matches.from_px) - matches.to_px, axis=1)
