# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Thermal images on the RGB grid: the one place that decides what a network sees of them.

The order is fixed. The gain control runs first, on the pixels that the camera delivered. The
warp comes second. An explicit mask says which RGB pixels thermal covers. Counts and temperatures
are never interpolated with a value that no sensor measured, and no value stands for "nothing":
0 counts and 0.0 degrees Celsius are values like all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.thermal import Agc, AgcParameters, Radiometry
import numpy as np

# Bilinear interpolation reads four pixels. Where one RGB pixel spans more thermal pixels than
# 1 / 0.75, some are skipped, and fine structures alias; the image is then reduced by area first.
_ALIASING_SCALE = 0.75
# The outermost pixels of an image reach half a pixel beyond their centres, as in cv2.resize.
_OUTER_PIXEL = 0.5


@dataclass(frozen=True, eq=False)
class ThermalOnRgb:
    """
    One thermal image on the RGB grid.

    Attributes
    ----------
    image:
        ``(H, W)``: uint8 after the gain control, or the type of the camera. Pixels that thermal
        does not cover are 0, and NaN where the type is float.
    coverage:
        ``(H, W)`` bool, the pixels that thermal covers.

    """

    image: np.ndarray
    coverage: np.ndarray

    def celsius(self, radiometry: Radiometry) -> np.ndarray:
        """
        Return the temperature of each pixel of an image in counts: ``(H, W)`` float32.

        Float images are in degrees Celsius already. Pixels that thermal does not cover are NaN.
        """
        celsius = self.image.astype(np.float32) if self.image.dtype.kind == 'f' \
            else radiometry.to_celsius(self.image)
        return np.where(self.coverage, celsius, np.float32(np.nan))


class ThermalWarper:
    """
    Brings the images of one thermal camera onto the RGB grid.

    The gain control follows the scene, so that one warper serves one camera. The coverage is
    computed anew only when the homography or a size changes. Images that are returned may be the
    very ones that were given, and share their coverage: nobody writes into them.
    """

    def __init__(self, agc: AgcParameters | None = None, radiometry: Radiometry | None = None
                 ) -> None:
        """Take the parameters of the gain control, and the radiometry where it is known."""
        self.agc = Agc(agc, radiometry)
        self._key: tuple | None = None
        self._coverage = np.zeros((0, 0), np.bool_)

    def warp_gray(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                  rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """
        Apply the gain control, then warp.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8, uint16, float32 or float64 on the thermal grid; NaN where nothing
            was measured.
        H_thermal_to_rgb:
            ``(3, 3)``, from thermal to RGB pixels.
        rgb_size:
            Width and height in pixels.

        Returns
        -------
        ThermalOnRgb
            With an image of uint8.

        Raises
        ------
        ThermalError
            This is no thermal image.

        """
        return self._warp(self.agc(thermal), thermal, H_thermal_to_rgb, rgb_size)

    def warp_counts(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                    rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Warp as ``warp_gray`` does, but counts or degrees Celsius, without a gain control."""
        return self._warp(thermal, thermal, H_thermal_to_rgb, rgb_size)

    def _warp(self, image: np.ndarray, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
              rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Warp ``image``, which lies on the grid of ``thermal``."""
        coverage = self._coverage_of(thermal, H_thermal_to_rgb, rgb_size)
        warped = _resample(image, H_thermal_to_rgb, rgb_size)
        if coverage.all():
            return ThermalOnRgb(warped, coverage)
        if warped.dtype.kind == 'f':
            return ThermalOnRgb(np.where(coverage, warped, np.nan).astype(warped.dtype), coverage)
        return ThermalOnRgb(cv2.bitwise_and(warped, warped, mask=coverage.view(np.uint8)),
                            coverage)

    def _coverage_of(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                     rgb_size: tuple[int, int]) -> np.ndarray:
        key = H_thermal_to_rgb.tobytes(), thermal.shape, rgb_size
        if key != self._key:
            self._coverage = geometry.coverage(H_thermal_to_rgb, geometry.size_of(thermal),
                                               rgb_size, _OUTER_PIXEL)
            self._key = key
        if thermal.dtype.kind != 'f':
            return self._coverage
        finite = np.isfinite(thermal)
        if finite.all():
            return self._coverage
        measured = _resample(finite.astype(np.uint8) * 255, H_thermal_to_rgb, rgb_size)
        return self._coverage & (measured == 255)


def _resample(image: np.ndarray, H_thermal_to_rgb: np.ndarray, rgb_size: tuple[int, int]
              ) -> np.ndarray:
    """Warp without aliases; beyond the border of the image its outermost pixels go on."""
    size = geometry.size_of(image)
    scale = geometry.scale_at_centre(H_thermal_to_rgb, size)
    H = H_thermal_to_rgb
    if scale < _ALIASING_SCALE:
        reduced = tuple(max(1, round(scale * side)) for side in size)
        image = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
        H = H @ geometry.stretch(geometry.size_of(image), size)
    if geometry.size_of(image) == rgb_size and np.allclose(H, np.eye(3), rtol=0, atol=1e-9):
        return image
    return cv2.warpPerspective(image, H, rgb_size, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
