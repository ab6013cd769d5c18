# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Multi-scale structural similarity of a fused image and its sources: MS-SSIM."""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.metrics.inputs import FUSED, ImageTriple, RGB, SOURCES, THERMAL
from ivf_ros.evaluation.metrics.local import crop_valid, LocalMoments
import numpy as np

# Wang et al. (2003). The form for fusion uses the first three, scaled to a sum of 1.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_TAPS = 11
_EPS = float(np.finfo(np.float64).eps)


def multi_scale_similarity(triple: ImageTriple, *, pairwise: bool = False) -> float:
    """
    Return MS-SSIM of F and the best combination of A and B (Ma et al. 2015).

    The product over three scales of mean((2 srf + C) / (sr^2 + sf^2 + C))^w, C = (0.03 * 255)^2.
    In each 11 x 11 window, R is the direction sum wX (X - mX) / cX at the greater of the
    contrasts cA, cB; cX = |X - mX| + 0.001 and wX ~ (cX / 11)^p, p = min(10, tan(pi/2 r)),
    r = |sum (X - mX)| / sum |X - mX|. Between scales, 2 x 2 pixels are averaged. This is the
    metric for multi-exposure fusion that the MATLAB code of Tang et al. reports as MS-SSIM.

    ``pairwise`` gives the mean of the five-scale MS-SSIM(A, F) and MS-SSIM(B, F) of Wang et al.
    (2003) instead; the Python tools report the sum.
    """
    if pairwise:
        return sum(_pairwise_similarity(triple, source) for source in SOURCES) / 2
    weights = np.array(_SCALE_WEIGHTS[:3]) / sum(_SCALE_WEIGHTS[:3])
    images: tuple[np.ndarray, ...] = triple.images
    moments = triple.moments(_TAPS)
    product = 1.0
    for scale, weight in enumerate(weights):
        if scale > 0:
            images = tuple(_halve(image) for image in images)
            moments = LocalMoments(images, _TAPS, 1.5)
        product *= max(_quality(images, moments), 0.0) ** weight
    return float(product)


def _quality(images: tuple[np.ndarray, ...], moments: LocalMoments) -> float:
    """Return the mean similarity of the fused image and the desired one, for one scale."""
    powers = {(i, j): _box_covariance(images[i], images[j]) for i, j in
              ((THERMAL, THERMAL), (RGB, RGB), (THERMAL, RGB))}
    aa, bb, ab = (powers[key] for key in ((0, 0), (1, 1), (0, 1)))
    norms = [np.sqrt(np.maximum(x, 0)) for x in (aa, bb)]
    contrasts = [norm + 0.001 for norm in norms]
    consistency = ((np.sqrt(np.maximum(aa + bb + 2 * ab, 0)) + _EPS)
                   / (norms[0] + norms[1] + _EPS))
    exponent = np.minimum(np.tan(np.pi / 2 * np.minimum(consistency, 1 - _EPS)), 10.0)
    weights = [(contrast / _TAPS) ** exponent + _EPS for contrast in contrasts]
    total = weights[0] + weights[1]
    # The desired patch is a A + b B, without its mean.
    a, b = (weight / total / contrast for weight, contrast in zip(weights, contrasts, strict=True))
    norm = np.sqrt(np.maximum(a * a * aa + 2 * a * b * ab + b * b * bb, 0))
    scale = np.where(norm > 0, np.maximum(*contrasts) / np.where(norm > 0, norm, 1.0), 1.0)
    a, b = a * scale, b * scale

    variance = (a * a * moments.variance(THERMAL) + 2 * a * b * moments.covariance(THERMAL, RGB)
                + b * b * moments.variance(RGB))
    covariance = (a * moments.covariance(THERMAL, FUSED) + b * moments.covariance(RGB, FUSED))
    c = (0.03 * 255) ** 2
    return float(((2 * covariance + c) / (variance + moments.variance(FUSED) + c)).mean())


def _box_covariance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return sum (x - mean x)(y - mean y) over each window of 11 x 11 pixels."""
    def window_sum(image: np.ndarray) -> np.ndarray:
        return crop_valid(cv2.boxFilter(image, cv2.CV_64F, (_TAPS, _TAPS), normalize=False), _TAPS)

    return window_sum(x * y) - window_sum(x) * window_sum(y) / _TAPS ** 2


def _halve(image: np.ndarray) -> np.ndarray:
    """Average 2 x 2 pixels; the last row or column of an odd size counts twice."""
    odd = [(0, side % 2) for side in image.shape]
    even = np.pad(image, odd, mode='edge')
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def _pairwise_similarity(triple: ImageTriple, source: int) -> float:
    """Return the MS-SSIM of Wang et al. of a source and the fused image."""
    images = (triple.images[source], triple.fused)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale > 0:
            images = (_halve(images[0]), _halve(images[1]))
        moments = LocalMoments(images, _TAPS, 1.5)
        term = ((2 * moments.covariance(0, 1) + c2)
                / (moments.variance(0) + moments.variance(1) + c2))
        if scale == len(_SCALE_WEIGHTS) - 1:
            term *= ((2 * moments.mean(0) * moments.mean(1) + c1)
                     / (moments.mean(0) ** 2 + moments.mean(1) ** 2 + c1))
        product *= max(float(term.mean()), 0.0) ** weight
    return product
