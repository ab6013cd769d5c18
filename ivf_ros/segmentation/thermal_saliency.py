# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A baseline without object classes: regions clearly warmer than their surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.parameters import parameter
from ivf_ros.segmentation.inputs import check_images
from ivf_ros.thermal import SIGMA_PER_MAD
from ivf_ros.types import Segmentation
import numpy as np

_BACKGROUND_PX = 64  # approximate shorter side of the image from which the background is estimated


@dataclass(frozen=True)
class ThermalSaliencyParameters:
    """Thresholds of warm regions."""

    window_percent: float = parameter(
        50.0, 'Side of the window whose median is the background, in percent of the shorter side '
        'of the image. An object that fills more than half of the window is background.',
        minimum=5.0, maximum=200.0)
    high_sigmas: float = parameter(
        5.0, 'High threshold: a region is warm if at least one of its pixels exceeds the '
        'background by this multiple of the robust standard deviation.', minimum=0.5, maximum=50.0)
    low_share: float = parameter(
        0.5, 'Low threshold, as a fraction of the high one: a region consists of connected pixels '
        'above it.', minimum=0.05, maximum=1.0)
    minimum_excess_percent: float = parameter(
        20.0, 'Minimum of the high threshold, in percent of the range of the image.',
        minimum=0.0, maximum=100.0)
    minimum_area_percent: float = parameter(
        0.02, 'Minimum area of a region, in percent of the image; smaller regions are dropped.',
        minimum=0.0, maximum=100.0)


class ThermalSaliency:
    """
    Local contrast against a median background, thresholded with hysteresis.

    The background is local, and the threshold follows the deviation from it in the image. Ground
    that is evenly warm is therefore background. No parameter is in counts or degrees.
    ``parameters`` may be replaced between two images.
    """

    class_names = ('background', 'warm')
    takes_thermal = True

    def __init__(self, parameters: ThermalSaliencyParameters | None = None) -> None:
        """Set the parameters."""
        self.parameters = parameters or ThermalSaliencyParameters()

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """
        Label the warm regions.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8, for example a fused image. Its luma is
            used instead of thermal where ``thermal`` is None.
        thermal:
            ``(H, W)`` uint8, uint16, float32 or float64 on the same grid, or None; NaN becomes
            background.

        Returns
        -------
        Segmentation
            Labels 0 and 1, ``(H, W)`` uint8.

        Raises
        ------
        SegmentationError
            A shape or dtype is wrong.

        """
        check_images(image, thermal)
        if thermal is None:
            thermal = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        levels = _to_levels(thermal)
        return Segmentation(self._labels(levels), self.class_names)

    def _labels(self, levels: np.ndarray) -> np.ndarray:
        background = self._background(levels)
        excess = cv2.subtract(cv2.blur(levels, (3, 3)), background)  # 0 where colder
        sigma = SIGMA_PER_MAD * _median_deviation(levels, background)
        p = self.parameters
        high = max(p.high_sigmas * sigma, p.minimum_excess_percent * 2.55, 1.0)
        low = p.low_share * high
        _, regions, statistics, _ = cv2.connectedComponentsWithStats(
            (excess >= low).astype(np.uint8))
        label_of_region = np.zeros(len(statistics), np.uint8)
        label_of_region[regions[excess >= high]] = 1
        area_px2 = statistics[:, cv2.CC_STAT_AREA]
        label_of_region[area_px2 < p.minimum_area_percent / 100 * levels.size] = 0
        label_of_region[0] = 0  # the pixels below the low threshold
        return label_of_region[regions]

    def _background(self, levels: np.ndarray) -> np.ndarray:
        height, width = levels.shape
        scale = min(1.0, _BACKGROUND_PX / min(height, width))
        small = cv2.resize(levels, (max(1, round(width * scale)), max(1, round(height * scale))),
                           interpolation=cv2.INTER_AREA)
        window_px = round(self.parameters.window_percent / 100 * min(small.shape)) // 2 * 2 + 1
        background = cv2.medianBlur(small, max(3, min(window_px, 255)))
        return cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR)


def _to_levels(thermal: np.ndarray) -> np.ndarray:
    """Map the range without its extreme 0.1 % to 8 bit; NaN becomes the median."""
    stride = max(1, min(thermal.shape) // 128)
    sample = thermal[::stride, ::stride]
    if thermal.dtype.kind == 'f':
        finite = np.isfinite(thermal)
        sample = sample[np.isfinite(sample)]
        if sample.size == 0:
            return np.zeros(thermal.shape, np.uint8)
        thermal = np.where(finite, thermal, np.median(sample))
    low, high = (float(bound) for bound in np.percentile(sample, (0.1, 99.9)))
    if not high > low:
        low, high = float(thermal.min()), float(thermal.max())
        if not high > low:
            return np.zeros(thermal.shape, np.uint8)
    stretched = (thermal.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return cv2.convertScaleAbs(np.maximum(stretched, 0, out=stretched))  # rounds and saturates


def _median_deviation(levels: np.ndarray, background: np.ndarray) -> float:
    """Return the median absolute deviation from the background in gray levels."""
    histogram = cv2.calcHist([cv2.absdiff(levels, background)], [0], None, [256], [0, 256])
    return float(np.searchsorted(np.cumsum(histogram), levels.size / 2))
