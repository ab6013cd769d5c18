# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Local means, variances and covariances of images under a Gaussian window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

Borders = Literal['valid', 'replicate']


def smooth(image: np.ndarray, taps: int, sigma_px: float, borders: Borders = 'valid'
           ) -> np.ndarray:
    """
    Return the image filtered by a Gaussian window of ``taps`` by ``taps`` pixels with sum 1.

    With ``valid`` borders, only the pixels whose window lies inside the image remain. With
    ``replicate`` all pixels remain, and the border pixels are replicated outwards.
    """
    kernel = cv2.getGaussianKernel(taps, sigma_px, cv2.CV_64F)
    result = cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return result if borders == 'replicate' else crop_valid(result, taps)


def crop_valid(image: np.ndarray, taps: int) -> np.ndarray:
    """Return the pixels whose window of ``taps`` by ``taps`` pixels lies inside the image."""
    half = taps // 2
    return image[half:image.shape[0] - half, half:image.shape[1] - half]


class LocalMoments:
    """
    Moments of several images under one Gaussian window, computed on the first request.

    Parameters
    ----------
    images:
        ``(H, W)`` float64 of one size; the methods take their indices.
    taps, sigma_px, borders:
        The window, as in ``smooth``.

    """

    def __init__(self, images: Sequence[np.ndarray], taps: int, sigma_px: float,
                 borders: Borders = 'valid') -> None:
        self._images = images
        self._window = (taps, sigma_px, borders)
        self._means: dict[int, np.ndarray] = {}
        self._covariances: dict[tuple[int, int], np.ndarray] = {}

    def mean(self, i: int) -> np.ndarray:
        """Return the local mean of image ``i``."""
        if i not in self._means:
            self._means[i] = smooth(self._images[i], *self._window)
        return self._means[i]

    def variance(self, i: int) -> np.ndarray:
        """Return the local variance of image ``i``."""
        return self.covariance(i, i)

    def covariance(self, i: int, j: int) -> np.ndarray:
        """Return E[xy] - E[x] E[y]; rounding leaves up to about 1e-11 where it should be 0."""
        key = (min(i, j), max(i, j))
        if key not in self._covariances:
            product = smooth(self._images[i] * self._images[j], *self._window)
            product -= self.mean(i) * self.mean(j)
            self._covariances[key] = product
        return self._covariances[key]


def divide_or(numerator: np.ndarray, denominator: np.ndarray, *, default: float) -> np.ndarray:
    """Return the quotient, or ``default`` where the denominator is 0."""
    result = np.full_like(numerator, default)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)
