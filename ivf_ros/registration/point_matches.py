# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which homography fits points that were found in both images, most of them rightly."""

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
    Points of one image that were found again in the other.

    Attributes
    ----------
    from_px, to_px:
        ``(N, 2)`` float64.
    distinctiveness:
        ``(N,)`` how much better the match is than others would be: 0 (ambiguous) to 1.
    looked_for:
        How many points were looked for.

    """

    from_px: np.ndarray
    to_px: np.ndarray
    distinctiveness: np.ndarray
    n_searched: int


def fit(matches: Matches, tolerance_px: float) -> tuple[np.ndarray | None, np.ndarray]:
    """
    Fit a homography to most of the matches, robustly, then to all of them by their weight.

    It is found by MAGSAC++ (Barath et al., CVPR 2020). The matches are then weighted by how
    distinct they are and how well they agree (Geman-McClure), with a narrowing tolerance.

    Parameters
    ----------
    matches:
        At least ``MIN_MATCHES``, or no_fit is fitted.
    tolerance_px:
        How far residual_px a match may lie and still agree.

    Returns
    -------
    H, inliers
        ``(3, 3)`` float64 or None, and ``(N,)`` bool.

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
        weights = matches.distinctiveness / (1 + (residual_px / (narrowing * tolerance_px)) ** 2) ** 2
        # The same along x and along y.
        H = least_squares(matches.from_px, matches.to_px, np.outer(weights, (1, 0, 1)),
                          'homography')
        if H is None:
            return no_fit
    return H, _residual_px(H, matches) < tolerance_px


def _residual_px(H: np.ndarray, matches: Matches) -> np.ndarray:
    return np.linalg.norm(geometry.transform_points(H, matches.from_px) - matches.to_px, axis=1)
