# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every registration method takes, and what it answers where it measured nothing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry, images
from ivf_ros.thermal import check_thermal
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_MAX_ASPECT_RATIO = 1.05  # ratio of the aspects


class RegistrationError(ValueError):
    """An image, a prior or a name that registration cannot work with."""


def check_pair(thermal: np.ndarray, rgb: np.ndarray) -> None:
    """
    Refuse images of a shape or type that no camera delivers.

    Raises
    ------
    RegistrationError
        ``thermal`` is not ``(H, W)`` of uint8, uint16 or float, or ``rgb`` is neither
        ``(H, W, 3)`` nor ``(H, W)`` of uint8, or one of them has no pixels.

    """
    check_thermal(thermal, RegistrationError)
    images.check_8bit(rgb, 'rgb', RegistrationError)


def check_prior(prior: np.ndarray | None) -> np.ndarray | None:
    """
    Return a prior homography normalised, or None where none was given.

    Raises
    ------
    RegistrationError
        It is no homography.

    """
    if prior is None:
        return None
    try:
        return geometry.normalize_homography(prior)
    except (ValueError, TypeError) as error:
        raise RegistrationError(f'prior: {error}') from error


def normalize_contrast(image: np.ndarray) -> np.ndarray:
    """
    Return an image as ``(H, W)`` float32 from 0 to 1: luma of BGR, counts of thermal.

    The range is that of nearly all pixels, so that neither the absolute counts nor a few dead or
    burning pixels matter. Pixels that are not finite take the lowest value. An image without any
    contrast becomes zero.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    sample = image[::max(1, image.shape[0] // 120), ::max(1, image.shape[1] // 160)]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    low, high = np.percentile(sample, (0.2, 99.8)) if sample.size else (0.0, 0.0)
    if not high > low:
        return np.zeros(image.shape, np.float32)
    if image.dtype.kind == 'f':
        image = np.where(np.isfinite(image), image, low)
    scaled = (np.clip(image, low, high) - low) / (high - low)
    return scaled.astype(np.float32)


@dataclass(frozen=True, eq=False)
class RegistrationRequest:
    """
    What a measuring method is asked.

    Attributes
    ----------
    thermal_size, rgb_size:
        Width and height in pixels.
    prior:
        ``(3, 3)`` H_thermal_to_rgb, or None where none was given.

    """

    thermal_size: tuple[int, int]
    rgb_size: tuple[int, int]
    prior: np.ndarray | None

    @classmethod
    def from_images(cls, thermal: np.ndarray, rgb: np.ndarray, prior: np.ndarray | None) -> RegistrationRequest:
        """Return the question; raise RegistrationError for a wrong shape or type."""
        check_pair(thermal, rgb)
        return cls(geometry.size_of(thermal), geometry.size_of(rgb), check_prior(prior))

    @property
    def initial_homography(self) -> np.ndarray:
        """Return where to begin: the prior, or the stretch of thermal over the RGB grid."""
        if self.prior is None:
            return geometry.stretch(self.thermal_size, self.rgb_size)
        return self.prior

    @property
    def initial_homographies(self) -> tuple[np.ndarray, ...]:
        """
        Return where to begin, one after the other until it holds: ``initial_homography``, or before it another.

        Pixels are square in nearly every camera. So without a prior, where the shapes of the
        images differ, thermal is first laid into the middle of RGB as large as it fits.
        """
        (width, height), (rgb_width, rgb_height) = self.thermal_size, self.rgb_size
        scales = rgb_width / width, rgb_height / height
        if self.prior is not None or max(scales) < _MAX_ASPECT_RATIO * min(scales):
            return (self.initial_homography,)
        scale = min(scales)
        inside = geometry.translation((rgb_width - 1) / 2, (rgb_height - 1) / 2) \
            @ geometry.scaling(scale, scale) \
            @ geometry.translation(-(width - 1) / 2, -(height - 1) / 2)
        return inside, self.initial_homography

    def check(self, H_thermal_to_rgb: np.ndarray) -> str:
        """Return why a homography is no plausible answer, or ''."""
        return geometry.check(H_thermal_to_rgb, self.thermal_size, self.rgb_size)

    def reject(self, reason: str) -> Registration:
        """Return the prior, or state LOST and the plain stretch where there is none."""
        state = RegistrationState.LOST if self.prior is None else RegistrationState.PRIOR
        return Registration(self.initial_homography, 0.0, 0, state, self.rgb_size, reason=reason)

    def accept(self, H_thermal_to_rgb: np.ndarray, confidence: float,
               inliers: int) -> Registration:
        """Return what was measured just now."""
        return Registration(H_thermal_to_rgb, confidence, inliers, RegistrationState.TRACKING,
                            self.rgb_size, age_s=0.0)


def resize_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image of this width and height, by area where it becomes narrower."""
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return width and height times a factor, rounded, and one pixel at least."""
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def warp_to_grid(rgb: np.ndarray, H_grid_to_rgb: np.ndarray, grid: tuple[int, int], margin_px: int,
                 border_mode: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Return RGB as seen on a grid and in a margin around it, and ``(H, W)`` bool where it is seen.

    ``border_mode`` is what OpenCV shall show beyond RGB, for example ``cv2.BORDER_REPLICATE``.
    """
    full, wide = geometry.size_of(rgb), (grid[0] + 2 * margin_px, grid[1] + 2 * margin_px)
    to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_grid_to_rgb)
    # Shrunk first, for a warp by itself makes aliases.
    rgb_px_per_grid_px = geometry.scale_at_centre(H_grid_to_rgb, grid)
    small = resize_to(rgb, scaled(full, min(1.0, 1 / rgb_px_per_grid_px)))
    from_small = geometry.stretch(geometry.size_of(small), full)
    image = cv2.warpPerspective(small, to_grid @ from_small, wide, borderMode=border_mode)
    return image, geometry.coverage(to_grid, full, wide)
