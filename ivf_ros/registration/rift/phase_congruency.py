# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Phase congruency: structure that is invariant to contrast, brightness and polarity.

The frequencies of an image are in phase at edges, lines and corners, independently of their
contrast. The measure is that of Kovesi (Image Features from Phase Congruency, Videre 1999; Phase
Congruency Detects Corners and Edges, DICTA 2003), with the wavelengths and bandwidths of RIFT (Li,
Hu and Ai, IEEE TIP 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

ORIENTATIONS = 6

_SCALES = 4
_SHORTEST_PX = 3.0  # wavelength of the finest scale
_SCALE_FACTOR = 1.6
_BANDWIDTH = 0.75  # deviation of the log-Gabor filter over its centre frequency
_NOISE_DEVIATIONS = 1.0
_CUT_OFF, _GAIN = np.float32(0.5), np.float32(3.0)  # of the weight of the frequency spread
_EPS = np.float32(1e-4)  # of the standard deviation of the image
_PADDING_PX = 24  # two wavelengths of the coarsest scale, so that opposite borders do not meet


@dataclass(frozen=True, eq=False)
class PhaseStructure:
    """
    Phase congruency and dominant orientation of each pixel of an image.

    Attributes
    ----------
    edges, corners:
        ``(H, W)`` float32 from 0 to about 1: the maximum and the minimum moment of the phase
        congruency over the orientations.
    index_map:
        ``(H, W)`` uint8 from 0 to ``ORIENTATIONS - 1``: the orientation with the largest amplitude
        (the maximum index map of RIFT). 0 is a wave along x, and each step rotates it by 30
        degrees from x towards y.

    """

    edges: np.ndarray
    corners: np.ndarray
    index_map: np.ndarray


def phase_structure(image: np.ndarray) -> PhaseStructure:
    """
    Measure the phase congruency of a float32 gray image ``(H, W)``.

    ``PC(o)`` is the congruency in the orientation ``o`` at angle ``a`` (Kovesi 1999, eq. 15). The
    moments are the eigenvalues of the covariance of ``PC(o) (cos a, sin a)`` (RIFT, eqs. 8 to 12).
    An image without contrast has moments 0 and index 0.
    """
    height, width = image.shape
    deviation = float(image.std())
    if not deviation > 1e-6 * float(np.abs(image).max()):
        zero = np.zeros(image.shape, np.float32)
        return PhaseStructure(zero, zero, np.zeros(image.shape, np.uint8))
    padded = _pad((image - float(image.mean())) / deviation)
    spectrum = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT).view(np.complex64)[..., 0]
    bank = _filter_bank(*spectrum.shape)
    inside = np.s_[_PADDING_PX:_PADDING_PX + height, _PADDING_PX:_PADDING_PX + width]

    xx, yy, xy = np.zeros((3, height, width), np.float32)
    amplitudes = np.empty((ORIENTATIONS, height, width), np.float32)
    for o, angular in enumerate(bank.angular):
        oriented = spectrum * angular
        responses = [cv2.split(_inverse_dft(oriented * radial)[inside])
                     for radial in bank.radial]
        congruency, amplitudes[o] = _congruency(responses)
        congruency *= congruency
        cos, sin = np.float32(np.cos(_angle_rad(o))), np.float32(np.sin(_angle_rad(o)))
        xx += congruency * (cos * cos)
        yy += congruency * (sin * sin)
        xy += congruency * (cos * sin)
    mean, half = (xx + yy) / ORIENTATIONS, (xx - yy) / ORIENTATIONS
    root = cv2.magnitude(half, xy * np.float32(2 / ORIENTATIONS))
    return PhaseStructure(mean + root, mean - root, amplitudes.argmax(axis=0).astype(np.uint8))


@dataclass(frozen=True, eq=False)
class _FilterBank:
    """Log-Gabor filters, as factors for the radius and for the angle of the frequency."""

    radial: np.ndarray  # (scales, H, W) float32
    angular: np.ndarray  # (orientations, H, W) float32


