# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of a homography against the true one, and of many of them together."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros import geometry
from ivf_ros.evaluation.metrics.inputs import MetricError
import numpy as np


def registration(H_est: np.ndarray, H_true: np.ndarray, size: tuple[int, int]
                 ) -> dict[str, float]:
    """
    Measure how far an estimated homography takes the corners from where they belong.

    Parameters
    ----------
    H_est, H_true:
        ``(3, 3)`` from thermal to RGB pixels.
    size:
        Width and height of the thermal image in pixels.

    Returns
    -------
    dict
        ``corner_error_px``, the mean distance over the four corners, ``max_corner_error_px`` and
        ``rmse_px``, the root mean square over a grid of 9 x 9 points.

    Raises
    ------
    GeometryError
        A matrix is no homography.

    """
    distances_px = _distances_px(H_est, H_true, geometry.corners_px(size))
    width, height = size
    grid = np.stack(np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)), -1)
    spread_px = _distances_px(H_est, H_true, grid.reshape(-1, 2))
    return {'corner_error_px': float(distances_px.mean()),
            'max_corner_error_px': float(distances_px.max()),
            'rmse_px': float(np.sqrt((spread_px ** 2).mean()))}


def success_rate(errors_px: Sequence[float], threshold_px: float) -> float:
    """Return the share of errors of at most the threshold; failures count as infinite errors."""
    return float((_checked(errors_px) <= threshold_px).mean())


def area_under_curve(errors_px: Sequence[float], threshold_px: float) -> float:
    """
    Return the area under the curve of success rate over error, up to the threshold, as a share.

    The exact integral of the empirical distribution: mean(max(0, 1 - error / threshold)). 1 where
    all errors are 0; failures are infinite errors.
    """
    if not threshold_px > 0:
        raise MetricError(f'the threshold must be positive, got {threshold_px}')
    return float(np.clip(1.0 - _checked(errors_px) / threshold_px, 0.0, 1.0).mean())


def _checked(errors_px: Sequence[float]) -> np.ndarray:
    errors = np.asarray(errors_px, dtype=np.float64)
    if errors.ndim != 1 or not errors.size:
        raise MetricError(f'errors are a list of at least one number, got shape {errors.shape}')
    if not (errors >= 0).all():
        raise MetricError('errors are not negative and not NaN; a failure is infinite')
    return errors


def _distances_px(H_est: np.ndarray, H_true: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    estimated = geometry.transform_points(geometry.normalized(H_est), points_px)
    true = geometry.transform_points(geometry.normalized(H_true), points_px)
    return np.linalg.norm(estimated - true, axis=1)
