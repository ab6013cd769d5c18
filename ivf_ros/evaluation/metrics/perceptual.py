# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics that model the contrast sensitivity of the human eye: Qcb and Qcv.

Both first scale each of A, B and F from minimum to maximum to integers 0..255, as in the code of
Liu et al. (2012), from which VIFB took them; a constant image becomes 0.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
from ivf_ros.evaluation.metrics.inputs import FUSED, ImageTriple, SOURCES
from ivf_ros.evaluation.metrics.local import divide_or
import numpy as np

_BLOCK_PX = 16


def chen_blum(triple: ImageTriple) -> float:
    """
    Return Qcb, the preserved contrast of the sources (Chen and Blum 2009).

    Images are filtered by S(r) = exp(-(r / 15.387)^2) - 0.7622 exp(-(r / 1.3456)^2), where r runs
    to 1/30 of the size. The contrast is C = |G2 * I / G4 * I - 1| with Gaussians of sigma 2 and 4,
    not normalised, with zero padding. It is masked to C' = C^3 / (C^2 + 0.0001). Then
    Qcb = mean (lA QAF + lB QBF), where QXF is the ratio of the smaller to the larger of C'X and
    C'F, and lX = C'X^2 / (C'A^2 + C'B^2). If both images have no contrast, QXF is 1.
    """
    sensitivity = _frequency_filter(triple.fused.shape, 1 / 30, _chen_blum_sensitivity)
    contrasts = [_masked_contrast(_filter_spectrum(spectrum, sensitivity, triple.fused.shape))
                 for spectrum in triple.stretched_spectra]
    fused = contrasts.pop()
    preserved = [divide_or(np.minimum(x, fused), np.maximum(x, fused), default=1.0)
                 for x in contrasts]
    squares = [x * x for x in contrasts]
    weight_a = divide_or(squares[0], squares[0] + squares[1], default=0.5)
    return float((weight_a * preserved[0] + (1 - weight_a) * preserved[1]).mean())


def chen_varshney(triple: ImageTriple) -> float:
    """
    Return Qcv, the visible difference of F from the sources, by region (Chen, Varshney 2007).

    Qcv = sum (lA DA + lB DB) / sum (lA + lB) over blocks of 16 x 16 pixels, with zero padding,
    where lX = sum g^5 of the Sobel magnitude of X, and DX = mean of (X - F)^2 after the filter
    2.6 (0.0192 + 0.144 r) exp(-(0.144 r)^1.1) of Mannos and Sakrison, where r runs to 1/8 of the
    size. Qcv is 0 if F equals both sources; it has no upper bound. If the sources have no edges,
    all blocks have the same weight.
    """
    shape = triple.fused.shape
    sensitivity = _frequency_filter(shape, 1 / 8, _mannos_sakrison)
    spectra = triple.stretched_spectra
    weights, differences = [], []
    for source in SOURCES:
        along_x, along_y = (cv2.Sobel(triple.stretched[source], cv2.CV_64F, *order,
                                      borderType=cv2.BORDER_CONSTANT)
                            for order in ((1, 0), (0, 1)))
        square = along_x ** 2 + along_y ** 2
        weights.append(_block_sums(square * square * np.sqrt(square)))
        filtered = _filter_spectrum(spectra[source] - spectra[FUSED], sensitivity, shape)
        differences.append(_block_sums(filtered * filtered) / _BLOCK_PX ** 2)
    weight, difference = np.stack(weights), np.stack(differences)
    if not weight.any():
        return float(difference.mean())
    return float((weight * difference).sum() / weight.sum())


def _chen_blum_sensitivity(r: np.ndarray) -> np.ndarray:
    return np.exp(-(r / 15.3870) ** 2) - 0.7622 * np.exp(-(r / 1.3456) ** 2)


def _mannos_sakrison(r: np.ndarray) -> np.ndarray:
    return 2.6 * (0.0192 + 0.144 * r) * np.exp(-(0.144 * r) ** 1.1)


def _frequency_filter(shape: tuple[int, ...], scale: float,
                      sensitivity_of_radius: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the filter on the half spectrum; the highest frequency has radius scale * size."""
    height, width = shape
    along_y = np.fft.fftfreq(height)[:, None] * (2 * scale * height)
    along_x = np.fft.rfftfreq(width)[None, :] * (2 * scale * width)
    return sensitivity_of_radius(np.sqrt(along_x ** 2 + along_y ** 2))


def _filter_spectrum(spectrum: np.ndarray, sensitivity: np.ndarray, shape: tuple[int, ...]
                     ) -> np.ndarray:
    from scipy import fft

    return fft.irfft2(spectrum * sensitivity, s=shape, overwrite_x=True)


def _masked_contrast(image: np.ndarray) -> np.ndarray:
    centre, surround = (_gaussian_sum(image, sigma_px) for sigma_px in (2.0, 4.0))
    contrast = np.abs(divide_or(centre, surround, default=1.0) - 1.0)
    square = contrast * contrast
    return square * contrast / (square + 0.0001)


def _gaussian_sum(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Filter by exp(-(x^2 + y^2) / (2 s^2)) / (2 pi s^2), cut at 15 pixels, with zero padding."""
    offsets_px = np.arange(-15.0, 16.0)
    kernel = np.exp(-offsets_px ** 2 / (2 * sigma_px ** 2)) / (np.sqrt(2 * np.pi) * sigma_px)
    return cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)


def _block_sums(image: np.ndarray) -> np.ndarray:
    padding = [(0, -side % _BLOCK_PX) for side in image.shape]
    padded = np.pad(image, padding)
    rows, columns = (side // _BLOCK_PX for side in padded.shape)
    return padded.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).sum(axis=(1, 3))
