# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Imperfections of the simulated sensors: blur, noise, fixed pattern, drift, vignetting, shutter.

All random values depend only on the seed and the frame index, so any frame can be rendered at any
time with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.parameters import parameter
from ivf_ros.thermal import (
    Agc,
    AGC_MODES,
    AgcParameters,
    Radiometry,
    TLINEAR_0_01K,
    TLINEAR_0_04K,
)
import numpy as np

RADIOMETRIES = {'tlinear_0_01K': TLINEAR_0_01K, 'tlinear_0_04K': TLINEAR_0_04K}

_POOL_MARGIN_PX = 96  # the noise of a frame is a random crop of a larger noise image
_RGB_NOISE = {'day': 1.6, 'smoke': 2.0, 'rain': 2.6, 'dusk': 4.0, 'glare': 6.0, 'night': 7.0}


@dataclass(frozen=True)
class ThermalParameters:
    """The thermal camera; values in kelvin are errors of the measured temperature."""

    width: int = parameter(640, 'Width in pixels.', minimum=16, maximum=4096, live=False)
    height: int = parameter(480, 'Height in pixels.', minimum=16, maximum=4096, live=False)
    rate_hz: float = parameter(30.0, 'Frames per second.', minimum=0.1, maximum=240.0, live=False)
    radiometry: str = parameter(
        'tlinear_0_04K', 'Unit of a count: 0.01 or 0.04 K, from absolute zero.',
        choices=tuple(RADIOMETRIES), live=False)
    bits: int = parameter(
        16, 'Number of bits at which the counts saturate; 14 bits require 0.04 K counts.',
        minimum=14, maximum=16, live=False)
    agc: str = parameter(
        'none', "'none': the camera gives counts; otherwise 8-bit images of its own gain control, "
        'by one of the modes of the parameter agc.mode, each frame by itself (fixed_range: 0 to '
        '50 degrees Celsius).', choices=('none', *AGC_MODES), live=False)
    agc_saturated_percent: float = parameter(
        0.5, 'Gain control of the camera: percentage of the pixels that are black, and of those '
        'that are white.', minimum=0.0, maximum=20.0, live=False)
    agc_plateau: float = parameter(
        3.0, 'Gain control of the camera, mode plateau: as agc.plateau.', minimum=1.0,
        maximum=1000.0, live=False)
    agc_sharpening: float = parameter(
        0.0, 'Gain control of the camera: additional gain of details of a few pixels; their edges '
        'overshoot.', minimum=0.0, maximum=5.0, live=False)
    agc_black_hot: bool = parameter(
        False, 'Gain control of the camera: warm is dark.', live=False)
    shows: str = parameter(
        'temperature', "'luminance': the thermal camera shows RGB luminance (pseudo-thermal).",
        choices=('temperature', 'luminance'), live=False)
    blur_px: float = parameter(
        0.6, 'Sigma of the blur of the optics.', minimum=0.0, maximum=10.0, live=False)
    noise_kelvin: float = parameter(
        0.06, 'Standard deviation of the temporal noise.', minimum=0.0, maximum=5.0,
        live=False)
    pattern_kelvin: float = parameter(
        0.05, 'Standard deviation of the fixed-pattern noise, which changes at shutter events.',
        minimum=0.0, maximum=5.0, live=False)
    vignetting_kelvin: float = parameter(
        0.4, 'Temperature error of the corners, which are too cold.',
        minimum=0.0, maximum=10.0, live=False)
    drift_kelvin: float = parameter(
        0.25, 'Amplitude of the slow drift, and standard deviation of the step at shutter events.',
        minimum=0.0, maximum=10.0, live=False)
    shutter_period_s: float = parameter(
        8.0, 'Time between shutter (FFC) events; 0: none.', minimum=0.0, maximum=3600.0,
        live=False)
    shutter_s: float = parameter(
        0.4, 'Duration of a shutter event.', minimum=0.0, maximum=10.0, live=False)
    shutter_shows: str = parameter(
        'frozen', "Output during a shutter event. 'frozen': the last frame is repeated; 'flat': "
        'the image of the shutter.', choices=('frozen', 'flat'), live=False)


@dataclass(frozen=True)
class RgbParameters:
    """The RGB camera."""

    width: int = parameter(640, 'Width in pixels.', minimum=16, maximum=4096, live=False)
    height: int = parameter(480, 'Height in pixels.', minimum=16, maximum=4096, live=False)
    rate_hz: float = parameter(30.0, 'Frames per second.', minimum=0.1, maximum=240.0, live=False)
    noise: float = parameter(
        1.0, 'Factor of the noise, which is higher in dark conditions.', minimum=0.0, maximum=10.0,
        live=False)
    vignetting: float = parameter(
        0.25, 'Fraction of the light that is lost in the corners.',
        minimum=0.0, maximum=0.9, live=False)


