# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Correction of the images of a thermal camera before all stages.

What reaches the stages is a thermal image as ``thermal`` defines it: one channel, without rows of
telemetry, warm is more, and degrees Celsius where it is float. Decisions about the camera are made
on its first images and kept, so that the image does not change its meaning while the graph runs.
"""

from __future__ import annotations

from dataclasses import dataclass
import threading

import cv2
from ivf_ros.camera_input import CameraGeometry, CameraInputError, CameraParameters
from ivf_ros.palettes import PaletteError, PALETTES, remove_palette
from ivf_ros.parameters import parameter
from ivf_ros.thermal import ABSOLUTE_ZERO_CELSIUS, check_thermal
import numpy as np

POLARITIES = ('white_hot', 'black_hot', 'auto')
FLOAT_UNITS = ('auto', 'celsius', 'kelvin')
TELEMETRY = ('remove', 'keep')

_MAX_TELEMETRY_ROWS = 4  # at one edge
_EXAMINED_IMAGES = 10  # in which rows of telemetry and the unit are looked for
_OUTLIER_PART = 0.4  # of the values of a row of telemetry that are outside the range of the image
_MIN_JUMPS = 4  # between neighbours in a row of telemetry, larger than the range of the image

# Limits of the coldest and the hottest parts of a scene.
_COLDEST_KELVIN, _COLDEST_CELSIUS, _HOTTEST_CELSIUS = 170.0, -120.0, 3000.0
_SAMPLED_PIXELS = 16384

_POLARITY_IMAGES = 30  # over which the score is averaged
_POLARITY_SCORE = 2.0  # a mean score below its negative means black hot


@dataclass(frozen=True)
class ThermalCameraParameters(CameraParameters):
    """How the thermal camera is built in, and what its pixels mean."""

    telemetry: str = parameter(
        'remove', 'Rows of telemetry at the top or the bottom of images of more than 8 bits: '
        'remove them where they are recognised, or keep all rows.', choices=TELEMETRY,
        live=False)
    palette: str = parameter(
        'none', 'Palette of a camera that sends false colours, which become gray again; auto '
        'takes the one that fits. luma is for gray images with coloured marks. none refuses '
        'images in colour.', choices=PALETTES, live=False)
    polarity: str = parameter(
        'white_hot', 'Whether warm is bright or dark; black_hot inverts the image. auto decides '
        'by the first images, which is right for most scenes, not for all.', choices=POLARITIES,
        live=False)
    float_unit: str = parameter(
        'auto', 'Unit of float images: degrees Celsius, kelvin, or by the range of the values.',
        choices=FLOAT_UNITS, live=False)


class ThermalInput:
    """
    Corrects the images of one thermal camera; thread-safe.

    Attributes
    ----------
    geometry:
        Crops and turns the images; takes the calibration of the camera.

    """

    def __init__(self, parameters: ThermalCameraParameters | None = None) -> None:
        self.parameters = parameters or ThermalCameraParameters()
        self.geometry = CameraGeometry(self.parameters)
        self._lock = threading.Lock()
        self._format: tuple | None = None
        self._reset()

    def _reset(self) -> None:
        """Forget the decisions, because the format of the images changed."""
        self._palette = self.parameters.palette
        self._palette_error = 0.0
        self._rows = (0, 0)
        self._n_images = 0
        self._scores: list[float] = []
        self._unit = self.parameters.float_unit if self.parameters.float_unit != 'auto' else ''

    def apply(self, image: np.ndarray) -> np.ndarray:
        """
        Return the thermal image ``(H, W)`` uint8, uint16, float32 or float64.

        Parameters
        ----------
        image:
            ``(H, W)``, or ``(H, W, 3)`` BGR in false colours or of three equal channels. The
            result may be the input itself.

        Raises
        ------
        CameraInputError
            The array is no thermal image, it is in colour and the palette does not permit it, the
            crop leaves nothing, or ``undistort`` is set and there is no usable calibration.

        """
        with self._lock:
            image_format = image.shape, image.dtype
            if image_format != self._format:
                self._format = image_format
                self._reset()
            if image.ndim == 3 and image.shape[2] == 3:
                image = self._remove_palette(image)
            check_thermal(image, CameraInputError)
            self._n_images += 1
            self._look_for_telemetry(image)
            if any(self._rows):
                image = image[self._rows[0]:image.shape[0] - self._rows[1]]
            return self._convert_values(self.geometry.apply(image, self._rows))

    def describe(self) -> dict[str, object]:
        """Return what was decided about the camera, for the diagnostics."""
        with self._lock:
            values: dict[str, object] = {}
            if self._palette not in ('none', 'auto'):
                values['thermal_palette'] = \
                    f'{self._palette}, error {self._palette_error:.1f} levels'
            if any(self._rows):
                values['telemetry_rows_removed'] = \
                    f'{self._rows[0]} at the top, {self._rows[1]} at the bottom'
            if self._unit:
                values['thermal_unit'] = self._unit
            if self.parameters.polarity == 'auto' and self._scores:
                values['thermal_polarity'] = 'black_hot' if self._is_black_hot() else 'white_hot'
            return values

    def _remove_palette(self, image: np.ndarray) -> np.ndarray:
        try:
            decoded = remove_palette(image, self._palette)
        except PaletteError as error:
            raise CameraInputError(str(error)) from None
        if decoded.palette != 'none':
            self._palette, self._palette_error = decoded.palette, decoded.error_levels
        return decoded.gray

    def _look_for_telemetry(self, image: np.ndarray) -> None:
        if self.parameters.telemetry == 'remove' and not any(self._rows) \
                and self._n_images <= _EXAMINED_IMAGES:
            self._rows = count_telemetry_rows(image)

    def _convert_values(self, thermal: np.ndarray) -> np.ndarray:
        """Return degrees Celsius of float images, and warm as more."""
        if thermal.dtype.kind == 'f':
            if not self._unit and self._n_images <= _EXAMINED_IMAGES:
                self._unit = guess_temperature_unit(thermal)
            if self._unit == 'kelvin':
                return thermal + thermal.dtype.type(ABSOLUTE_ZERO_CELSIUS)
            return thermal
        if self.parameters.polarity == 'auto' and len(self._scores) < _POLARITY_IMAGES:
            self._scores.append(score_polarity(thermal))
        if self.parameters.polarity == 'black_hot' or self._is_black_hot():
            return cv2.bitwise_not(thermal)
        return thermal

    def _is_black_hot(self) -> bool:
        return bool(self._scores) and float(np.mean(self._scores)) < -_POLARITY_SCORE


def guess_temperature_unit(thermal: np.ndarray) -> str:
    """
    Return 'celsius', 'kelvin', or '' for the values of a float image, by their range.

    The coldest part of a scene is below 170 degrees Celsius and above 170 K. The unit is unknown
    if the range is not that of a scene, for example of counts or of values from 0 to 1.
    """
    finite = thermal[np.isfinite(thermal)]
    if not finite.size:
        return ''
    low, high = np.percentile(finite[::max(1, finite.size // _SAMPLED_PIXELS)], (1, 99))
    is_normalized = low >= 0.0 and 0.0 < high <= 1.0
    if is_normalized or low < _COLDEST_CELSIUS or high > _HOTTEST_CELSIUS:
        return ''
    return 'kelvin' if low > _COLDEST_KELVIN else 'celsius'


def count_telemetry_rows(thermal: np.ndarray) -> tuple[int, int]:
    """
    Return the number of rows at the top and at the bottom that are no image, up to 4 each.

    Some cameras put a few rows of status words before or after the image: serial number, counters,
    temperatures, and many zeros. Most of the words are outside the range of the image, and they
    jump along the row by more than this range, or all are the same. A scene does neither: an edge
    in it has two sides, and sensor noise differs from pixel to pixel. Images of 8 bits have none.

    Parameters
    ----------
    thermal:
        ``(H, W)``.

    """
    height = thermal.shape[0]
    if thermal.dtype == np.uint8 or height < 4 * _MAX_TELEMETRY_ROWS:
        return 0, 0
    inner = thermal[_MAX_TELEMETRY_ROWS:height - _MAX_TELEMETRY_ROWS]
    finite = inner[np.isfinite(inner)] if inner.dtype.kind == 'f' else inner
    if not finite.size:
        return 0, 0
    low, high = float(finite.min()), float(finite.max())

    def count_rows(rows: np.ndarray) -> int:
        """Return how many rows from the edge on are telemetry."""
        values = rows.astype(np.float64)
        outside = np.mean((values < low) | (values > high), axis=1)
        jumps = np.count_nonzero(np.abs(np.diff(values, axis=1)) > high - low, axis=1)
        is_constant = np.ptp(values, axis=1) == 0
        is_telemetry = (outside > _OUTLIER_PART) & (is_constant | (jumps >= _MIN_JUMPS))
        return int(np.argmin([*is_telemetry, False]))

    return count_rows(thermal[:_MAX_TELEMETRY_ROWS]), \
        count_rows(thermal[:-_MAX_TELEMETRY_ROWS - 1:-1])


def score_polarity(thermal: np.ndarray) -> float:
    """
    Return a score that is positive where warm is probably bright, and negative where it is dark.

    The score is the logarithm of the odds, from properties of outdoor scenes: warm objects are few
    and stand out from their surroundings, and the ground is warmer than the sky. It changes its
    sign with the polarity. ``thermal`` is ``(H, W)``, integer.
    """
    # Weights by logistic regression on 223 training images of six data sets.
    coarse = _standardize(cv2.resize(thermal, (64, 48), interpolation=cv2.INTER_AREA))
    blurred = cv2.GaussianBlur(coarse, (0, 0), 6.0)
    fine = thermal.astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), max(thermal.shape) / 60)
    low, median, high = np.percentile(coarse, (1, 50, 99))
    features = np.array([
        np.mean(coarse ** 3),
        np.mean(_standardize(coarse - blurred) ** 3),
        coarse[24:].mean() - coarse[:12].mean(),
        0.5 - (median - low) / (high - low + 1e-6),
        np.mean(_standardize(fine) ** 3)])
    return float(np.tanh(features) @ (2.05, 1.11, 3.67, 0.68, 0.89))


def _standardize(image: np.ndarray) -> np.ndarray:
    values = image.astype(np.float32)
    return (values - values.mean()) / (values.std() + 1e-6)
