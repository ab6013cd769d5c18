# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics from histograms, differences and correlations of intensities.

Images are ``(H, W)`` float64 luma from 0 to 255, as ``inputs.check_triple`` returns them; A and B
are the sources, F is the fused image.
"""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.metrics.inputs import Sources
import numpy as np


def entropy_bits(fused: np.ndarray) -> float:
    """
    Return EN = -sum p(i) log2 p(i) over the 256 gray levels (Roberts et al. 2008).

    Between 0 for a constant image and 8.
    """
    return _entropy(np.bincount(_levels(fused), minlength=256))


def standard_deviation(fused: np.ndarray) -> float:
    """Return SD = sqrt(mean((F - mean F)^2)), over all pixels (Rao 1997)."""
    return float(fused.std())


def spatial_frequency(fused: np.ndarray) -> float:
    """
    Return SF = sqrt(RF^2 + CF^2) (Eskicioglu and Fisher 1995).

    RF and CF are the root mean squares of the differences of neighbours in a row and a column,
    each over the differences that there are.
    """
    rows, columns = np.diff(fused, axis=1), np.diff(fused, axis=0)
    return float(np.sqrt((rows ** 2).mean() + (columns ** 2).mean()))


def average_gradient(fused: np.ndarray) -> float:
    """
    Return AG = sum sqrt((Fx^2 + Fy^2) / 2) / ((H - 1) (W - 1)) (Cui et al. 2015).

    Fx and Fy are central differences, one-sided at the border.
    """
    along_y, along_x = np.gradient(fused)
    height, width = fused.shape
    return float(np.sqrt((along_x ** 2 + along_y ** 2) / 2).sum() / ((height - 1) * (width - 1)))


def edge_intensity(fused: np.ndarray) -> float:
    """Return EI, the mean magnitude of the Sobel gradient, border replicated (Xydeas 2000)."""
    along_x, along_y = (cv2.Sobel(fused, cv2.CV_64F, *order, borderType=cv2.BORDER_REPLICATE)
                        for order in ((1, 0), (0, 1)))
    return float(np.hypot(along_x, along_y).mean())


def mutual_information_bits(sources: Sources, fused: np.ndarray) -> float:
    """
    Return MI = I(A; F) + I(B; F) in bits (Qu et al. 2002).

    I(X; F) = H(X) + H(F) - H(X, F), from joint histograms of 256 x 256 gray levels.
    """
    return sum(_mutual_information(source, fused)[0] for source in sources)


def normalized_mutual_information(sources: Sources, fused: np.ndarray) -> float:
    """
    Return NMI = 2 sum_X I(X; F) / (H(X) + H(F)) (Hossny et al. 2008).

    2 where the fused image tells all of both sources. A term of two constant images is 0.
    """
    total = 0.0
    for source in sources:
        information, entropies = _mutual_information(source, fused)
        total += 2.0 * information / entropies if entropies > 0 else 0.0
    return total


def correlation(sources: Sources, fused: np.ndarray) -> float:
    """Return CC, the mean of the correlations of F with A and with B."""
    return float(np.mean([_correlation(source, fused) for source in sources]))


def sum_of_correlations_of_differences(sources: Sources, fused: np.ndarray) -> float:
    """Return SCD = r(F - B, A) + r(F - A, B) (Aslantas and Bendes 2015)."""
    thermal, rgb = sources
    return _correlation(fused - rgb, thermal) + _correlation(fused - thermal, rgb)


def mean_squared_error(sources: Sources, fused: np.ndarray) -> float:
    """Return the mean over A and B of the MSE of F, intensities scaled to 0..1."""
    return float(np.mean([((fused - source) ** 2).mean() for source in sources])) / 255.0 ** 2


def peak_signal_to_noise_db(sources: Sources, fused: np.ndarray, *, peak: float = 255.0) -> float:
    """
    Return PSNR = 20 log10(peak / sqrt(MSE)), infinite for equal images.

    MSE is that of ``mean_squared_error``, whose scale is 0..1. The field's code combines it with
    a peak of 255, which adds 48.1 dB; ``peak=1`` gives the PSNR of the textbooks.
    """
    error = mean_squared_error(sources, fused)
    return float(20.0 * np.log10(peak / np.sqrt(error))) if error > 0 else float('inf')


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image).astype(np.intp).ravel()


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    # Adding zero turns the -0.0 of a single level into 0.0.
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _mutual_information(source: np.ndarray, fused: np.ndarray) -> tuple[float, float]:
    """Return I(source; fused) and H(source) + H(fused), in bits."""
    joint = np.bincount(_levels(source) * 256 + _levels(fused), minlength=256 * 256)
    table = joint.reshape(256, 256)
    entropies = _entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1))
    return max(entropies - _entropy(joint), 0.0), entropies


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 where an image is constant and none is defined."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a ** 2).sum() * (b ** 2).sum()))
    return float((a * b).sum()) / norm if norm > 1e-9 else 0.0
