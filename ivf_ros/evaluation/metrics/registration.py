# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of a homography: against the true one, against landmarks, and by the registered image.

Success rates and areas under the curve summarise the errors of many pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros import geometry
from ivf_ros.evaluation.metrics import intensity
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.optional_imports import explain_missing
import numpy as np

SIMILARITY_METRICS = (
    MetricInfo('RMSE', 'lower', 'levels', 'root mean square difference of the registered thermal '
               'image and the aligned one'),
    MetricInfo('SSIM', 'higher', '', 'structural similarity of these two images (Wang 2004)'),
    MetricInfo('MI', 'higher', 'bit', 'mutual information of these two images'),
    MetricInfo('NCC', 'higher', '', 'normalised cross-correlation of these two images'),
)


def registration(H_est: np.ndarray, H_true: np.ndarray, size: tuple[int, int]
                 ) -> dict[str, float]:
    """
    Compare the positions of corners and grid points under an estimated and the true homography.

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
        ``rmse_px``, the root mean square distance over a grid of 9 x 9 points.

    Raises
    ------
    GeometryError
        A matrix is no homography.

    """
    corner_distances_px = _distances_px(H_est, H_true, geometry.corners_px(size))
    width, height = size
    grid = np.stack(np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9)), -1)
    grid_distances_px = _distances_px(H_est, H_true, grid.reshape(-1, 2))
    return {'corner_error_px': float(corner_distances_px.mean()),
            'max_corner_error_px': float(corner_distances_px.max()),
            'rmse_px': float(np.sqrt((grid_distances_px ** 2).mean()))}


def landmark_errors(H_est: np.ndarray, thermal_px: np.ndarray, rgb_px: np.ndarray
                    ) -> dict[str, float]:
    """
    Compare landmarks, mapped by an estimated homography, with their annotated positions.

    Parameters
    ----------
    H_est:
        ``(3, 3)`` from thermal to RGB pixels.
    thermal_px, rgb_px:
        ``(N, 2)``; equal rows are the same point.

    Returns
    -------
    dict
        ``landmark_rmse_px`` and ``landmark_max_px`` on the RGB grid.

    Raises
    ------
    MetricError
        There are no points, or the numbers of points differ.
    GeometryError
        The matrix is no homography, or the points have another shape.

    """
    if len(thermal_px) != len(rgb_px) or not len(thermal_px):
        raise MetricError('there must be as many thermal as RGB landmarks, and at least one; '
                          f'got {len(thermal_px)} and {len(rgb_px)}')
    mapped_px = geometry.transform_points(geometry.normalize_homography(H_est), thermal_px)
    distances_px = np.linalg.norm(mapped_px - rgb_px, axis=1)
    return {'landmark_rmse_px': float(np.sqrt((distances_px ** 2).mean())),
            'landmark_max_px': float(distances_px.max())}


def image_similarity(registered: np.ndarray, reference: np.ndarray, coverage: np.ndarray
                     ) -> dict[str, float]:
    """
    Compare a registered thermal image with the original, aligned one.

    The metrics are those of the tables of DFA-Net (Sensors 2025, 25, 4628): RMSE of the gray
    levels, SSIM (Gaussian window of sigma 1.5, as in ``metrics.fusion``), MI in bits from 256 gray
    levels, and NCC, Pearson's correlation. They use only the pixels that the registered image
    covers.

    Parameters
    ----------
    registered, reference:
        ``(H, W)`` uint8.
    coverage:
        ``(H, W)`` bool, the pixels that ``registered`` covers.

    Returns
    -------
    dict
        Name of ``SIMILARITY_METRICS`` to value; all NaN if less than 1 % is covered.

    Raises
    ------
    MetricError
        Shapes or dtypes differ from these.

    """
    if not registered.shape == reference.shape == coverage.shape or registered.ndim != 2:
        raise MetricError('registered, reference and coverage must have one shape (H, W), got '
                          f'{registered.shape}, {reference.shape}, {coverage.shape}')
    if not registered.dtype == reference.dtype == np.uint8:
        raise MetricError('registered and reference must be uint8, '
                          f'got {registered.dtype} and {reference.dtype}')
    if coverage.mean() < 0.01:
        return {info.name: float('nan') for info in SIMILARITY_METRICS}
    a, b = (image[coverage].astype(np.float64) for image in (registered, reference))
    return {
        'RMSE': float(np.sqrt(((a - b) ** 2).mean())),
        'SSIM': float(_ssim_map(registered, reference)[coverage].mean()),
        'MI': intensity.mutual_information_bits((a, a), b) / 2,
        'NCC': intensity.correlation((a, a), b),
    }


def success_rate(errors_px: Sequence[float], threshold_px: float) -> float:
    """Return the fraction of errors up to the threshold. Failures count as infinite errors."""
    return float((_check_errors(errors_px) <= threshold_px).mean())


def area_under_curve(errors_px: Sequence[float], threshold_px: float) -> float:
    """
    Return the normalised area under the curve of success rate over error, up to the threshold.

    This is the exact integral of the empirical distribution: mean(max(0, 1 - error / threshold)).
    It is 1 if all errors are 0. Failures count as infinite errors.
    """
    if not threshold_px > 0:
        raise MetricError(f'threshold_px must be positive, got {threshold_px}')
    return float(np.clip(1.0 - _check_errors(errors_px) / threshold_px, 0.0, 1.0).mean())


def _check_errors(errors_px: Sequence[float]) -> np.ndarray:
    errors = np.asarray(errors_px, dtype=np.float64)
    if errors.ndim != 1 or not errors.size:
        raise MetricError('errors must be a list of at least one number, got shape '
                          f'{errors.shape}')
    if not (errors >= 0).all():
        raise MetricError('errors must not be negative or NaN; use infinity for a failure')
    return errors


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with explain_missing('SSIM', MetricError, 'scikit-image'):
        from skimage.metrics import structural_similarity
    return structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5,
                                 use_sample_covariance=False, full=True)[1]


def _distances_px(H_est: np.ndarray, H_true: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    estimated_px = geometry.transform_points(geometry.normalize_homography(H_est), points_px)
    true_px = geometry.transform_points(geometry.normalize_homography(H_true), points_px)
    return np.linalg.norm(estimated_px - true_px, axis=1)
