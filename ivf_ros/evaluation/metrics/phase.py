# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Phase congruency and the fusion metric Qp that compares it.

Phase congruency (Kovesi 1999, 2003) is high where the Fourier components of an image are in phase,
at edges and corners of any contrast. Responses are stored in single precision. This changes the
seventh digit of Qp, or in a small image the fourth, if a pixel lies at a threshold.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
from ivf_ros.evaluation.metrics.inputs import ImageTriple
from ivf_ros.evaluation.metrics.local import divide_or
import numpy as np

_SCALES = 4
_ORIENTATIONS = 6
_DIRECTIONS = np.arange(_ORIENTATIONS) * (np.pi / _ORIENTATIONS)
_MIN_WAVELENGTH_PX = 3.0
_SCALE_FACTOR = 2.1
_SIGMA_ON_F = 0.55
_ANGLE_SIGMA = np.pi / _ORIENTATIONS / 1.2
_NOISE_DEVIATIONS = 2.0
_NOISE_SCALE = 1.7  # the noise estimate is too high by this factor
_CUT_OFF, _GAIN = np.float32(0.5), np.float32(10.0)
_EPS = np.float32(1e-4)
_ROWS_PER_STRIP = 32  # so that a strip fits into the cache

_MIN_CONGRUENCY = 0.1  # of a feature
_TAPS, _SIGMA_PX, _C = 11, 1.5, 0.0001


def phase_congruency_similarity(triple: ImageTriple, *, centered: bool = False) -> float:
    """
    Return Qp = Pp PM Pm, the phase congruency that F preserves (Zhao et al. 2007).

    Each P compares one map of F - the phase congruency, its maximum and its minimum moment - with
    those of A, of B and of M, the one of both with the greater phase congruency. P is the sum over
    pixels of the greatest of (sXF + C) / (|sX sF| + C), X in A, B, M, under an 11 x 11 Gaussian
    window of sigma 1.5, with zero padding, C = 0.0001. The maps of X count where their phase
    congruency exceeds 0.1. P is divided by the number of such pixels of M, as in the code of Liu
    et al. (2012). Sources without features give 0. A flat F, however, has the correlation C / C
    with all of them, so its value is near 1.

    In that code, and in its version of Kovesi's code, the low-pass filter on the highest
    frequencies is shifted by one frequency along sides of odd length; this changes the third
    digit. ``centered`` removes the shift.
    """
    bank = _filter_bank(triple.fused.shape, centered)
    thermal, rgb, fused = (bank.compute_maps(image) for image in triple.images)
    greater = thermal[0] > rgb[0]
    best = [np.where(greater, a, b) for a, b in zip(thermal, rgb, strict=True)]
    masks = [maps[0] > _MIN_CONGRUENCY for maps in (thermal, rgb, best)]
    count = np.count_nonzero(masks[2])
    if count == 0:
        return 0.0
    product = 1.0
    for k in range(len(fused)):
        sources = [np.where(mask, maps[k], 0.0).astype(np.float64) for maps, mask in
                   zip((thermal, rgb, best), masks, strict=True)]
        product *= _max_correlation_sum(sources, masks, fused[k].astype(np.float64)) / count
    return product


@lru_cache(maxsize=1)
def _filter_bank(shape: tuple[int, ...], centered: bool) -> _MetricFilterBank:
    return _MetricFilterBank(shape, centered)


