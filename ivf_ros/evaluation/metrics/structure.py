# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics that compare local structure: SSIM, VIF, Qabf.

Images are ``(H, W)`` float64 luma from 0 to 255, as ``inputs.check_triple`` returns them; A and B
are the sources, F is the fused image.
"""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.metrics.inputs import Sources
import numpy as np

_VIF_NOISE_VARIANCE = 2.0
_TINY = 1e-10


def structural_similarity(sources: Sources, fused: np.ndarray) -> float:
    """
    Return the mean of SSIM(A, F) and SSIM(B, F) (Wang et al. 2004).

    SSIM = mean (2 ma mf + C1)(2 saf + C2) / ((ma^2 + mf^2 + C1)(sa^2 + sf^2 + C2)) with moments
    under an 11 x 11 Gaussian window of sigma 1.5, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2, over
    the pixels whose window lies within the image.
    """
    return float(np.mean([_ssim(source, fused) for source in sources]))


def visual_information_fidelity(sources: Sources, fused: np.ndarray) -> float:
    """
    Return VIF(A, F) + VIF(B, F), in the pixel domain (Sheikh and Bovik 2006).

    VIF = sum log10(1 + g^2 sx^2 / (sv^2 + sn^2)) / sum log10(1 + sx^2 / sn^2) over four scales
    with Gaussian windows of 17, 9, 5 and 3 pixels, sigma a fifth of that, and sn^2 = 2; the source
    is the reference. The field reports the sum over both sources. A constant source gives 0.
    """
    return sum(_vif(source, fused) for source in sources)


def edge_transfer(sources: Sources, fused: np.ndarray) -> float:
    """
    Return Qabf, how well edges of the sources are found in F (Xydeas and Petrovic 2000).

    Qabf = sum (QAF gA + QBF gB) / sum (gA + gB), where g is the Sobel magnitude (zeros beyond the
    border), QXF = Qg Qa, Qg = 0.9994 / (1 + exp(-15 (G - 0.5))) of the ratio G of the smaller to
    the larger magnitude, and Qa = 0.9879 / (1 + exp(-22 (A - 0.8))) of the agreement in angle A.
    As in the field's code G is the magnitude itself where both are equal. Without any edge in the
    sources there is nothing to transfer, and the result is 0.
    """
    fused_edges = _edges(fused)
    gained = weight = 0.0
    for source in sources:
        edges = _edges(source)
        gained += float((_preserved(edges, fused_edges) * edges[0]).sum())
        weight += float(edges[0].sum())
    return gained / weight if weight > 0 else 0.0


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    def smooth(image: np.ndarray) -> np.ndarray:
        return _filtered(image, 11, 1.5)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = smooth(a), smooth(b)
    variance_a = smooth(a * a) - mean_a ** 2
    variance_b = smooth(b * b) - mean_b ** 2
    covariance = smooth(a * b) - mean_a * mean_b
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)
                  / ((mean_a ** 2 + mean_b ** 2 + c1) * (variance_a + variance_b + c2)))
    return float(similarity.mean())


def _vif(reference: np.ndarray, distorted: np.ndarray) -> float:
    kept = available = 0.0
    for taps in (17, 9, 5, 3):
        if taps < 17:
            reference = _filtered(reference, taps, taps / 5)[::2, ::2]
            distorted = _filtered(distorted, taps, taps / 5)[::2, ::2]
        mean_r, mean_d = (_filtered(x, taps, taps / 5) for x in (reference, distorted))
        variance_r = np.maximum(
            _filtered(reference * reference, taps, taps / 5) - mean_r ** 2, 0)
        variance_d = np.maximum(
            _filtered(distorted * distorted, taps, taps / 5) - mean_d ** 2, 0)
        covariance = _filtered(reference * distorted, taps, taps / 5) - mean_r * mean_d

        # The distorted image as gain times reference plus noise; where that makes no sense (a
        # flat patch, an inverted one) all of it is noise.
        gain = covariance / (variance_r + _TINY)
        noise = variance_d - gain * covariance
        flat_r, flat_d, inverted = variance_r < _TINY, variance_d < _TINY, gain < 0
        noise = np.where(flat_r | inverted, variance_d, noise)
        noise = np.maximum(np.where(flat_d, 0.0, noise), _TINY)
        gain = np.where(flat_r | flat_d | inverted, 0.0, gain)
        variance_r = np.where(flat_r, 0.0, variance_r)
        kept += float(np.log10(
            1 + gain ** 2 * variance_r / (noise + _VIF_NOISE_VARIANCE)).sum())
        available += float(np.log10(1 + variance_r / _VIF_NOISE_VARIANCE).sum())
    return kept / available if available > 0 else 0.0


def _filtered(image: np.ndarray, taps: int, sigma_px: float) -> np.ndarray:
    """Smooth by a Gaussian window; only pixels whose window lies within the image remain."""
    kernel = cv2.getGaussianKernel(taps, sigma_px, cv2.CV_64F)
    half = taps // 2
    return cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel)[half:-half, half:-half]


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude and angle, from -pi/2 to pi/2, of the Sobel gradient."""
    along_x, along_y = (cv2.Sobel(image, cv2.CV_64F, *order, borderType=cv2.BORDER_CONSTANT)
                        for order in ((1, 0), (0, 1)))
    upright = along_x == 0
    # With y up, as the field's code has it: it matters beside upright gradients, always +pi/2.
    angle = np.arctan(-along_y / np.where(upright, 1.0, along_x))
    return np.hypot(along_x, along_y), np.where(upright, np.pi / 2, angle)


def _preserved(source: tuple[np.ndarray, np.ndarray],
               fused: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return QXF of each pixel."""
    (magnitude, angle), (fused_magnitude, fused_angle) = source, fused
    larger = np.maximum(magnitude, fused_magnitude)
    ratio = np.minimum(magnitude, fused_magnitude) / np.where(larger > 0, larger, 1.0)
    ratio = np.where(magnitude == fused_magnitude, fused_magnitude, ratio)
    agreement = 1 - np.abs(angle - fused_angle) / (np.pi / 2)
    strength = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
    orientation = 0.9879 / (1 + np.exp(-22 * (agreement - 0.8)))
    return strength * orientation
