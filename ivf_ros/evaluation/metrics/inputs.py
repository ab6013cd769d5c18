# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs of the fusion metrics, and intermediate results that several metrics use."""

from __future__ import annotations

from functools import cached_property

from ivf_ros.evaluation.metrics.local import LocalMoments
import numpy as np

THERMAL, RGB, FUSED = 0, 1, 2
SOURCES = (THERMAL, RGB)

Sources = tuple[np.ndarray, np.ndarray]


class MetricError(ValueError):
    """A metric cannot be computed from these images, names or homographies."""


class ImageTriple:
    """
    Two source images and the fused image, with cached intermediate results.

    Parameters
    ----------
    thermal, rgb, fused:
        ``(H, W)`` float64 luma of one size, 0 to 255, as ``check_triple`` returns them.

    """

    def __init__(self, thermal: np.ndarray, rgb: np.ndarray, fused: np.ndarray) -> None:
        self.images = (thermal, rgb, fused)
        self.sources: Sources = (thermal, rgb)
        self.fused = fused
        self._moments: dict[int, LocalMoments] = {}

    def moments(self, taps: int) -> LocalMoments:
        """Return the moments under a Gaussian window of ``taps`` pixels and sigma 1.5."""
        if taps not in self._moments:
            self._moments[taps] = LocalMoments(self.images, taps, 1.5)
        return self._moments[taps]

    @cached_property
    def stretched(self) -> tuple[np.ndarray, ...]:
        """Return the images with the range from minimum to maximum scaled to integers 0..255."""
        return tuple(_stretch(image) for image in self.images)

    @cached_property
    def stretched_spectra(self) -> tuple[np.ndarray, ...]:
        """Return the half spectra (rfft2) of the stretched images."""
        from scipy import fft

        return tuple(fft.rfft2(image) for image in self.stretched)


def check_triple(thermal: np.ndarray, rgb: np.ndarray, fused: np.ndarray
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Check the three images and return them as ``(H, W)`` float64.

    Raises
    ------
    MetricError
        The sizes differ, or a dtype or a value is out of range or not finite.

    """
    checked = [_check_image(name, image) for name, image in
               (('thermal', thermal), ('rgb', rgb), ('fused', fused))]
    shapes = [image.shape for image in checked]
    if len(set(shapes)) > 1:
        raise MetricError('thermal, rgb and fused must have the same size, got '
                          + ', '.join(f'{shape[1]}x{shape[0]}' for shape in shapes))
    return checked[0], checked[1], checked[2]


def _check_image(name: str, image: np.ndarray) -> np.ndarray:
    if image.ndim != 2:
        raise MetricError(f'{name} must be luma (H, W), got shape {image.shape}')
    if image.dtype != np.uint8 and image.dtype.kind != 'f':
        raise MetricError(f'{name} must be uint8 or float from 0 to 255, got {image.dtype}')
    values = image.astype(np.float64)
    if not np.isfinite(values).all():
        raise MetricError(f'{name} must be finite, got NaN or infinity')
    if values.size and not (values.min() >= 0.0 and values.max() <= 255.0):
        raise MetricError(f'{name} must have values from 0 to 255, '
                          f'got {values.min():g} to {values.max():g}')
    return values


def _stretch(image: np.ndarray) -> np.ndarray:
    minimum, maximum = image.min(), image.max()
    if minimum == maximum:
        return np.zeros_like(image)
    return np.floor((image - minimum) / (maximum - minimum) * 255.0 + 0.5)
