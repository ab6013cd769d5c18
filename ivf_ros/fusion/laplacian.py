# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Saliency-weighted fusion of Laplacian pyramids."""

from __future__ import annotations

from typing import Any

import cv2
from ivf_ros.fusion.settings import LaplacianParameters
import numpy as np

# Squared gray level: what rounding to 8 bit leaves of a detail is not worth choosing.
_ROUNDING_ENERGY = 1.0
_SIGMA_PER_MAD = 1.4826  # of a normal distribution


def fuse_luma(thermal: np.ndarray, luma: np.ndarray, thermal_weight: np.ndarray | None,
              parameters: LaplacianParameters) -> np.ndarray:
    """
    Fuse two gray images.

    Both become Laplacian pyramids (Burt and Adelson, "The Laplacian pyramid as a compact image
    code", IEEE Trans. Communications 31(4), 1983) with details T_k, V_k and coarsest levels
    T_n, V_n. Detail is taken from where it is, by its local energy, the salience of Burt and
    Kolczynski, "Enhanced image capture through fusion", ICCV 1993, as a soft weight::

        w_k = E[T_k^2] / (E[T_k^2] + E[V_k^2] + 1),    E = Gaussian mean one octave wider

    The brightness of a region follows the source that has local contrast there, A = the energies
    of all finer levels, averaged down to level n. Where neither has, beyond noise N, the one with
    more contrast in the whole image leads: thermal at night and in dense smoke, RGB by day. Where
    thermal is darker than RGB (a cold sky) its weight is d p of that::

        w_n = (A_T + p N^2) / (A_T + A_V + N^2),    p = G_T / (G_T + G_V),  G = mean(sqrt(A))^2

    At last, hot pixels are raised to their thermal brightness. Hot are the warm outliers of the
    thermal image by median and median absolute deviation (Hampel, "The influence curve and its
    role in robust estimation", J. American Statistical Association 69, 1974). Neither ground that
    is warm all over nor a very cold sky moves these two much, as they would a mean::

        z = (T - median(T)) / max(1.4826 MAD(T), N)
        F <- F + smoothstep(z) max(T - F, 0)

    A flat thermal image therefore leaves RGB as it is, and two equal images give that image.

    Parameters
    ----------
    thermal, luma:
        ``(H, W)`` uint8.
    thermal_weight:
        ``(H, W)`` float32, 0 where thermal is to be ignored, 1 where it counts fully; None for 1
        everywhere.

    Returns
    -------
    np.ndarray
        ``(H, W)`` uint8, new.

    """
    height, width = luma.shape
    n_levels = max(1, round(float(np.log2(min(height, width) / parameters.coarsest_px))))
    T = thermal.astype(np.float32)
    V = luma.astype(np.float32)
    hot = _hotness(thermal, thermal_weight, parameters)

    # New large arrays cost more than the arithmetic here, hence the operations in place.
    T_k: np.ndarray = T
    V_k: np.ndarray = V
    share_k = thermal_weight
    difference = []  # of the fused pyramid to the one of RGB, finest level first
    A_T: Any = None
    A_V: Any = None
    for _ in range(n_levels):
        T_next, V_next = cv2.pyrDown(T_k), cv2.pyrDown(V_k)
        T_detail, V_detail = _detail(T_k, T_next), _detail(V_k, V_next)
        change = T_detail - V_detail
        T_squared = np.multiply(T_detail, T_detail, out=T_detail)
        V_squared = np.multiply(V_detail, V_detail, out=V_detail)
        E_T, E_V = cv2.pyrDown(T_squared), cv2.pyrDown(V_squared)
        weight = E_T / (E_T + E_V + _ROUNDING_ENERGY)
        if share_k is not None:
            share_k = cv2.pyrDown(share_k)
            weight *= share_k
        change *= cv2.resize(weight, change.shape[::-1], interpolation=cv2.INTER_LINEAR)
        difference.append(change)
        A_T = E_T if A_T is None else E_T + cv2.pyrDown(A_T)
        A_V = E_V if A_V is None else E_V + cv2.pyrDown(A_V)
        T_k, V_k = T_next, V_next

    fused = _base_weight(T_k, V_k, A_T, A_V, share_k, parameters) * (T_k - V_k)
    for change in reversed(difference):
        fused = cv2.pyrUp(fused, dstsize=change.shape[::-1])
        fused += change
    fused += V
    lift = np.subtract(T, fused, out=T)
    np.maximum(lift, 0, out=lift)
    lift *= hot
    fused += lift
    return cv2.convertScaleAbs(np.maximum(fused, 0, out=fused))  # rounds and saturates


def _detail(level: np.ndarray, next_level: np.ndarray) -> np.ndarray:
    expanded = cv2.pyrUp(next_level, dstsize=level.shape[::-1])
    return np.subtract(level, expanded, out=expanded)


def _base_weight(T: np.ndarray, V: np.ndarray, A_T: np.ndarray, A_V: np.ndarray,
                 thermal_weight: np.ndarray | None, parameters: LaplacianParameters) -> np.ndarray:
    noise = parameters.noise_levels ** 2
    G_T = np.average(np.sqrt(A_T), weights=thermal_weight) ** 2
    G_V = np.average(np.sqrt(A_V), weights=thermal_weight) ** 2
    p = G_T / (G_T + G_V + 1e-6)
    weight = (A_T + p * noise) / (A_T + A_V + noise)
    weight = np.where(T < V, parameters.darkening * p * weight, weight)
    return weight.astype(np.float32) if thermal_weight is None else (weight * thermal_weight).astype(np.float32)


def _hotness(thermal: np.ndarray, thermal_weight: np.ndarray | None,
             parameters: LaplacianParameters) -> np.ndarray:
    """Return 0 (nothing special) to 1 (hot) for each pixel."""
    mask = None if thermal_weight is None else (thermal_weight > 0).astype(np.uint8)
    histogram = cv2.calcHist([thermal], [0], mask, [256], [0, 256]).ravel().astype(np.float64)
    levels = np.arange(256.0)
    median = _weighted_median(levels, histogram)
    sigma = _SIGMA_PER_MAD * _weighted_median(np.abs(levels - median), histogram)
    z = (levels - median) / max(sigma, parameters.noise_levels)
    low, high = parameters.hot_from_sigmas, parameters.hot_to_sigmas
    step = np.clip((z - low) / max(high - low, 1e-3), 0, 1)
    curve = (step * step * (3 - 2 * step)).astype(np.float32)
    hot = cv2.LUT(thermal, curve)
    return hot if thermal_weight is None else hot * thermal_weight


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind='stable')
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])
