# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Thermal images: radiometry, gain control, and detection of a frozen or blind sensor.

A thermal image is ``(H, W)`` uint8, uint16 (counts), float32 or float64 (degrees Celsius). NaN
marks float pixels without a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
import math

import cv2
from ivf_ros.parameters import parameter
from ivf_ros.thermal_levels import (
    fill_like_tile,
    is_measured,
    percentiles,
    stretch_to_range,
    subsample,
)
import numpy as np


class ThermalError(ValueError):
    """An array is not a thermal image, or a parameter has an invalid range."""


# Standard deviation per median absolute deviation (MAD) of a normal distribution.
SIGMA_PER_MAD = 1.4826
_DTYPES = ('uint8', 'uint16', 'float32', 'float64')


def check_thermal(thermal: np.ndarray, error: type[ValueError] = ThermalError) -> None:
    """
    Check that an array is a thermal image: ``(H, W)`` uint8, uint16, float32 or float64.

    Raises
    ------
    error
        The array has another type, shape or dtype.

    """
    if not isinstance(thermal, np.ndarray):
        raise error(f'thermal must be a numpy array, got {type(thermal).__name__}')
    if thermal.ndim != 2 or thermal.dtype.name not in _DTYPES or thermal.size == 0:
        raise error(f'thermal must be (H, W) of {", ".join(_DTYPES)}, '
                    f'got {thermal.shape} {thermal.dtype}')


@dataclass(frozen=True)
class Radiometry:
    """Linear radiometry, ``celsius = counts * scale + offset_celsius``; the scale is positive."""

    scale: float  # degrees Celsius per count
    offset_celsius: float  # temperature of count 0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ThermalError(f'the radiometric scale must be positive, got {self.scale}')

    def to_celsius(self, counts: np.ndarray) -> np.ndarray:
        """Convert counts of any shape to degrees Celsius, float32 of the same shape."""
        celsius = np.multiply(counts, np.float32(self.scale), dtype=np.float32)
        return np.add(celsius, np.float32(self.offset_celsius), out=celsius)


ABSOLUTE_ZERO_CELSIUS = -273.15
# TLinear output of FLIR cores: 0.01 K per count, or 0.04 K in low resolution.
TLINEAR_0_01K = Radiometry(0.01, ABSOLUTE_ZERO_CELSIUS)
TLINEAR_0_04K = Radiometry(0.04, ABSOLUTE_ZERO_CELSIUS)

RADIOMETRIES = ('none', 'tlinear_0_01K', 'tlinear_0_04K', 'linear')


@dataclass(frozen=True)
class RadiometryParameters:
    """Conversion of the counts of the thermal camera to temperatures."""

    kind: str = parameter(
        'none', "Conversion of counts to degrees Celsius. 'none': counts are not temperatures; "
        "'tlinear_0_01K', 'tlinear_0_04K': FLIR TLinear with 0.01 or 0.04 K per count; 'linear': "
        'scale and offset_celsius apply.',
        choices=RADIOMETRIES)
    scale: float = parameter(
        0.01, 'Degrees Celsius per count, for kind linear.',
        minimum=1e-6, maximum=10.0)
    offset_celsius: float = parameter(
        -273.15, 'Temperature of count 0 in degrees Celsius, for kind linear.',
        minimum=-1e4, maximum=1e4)

    def radiometry(self) -> Radiometry | None:
        """Return the radiometry, or None if counts are not temperatures."""
        return {'none': None, 'tlinear_0_01K': TLINEAR_0_01K, 'tlinear_0_04K': TLINEAR_0_04K,
                'linear': Radiometry(self.scale, self.offset_celsius)}[self.kind]


AGC_MODES = ('percentile', 'fixed_range', 'plateau', 'clahe', 'minmax')


