# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Gain control of thermal images and their warp to the RGB grid, the same for all stages.

The order is fixed: the gain control runs on the original thermal pixels, and the warp follows. A
coverage mask marks the RGB pixels that thermal covers. Counts and temperatures are never
interpolated with values that were not measured. No value means "missing": 0 counts and 0.0 degrees
Celsius are ordinary values.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.thermal import Agc, AgcParameters, Radiometry
import numpy as np

# Bilinear interpolation reads four pixels. Where one RGB pixel spans more than 1 / 0.75 thermal
# pixels, some are skipped and fine structures alias. The image is then reduced by area first.
_ALIASING_SCALE = 0.75
# The pixels at the border of an image extend half a pixel beyond their centres, as in cv2.resize.
_OUTER_PIXEL = 0.5


@dataclass(frozen=True, eq=False)
class ThermalOnRgb:
    """
    A thermal image on the RGB grid.

    Attributes
    ----------
    image:
        ``(H, W)``, uint8 after the gain control, or of the dtype of the camera. Pixels that
        thermal does not cover are 0, or NaN where the dtype is float.
    coverage:
        ``(H, W)`` bool, the pixels that thermal covers.

    """

    image: np.ndarray
    coverage: np.ndarray

    def celsius(self, radiometry: Radiometry) -> np.ndarray:
        """
        Return the temperature of each pixel, ``(H, W)`` float32 in degrees Celsius.

        The image is in counts, or, where its dtype is float, in degrees Celsius. Pixels that
        thermal does not cover are NaN.
        """
        celsius = self.image.astype(np.float32) if self.image.dtype.kind == 'f' \
            else radiometry.to_celsius(self.image)
        return np.where(self.coverage, celsius, np.float32(np.nan))


class ThermalWarper:
    """
    Warps the images of one thermal camera to the RGB grid.

    The gain control keeps a state over time, so a warper serves one camera only. The coverage is
    computed again only when the homography or a size changes. A result may be the input array
    itself, and results share their coverage mask: do not write into them.
    """

    def __init__(self, agc: AgcParameters | None = None, radiometry: Radiometry | None = None
                 ) -> None:
        """Set the parameters of the gain control and, where it is known, the radiometry."""
        self.agc = Agc(agc, radiometry)
        self._key: tuple | None = None
        self._coverage = np.zeros((0, 0), np.bool_)

    def warp_gray(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                  rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """
        Apply the gain control to a thermal image, then warp it to the RGB grid.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8, uint16, float32 or float64 on the thermal grid; NaN where there is
            no measurement.
        H_thermal_to_rgb:
            ``(3, 3)``, from thermal to RGB pixels.
        rgb_size:
            Width and height of the RGB grid in pixels.

        Returns
        -------
        ThermalOnRgb
            Its image is uint8.

        Raises
        ------
        ThermalError
            The shape or the dtype is not that of a thermal image.

        """
        return self._warp(self.agc(thermal), thermal, H_thermal_to_rgb, rgb_size)

    def warp_counts(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                    rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Warp counts or degrees Celsius to the RGB grid without the gain control."""
        return self._warp(thermal, thermal, H_thermal_to_rgb, rgb_size)

    def _warp(self, image: np.ndarray, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
              rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Warp ``image``, which has the grid of ``thermal``; NaN in ``thermal`` is not covered."""
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
        finite_on_rgb = _resample(finite.astype(np.uint8) * 255, H_thermal_to_rgb, rgb_size)
        return self._coverage & (finite_on_rgb == 255)


def _resample(image: np.ndarray, H_thermal_to_rgb: np.ndarray, rgb_size: tuple[int, int]
              ) -> np.ndarray:
    """Warp an image without aliasing; the border is replicated."""
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
