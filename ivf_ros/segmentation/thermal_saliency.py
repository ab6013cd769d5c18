# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A baseline that knows no objects: regions clearly warmer than what surrounds them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.parameters import parameter
from ivf_ros.segmentation.inputs import check_images
from ivf_ros.types import Segmentation
import numpy as np

_BACKGROUND_PX = 64  # shorter side, about, on which the background is estimated
_SIGMA_PER_MAD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class ThermalSaliencyParameters:
    """What counts as warm."""

    window_percent: float = parameter(
        50.0, 'Side of the window whose median is the background, as a share of the shorter side '
        'of the image; an object that fills more than half of it is background.',
        minimum=5.0, maximum=200.0)
    high_sigmas: float = parameter(
        5.0, 'A region is warm where it exceeds the background by this multiple of its robust '
        'standard deviation somewhere.', minimum=0.5, maximum=50.0)
    low_share: float = parameter(
        0.5, 'It extends as far as this share of that excess.', minimum=0.05, maximum=1.0)
    minimum_excess_percent: float = parameter(
        20.0, 'Least excess, as a share of the range of the image.', minimum=0.0, maximum=100.0)
    minimum_area_percent: float = parameter(
        0.02, 'Smaller regions are dropped, as a share of the image.', minimum=0.0, maximum=100.0)


class ThermalSaliency:
    """
    Local contrast against a median background, thresholded with hysteresis.

    As the background is local and the threshold follows the spread of the image, ground that is
    warm all over is background. The rule has no parameter in counts or degrees.
    ``parameters`` may be replaced between two images.
    """

    class_names = ('background', 'warm')
    takes_thermal = True  # beside the image

    def __init__(self, parameters: ThermalSaliencyParameters | None = None) -> None:
        """Take the parameters."""
        self.parameters = parameters or ThermalSaliencyParameters()

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """
        Label the warm regions.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8; where there is no thermal image its luma
            stands for warmth, as in a fused image.
        thermal:
            ``(H, W)`` uint8, uint16, float32 or float64 on the same grid; NaN is background.

        Returns
        -------
        Segmentation
            Labels 0 and 1, ``(H, W)`` uint8.

        Raises
        ------
        SegmentationError
            Shapes or types are not these.

        """
        check_images(image, thermal)
        if thermal is None:
            thermal = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
        levels = _to_levels(thermal)
        return Segmentation(self._labels(levels), self.class_names)

    def _labels(self, levels: np.ndarray) -> np.ndarray:
        background = self._background(levels)
        excess = cv2.subtract(cv2.blur(levels, (3, 3)), background)  # colder is 0
        sigma = _SIGMA_PER_MAD * _spread(levels, background)
        p = self.parameters
        high = max(p.high_sigmas * sigma, p.minimum_excess_percent * 2.55, 1.0)
        low = p.low_share * high
        _, regions, statistics, _ = cv2.connectedComponentsWithStats(
            (excess >= low).astype(np.uint8))
        warm = np.zeros(len(statistics), np.uint8)
        warm[regions[excess >= high]] = 1
        area_px = statistics[:, cv2.CC_STAT_AREA]
        warm[area_px < p.minimum_area_percent / 100 * levels.size] = 0
        warm[0] = 0
        return warm[regions]

    def _background(self, levels: np.ndarray) -> np.ndarray:
        height, width = levels.shape
        shrink = min(1.0, _BACKGROUND_PX / min(height, width))
        small = cv2.resize(levels, (max(1, round(width * shrink)), max(1, round(height * shrink))),
                           interpolation=cv2.INTER_AREA)
        window = round(self.parameters.window_percent / 100 * min(small.shape)) // 2 * 2 + 1
        background = cv2.medianBlur(small, max(3, min(window, 255)))
        return cv2.resize(background, (width, height), interpolation=cv2.INTER_LINEAR)


def _to_levels(thermal: np.ndarray) -> np.ndarray:
    """Stretch nearly the whole range to 8 bit; unknown pixels take the median."""
    stride = max(1, min(thermal.shape) // 128)
    sample = thermal[::stride, ::stride]
    if thermal.dtype.kind == 'f':
        known = np.isfinite(thermal)
        sample = sample[np.isfinite(sample)]
        if sample.size == 0:
            return np.zeros(thermal.shape, np.uint8)
        thermal = np.where(known, thermal, np.median(sample))
    low, high = (float(bound) for bound in np.percentile(sample, (0.1, 99.9)))
    if not high > low:
        low, high = float(thermal.min()), float(thermal.max())
        if not high > low:
            return np.zeros(thermal.shape, np.uint8)
    stretched = (thermal.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return cv2.convertScaleAbs(np.maximum(stretched, 0, out=stretched))  # rounds and saturates


def _spread(levels: np.ndarray, background: np.ndarray) -> float:
    """Return the median distance from the background."""
    histogram = cv2.calcHist([cv2.absdiff(levels, background)], [0], None, [256], [0, 256])
    return float(np.searchsorted(np.cumsum(histogram), levels.size / 2))
