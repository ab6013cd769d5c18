# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics that compare local structure: SSIM, VIF, Qy, Qc.

A and B are the sources, F is the fused image: ``(H, W)`` float64 luma from 0 to 255. Moments are
computed under a Gaussian window, for the pixels whose window lies inside the image.
"""

from __future__ import annotations

from ivf_ros.evaluation.metrics.inputs import FUSED, ImageTriple, RGB, SOURCES, THERMAL
from ivf_ros.evaluation.metrics.local import Borders, divide_or, LocalMoments, smooth
import numpy as np

_VIF_NOISE_VARIANCE = 2.0
_TINY = 1e-10
# The smallest nonzero variance in a 7 x 7 window of an image with integer levels is 1e-3.
_FLAT_VARIANCE = 1e-8


def structural_similarity(triple: ImageTriple, *, dynamic_range: float = 255.0,
                          borders: Borders = 'valid', mean: bool = True) -> float:
    """
    Return the mean of SSIM(A, F) and SSIM(B, F) (Wang et al. 2004).

    SSIM = mean (2 ma mf + C1)(2 saf + C2) / ((ma^2 + mf^2 + C1)(sa^2 + sf^2 + C2)) with moments
    under an 11 x 11 Gaussian window of sigma 1.5, C1 = (0.01 L)^2, C2 = (0.03 L)^2, L = 255. These
    are the constants and borders of the code of Wang, of VIFB and of the Python tools, which
    however report the sum, ``mean=False``. The MATLAB code of Tang et al. passes images from 0 to
    255 to a function that uses L = 1 for floating point, and replicates the border. Its values are
    those of ``dynamic_range=1, borders='replicate'``, which are 0.08 to 0.25 lower.
    """
    moments = (triple.moments(11) if borders == 'valid'
               else LocalMoments(triple.images, 11, 1.5, borders))
    constants = (0.01 * dynamic_range) ** 2, (0.03 * dynamic_range) ** 2
    total = sum(float(_ssim(moments, source, FUSED, *constants).mean()) for source in SOURCES)
    return total / 2 if mean else total


def visual_information_fidelity(triple: ImageTriple, *, mean: bool = False,
                                noise_variance: float = _VIF_NOISE_VARIANCE) -> float:
    """
    Return VIF(A, F) + VIF(B, F), in the pixel domain (Sheikh and Bovik 2006).

    VIF = sum log10(1 + g^2 sx^2 / (sv^2 + sn^2)) / sum log10(1 + sx^2 / sn^2) over four scales
    with Gaussian windows of 17, 9, 5 and 3 pixels, sigma a fifth of that, and sn^2 = 2, which
    belongs to intensities from 0 to 255; the source is the reference. Papers report the sum over
    both sources; ``mean`` gives half of it. Both sums run over all scales before the division. A
    constant source gives 0.

    Python tools that filter by scipy's ``gaussian_filter``, which mirrors the border and cuts the
    window at 4 sigma, give up to 2 % less. Tools that convolve over valid pixels agree.
    """
    preserved, available = [0.0, 0.0], [0.0, 0.0]
    images: tuple[np.ndarray, ...] = triple.images
    for taps in (17, 9, 5, 3):
        if taps < 17:
            images = tuple(smooth(x, taps, taps / 5)[::2, ::2].copy() for x in images)
        moments = LocalMoments(images, taps, taps / 5)
        for source in SOURCES:
            information = _information(moments, source, noise_variance)
            preserved[source] += information[0]
            available[source] += information[1]
    total = sum(preserved[source] / available[source] if available[source] > 0 else 0.0
                for source in SOURCES)
    return total / 2 if mean else total


def yang_similarity(triple: ImageTriple) -> float:
    """
    Return Qy, SSIM with the more similar source where the sources differ (Yang et al. 2008).

    Qy = mean of l SSIM(A, F) + (1 - l) SSIM(B, F) where SSIM(A, B) >= 0.75, and of the greater of
    SSIM(A, F) and SSIM(B, F) elsewhere; l = sa^2 / (sa^2 + sb^2), moments under 7 x 7 Gaussian
    windows of sigma 1.5 and no constants C1, C2, as in the code of Liu et al. (2012). If both
    sources are flat, l is 1/2. The contrast term of two flat windows is 1; the code of Liu gives
    NaN or rounding noise there.
    """
    moments = triple.moments(7)
    between = _ssim(moments, THERMAL, RGB, 0.0, 0.0)
    ssim_thermal, ssim_rgb = (_ssim(moments, source, FUSED, 0.0, 0.0) for source in SOURCES)
    variances = [_zero_flat(moments.variance(source)) for source in SOURCES]
    weight_thermal = divide_or(variances[0], variances[0] + variances[1], default=0.5)
    weighted = weight_thermal * ssim_thermal + (1 - weight_thermal) * ssim_rgb
    quality = np.where(between >= 0.75, weighted, np.maximum(ssim_thermal, ssim_rgb))
    return float(quality.mean())


def cvejic_similarity(triple: ImageTriple, *, clip_weight: bool = False) -> float:
    """
    Return Qc, SSIM weighted by the covariance of F with each source (Cvejic et al. 2005).

    Qc = mean of l SSIM(A, F) + (1 - l) SSIM(B, F), l = saf / (saf + sbf), moments as in
    ``yang_similarity``. The paper clips l to 0..1: ``clip_weight``. The code of Liu et al. (2012),
    which papers use, instead sets the quality itself to 0 where l < 0 and to 1 where l > 1, so the
    order of the sources matters. If F has no covariance with one source, for example with a
    saturated one, l is 0 or 1; if it has none with both, l is 1/2. The code of Liu gives rounding
    noise or NaN there, which changes its values by some percent on real images.
    """
    moments = triple.moments(7)
    covariances = [_zero_flat(moments.covariance(source, FUSED)) for source in SOURCES]
    ssim_thermal, ssim_rgb = (_ssim(moments, source, FUSED, 0.0, 0.0) for source in SOURCES)
    weight_thermal = divide_or(covariances[0], covariances[0] + covariances[1], default=0.5)
    clipped = np.clip(weight_thermal, 0.0, 1.0)
    if clip_weight:
        return float((clipped * ssim_thermal + (1 - clipped) * ssim_rgb).mean())
    quality = weight_thermal * ssim_thermal + (1 - weight_thermal) * ssim_rgb
    return float(np.where(weight_thermal == clipped, quality, clipped).mean())


def _ssim(moments: LocalMoments, i: int, j: int, c1: float, c2: float) -> np.ndarray:
    """Return the map of SSIM. Without constants, factors that are 0 / 0 count as 1."""
    products, squares = moments.mean(i) * moments.mean(j), moments.mean(i) ** 2
    squares = squares + moments.mean(j) ** 2
    covariance = 2 * moments.covariance(i, j) + c2
    variances = moments.variance(i) + moments.variance(j) + c2
    if c2 > 0:
        return (2 * products + c1) * covariance / ((squares + c1) * variances)
    flat = variances < 2 * _FLAT_VARIANCE
    variances[flat] = covariance[flat] = 1.0
    return divide_or(2 * products, squares, default=1.0) * covariance / variances


def _zero_flat(moments: np.ndarray) -> np.ndarray:
    """Return the moments with the rounding noise of flat windows set to 0."""
    return np.where(np.abs(moments) < _FLAT_VARIANCE, 0.0, moments)


def _information(moments: LocalMoments, source: int, noise_variance: float
                 ) -> tuple[float, float]:
    """Return the preserved and the available information of the source, of one scale."""
    variance_r = np.maximum(moments.variance(source), 0)
    variance_d = np.maximum(moments.variance(FUSED), 0)
    covariance = moments.covariance(source, FUSED)

    # Model: fused = gain * source + noise. In flat or inverted windows all of it is noise.
    gain = covariance / (variance_r + _TINY)
    noise = variance_d - gain * covariance
    flat_r, flat_d, inverted = variance_r < _TINY, variance_d < _TINY, gain < 0
    noise = np.where(flat_r | inverted, variance_d, noise)
    noise = np.maximum(np.where(flat_d, 0.0, noise), _TINY)
    gain[flat_r | flat_d | inverted] = 0.0
    variance_r[flat_r] = 0.0
    preserved = np.log1p(gain ** 2 * variance_r / (noise + noise_variance)).sum()
    return float(preserved), float(np.log1p(variance_r / noise_variance).sum())
