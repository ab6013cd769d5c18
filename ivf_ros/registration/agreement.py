# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether two images agree with a homography: a cheap check, without a measurement of another one.

A measurement that is rejected does not say why. In smoke the images show too little; then the
homography is as good as before. A camera that was turned, mirrored or displaced shows as much as
before, and only not at the place that the homography predicts. So the outlines are compared at
this place and at all shifts around, now and in the pair that was measured last.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
from ivf_ros import geometry
from ivf_ros.registration.advice import measure_visibility
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import normalize_contrast, resize_to, scale_size, warp_to_grid
from ivf_ros.registration.search import correlate_similarities
import numpy as np

_LONG_SIDE_PX = 160  # of thermal, to which it is reduced
_TOLERANCE_PX = 2  # around the predicted place, and
_APART_PX = 8  # least distance of the values with which it is compared, of this side
_REACH_PX = 32
# A right homography has a peak of 4 or more, usually 8 to 12; that of a turned or mirrored image
# is below 4.5, usually 2 or less (docs/tracking.md).
_MAX_CONTRADICTED_PEAK = 4.5
_MAX_PEAK_RATIO = 0.5  # to the peak of the pair that was measured last
_MIN_VISIBILITY_RATIO = 0.7  # to that pair; an image that shows less proves nothing


@dataclass(frozen=True)
class Agreement:
    """
    How well the outlines of two images fit at the place that a homography predicts.

    Attributes
    ----------
    peak:
        Correlation there, in standard deviations above that of shifted images.
    thermal_levels, rgb_levels:
        How much of the scene each image shows, in gray levels; see ``measure_visibility``.

    """

    peak: float
    thermal_levels: float
    rgb_levels: float

    def contradicts(self, measured: Agreement) -> bool:
        """Whether the images show as much as the measured pair, and do not fit as it did."""
        shows_as_much = min(self.thermal_levels / max(measured.thermal_levels, 1e-6),
                            self.rgb_levels / max(measured.rgb_levels, 1e-6)) \
            >= _MIN_VISIBILITY_RATIO
        return shows_as_much and self.peak < min(_MAX_PEAK_RATIO * measured.peak,
                                                 _MAX_CONTRADICTED_PEAK)

    def confirms(self, measured: Agreement) -> bool:
        """Whether the images fit about as well as the measured pair."""
        return self.peak >= _MAX_PEAK_RATIO * measured.peak


def check_agreement(thermal: np.ndarray, rgb: np.ndarray, H_thermal_to_rgb: np.ndarray
                    ) -> Agreement:
    """
    Compare the outlines of two images under a homography.

    Parameters
    ----------
    thermal, rgb:
        As for ``register``.
    H_thermal_to_rgb:
        ``(3, 3)``, plausible for these sizes.

    """
    size = geometry.size_of(thermal)
    grid_size = scale_size(size, _LONG_SIDE_PX / max(size))
    margin = _REACH_PX + _TOLERANCE_PX
    features = structure(resize_to(normalize_contrast(thermal), grid_size))
    H_grid_to_rgb = H_thermal_to_rgb @ np.linalg.inv(geometry.stretch(size, grid_size))
    warped, coverage = warp_to_grid(normalize_contrast(rgb), H_grid_to_rgb, grid_size, margin,
                                    cv2.BORDER_REPLICATE)
    region = cv2.copyTo(structure(warped), coverage.astype(np.uint8))
    (_, scores), = correlate_similarities(features, region, margin, (1.0,), (0.0,), _REACH_PX)
    shifts = np.abs(np.arange(-_REACH_PX, _REACH_PX + 1))
    distance = np.maximum(shifts, shifts[:, None])
    others = scores[distance > _APART_PX]
    peak = (scores[distance <= _TOLERANCE_PX].max() - others.mean()) / max(others.std(), 1e-6)
    return Agreement(float(peak), *measure_visibility(thermal, rgb))


class Disagreement:
    """
    The measurements in a row that contradict the held homography.

    Parameters
    ----------
    contradiction_count, contradiction_s:
        Number of pairs that contradict, and the time that they span, until the homography is not
        to be used any more.

    Attributes
    ----------
    count:
        Number of outliers and of pairs that contradict since the latest agreement.
    is_disputed:
        Whether there was an outlier, or a pair that contradicts, since the latest accepted
        measurement.
    is_contradiction:
        Whether the images contradict the homography for long enough.

    """

    def __init__(self, contradiction_count: int, contradiction_s: float) -> None:
        self._least_count, self._least_s = contradiction_count, contradiction_s
        self._measured_pair: tuple[np.ndarray, np.ndarray] | None = None
        self._measured: Agreement | None = None  # of that pair, once it is needed
        self.is_disputed = False
        self._since_s = math.inf  # stamp of the first pair that contradicts
        self._forget()

    def end(self, thermal: np.ndarray, rgb: np.ndarray) -> None:
        """Begin again: a measurement of this pair was accepted."""
        self._measured_pair, self._measured = (thermal, rgb), None
        self.is_disputed = False
        self._forget()

    def add(self, thermal: np.ndarray, rgb: np.ndarray, H_thermal_to_rgb: np.ndarray | None,
            stamp_s: float, is_outlier: bool) -> None:
        """
        Take note of a rejected pair.

        Parameters
        ----------
        thermal, rgb:
            As for ``register``.
        H_thermal_to_rgb:
            ``(3, 3)``, the held homography; None without one.
        is_outlier:
            Whether another homography was measured on this pair.

        """
        contradicts = False
        if self._measured_pair is not None and H_thermal_to_rgb is not None:
            if self._measured is None:  # rejected pairs are rare, so it is not done before
                self._measured = check_agreement(*self._measured_pair, H_thermal_to_rgb)
            agreement = check_agreement(thermal, rgb, H_thermal_to_rgb)
            if agreement.confirms(self._measured):
                self._forget(self.count if is_outlier else 0)
            contradicts = agreement.contradicts(self._measured)
        if contradicts:
            self._contradictions += 1
            self._since_s = min(self._since_s, stamp_s)
            self.is_contradiction = self._contradictions >= self._least_count \
                and stamp_s - self._since_s >= self._least_s
        if contradicts or is_outlier:
            self.count += 1
            self.is_disputed = True

    def _forget(self, count: int = 0) -> None:
        self.count, self._contradictions = count, 0
        self._since_s = math.inf
        self.is_contradiction = False