@dataclass(frozen=True)
class AgcParameters:
    """Gain control: conversion of a thermal image to 8 bit."""

    mode: str = parameter(
        'percentile', 'percentile: linear between two percentiles, smoothed over time; '
        'fixed_range: linear between two fixed temperatures or counts; plateau: histogram '
        'equalisation with a limit, smoothed over time; clahe: local contrast (CLAHE); minmax: '
        'linear between minimum and maximum of each frame.', choices=AGC_MODES)
    low_percent: float = parameter(
        0.5, 'Percentile of the pixel values that is mapped to black.', minimum=0.0, maximum=49.0)
    high_percent: float = parameter(
        99.5, 'Percentile of the pixel values that is mapped to white.',
        minimum=51.0, maximum=100.0)
    smoothing: float = parameter(
        0.9, 'Weight of the previous range in the exponential average over time; 0 disables the '
        'smoothing, 0.9 settles within a second at 30 Hz.',
        minimum=0.0, maximum=0.999)
    minimum_span: float = parameter(
        0.0, 'Minimum difference between black and white, in counts (degrees Celsius for float '
        'images). It limits the amplification of noise.', minimum=0.0, maximum=65535.0)
    fixed_low_celsius: float = parameter(
        0.0, 'Mode fixed_range: temperature of black, for radiometric images.',
        minimum=-273.15, maximum=5e3)
    fixed_high_celsius: float = parameter(
        50.0, 'Mode fixed_range: temperature of white, for radiometric images.',
        minimum=-273.15, maximum=5e3)
    fixed_low_counts: float = parameter(
        0.0, 'Mode fixed_range: count of black, without radiometry.', minimum=0.0, maximum=65535.0)
    fixed_high_counts: float = parameter(
        65535.0, 'Mode fixed_range: count of white, without radiometry.',
        minimum=0.0, maximum=65535.0)
    plateau: float = parameter(
        3.0, 'Mode plateau: maximum number of pixels per level, as a multiple of the mean. 1 '
        'gives every occupied level the same contrast; large values give full equalisation.',
        minimum=1.0, maximum=1000.0)
    clahe_clip_limit: float = parameter(
        3.0, 'Mode clahe: limit of the local contrast gain.', minimum=1.0, maximum=40.0)
    clahe_tiles: int = parameter(
        8, 'Mode clahe: number of tiles in each direction.', minimum=1, maximum=32)
    stretch_8bit: bool = parameter(
        False, 'Also stretch 8-bit images. The AGC of the camera has already stretched them.')


