# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Input checks of the registration methods, and their results with and without a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
from ivf_ros import geometry, images
from ivf_ros.thermal import check_thermal
from ivf_ros.types import Registration, RegistrationState
import numpy as np

# Smaller images, and strips, show too few places that could confirm a homography: noise would
# be registered. The smallest thermal arrays that show a scene have 32 x 24 pixels.
MIN_SIDE_PX = 24
MAX_SIDE_RATIO = 4.0  # of the longer to the shorter side
_MAX_ASPECT_RATIO = 1.05  # aspect ratio of thermal over that of RGB, or the inverse
_MAX_WORK_RATIO = 2.0  # of height to width; higher images are reduced further


class RegistrationError(ValueError):
    """An image, a prior or a parameter that registration cannot use."""


def check_pair(thermal: np.ndarray, rgb: np.ndarray) -> None:
    """
    Check the shape and the type of a pair of images.

    Raises
    ------
    RegistrationError
        ``thermal`` is not ``(H, W)`` uint8, uint16 or float, ``rgb`` is neither ``(H, W, 3)`` nor
        ``(H, W)`` uint8, or an image has no pixels.

    """
    check_thermal(thermal, RegistrationError)
    images.check_8bit(rgb, 'rgb', RegistrationError)


def check_prior(prior: np.ndarray | None) -> np.ndarray | None:
    """
    Return a prior homography scaled to ``H[2, 2] == 1``; None for None.

    Raises
    ------
    RegistrationError
        The prior is not a homography.

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

    The range is the 0.2 to 99.8 percentile. So absolute counts and single dead or saturated pixels
    have no effect. Pixels that are not finite get the lowest value. An image without contrast
    becomes zero.
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


class Registrar(Protocol):
    """
    A registration method: measures the homography of one pair of images, without memory.

    ``parameters`` are those of the method. They may be replaced between two calls.
    """

    parameters: Any

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """
        Measure one pair of images.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8, uint16 or float; any linear unit.
        rgb:
            ``(H, W, 3)`` uint8 BGR or ``(H, W)`` uint8 gray.
        prior:
            ``(3, 3)`` H_thermal_to_rgb to start from. None starts from the plain resize of thermal
            to the RGB size.

        Returns
        -------
        Registration
            State TRACKING if accepted. If rejected, the prior (state PRIOR) or, without a prior,
            the plain resize (state LOST), with the reason.

        Raises
        ------
        RegistrationError
            An image or the prior has a wrong shape or type.

        """
        ...


@dataclass(frozen=True, eq=False)
class RegistrationRequest:
    """
    Image sizes and prior of one call of ``register``.

    Attributes
    ----------
    thermal_size, rgb_size:
        Width and height in pixels.
    prior:
        ``(3, 3)`` H_thermal_to_rgb, or None without a prior.

    """

    thermal_size: tuple[int, int]
    rgb_size: tuple[int, int]
    prior: np.ndarray | None

    @classmethod
    def from_images(cls, thermal: np.ndarray, rgb: np.ndarray,
                    prior: np.ndarray | None) -> RegistrationRequest:
        """Return the request; raise RegistrationError for a wrong shape or type."""
        check_pair(thermal, rgb)
        return cls(geometry.size_of(thermal), geometry.size_of(rgb), check_prior(prior))

    @property
    def initial_homography(self) -> np.ndarray:
        """Return the prior, or the plain resize of thermal to the RGB size."""
        if self.prior is None:
            return geometry.stretch(self.thermal_size, self.rgb_size)
        return self.prior

    @property
    def initial_homographies(self) -> tuple[np.ndarray, ...]:
        """
        Return the homographies to start from, in the order in which they are tried.

        The last one is ``initial_homography``. Nearly all cameras have square pixels. So without a
        prior, if the aspect ratios of the images differ, the first one keeps the pixels square: it
        puts thermal in the centre of RGB, as large as it fits.
        """
        (width, height), (rgb_width, rgb_height) = self.thermal_size, self.rgb_size
        scales = rgb_width / width, rgb_height / height
        if self.prior is not None or max(scales) < _MAX_ASPECT_RATIO * min(scales):
            return (self.initial_homography,)
        scale = min(scales)
        centred = geometry.translation((rgb_width - 1) / 2, (rgb_height - 1) / 2) \
            @ geometry.scaling(scale, scale) \
            @ geometry.translation(-(width - 1) / 2, -(height - 1) / 2)
        return centred, self.initial_homography

    def check_input(self) -> str:
        """Return why nothing can be measured: the size of an image or the prior; or ''."""
        for name, (width, height) in (('thermal', self.thermal_size), ('rgb', self.rgb_size)):
            if min(width, height) < MIN_SIDE_PX:
                return (f'image too small: {name} is {width}x{height}, registration needs sides '
                        f'of at least {MIN_SIDE_PX} pixels')
            if max(width, height) > MAX_SIDE_RATIO * min(width, height):
                return (f'image too narrow: {name} is {width}x{height}, registration needs a '
                        f'longer side of at most {MAX_SIDE_RATIO:g} times the shorter one')
        reason = self.check(self.initial_homography)
        return f'implausible prior: {reason}' if reason else ''

    def check(self, H_thermal_to_rgb: np.ndarray) -> str:
        """Return why a homography is implausible, or ''."""
        return geometry.check(H_thermal_to_rgb, self.thermal_size, self.rgb_size)

    def reject(self, reason: str) -> Registration:
        """Return the prior in state PRIOR; without a prior the plain resize in state LOST."""
        state = RegistrationState.LOST if self.prior is None else RegistrationState.PRIOR
        return Registration(self.initial_homography, 0.0, 0, state, self.rgb_size, reason=reason)

    def accept(self, H_thermal_to_rgb: np.ndarray, confidence: float,
               inliers: int) -> Registration:
        """Return a measurement of age 0 in state TRACKING."""
        return Registration(H_thermal_to_rgb, confidence, inliers, RegistrationState.TRACKING,
                            self.rgb_size, age_s=0.0)


def resize_to(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image resized to width and height; area interpolation if it becomes narrower."""
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def limit_width(work_px: float, size: tuple[int, int]) -> float:
    """Return the width to which an image is resized: ``work_px``, or less for a high image."""
    return work_px * min(1.0, float(np.sqrt(_MAX_WORK_RATIO * size[0] / size[1])))


