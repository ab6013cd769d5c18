# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Thermal images: counts and temperatures, gain control, health of the sensor.

A thermal image is ``(H, W)`` uint8, uint16 (counts), float32 or float64 (degrees Celsius, NaN
where nothing was measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
from ivf_ros.parameters import parameter
import numpy as np


class ThermalError(ValueError):
    """An array that is no thermal image, or a name or range that does not exist."""


_TYPES = ('uint8', 'uint16', 'float32', 'float64')


def check_thermal(thermal: np.ndarray, error: type[ValueError] = ThermalError) -> None:
    """
    Refuse what is no thermal image ``(H, W)`` of uint8, uint16, float32 or float64.

    Raises
    ------
    error
        The message says what was got and what is allowed.

    """
    if not isinstance(thermal, np.ndarray):
        raise error(f'thermal must be a numpy array, got {type(thermal).__name__}')
    if thermal.ndim != 2 or thermal.dtype.name not in _TYPES or thermal.size == 0:
        raise error(f'thermal must be (H, W) of {", ".join(_TYPES)}, '
                    f'got {thermal.shape} {thermal.dtype}')


@dataclass(frozen=True)
class Radiometry:
    """Linear radiometry, ``celsius = counts * scale + offset_celsius``, with a positive scale."""

    scale: float  # degrees Celsius per count
    offset_celsius: float  # temperature of count 0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ThermalError(f'the radiometric scale must be positive, got {self.scale}')

    def to_celsius(self, counts: np.ndarray) -> np.ndarray:
        """Return the temperature of each count, float32."""
        celsius = np.multiply(counts, np.float32(self.scale), dtype=np.float32)
        return np.add(celsius, np.float32(self.offset_celsius), out=celsius)


# TLinear output of FLIR cores: hundredths, or in low resolution 0.04, of a kelvin.
TLINEAR_0_01K = Radiometry(0.01, -273.15)
TLINEAR_0_04K = Radiometry(0.04, -273.15)

RADIOMETRIES = ('none', 'tlinear_0_01K', 'tlinear_0_04K', 'linear')


@dataclass(frozen=True)
class RadiometryParameters:
    """What the counts of the thermal camera mean."""

    kind: str = parameter(
        'none', "How counts become degrees Celsius; 'linear' takes scale and offset_celsius.",
        choices=RADIOMETRIES)
    scale: float = parameter(0.01, 'Degrees Celsius per count.', minimum=1e-6, maximum=10.0)
    offset_celsius: float = parameter(
        -273.15, 'Temperature of count 0.', minimum=-1e4, maximum=1e4)

    def radiometry(self) -> Radiometry | None:
        """Return the radiometry, or None where counts are only counts."""
        return {'none': None, 'tlinear_0_01K': TLINEAR_0_01K, 'tlinear_0_04K': TLINEAR_0_04K,
                'linear': Radiometry(self.scale, self.offset_celsius)}[self.kind]


AGC_MODES = ('percentile', 'fixed_range', 'plateau', 'clahe', 'minmax')


@dataclass(frozen=True)
class AgcParameters:
    """How a thermal image becomes 8 bit."""

    mode: str = parameter(
        'percentile', 'percentile: linear, smoothed over time; fixed_range: linear between two '
        'temperatures or counts; plateau: histogram equalisation with a limit, smoothed over '
        'time; clahe: local contrast; minmax: linear, frame by frame.', choices=AGC_MODES)
    low_percent: float = parameter(
        0.5, 'Percentile of the pixels that becomes black.', minimum=0.0, maximum=49.0)
    high_percent: float = parameter(
        99.5, 'Percentile of the pixels that becomes white.', minimum=51.0, maximum=100.0)
    smoothing: float = parameter(
        0.9, 'Weight of the past against the newest frame; 0.9 settles within a second at 30 Hz.',
        minimum=0.0, maximum=0.999)
    minimum_span: float = parameter(
        0.0, 'Least difference between black and white, in counts (degrees Celsius for float '
        'images), so that noise is not stretched.', minimum=0.0, maximum=65535.0)
    fixed_low_celsius: float = parameter(
        0.0, 'Black of fixed_range where temperatures are known.', minimum=-273.15, maximum=5e3)
    fixed_high_celsius: float = parameter(
        50.0, 'White of fixed_range where temperatures are known.', minimum=-273.15, maximum=5e3)
    fixed_low_counts: float = parameter(
        0.0, 'Black of fixed_range where only counts are known.', minimum=0.0, maximum=65535.0)
    fixed_high_counts: float = parameter(
        65535.0, 'White of fixed_range where only counts are known.', minimum=0.0, maximum=65535.0)
    plateau: float = parameter(
        3.0, 'Most pixels that one level counts for, as a multiple of the mean; 1 gives every '
        'occupied level the same contrast, large values equalise fully.',
        minimum=1.0, maximum=1000.0)
    clahe_clip_limit: float = parameter(
        3.0, 'Greatest gain of local contrast.', minimum=1.0, maximum=40.0)
    clahe_tiles: int = parameter(
        8, 'Tiles in each direction of mode clahe.', minimum=1, maximum=32)
    stretch_8bit: bool = parameter(
        False, 'Also stretch 8-bit images, which have been through the AGC of the camera.')


class Agc:
    """
    Automatic gain control: any thermal image to 8 bit, steadily over time.

    Within one frame every mode but clahe is monotone: a warmer pixel never becomes darker. Modes
    percentile, plateau and clahe follow the scene by an exponential average, so that a hot object
    that enters does not make the rest jump. They start anew with ``reset()``, when size or type
    of the image change, and when the new range of counts and the smoothed one do not meet.

    8-bit images are returned as they are in modes percentile and minmax, and are not stretched
    before clahe, unless ``stretch_8bit`` is set. Mode plateau follows Vickers, "Plateau
    equalization algorithm for real-time display of high-quality infrared imagery", Optical
    Engineering 35(7), 1996, with the plateau relative to the mean of the occupied levels.
    """

    def __init__(self, parameters: AgcParameters | None = None,
                 radiometry: Radiometry | None = None) -> None:
        """Take the parameters and, where counts are temperatures, their meaning."""
        self.parameters = parameters or AgcParameters()  # may be replaced between two frames
        self.radiometry = radiometry
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._format: tuple | None = None
        self._bounds: tuple[float, float] | None = None
        self._curve: np.ndarray | None = None  # of mode plateau: level -> gray
        self._float_range = (0.0, 0.0)  # what the curve covers where the image is float

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """
        Return ``thermal`` as ``(H, W)`` uint8, warm bright; NaN becomes black.

        Raises
        ------
        ThermalError
            Not a thermal image, or a fixed range that is empty.

        """
        check_thermal(thermal)
        mode = self.parameters.mode
        if thermal.dtype == np.uint8 and not self.parameters.stretch_8bit:
            if mode in ('percentile', 'minmax'):
                return thermal
            if mode == 'clahe':
                return self._clahe().apply(thermal)
        if mode == 'fixed_range':
            return _stretch_to_range(thermal, *self._fixed_bounds(thermal.dtype), np.uint8)
        if (thermal.shape, thermal.dtype) != self._format:
            self.reset()
            self._format = thermal.shape, thermal.dtype
        low, high = self.parameters.low_percent, self.parameters.high_percent
        measured = _percentiles(thermal, *((0.0, 100.0) if mode == 'minmax' else (low, high)))
        if measured is None:
            return np.zeros(thermal.shape, np.uint8)
        bounds = measured if mode == 'minmax' else self._smoothed(measured)
        bounds = self._ensure_minimum_span(bounds, thermal.dtype)
        if mode == 'plateau':
            return self._equalized(thermal, bounds)
        if mode != 'clahe':
            return _stretch_to_range(thermal, *bounds, np.uint8)
        local = self._clahe().apply(_stretch_to_range(thermal, *bounds, np.uint16))
        return cv2.convertScaleAbs(local, alpha=1 / 257)

    def _smoothed(self, measured: tuple[float, float]) -> tuple[float, float]:
        old, smoothing = self._bounds, self.parameters.smoothing
        if old is None or measured[0] > old[1] or measured[1] < old[0]:
            self._bounds, self._curve = measured, None
        else:
            self._bounds = (smoothing * old[0] + (1 - smoothing) * measured[0],
                            smoothing * old[1] + (1 - smoothing) * measured[1])
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

    def _ensure_minimum_span(self, bounds: tuple[float, float], dtype: np.dtype) -> tuple[float, float]:
        """Keep the span above its minimum, and above zero for a constant image."""
        low, high = bounds
        least = 1.0 if dtype.kind == 'u' else 1e-5 * max(abs(low), abs(high), 0.1)
        missing = max(least, self.parameters.minimum_span) - (high - low)
        return (low - missing / 2, high + missing / 2) if missing > 0 else (low, high)

    def _clahe(self) -> cv2.CLAHE:
        tiles = self.parameters.clahe_tiles
        return cv2.createCLAHE(self.parameters.clahe_clip_limit, (tiles, tiles))

    def _equalized(self, thermal: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
        levels, per_level = thermal, 1.0
        if thermal.dtype.kind == 'f':
            levels, per_level = self._quantized(thermal, *bounds)
        n_levels = 2 ** (8 * levels.itemsize)
        population = cv2.calcHist([levels], [0], None, [n_levels], [0, n_levels]).ravel()
        mean = levels.size / np.count_nonzero(population)
        slope = np.minimum(population, self.parameters.plateau * mean).astype(np.float64)
        slope *= 255.0 / slope.sum()
        if self.parameters.minimum_span > 0:
            np.minimum(slope, 255.0 * per_level / self.parameters.minimum_span, out=slope)
        curve = np.cumsum(slope) - slope / 2  # the middle of each level
        curve += (255.0 - slope.sum()) / 2
        if self._curve is not None:
            smoothing = self.parameters.smoothing
            curve = smoothing * self._curve + (1 - smoothing) * curve
        self._curve = curve
        return np.take((curve + 0.5).astype(np.uint8), levels)

    def _quantized(self, thermal: np.ndarray, low: float,
                   high: float) -> tuple[np.ndarray, float]:
        """Return a float image in 65536 levels of a range that changes rarely, and one level."""
        if self._curve is None or low < self._float_range[0] or high > self._float_range[1]:
            self._float_range, self._curve = (2 * low - high, 2 * high - low), None
        levels = _stretch_to_range(thermal, *self._float_range, np.uint16)
        return levels, (self._float_range[1] - self._float_range[0]) / 65535


def _sample(image: np.ndarray, n_pixels: int = 16384) -> np.ndarray:
    """Return about ``n_pixels`` pixels, evenly spread: enough for percentiles."""
    stride = max(1, int(np.sqrt(image.size / n_pixels)))
    return image[::stride, ::stride]


def _percentiles(thermal: np.ndarray, low: float, high: float) -> tuple[float, float] | None:
    """Return two percentiles, exact for 0 and 100; None where no pixel is finite."""
    exact = (low, high) == (0.0, 100.0)
    pixels = thermal if exact else _sample(thermal)
    if thermal.dtype.kind == 'f':
        pixels = pixels[np.isfinite(pixels)]
    if pixels.size == 0:
        return None
    if exact:
        return float(pixels.min()), float(pixels.max())
    bounds = np.percentile(pixels, (low, high))
    return float(bounds[0]), float(bounds[1])


def _stretch_to_range(thermal: np.ndarray, low: float, high: float, dtype: type) -> np.ndarray:
    """Map low to 0 and high to the greatest value of ``dtype``, linearly and saturating."""
    top = np.iinfo(dtype).max
    by_level = thermal.dtype.kind == 'u'
    levels = np.arange(2 ** (8 * thermal.itemsize), dtype=np.float32) if by_level else thermal
    bounded = np.fmin(np.fmax(levels, low), high)  # these two replace NaN by low
    # Rounding errors of a narrow range can reach beyond the ends.
    gray = ((bounded - low) * (top / (high - low)) + 0.5).clip(0, top).astype(dtype)
    return np.take(gray, thermal) if by_level else gray


class ThermalState(str, Enum):
    """Whether the thermal image shows the present."""

    LIVE = 'LIVE'
    FROZEN = 'FROZEN'  # the same frame again and again, as while the shutter calibrates
    BLIND = 'BLIND'  # nothing but noise: the closed shutter, a lens cap


@dataclass(frozen=True)
class ThermalHealth:
    """
    What the newest frame says about the sensor.

    After a shutter event all pixels may have changed alike; that is a moment for ``Agc.reset``.
    """

    state: ThermalState
    reason: str = ''  # why the image does not show the present, or what changed
    frozen_s: float = 0.0  # time since a frame last differed from the one before it
    offset: float = 0.0  # sudden common change of all pixels since the last live frame, or 0


@dataclass(frozen=True)
class FreezeParameters:
    """When a thermal sensor counts as frozen or blind."""

    changed_percent: float = parameter(
        0.5, 'Share of the pixels that may change in a repeated frame; the noise of a live '
        'sensor changes more, also in a still scene.', minimum=0.0, maximum=100.0)
    pixel_tolerance: float = parameter(
        0.0, 'Change that a pixel may show in a repeated frame, in counts or degrees Celsius.',
        minimum=0.0, maximum=1000.0)
    minimum_duration_s: float = parameter(
        0.2, 'Frames repeated for less than this are no freeze.', minimum=0.0, maximum=10.0)
    minimum_repeats: int = parameter(
        2, 'Fewer repeated frames than this are no freeze; raise it where the driver repeats '
        'frames to reach a higher rate.', minimum=1, maximum=100)
    blind_contrast: float = parameter(
        2.0, 'Blind where areas of the image differ by less than this multiple of the mean '
        'difference of neighbouring pixels; 0 switches it off.', minimum=0.0, maximum=10.0)


class FreezeDetector:
    """
    Tell a frozen or blind thermal sensor from one that sees a still scene.

    The noise of a sensor changes each frame of a still scene; a frozen sensor repeats one pixel by
    pixel, or nearly so after compression. An image without a scene is flat but for noise, which
    vanishes where it is averaged over areas.
    """

    def __init__(self, parameters: FreezeParameters | None = None) -> None:
        """Start without a past."""
        self.parameters = parameters or FreezeParameters()
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._format: tuple | None = None
        self._previous: np.ndarray | None = None
        self._live: np.ndarray | None = None  # sample of the last live frame
        self._stamp_s = self._changed_s = -np.inf
        self._repeats = 0

    def update(self, thermal: np.ndarray, stamp_s: float) -> ThermalHealth:
        """
        Judge the next frame, which is kept until the one after it and must not be written to.

        A clock that jumps back and a change of size or type start anew.

        Raises
        ------
        ThermalError
            Not a thermal image.

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
        before, self._live = self._live, _sample(thermal)
        offset = _global_offset(before, self._live)
        reason = f'all pixels changed by {offset:+.3g}' if offset else ''
        return ThermalHealth(ThermalState.LIVE, reason, frozen_s, offset)

    def _is_repeated(self, thermal: np.ndarray) -> bool:
        if self._previous is None:
            return False
        changed = cv2.absdiff(thermal, self._previous) > self.parameters.pixel_tolerance
        return bool(100.0 * changed.mean() <= self.parameters.changed_percent)


def _contrast_and_noise(thermal: np.ndarray) -> tuple[float, float]:
    """Return the range of area means, and the mean difference of neighbouring pixels."""
    if thermal.dtype.kind == 'f' and not np.isfinite(thermal).all():
        finite = thermal[np.isfinite(thermal)]
        if finite.size == 0:
            return 0.0, 0.0
        thermal = np.where(np.isfinite(thermal), thermal, np.median(finite))
    height, width = thermal.shape
    side = min(8, max(1, min(height, width) // 8))
    areas = cv2.resize(thermal.astype(np.float32), (width // side, height // side),
                       interpolation=cv2.INTER_AREA)
    areas = cv2.medianBlur(areas, 3)  # without single dead or hot pixels
    noise = cv2.mean(cv2.absdiff(thermal[:, 1:], thermal[:, :-1]))[0] if width > 1 else 0.0
    least = 1.0 if thermal.dtype.kind == 'u' else 0.0  # rounding may hide the noise of counts
    return float(areas.max() - areas.min()), max(noise, least)


def _global_offset(before: np.ndarray | None, now: np.ndarray) -> float:
    """Return the median change if the changes of all pixels agree on it, else 0."""
    if before is None:
        return 0.0
    change = now.astype(np.float32) - before
    change = change[np.isfinite(change)]
    if change.size == 0:
        return 0.0
    low, middle, high = np.percentile(change, (5, 50, 95))
    # 5 % to 95 % of Gaussian noise is 3.3 sigma wide: the offset stands out by 5 sigma.
    return float(middle) if abs(middle) > 1.5 * (high - low) else 0.0