class Agc:
    """
    Automatic gain control (AGC): any thermal image to 8 bit, stable over time.

    Within one frame every mode except clahe is monotone: a warmer pixel is never darker. Modes
    percentile, plateau and clahe smooth their range by an exponential average, so that a hot
    object that enters the image does not change the rest abruptly. The average restarts on
    ``reset()``, when the size or dtype of the image changes, and when the new range and the
    smoothed range do not overlap.

    Modes percentile and minmax return 8-bit images unchanged, and mode clahe does not stretch
    them first, unless ``stretch_8bit`` is set. Mode plateau follows Vickers, "Plateau
    equalization algorithm for real-time display of high-quality infrared imagery", Optical
    Engineering 35(7), 1996, with the plateau relative to the mean of the occupied levels.
    """

    def __init__(self, parameters: AgcParameters | None = None,
                 radiometry: Radiometry | None = None) -> None:
        """Start without history; ``radiometry`` is None if counts are not temperatures."""
        self.parameters = parameters or AgcParameters()  # may be replaced between two frames
        self.radiometry = radiometry
        self.reset()

    def reset(self) -> None:
        """Discard the smoothed range."""
        self._format: tuple | None = None
        self._bounds: tuple[float, float] | None = None
        self._curve: np.ndarray | None = None  # mode plateau: level -> gray
        self._float_range = (0.0, 0.0)  # range of the curve for float images

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """
        Convert ``thermal`` ``(H, W)`` to uint8; warm is bright, NaN becomes black.

        NaN does not influence the other pixels. Infinity, and floats beyond +-1e30, are shown as
        the coldest or the warmest level and do not influence the range.

        Raises
        ------
        ThermalError
            The array is not a thermal image, or the fixed range is empty.

        """
        check_thermal(thermal)
        mode = self.parameters.mode
        if thermal.dtype == np.uint8 and not self.parameters.stretch_8bit:
            if mode in ('percentile', 'minmax'):
                return thermal
            if mode == 'clahe':
                return self._clahe().apply(thermal)
        if mode == 'fixed_range':
            return stretch_to_range(thermal, *self._fixed_bounds(thermal.dtype), np.uint8)
        if (thermal.shape, thermal.dtype) != self._format:
            self.reset()
            self._format = thermal.shape, thermal.dtype
        low, high = self.parameters.low_percent, self.parameters.high_percent
        measured = percentiles(thermal, *((0.0, 100.0) if mode == 'minmax' else (low, high)))
        if measured is None:
            return np.zeros(thermal.shape, np.uint8)
        bounds = measured if mode == 'minmax' else self._smooth_bounds(measured)
        bounds = self._ensure_minimum_span(bounds, thermal.dtype)
        if mode == 'plateau':
            return self._equalize(thermal, bounds)
        if mode != 'clahe':
            return stretch_to_range(thermal, *bounds, np.uint8)
        levels = stretch_to_range(thermal, *bounds, np.uint16)
        has_no_value = np.isnan(thermal) if thermal.dtype.kind == 'f' else None
        if has_no_value is not None and has_no_value.any():
            fill_like_tile(levels, has_no_value, self.parameters.clahe_tiles)
        gray = cv2.convertScaleAbs(self._clahe().apply(levels), alpha=1 / 257)
        if has_no_value is not None:
            gray[has_no_value] = 0
        return gray

    def _smooth_bounds(self, bounds: tuple[float, float]) -> tuple[float, float]:
        old, smoothing = self._bounds, self.parameters.smoothing
        if old is None or bounds[0] > old[1] or bounds[1] < old[0]:
            self._bounds, self._curve = bounds, None
        else:
            self._bounds = (smoothing * old[0] + (1 - smoothing) * bounds[0],
                            smoothing * old[1] + (1 - smoothing) * bounds[1])
        return self._bounds

    def _fixed_bounds(self, dtype: np.dtype) -> tuple[float, float]:
        p = self.parameters
        if dtype.kind != 'f' and self.radiometry is None:
            low, high = p.fixed_low_counts, p.fixed_high_counts
        else:
            low, high = p.fixed_low_celsius, p.fixed_high_celsius
        if not low < high:
            raise ThermalError(f'the fixed range must not be empty, got {low} to {high}')
        if dtype.kind != 'f' and self.radiometry is not None:
            offset, scale = self.radiometry.offset_celsius, self.radiometry.scale
            low, high = (low - offset) / scale, (high - offset) / scale
        return low, high

    def _ensure_minimum_span(self, bounds: tuple[float, float],
                             dtype: np.dtype) -> tuple[float, float]:
        """Enlarge the range to the minimum span, and above zero for a constant image."""
        low, high = bounds
        min_span = 1.0 if dtype.kind == 'u' else 1e-5 * max(abs(low), abs(high), 0.1)
        missing = max(min_span, self.parameters.minimum_span) - (high - low)
        return (low - missing / 2, high + missing / 2) if missing > 0 else (low, high)

    def _clahe(self) -> cv2.CLAHE:
        tiles = self.parameters.clahe_tiles
        return cv2.createCLAHE(self.parameters.clahe_clip_limit, (tiles, tiles))

    def _equalize(self, thermal: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
        levels, level_span, measured = thermal, 1.0, None
        if thermal.dtype.kind == 'f':
            levels, level_span = self._quantize(thermal, *bounds)
            measured = is_measured(thermal).astype(np.uint8)
        n_levels = 2 ** (8 * levels.itemsize)
        histogram = cv2.calcHist([levels], [0], measured, [n_levels], [0, n_levels]).ravel()
        mean = histogram.sum() / np.count_nonzero(histogram)
        slope = np.minimum(histogram, self.parameters.plateau * mean).astype(np.float64)
        slope *= 255.0 / slope.sum()
        if self.parameters.minimum_span > 0:
            np.minimum(slope, 255.0 * level_span / self.parameters.minimum_span, out=slope)
        curve = np.cumsum(slope) - slope / 2  # the centre of each level
        curve += (255.0 - slope.sum()) / 2
        if self._curve is not None:
            smoothing = self.parameters.smoothing
            curve = smoothing * self._curve + (1 - smoothing) * curve
        self._curve = curve
        gray = np.take((curve + 0.5).astype(np.uint8), levels)
        if thermal.dtype.kind == 'f':
            gray[np.isnan(thermal)] = 0
        return gray

    def _quantize(self, thermal: np.ndarray, low: float,
                  high: float) -> tuple[np.ndarray, float]:
        """Quantise a float image to 65536 levels; return them and the span of one level."""
        if self._curve is None or low < self._float_range[0] or high > self._float_range[1]:
            self._float_range, self._curve = (2 * low - high, 2 * high - low), None
        levels = stretch_to_range(thermal, *self._float_range, np.uint16)
        return levels, (self._float_range[1] - self._float_range[0]) / 65535


class ThermalState(str, Enum):
    """State of the thermal image stream."""

    LIVE = 'LIVE'
    FROZEN = 'FROZEN'  # repeated frames, for example during a shutter calibration (FFC)
    BLIND = 'BLIND'  # only noise: closed shutter, lens cap


@dataclass(frozen=True)
class ThermalHealth:
    """
    State of the thermal sensor after the newest frame.

    After a shutter event all pixels may have changed by a common offset. ``Agc.reset`` is
    appropriate then.
    """

    state: ThermalState
    reason: str = ''  # why the image is frozen or blind, or what changed
    frozen_s: float = 0.0  # time since a frame last differed from its predecessor
    offset: float = 0.0  # sudden common change of all pixels since the last live frame, or 0


@dataclass(frozen=True)
class FreezeParameters:
    """Criteria for a frozen or blind thermal sensor."""

    changed_percent: float = parameter(
        0.5, 'Maximum percentage of pixels that differ in a repeated frame. The noise of a live '
        'sensor changes more pixels, even in a static scene.', minimum=0.0, maximum=100.0)
    pixel_tolerance: float = parameter(
        0.0, 'Maximum change of an unchanged pixel, in counts (degrees Celsius for float images).',
        minimum=0.0, maximum=1000.0)
    minimum_duration_s: float = parameter(
        0.2, 'Minimum duration of a freeze in seconds; shorter repetitions are ignored.',
        minimum=0.0, maximum=10.0)
    minimum_repeats: int = parameter(
        2, 'Minimum number of repeated frames of a freeze. Increase it if the driver repeats '
        'frames to reach a higher rate.', minimum=1, maximum=100)
    blind_contrast: float = parameter(
        2.0, 'The image is blind if the range of its area means is at most this multiple of the '
        'mean difference of neighbouring pixels (the noise). 0 disables the check.',
        minimum=0.0, maximum=10.0)


class FreezeDetector:
    """
    Distinguishes a frozen or blind thermal sensor from a live one that views a static scene.

    The noise of a live sensor changes every frame, even in a static scene. A frozen sensor
    repeats a frame exactly, or nearly so after compression. An image without a scene contains
    only noise, which averages out over areas.
    """

    def __init__(self, parameters: FreezeParameters | None = None) -> None:
        """Start without history."""
        self.parameters = parameters or FreezeParameters()
        self.reset()

    def reset(self) -> None:
        """Discard the history."""
        self._format: tuple | None = None
        self._previous: np.ndarray | None = None
        self._live_sample: np.ndarray | None = None  # subsampled last live frame
        self._stamp_s = self._changed_s = -np.inf
        self._repeats = 0

    def update(self, thermal: np.ndarray, stamp_s: float) -> ThermalHealth:
        """
        Classify the next frame.

        The detector keeps a reference to the frame until the next call; do not write into it. A
        stamp that jumps back, and a change of size or dtype, reset the detector.

        Raises
        ------
        ThermalError
            The array is not a thermal image.

        """
        check_thermal(thermal)
        image_format = thermal.shape, thermal.dtype
        if stamp_s < self._stamp_s or image_format != self._format:
            self.reset()
            self._format = image_format
        if self._is_repeated(thermal):
            self._repeats += 1
        else:
            self._repeats, self._changed_s = 0, stamp_s
        self._previous, self._stamp_s = thermal, stamp_s
        frozen_s = stamp_s - self._changed_s

        contrast, noise = _contrast_and_noise(thermal)
        limit = self.parameters.blind_contrast * noise
        if self.parameters.blind_contrast > 0 and contrast <= limit:
            reason = f'no scene: areas differ by {contrast:.3g}, pixel noise is {noise:.3g}'
            return ThermalHealth(ThermalState.BLIND, reason, frozen_s)
        if (self._repeats >= self.parameters.minimum_repeats
                and frozen_s >= self.parameters.minimum_duration_s):
            reason = f'the same frame for {frozen_s:.2f} s'
            return ThermalHealth(ThermalState.FROZEN, reason, frozen_s)
        previous, self._live_sample = self._live_sample, subsample(thermal)
        offset = _global_offset(previous, self._live_sample)
        reason = f'all pixels changed by {offset:+.3g}' if offset else ''
        return ThermalHealth(ThermalState.LIVE, reason, frozen_s, offset)

    def _is_repeated(self, thermal: np.ndarray) -> bool:
        if self._previous is None:
            return False
        tolerance = self.parameters.pixel_tolerance
        # An integer, so that NumPy does not convert counts to float64 for the comparison.
        changed = cv2.absdiff(thermal, self._previous) > (
            tolerance if thermal.dtype.kind == 'f' else math.floor(tolerance))
        changed_percent = 100.0 * np.count_nonzero(changed) / changed.size
        return bool(changed_percent <= self.parameters.changed_percent)


def _contrast_and_noise(thermal: np.ndarray) -> tuple[float, float]:
    """Return the range of the area means and the mean difference of neighbouring pixels."""
    if thermal.dtype.kind == 'f' and not np.isfinite(thermal).all():
        finite = thermal[np.isfinite(thermal)]
        if finite.size == 0:
            return 0.0, 0.0
        thermal = np.where(np.isfinite(thermal), thermal, np.median(finite))
    height, width = thermal.shape
    side = min(8, max(1, min(height, width) // 8))
    area_means = cv2.resize(thermal.astype(np.float32), (width // side, height // side),
                            interpolation=cv2.INTER_AREA)
    area_means = cv2.medianBlur(area_means, 3)  # removes single dead or hot pixels
    noise = cv2.mean(cv2.absdiff(thermal[:, 1:], thermal[:, :-1]))[0] if width > 1 else 0.0
    min_noise = 1.0 if thermal.dtype.kind == 'u' else 0.0  # rounding may hide the noise of counts
    return float(area_means.max() - area_means.min()), max(noise, min_noise)


def _global_offset(previous: np.ndarray | None, current: np.ndarray) -> float:
    """Return the median change if all pixels change by about the same amount, else 0."""
    if previous is None:
        return 0.0
    change = current.astype(np.float32) - previous
    change = change[np.isfinite(change)]
    if change.size == 0:
        return 0.0
    if min(np.count_nonzero(change <= 0), np.count_nonzero(change >= 0)) > 0.05 * change.size:
        return 0.0  # zero is within the range of the changes, so the offset is not significant
    low, median, high = np.percentile(change, (5, 50, 95))
    # The 5 % to 95 % range of Gaussian noise is 3.3 sigma: the offset must exceed 5 sigma.
    return float(median) if abs(median) > 1.5 * (high - low) else 0.0
