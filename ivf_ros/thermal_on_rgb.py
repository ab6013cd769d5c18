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
        self._resampler: _Resampler | None = None  # of the gray images

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
        gray = self.agc(thermal)
        if self._resampler is None or not self._resampler.fits(gray, H_thermal_to_rgb, rgb_size):
            self._resampler = _Resampler(gray, H_thermal_to_rgb, rgb_size)
        return self._mask(self._resampler(gray), thermal, H_thermal_to_rgb, rgb_size)

    def warp_counts(self, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
                    rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Warp counts or degrees Celsius to the RGB grid without the gain control."""
        return self._mask(_resample(thermal, H_thermal_to_rgb, rgb_size), thermal,
                          H_thermal_to_rgb, rgb_size)

    def _mask(self, warped: np.ndarray, thermal: np.ndarray, H_thermal_to_rgb: np.ndarray,
              rgb_size: tuple[int, int]) -> ThermalOnRgb:
        """Remove what ``thermal`` does not cover from a warped image; NaN covers nothing."""
        coverage = self._coverage_of(thermal, H_thermal_to_rgb, rgb_size)
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


def find_coverage(registered: np.ndarray) -> np.ndarray:
    """
    Return the pixels ``(H, W)`` bool that thermal covers in a stored image on the RGB grid.

    Outside it is 0, and a homography maps its rectangle to a convex region.
    """
    covered = np.zeros(registered.shape, np.uint8)
    points = cv2.findNonZero(registered)
    if points is not None:
        cv2.fillConvexPoly(covered, cv2.convexHull(points), 1)
    return covered.astype(np.bool_)


class _Resampler:
    """
    Warps 8-bit images of one size by one homography; see ``_resample``.

    The source position of each pixel is computed once. Looking it up takes half of the time of a
    warp that computes it. Positions are rounded to 1/32 pixel.
    """

    def __init__(self, image: np.ndarray, H_thermal_to_rgb: np.ndarray,
                 rgb_size: tuple[int, int]) -> None:
        self._key = image.shape, H_thermal_to_rgb.tobytes(), rgb_size
        self._reduced_size, H = _reduce(image, H_thermal_to_rgb)
        is_needed = self._reduced_size != rgb_size or not _is_identity(H)
        self._table = _make_table(H, rgb_size) if is_needed else None

    def fits(self, image: np.ndarray, H_thermal_to_rgb: np.ndarray, rgb_size: tuple[int, int]
             ) -> bool:
        """Return whether this resampler is for images of this size and for this homography."""
        return self._key == (image.shape, H_thermal_to_rgb.tobytes(), rgb_size)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return an image ``(H, W)`` uint8 on the RGB grid; it may be the input itself."""
        if geometry.size_of(image) != self._reduced_size:
            image = cv2.resize(image, self._reduced_size, interpolation=cv2.INTER_AREA)
        if self._table is None:
            return image
        return cv2.remap(image, *self._table, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _make_table(H: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the source position of each pixel of a warp by H, in the format of ``cv2.remap``."""
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    x, y, w = ((a * columns).astype(np.float32) + (b * rows + c).astype(np.float32)
               for a, b, c in np.linalg.inv(H))
    return cv2.convertMaps(x / w, y / w, cv2.CV_16SC2)


def _resample(image: np.ndarray, H_thermal_to_rgb: np.ndarray, rgb_size: tuple[int, int]
              ) -> np.ndarray:
    """Warp an image without aliasing; the border is replicated."""
    reduced_size, H = _reduce(image, H_thermal_to_rgb)
    if reduced_size != geometry.size_of(image):
        image = cv2.resize(image, reduced_size, interpolation=cv2.INTER_AREA)
    if reduced_size == rgb_size and _is_identity(H):
        return image
    return cv2.warpPerspective(image, H, rgb_size, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)


def _reduce(image: np.ndarray, H_thermal_to_rgb: np.ndarray
            ) -> tuple[tuple[int, int], np.ndarray]:
    """Return the size to reduce an image to before its warp, and the homography from there."""
    size = geometry.size_of(image)
    scale = geometry.scale_at_centre(H_thermal_to_rgb, size)
    if scale >= _ALIASING_SCALE:
        return size, H_thermal_to_rgb
    width, height = (max(1, round(scale * side)) for side in size)
    return (width, height), H_thermal_to_rgb @ geometry.stretch((width, height), size)


def _is_identity(H: np.ndarray) -> bool:
    return np.allclose(H, np.eye(3), rtol=0, atol=1e-9)
