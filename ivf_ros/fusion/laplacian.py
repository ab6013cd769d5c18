# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Saliency-weighted fusion of Laplacian pyramids."""

from __future__ import annotations

from typing import Any

import cv2
from ivf_ros.fusion.settings import LaplacianParameters
from ivf_ros.thermal import SIGMA_PER_MAD
import numpy as np

# In squared gray levels. Details of this energy may come from the rounding to 8 bit.
_ROUNDING_ENERGY = 1.0


def fuse_luma(thermal: np.ndarray, luma: np.ndarray, thermal_weight: np.ndarray | None,
              parameters: LaplacianParameters) -> np.ndarray:
    """
    Fuse thermal T and the luma V of RGB.

    Both are decomposed into Laplacian pyramids (Burt and Adelson, "The Laplacian pyramid as a
    compact image code", IEEE Trans. Communications 31(4), 1983) with details T_k, V_k and coarsest
    levels T_n, V_n. Details are mixed with a soft weight from their local energy, the salience of
    Burt and Kolczynski, "Enhanced image capture through fusion", ICCV 1993::

        w_k = E[T_k^2] / (E[T_k^2] + E[V_k^2] + 1),    E = Gaussian mean one octave wider

    The brightness of a region follows the image with local contrast A there: the energies of all
    finer levels, averaged down to level n. Where neither image has contrast above the noise N, the
    image with more contrast over the whole image dominates: thermal at night and in dense smoke,
    RGB by day. Where thermal is darker than RGB (a cold sky), w_n is multiplied by d p, with the
    parameter d = ``darkening``::

        w_n = (A_T + p N^2) / (A_T + A_V + N^2),    p = G_T / (G_T + G_V),  G = mean(sqrt(A))^2

    Finally, hot pixels are raised to their thermal brightness. Hot pixels are the warm outliers of
    the thermal image by median and median absolute deviation (Hampel, "The influence curve and its
    role in robust estimation", J. American Statistical Association 69, 1974). Ground that is
    evenly warm or a very cold sky changes these two only little, in contrast to a mean::

        z = (T - median(T)) / max(1.4826 MAD(T), N)
        F <- F + smoothstep(z) max(T - F, 0)

    Therefore the result for a flat thermal image is RGB, and for two equal images that image.

    Parameters
    ----------
    thermal, luma:
        ``(H, W)`` uint8.
    thermal_weight:
        ``(H, W)`` float32, from 0 (thermal is ignored) to 1 (thermal counts fully); None means 1
        everywhere.
    parameters:
        Parameters of the method.

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

    # In-place operations, as the allocation of large arrays takes longer than the arithmetic.
    T_k: np.ndarray = T
    V_k: np.ndarray = V
    thermal_weight_k = thermal_weight
    difference = []  # between the fused pyramid and that of RGB, finest level first
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
        if thermal_weight_k is not None:
            thermal_weight_k = cv2.pyrDown(thermal_weight_k)
            weight *= thermal_weight_k
        change *= cv2.resize(weight, change.shape[::-1], interpolation=cv2.INTER_LINEAR)
        difference.append(change)
        A_T = E_T if A_T is None else E_T + cv2.pyrDown(A_T)
        A_V = E_V if A_V is None else E_V + cv2.pyrDown(A_V)
        T_k, V_k = T_next, V_next

    fused = _base_weight(T_k, V_k, A_T, A_V, thermal_weight_k, parameters) * (T_k - V_k)
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
    """Return the weight w_n of thermal at the coarsest level."""
    noise = parameters.noise_levels ** 2
    G_T = np.average(np.sqrt(A_T), weights=thermal_weight) ** 2
    G_V = np.average(np.sqrt(A_V), weights=thermal_weight) ** 2
    p = G_T / (G_T + G_V + 1e-6)
    weight = (A_T + p * noise) / (A_T + A_V + noise)
    weight = np.where(T < V, parameters.darkening * p * weight, weight)
    if thermal_weight is not None:
        weight = weight * thermal_weight
    return weight.astype(np.float32)


def _hotness(thermal: np.ndarray, thermal_weight: np.ndarray | None,
             parameters: LaplacianParameters) -> np.ndarray:
    """Return the hotness of each pixel, smoothstep(z), from 0 to 1."""
    mask = None if thermal_weight is None else (thermal_weight > 0).astype(np.uint8)
    histogram = cv2.calcHist([thermal], [0], mask, [256], [0, 256]).ravel().astype(np.float64)
    levels = np.arange(256.0)
    median = _weighted_median(levels, histogram)
    sigma = SIGMA_PER_MAD * _weighted_median(np.abs(levels - median), histogram)
    z = (levels - median) / max(sigma, parameters.noise_levels)
    low, high = parameters.hot_from_sigmas, parameters.hot_to_sigmas
    step = np.clip((z - low) / max(high - low, 1e-3), 0, 1)
    curve = (step * step * (3 - 2 * step)).astype(np.float32)
    hot = cv2.LUT(thermal, curve)
    return hot if thermal_weight is None else hot * thermal_weight


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind='stable')
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
