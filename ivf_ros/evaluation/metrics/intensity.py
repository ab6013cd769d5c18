# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics from histograms, differences and correlations of intensities.

Images are ``(H, W)`` float64 luma from 0 to 255, as ``inputs.check_triple`` returns them; A and B
are the sources, F is the fused image. Metrics that use a histogram round float images.
"""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.metrics.inputs import Sources
import numpy as np

_LEVELS = 256


def entropy_bits(fused: np.ndarray) -> float:
    """
    Return EN = -sum p(i) log2 p(i) over the 256 gray levels (Roberts et al. 2008).

    The range is 0, for a constant image, to 8. The Python tools add 1e-7 to p, which changes the
    seventh digit.
    """
    return _entropy(np.bincount(_levels(fused), minlength=_LEVELS))


def standard_deviation(fused: np.ndarray) -> float:
    """Return SD = sqrt(mean((F - mean F)^2)), over all pixels (Rao 1997)."""
    return float(fused.std())


def spatial_frequency(fused: np.ndarray, *, over_all_pixels: bool = False) -> float:
    """
    Return SF = sqrt(RF^2 + CF^2) (Eskicioglu and Fisher 1995).

    RF and CF are the root mean squares of the differences of neighbours in a row and in a column.
    Each mean is over the number of differences (Tang et al.); VIFB divides by the number of
    pixels: ``over_all_pixels``.
    """
    squares = [np.diff(fused, axis=axis) ** 2 for axis in (0, 1)]
    if over_all_pixels:
        return float(np.sqrt(sum(square.sum() for square in squares) / fused.size))
    return float(np.sqrt(sum(square.mean() for square in squares)))


def average_gradient(fused: np.ndarray) -> float:
    """
    Return AG = sum sqrt((Fx^2 + Fy^2) / 2) / ((H - 1) (W - 1)) (Cui et al. 2015).

    Fx and Fy are central differences, one-sided at the border.
    """
    along_y, along_x = np.gradient(fused)
    height, width = fused.shape
    return float(np.sqrt((along_x ** 2 + along_y ** 2) / 2).sum() / ((height - 1) * (width - 1)))


def edge_intensity(fused: np.ndarray) -> float:
    """Return EI, the mean Sobel magnitude, with replicated border (Xydeas 2000)."""
    along_x, along_y = (cv2.Sobel(fused, cv2.CV_64F, *order, borderType=cv2.BORDER_REPLICATE)
                        for order in ((1, 0), (0, 1)))
    return float(np.sqrt(along_x ** 2 + along_y ** 2).mean())


def mutual_information_bits(sources: Sources, fused: np.ndarray, *, nats: bool = False,
                            mean: bool = False, merge_white: bool = False) -> float:
    """
    Return MI = I(A; F) + I(B; F) in bits (Qu et al. 2002).

    I(X; F) = H(X) + H(F) - H(X, F), from joint histograms of 256 x 256 gray levels. VIFB uses
    ``nats``; ``mean`` is half the sum. The MATLAB code of Tang et al. adds 1 to uint8 levels for
    the joint histogram, where 255 saturates. So H(X, F), but not H(X) and H(F), merges levels 254
    and 255: ``merge_white`` does the same, and is up to 0.6 % higher on saturated images. The
    Python tools and VIFB do not.
    """
    total = 0.0
    for source in sources:
        counts = _joint_counts(source, fused)
        information, _ = _mutual_information(counts)
        if merge_white:
            information += _entropy(counts) - _entropy(_merge_white(counts))
        total += information
    return total * (np.log(2) if nats else 1.0) / (2 if mean else 1)


def normalized_mutual_information(sources: Sources, fused: np.ndarray, *, corrected: bool = True
                                  ) -> float:
    """
    Return NMI = 2 sum_X I(X; F) / (H(X) + H(F)) (Hossny et al. 2008).

    It is 2 if the fused image determines both sources. A term of two constant images is 0. This is
    the correction by Hossny of the metric of Qu et al. (2002), which is the plain sum of I(X; F):
    ``corrected=False``. It is Q_MI of Liu et al. (2012).
    """
    total = 0.0
    for source in sources:
        information, entropies = _mutual_information(_joint_counts(source, fused))
        if not corrected:
            total += information
        elif entropies > 0:
            total += 2.0 * information / entropies
    return total


def nonlinear_correlation_information_entropy(sources: Sources, fused: np.ndarray) -> float:
    """
    Return QNCIE = 1 + sum (l_i / 3) log_256(l_i / 3) (Wang et al. 2005).

    l_i are the eigenvalues of the matrix of NCC(X, Y) = H(X) + H(Y) - H(X, Y), in units of 8 bits,
    between A, B and F, with ones on the diagonal, as in the code of Liu et al. (2012). It is
    0.8019 if the three images are independent, and 1 if they are one image in which all levels are
    equally frequent.
    """
    images = (*sources, fused)
    matrix = np.eye(3)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        information, _ = _mutual_information(_joint_counts(images[i], images[j]))
        matrix[i, j] = matrix[j, i] = information / 8.0
    normalized = np.linalg.eigvalsh(matrix) / 3.0
    normalized = normalized[normalized > 1e-12]
    return 1.0 + float((normalized * np.log2(normalized)).sum()) / 8.0


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

    MSE is that of ``mean_squared_error``, for intensities 0..1. Published code combines it with
    a peak of 255, which adds 48.1 dB; ``peak=1`` gives the PSNR of textbooks.
    """
    error = mean_squared_error(sources, fused)
    return float(20.0 * np.log10(peak / np.sqrt(error))) if error > 0 else float('inf')


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image).astype(np.int32).ravel()


def _joint_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the joint histogram; rows are levels of ``a``, columns levels of ``b``."""
    pairs = _levels(a) * _LEVELS + _levels(b)
    return np.bincount(pairs, minlength=_LEVELS ** 2).reshape(_LEVELS, _LEVELS)


def _entropy(counts: np.ndarray) -> float:
    counts = counts[counts > 0]
    probabilities = counts / counts.sum()
    # Adding zero turns the -0.0 of a single level into 0.0.
    return float(-(probabilities * np.log2(probabilities)).sum()) + 0.0


def _mutual_information(counts: np.ndarray) -> tuple[float, float]:
    """Return I(X; Y) and H(X) + H(Y), in bits, of a joint histogram."""
    entropies = _entropy(counts.sum(axis=0)) + _entropy(counts.sum(axis=1))
    return max(entropies - _entropy(counts), 0.0), entropies


def _merge_white(counts: np.ndarray) -> np.ndarray:
    """Return the joint histogram with levels 254 and 255 merged."""
    merged = counts[:255, :255].copy()
    merged[254] += counts[255, :255]
    merged[:, 254] += counts[:255, 255]
    merged[254, 254] += counts[255, 255]
    return merged


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if an image is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a ** 2).sum() * (b ** 2).sum()))
    return float((a * b).sum()) / norm if norm > 1e-9 else 0.0