class _MetricFilterBank:
    """Log-Gabor filters of four scales and six orientations for one image size."""

    def __init__(self, shape: tuple[int, ...], centered: bool) -> None:
        height, width = shape
        radius, angle = _polar(height, width)
        low_pass = _low_pass(height, width, centered)
        self._radial = np.empty((_SCALES, height, width), np.float32)
        log_radius = np.log(radius)
        for scale, radial in enumerate(self._radial):
            log_center = -np.log(_MIN_WAVELENGTH_PX * _SCALE_FACTOR ** scale)
            spread = 2 * np.log(_SIGMA_ON_F) ** 2
            radial[:] = np.exp(-(log_radius - log_center) ** 2 / spread) * low_pass
            radial[0, 0] = 0.0
        self._angular, self._noise_thresholds = [], []
        for direction in _DIRECTIONS:
            distance = np.abs((angle - direction + np.pi) % (2 * np.pi) - np.pi)
            self._angular.append(
                np.exp(-distance ** 2 / (2 * _ANGLE_SIGMA ** 2)).astype(np.float32))
            self._noise_thresholds.append(self._noise_threshold(self._angular[-1]))

    def compute_maps(self, image: np.ndarray) -> list[np.ndarray]:
        """Return phase congruency, its maximum moment and its minimum moment, float32."""
        from scipy import fft

        spectrum = fft.fft2(image.astype(np.float32))
        responses = np.empty((_SCALES, *image.shape), np.complex64)
        sums = np.zeros((5, *image.shape), np.float32)
        for direction, angular, threshold in zip(_DIRECTIONS, self._angular,
                                                 self._noise_thresholds, strict=True):
            directed = spectrum * angular
            for response, radial in zip(responses, self._radial, strict=True):
                np.multiply(directed, radial, out=response)
                response[:] = fft.ifft2(response, overwrite_x=True)
            noise = np.float32(threshold * _median(np.abs(responses[0])))
            cosine, sine = np.float32(np.cos(direction)), np.float32(np.sin(direction))
            for top in range(0, image.shape[0], _ROWS_PER_STRIP):
                rows = slice(top, top + _ROWS_PER_STRIP)
                energy, amplitude = _energy(responses[:, rows], noise)
                congruency = divide_or(energy, amplitude, default=0.0) ** 2
                energies, amplitudes, xx, yy, xy = sums[:, rows]
                energies += energy
                amplitudes += amplitude
                xx += congruency * cosine ** 2
                yy += congruency * sine ** 2
                xy += congruency * (cosine * sine)
        sums[2:4] /= _ORIENTATIONS / 2
        sums[4] /= _ORIENTATIONS
        energy, amplitude, xx, yy, xy = sums
        root = np.sqrt(xy ** 2 + (xx - yy) ** 2) + _EPS
        return [energy / (amplitude + _EPS), (xx + yy + root) / 2, (xx + yy - root) / 2]

    def _noise_threshold(self, angular: np.ndarray) -> float:
        """
        Return the energy threshold of noise, relative to the median of the finest amplitudes.

        By Parseval's theorem, the energy of white noise in the real parts of the impulse
        responses, summed over the scales, is that of the even part of the summed filters.
        """
        filter_sum = self._radial.sum(axis=0) * angular
        even = (filter_sum + np.roll(filter_sum[::-1, ::-1], 1, axis=(0, 1))) / 2
        finest = self._radial[0] * angular
        # The median of a Rayleigh distribution, squared, over its mean square.
        power = 1 / np.log(2) / float(np.vdot(finest, finest))
        tau = np.sqrt(power * float(np.vdot(even, even)))
        expected, deviation = tau * np.sqrt(np.pi / 2), tau * np.sqrt(2 - np.pi / 2)
        return (expected + _NOISE_DEVIATIONS * deviation) / _NOISE_SCALE


def _energy(responses: np.ndarray, noise: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted energy above the noise, and the sum of amplitudes over the scales."""
    amplitudes = np.abs(responses)
    amplitude = amplitudes.sum(axis=0)
    mean = responses.sum(axis=0)
    mean /= np.abs(mean) + _EPS
    # Amplitude times (cosine - |sine|) of the angle between each response and the mean.
    rotated = responses * mean.conj()
    energy = (rotated.real - np.abs(rotated.imag)).sum(axis=0) - noise
    np.maximum(energy, 0, out=energy)
    # A narrow band of frequencies is no feature, even if the phases agree.
    width = amplitude / (amplitudes.max(axis=0) + _EPS) / _SCALES
    energy /= 1 + np.exp((_CUT_OFF - width) * _GAIN)
    return energy, amplitude


def _median(values: np.ndarray) -> float:
    # Twice as fast as NumPy's median, which selects two elements.
    middle = values.size // 2
    ordered = np.partition(values.ravel(), middle)
    upper = float(ordered[middle])
    return upper if values.size % 2 else (upper + float(ordered[:middle].max())) / 2


def _polar(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return radius and angle of the frequencies, with zero frequency at the corner.

    As in Kovesi's code, frequencies along an odd side are divided by the length minus one.
    """
    along_y, along_x = (np.fft.fftfreq(side) * (side / (side - side % 2))
                        for side in (height, width))
    radius = np.sqrt(along_x[None, :] ** 2 + along_y[:, None] ** 2)
    radius[0, 0] = 1.0
    return radius, np.arctan2(-along_y[:, None], along_x[None, :])


def _low_pass(height: int, width: int, centered: bool) -> np.ndarray:
    along_y, along_x = (np.roll(np.fft.fftfreq(side), 0 if centered else -(side % 2))
                        for side in (height, width))
    radius = np.sqrt(along_x[None, :] ** 2 + along_y[:, None] ** 2)
    return 1 / (1 + (radius / 0.45) ** 30)


def _max_correlation_sum(sources: list[np.ndarray], masks: list[np.ndarray], fused: np.ndarray
                         ) -> float:
    """
    Return the sum over pixels of the greatest correlation of the fused map with a source map.

    All maps are float64. Outside its mask, the correlation of a source counts as 0.
    """
    def smooth(image: np.ndarray) -> np.ndarray:
        kernel = cv2.getGaussianKernel(_TAPS, _SIGMA_PX, cv2.CV_64F)
        return cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)

    mean_f = smooth(fused)
    variance_f = smooth(fused * fused) - mean_f ** 2
    greatest = np.full(fused.shape, -np.inf)
    for source, mask in zip(sources, masks, strict=True):
        mean = smooth(source)
        variance = smooth(source * source) - mean ** 2
        covariance = smooth(source * fused) - mean * mean_f
        correlation = (covariance + _C) / (np.sqrt(np.abs(variance * variance_f)) + _C)
        greatest = np.maximum(greatest, np.where(mask, correlation, 0.0))
    return float(greatest.sum())