@lru_cache(maxsize=4)
def _filter_bank(height: int, width: int) -> _FilterBank:
    along_y, along_x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    radius, angle = np.hypot(along_x, along_y), np.arctan2(along_y, along_x)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)  # excludes the corners of the spectrum
    radius[0, 0] = 1.0  # any positive number, for the logarithm; the filters are 0 there
    low_pass[0, 0] = 0.0
    wavelengths_px = _SHORTEST_PX * _SCALE_FACTOR ** np.arange(_SCALES)
    radial = [np.exp(-np.log(radius * wavelength_px) ** 2 / (2 * np.log(_BANDWIDTH) ** 2))
              * low_pass for wavelength_px in wavelengths_px]
    angular = []
    for o in range(ORIENTATIONS):
        angle_difference = np.abs((angle - _angle_rad(o) + np.pi) % (2 * np.pi) - np.pi)
        angular.append((1 + np.cos(np.minimum(angle_difference * ORIENTATIONS / 2, np.pi))) / 2)
    return _FilterBank(np.array(radial, np.float32), np.array(angular, np.float32))


def _angle_rad(orientation: int) -> float:
    return orientation * np.pi / ORIENTATIONS


def _pad(image: np.ndarray) -> np.ndarray:
    """Pad an image by reflection, to a size with a fast Fourier transform."""
    height, width = image.shape
    down = cv2.getOptimalDFTSize(height + 2 * _PADDING_PX) - height - _PADDING_PX
    right = cv2.getOptimalDFTSize(width + 2 * _PADDING_PX) - width - _PADDING_PX
    return cv2.copyMakeBorder(image, _PADDING_PX, down, _PADDING_PX, right,
                              cv2.BORDER_REFLECT_101)


def _inverse_dft(spectrum: np.ndarray) -> np.ndarray:
    """Return the inverse transform ``(H, W, 2)``: the even and the odd part of a response."""
    pairs = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
    return cv2.dft(pairs, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)


def _congruency(responses: Sequence[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the phase congruency in one orientation and the sum of amplitudes over the scales.

    ``responses`` has the even and the odd part at each scale, from fine to coarse.
    """
    amplitudes: list[Any] = [cv2.magnitude(even, odd) for even, odd in responses]
    amplitude, maximum = amplitudes[0].copy(), amplitudes[0].copy()
    mean_even, mean_odd = responses[0][0].copy(), responses[0][1].copy()
    for (even, odd), other in zip(responses[1:], amplitudes[1:]):
        amplitude += other
        np.maximum(maximum, other, out=maximum)
        mean_even += even
        mean_odd += odd
    energy: np.ndarray = cv2.magnitude(mean_even, mean_odd)
    length = energy + _EPS
    mean_even /= length
    mean_odd /= length
    # The length of the sum is the sum of the cosines of the phase deviations; subtract the sines.
    for even, odd in responses:
        energy -= np.abs(even * mean_odd - odd * mean_even)
    energy -= _noise_energy(amplitudes[0])
    np.maximum(energy, 0, out=energy)
    # Structure at few scales only gets a small weight.
    frequency_spread = (amplitude / (maximum + _EPS) - 1) / np.float32(_SCALES - 1)
    energy /= 1 + np.exp((_CUT_OFF - frequency_spread) * _GAIN)
    return energy / (amplitude + _EPS), amplitude


def _noise_energy(finest: np.ndarray) -> np.float32:
    """
    Return the energy of the noise, estimated from the amplitudes at the finest scale.

    Noise amplitudes have a Rayleigh distribution (Kovesi 1999, section 2.6). Its parameter follows
    from the median, because most pixels contain noise only. It decreases from scale to scale with
    the bandwidth.
    """
    tau = float(np.median(finest[::2, ::2])) / np.sqrt(np.log(4))
    tau *= (1 - _SCALE_FACTOR ** -_SCALES) / (1 - 1 / _SCALE_FACTOR)
    return np.float32(tau * (np.sqrt(np.pi / 2) + _NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2)))
