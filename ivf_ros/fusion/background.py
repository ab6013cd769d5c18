# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The brightness of the thermal background in a fused image.

The gain control spreads the whole range of temperatures over the gray levels. At night ground and
walls are warm nearly everywhere and the sky is cold, so that the background becomes bright and
people differ little from it; fused with RGB, a night street turns white. Here the reference is the
background instead of the range: it gets the brightness that it has in RGB, and what is warmer gets
the rest of the gray levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.parameters import parameter
from ivf_ros.structure import subsample
import numpy as np

_HOTTEST_PERCENT = 99.8
_NIGHT_LEVELS = (64.0, 128.0)  # of the background in RGB: night up to the first, then dusk, day
_JUMP_LEVELS = 32.0  # a greater change is another scene, which the average must not delay


@dataclass(frozen=True)
class BackgroundParameters:
    """How the background of thermal is matched to RGB before fusion."""

    match: bool = parameter(
        True, 'Give the background of thermal the brightness that it has in RGB, where RGB is '
        'dark and thermal brighter, and stretch what is warmer. A night image stays dark then.')
    percent: float = parameter(
        80.0, 'Percentage of the pixels that are background: the coldest ones.',
        minimum=50.0, maximum=99.0)
    darkest_level: float = parameter(
        40.0, 'The background is not made darker than this gray level, so that its structure '
        'stays visible where RGB is black.', minimum=0.0, maximum=255.0)
    minimum_span: float = parameter(
        64.0, 'Minimum number of gray levels from the background to the hottest objects. It '
        'limits the amplification of noise where nothing is hot.', minimum=1.0, maximum=255.0)
    smoothing: float = parameter(
        0.9, 'Weight of the previous curve in the exponential average over time.',
        minimum=0.0, maximum=0.999)


class BackgroundMatcher:
    """
    Applies a tone curve to 8-bit thermal, of which the background is the reference.

    With the background levels b of thermal and v of RGB (the same percentile of both), the darkest
    level d, and the level h of the hottest pixels::

        b' = b + g (min(b, max(v, d)) - b)            g = 1 for v <= 64, 0 for v >= 128, linear
        t' = t b' / b                                 for t <= b
        t' = b' + (t - b) (255 - b') / (h - b)        for t > b

    So by day (g = 0) the background keeps its brightness, and people who are colder than a road in
    the sun keep their contrast. The curve is monotone. It is the identity where thermal is not
    brighter than RGB and uses all levels. Its three levels are averaged over time, so a matcher
    serves one pair of cameras only.
    """

    def __init__(self, parameters: BackgroundParameters = BackgroundParameters()) -> None:
        self.parameters = parameters  # may be replaced between two frames
        self._levels: np.ndarray | None = None  # b, b', h

    def __call__(self, gray: np.ndarray, luma: np.ndarray,
                 coverage: np.ndarray | None = None) -> np.ndarray:
        """
        Return thermal with the brightness of its background as in RGB.

        Parameters
        ----------
        gray:
            ``(H, W)`` uint8, thermal after the gain control on the RGB grid.
        luma:
            ``(H, W)`` uint8, the luma of RGB.
        coverage:
            ``(H, W)`` bool, the pixels that thermal covers; None for all. It covers at least one
            pixel.

        Returns
        -------
        np.ndarray
            ``(H, W)`` uint8; ``gray`` itself where the matching is switched off.

        """
        if not self.parameters.match:
            return gray
        mask = None if coverage is None else subsample(coverage).view(np.uint8)
        if mask is not None and not mask.any():
            return gray
        self._update(subsample(gray), subsample(luma), mask)
        return cv2.LUT(gray, self._make_curve())

    def _update(self, gray: np.ndarray, luma: np.ndarray, mask: np.ndarray | None) -> None:
        p = self.parameters
        background, hottest = _find_percentiles(gray, mask, p.percent, _HOTTEST_PERCENT)
        rgb_background, = _find_percentiles(luma, mask, p.percent)
        night = np.interp(rgb_background, _NIGHT_LEVELS, (1.0, 0.0))
        darker = min(background, max(rgb_background, p.darkest_level))
        levels = np.array([background, background + night * (darker - background),
                           max(hottest, background + p.minimum_span)])
        if self._levels is None or np.abs(levels - self._levels).max() > _JUMP_LEVELS:
            self._levels = levels
        else:
            self._levels = p.smoothing * self._levels + (1 - p.smoothing) * levels

    def _make_curve(self) -> np.ndarray:
        assert self._levels is not None
        background, matched, hottest = self._levels
        curve = np.interp(np.arange(256.0), (0.0, max(background, 1e-3), hottest),
                          (0.0, matched, 255.0))
        return (curve + 0.5).astype(np.uint8)


def _find_percentiles(gray: np.ndarray, mask: np.ndarray | None, *percents: float) -> list[float]:
    """Return the gray levels below which these percentages of the pixels of the mask are."""
    counts = cv2.calcHist([gray], [0], mask, [256], [0, 256]).ravel().cumsum()
    return [float(np.searchsorted(counts, counts[-1] * percent / 100)) for percent in percents]
