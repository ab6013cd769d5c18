# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Sub-pixel refinement of checkerboard corners by a model of the image around each corner.

The model is two blurred edges that cross: with the signed distances ``d1`` and ``d2`` of a pixel
from the two edges and ``e = erf(d / (sqrt(2) sigma))``, the intensity is
``c0 + c1 e1 + c2 e2 + c3 e1 e2 + gx x + gy y``. The four squares at a corner so have separate
brightnesses, and a gradient over the patch is part of the model: a heated board and reflections do
not move the corner. The crossing point, the directions of the edges and the blur are fitted with a
robust loss; the six linear coefficients follow in each step (variable projection, Golub and
Pereyra 1973).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.optimize import least_squares
from scipy.special import erf

_PATCH_RADIUS = 0.42  # of a square; the next corners lie outside
_MAX_SAMPLES = 15  # in each direction of the patch
_MAX_MOVE = 0.25  # of a square; a corner that moves further was no corner
_SQRT_2 = np.sqrt(2.0)


def refine_corners(gray: np.ndarray, corners_px: np.ndarray, grid: tuple[int, int]
                   ) -> np.ndarray | None:
    """
    Return the corners of a checkerboard with sub-pixel accuracy.

    Parameters
    ----------
    gray:
        ``(H, W)`` float32; any linear unit.
    corners_px:
        ``(rows * columns, 2)``, row by row, to about a quarter of a square.
    grid:
        Columns and rows of the corners.

    Returns
    -------
    np.ndarray or None
        ``(rows * columns, 2)`` float64, or None if a corner has no contrast or lies elsewhere.

    """
    columns, rows = grid
    corners = corners_px.reshape(rows, columns, 2).astype(np.float64)
    refined = np.empty_like(corners)
    steps_x, steps_y = (np.asarray(np.gradient(corners, axis=axis)) for axis in (1, 0))
    for row, column in np.ndindex(rows, columns):
        point = _refine(gray, corners[row, column], steps_x[row, column], steps_y[row, column])
        if point is None:
            return None
        refined[row, column] = point
    return refined.reshape(-1, 2)


def _refine(gray: np.ndarray, corner_px: np.ndarray, step_x_px: np.ndarray,
            step_y_px: np.ndarray) -> np.ndarray | None:
    """Return the refined corner ``(2,)``, or None; the steps lead to the neighbours."""
    square_px = float(min(np.linalg.norm(step_x_px), np.linalg.norm(step_y_px)))
    # About one sample in each pixel.
    count = int(np.clip(round(2 * _PATCH_RADIUS * square_px) + 1, 5, _MAX_SAMPLES))
    v, u = np.meshgrid(*[np.linspace(-_PATCH_RADIUS, _PATCH_RADIUS, count)] * 2, indexing='ij')
    offsets_px = u.reshape(-1, 1) * step_x_px + v.reshape(-1, 1) * step_y_px
    at_px = (corner_px + offsets_px).astype(np.float32)
    values = cv2.remap(gray, at_px[:, :1], at_px[:, 1:], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE).ravel().astype(np.float64)
    spread = values.std()
    if not spread > 0:
        return None
    values = (values - values.mean()) / spread
    scale = offsets_px / square_px
    angles = [np.arctan2(step[1], step[0]) for step in (step_x_px, step_y_px)]

    def residuals(parameters: np.ndarray) -> np.ndarray:
        design = _edge_model(offsets_px, scale, parameters)
        coefficients, *_ = np.linalg.lstsq(design, values, rcond=None)
        return design @ coefficients - values

    limit_px = _MAX_MOVE * square_px
    start = np.array([0.0, 0.0, *angles, np.log(max(0.7, 0.05 * square_px))])
    fit = least_squares(residuals, start, loss='soft_l1', f_scale=0.15, max_nfev=40,
                        x_scale=[1.0, 1.0, 0.1, 0.1, 0.5], method='trf')
    offset_px = fit.x[:2]
    moved = np.linalg.norm(offset_px) > limit_px
    return None if moved or not np.isfinite(offset_px).all() else corner_px + offset_px


def _edge_model(offsets_px: np.ndarray, scale: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Return the design matrix ``(N, 6)`` of the linear coefficients."""
    x_px, y_px, angle_1, angle_2, log_sigma = parameters
    sigma_px = np.exp(np.clip(log_sigma, -3.0, 4.0))
    relative = offsets_px - (x_px, y_px)
    edges = [erf((relative @ (-np.sin(angle), np.cos(angle))) / (_SQRT_2 * sigma_px))
             for angle in (angle_1, angle_2)]
    return np.stack([np.ones(len(scale)), *edges, edges[0] * edges[1], *scale.T], axis=1)