class ThermalSensor:
    """Converts temperatures to counts, or to 8 bit by the camera's own gain control."""

    def __init__(self, parameters: ThermalParameters, seed: int) -> None:
        self._parameters, self._seed = parameters, seed
        self.radiometry: Radiometry = RADIOMETRIES[parameters.radiometry]
        rng = np.random.default_rng([seed, 0])
        shape = parameters.height, parameters.width
        self._pool = _make_noise_pool(rng, shape) * np.float32(parameters.noise_kelvin)
        self._vignette = -parameters.vignetting_kelvin * _squared_radius(shape)
        self._drift_phase = rng.uniform(0, 2 * np.pi)
        self._pattern = -1, self._vignette  # number of the shutter event, and the pattern after it

    def shutter_event(self, time_s: float) -> tuple[int, bool]:
        """Return the number of started shutter events, and whether one is in progress."""
        period_s = self._parameters.shutter_period_s
        if not period_s:
            return 0, False
        # Times are multiples of the frame period; rounding must not shift an event by one frame.
        number = int((time_s + 1e-6) // period_s)
        elapsed_s = time_s + 1e-6 - number * period_s
        return number, number > 0 and elapsed_s < self._parameters.shutter_s

    def read(self, celsius: np.ndarray, index: int, time_s: float) -> np.ndarray:
        """Return the image of temperatures ``(H, W)`` float32: uint16 counts, or uint8."""
        parameters = self._parameters
        if parameters.blur_px:
            celsius = cv2.GaussianBlur(celsius, (0, 0), parameters.blur_px)
        rng = np.random.default_rng([self._seed, 1, index])
        number, _ = self.shutter_event(time_s)
        if number != self._pattern[0]:
            self._pattern = number, self._vignette + self._fixed_pattern(number)
        noise = _random_crop(self._pool, celsius.shape, rng)
        row_noise = rng.standard_normal((celsius.shape[0], 1), np.float32)
        row_noise *= np.float32(0.25 * parameters.noise_kelvin)
        drift = parameters.drift_kelvin * np.sin(2 * np.pi * time_s / 97 + self._drift_phase)
        counts = celsius + self._pattern[1]
        counts += noise
        counts += row_noise + np.float32(drift - self.radiometry.offset_celsius)
        counts *= np.float32(1 / self.radiometry.scale)
        counts += np.float32(0.5)
        counts = np.clip(counts, 0, 2 ** parameters.bits - 1).astype(np.uint16)
        return counts if parameters.agc == 'none' else self._apply_agc(counts)

    def _apply_agc(self, counts: np.ndarray) -> np.ndarray:
        """Return counts as uint8, by a gain control without memory of other frames."""
        parameters = self._parameters
        saturated = parameters.agc_saturated_percent
        agc = Agc(AgcParameters(
            mode=parameters.agc, low_percent=saturated, high_percent=100 - saturated,
            smoothing=0.0, plateau=parameters.agc_plateau), self.radiometry)
        gray = agc(counts)
        if parameters.agc_sharpening:
            gain = parameters.agc_sharpening
            gray = cv2.addWeighted(gray, 1 + gain, cv2.GaussianBlur(gray, (0, 0), 2.0), -gain, 0)
        return cv2.bitwise_not(gray) if parameters.agc_black_hot else gray

    def _fixed_pattern(self, number: int) -> np.ndarray:
        """Return the offset, column and pixel pattern after a shutter event."""
        parameters = self._parameters
        rng = np.random.default_rng([self._seed, 2, number])
        shape = parameters.height, parameters.width
        pattern = 0.6 * rng.standard_normal(shape, np.float32)
        pattern += 0.8 * rng.standard_normal((1, shape[1]), np.float32)
        step = parameters.drift_kelvin * rng.standard_normal() if number else 0.0
        return pattern * np.float32(parameters.pattern_kelvin) + np.float32(step)


class RgbSensor:
    """Adds the vignetting and the noise of the RGB sensor."""

    def __init__(self, parameters: RgbParameters, condition: str, seed: int) -> None:
        self._seed = seed
        shape = parameters.height, parameters.width
        sigma = parameters.noise * _RGB_NOISE[condition]
        rng = np.random.default_rng([seed, 3])
        # The channels are correlated, as after Bayer interpolation.
        gray = cv2.GaussianBlur(_make_noise_pool(rng, shape), (3, 3), 0.45)
        colours = [0.75 * gray + 0.6 * cv2.GaussianBlur(_make_noise_pool(rng, shape), (3, 3), 0.7)
                   for _ in range(3)]
        noise = cv2.merge(colours)
        self._pool = np.round(noise * (sigma / noise.std())).astype(np.int16)
        gain = 255 * (1 - parameters.vignetting * 0.5 * _squared_radius(shape))
        self._gain = cv2.merge([gain.astype(np.uint8)] * 3)

    def read(self, image: np.ndarray, index: int) -> np.ndarray:
        """Return the image ``(H, W, 3)`` uint8 with vignetting and the noise of this frame."""
        rng = np.random.default_rng([self._seed, 4, index])
        shaded = cv2.multiply(image, self._gain, scale=1 / 255)
        return cv2.add(shaded, _random_crop(self._pool, image.shape[:2], rng), dtype=cv2.CV_8U)


def _make_noise_pool(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal((shape[0] + _POOL_MARGIN_PX, shape[1] + _POOL_MARGIN_PX),
                               np.float32)


def _random_crop(pool: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    y, x = rng.integers(0, _POOL_MARGIN_PX, 2)
    return pool[y:y + shape[0], x:x + shape[1]]


def _squared_radius(shape: tuple[int, int]) -> np.ndarray:
    """Return the squared distance from the centre; 1 in the corners."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    return (x * x + y * y) / 2