def scale_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return width and height times a factor, rounded, at least one pixel each."""
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def warp_to_grid(rgb: np.ndarray, H_grid_to_rgb: np.ndarray, grid_size: tuple[int, int],
                 margin_px: int, border_mode: int) -> tuple[np.ndarray, np.ndarray]:
    """
    Warp RGB onto a grid with a margin on each side.

    Parameters
    ----------
    rgb:
        ``(H, W)`` or ``(H, W, C)``.
    H_grid_to_rgb:
        ``(3, 3)`` from grid pixels without the margin to RGB pixels.
    grid_size:
        Width and height of the grid without the margin.
    border_mode:
        OpenCV border mode beyond RGB, for example ``cv2.BORDER_REPLICATE``.

    Returns
    -------
    image, coverage
        The warped image and ``(h, w)`` bool, True where RGB covers it; both with the margin.

    """
    rgb_size = geometry.size_of(rgb)
    output_size = (grid_size[0] + 2 * margin_px, grid_size[1] + 2 * margin_px)
    H_rgb_to_output = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_grid_to_rgb)
    # Resize before the warp, which alone would alias.
    rgb_px_per_grid_px = geometry.scale_at_centre(H_grid_to_rgb, grid_size)
    small = resize_to(rgb, scale_size(rgb_size, min(1.0, 1 / rgb_px_per_grid_px)))
    from_small = geometry.stretch(geometry.size_of(small), rgb_size)
    image = cv2.warpPerspective(small, H_rgb_to_output @ from_small, output_size,
                                borderMode=border_mode)
    return image, geometry.coverage(H_rgb_to_output, rgb_size, output_size)
