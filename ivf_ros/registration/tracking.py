# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration over time: single measurements become an answer that holds.

A rig moves rarely and slowly, while a single measurement may be noisy, wrong or impossible. So
measurements pass a gate and a filter (``CornerFilter``); those beyond the gate are believed only
when several of them, over some time, say the same. Between them the last good measurement is held.

    state     entered when                                           H_thermal_to_rgb
    TRACKING  measurements are believed, the last one lately         filtered measurements
    HOLDING   none was for ``fresh_s``                               the same, ageing
    PRIOR     none was for ``hold_s``, or ever; a prior is known     the prior
    LOST      the same without a prior                               the last known, or the stretch

A rejected measurement between good ones changes no state, nor does a good one between rejected
ones: back from HOLDING to TRACKING it takes ``acquire_count`` in a row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
import math
from typing import Any, Protocol

from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.corner_filter import CornerFilter
from ivf_ros.registration.inputs import check_pair, check_prior, RegistrationError
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_WIDTH_PX = 640  # of the RGB image in whose pixels corners are filtered


class Registrar(Protocol):
    """
    A method: measures the homography of one pair of images and remembers nothing.

    ``parameters`` are those of the method; they may be replaced between two pairs.
    """

    parameters: Any

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Return what one pair of images says."""
        ...


@dataclass(frozen=True)
class TrackerParameters:
    """When a measurement is believed, how far, and for how long; px of RGB 640 wide."""

    drift_px: float = parameter(
        0.8, 'By how much a corner coordinate may wander in a minute (1 sigma, px of 640).',
        minimum=0.001, maximum=1e4)
    correlation_s: float = parameter(
        1.0, 'Seconds in which the error of a measurement fades to 37 %; sooner ones add little.',
        minimum=0.0, maximum=60.0)
    prior_px: float = parameter(
        10.0, 'By how much a corner coordinate of the prior, or of what was known before LOST, '
        'may be off (1 sigma, px of 640).',
        minimum=0.01, maximum=640.0)
    gate: float = parameter(
        26.1, 'Squared Mahalanobis distance of the corners beyond which a measurement is an '
        'outlier; one in 1000 is (chi-square, 8 degrees of freedom).', minimum=1.0, maximum=1e4)
    max_jump_px: float = parameter(
        16.0, 'Displacement of a corner from what is tracked beyond which it is an outlier too '
        '(px of 640).',
        minimum=0.0, maximum=640.0)
    agreement_px: float = parameter(
        10.0, 'Measurements whose corners differ less agree (px of 640).',
        minimum=0.0, maximum=640.0)
    acquire_count: int = parameter(
        2, 'Measurements in a row that must agree before the first is believed, or be believed '
        'before HOLDING becomes TRACKING again.', minimum=1, maximum=100)
    relock_count: int = parameter(
        5, 'Outliers in a row that must agree before they are believed.',
        minimum=1, maximum=100)
    relock_s: float = parameter(
        2.0, 'Seconds over which they must agree.', minimum=0.0, maximum=3600.0)
    fresh_s: float = parameter(
        2.0, 'Seconds for which a measurement counts as tracking.', minimum=0.0, maximum=3600.0)
    hold_s: float = parameter(
        10.0, 'Seconds for which a measurement is held before it is given up.',
        minimum=0.0, maximum=86400.0)
    decay_s: float = parameter(
        5.0, 'Seconds in which the confidence of a held measurement falls to 37 %.',
        minimum=0.01, maximum=86400.0)


@dataclass(frozen=True, eq=False)
class _Pending:
    """A measurement that is not believed yet."""

    corners_px: np.ndarray
    confidence: float
    stamp_s: float


class RegistrationTracker:
    """
    Filters the measurements of one registrar; not safe to call from several threads at once.

    Parameters
    ----------
    registrar:
        What measures, for example ``create('dense')``.
    parameters:
        See ``TrackerParameters``.
    prior:
        ``(3, 3)`` H_thermal_to_rgb from calibration, for the sizes of the images to come.

    Attributes
    ----------
    states:
        How often each state was the measurement of ``update``, by name.
    rejections:
        How many pairs were not believed, by reason (without its details).

    """

    def __init__(self, registrar: Registrar, parameters: TrackerParameters = TrackerParameters(),
                 prior: np.ndarray | None = None) -> None:
        self.parameters = parameters
        self.states: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self._registrar = registrar
        self._prior = check_prior(prior)
        self._thermal_size = (0, 0)  # none seen yet
        self._rgb_size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget every measurement; the prior and the counts stay."""
        self._filter = CornerFilter(self.parameters.drift_px, self.parameters.correlation_s)
        self._last_accepted: Registration | None = None  # the latest that was believed
        self._last_accepted_s = -math.inf
        self._consecutive_accepted = 0  # believed
        self._holding = False
        self._pending: list[_Pending] = []  # in a row, agreeing, not yet believed
        self._latest_s = -math.inf
        self._reason = ''

    def set_prior(self, H_thermal_to_rgb: np.ndarray | None) -> None:
        """
        Replace the prior, for the present image sizes; what is being tracked goes on.

        Raises
        ------
        RegistrationError
            It is no homography.

        """
        self._prior = check_prior(H_thermal_to_rgb)

    def update(self, thermal: np.ndarray, rgb: np.ndarray, stamp_s: float,
               thermal_live: bool = True) -> Registration:
        """
        Measure one pair of images and return the best answer.

        A stamp earlier than the last one (a looped bag) resets; a new image size rescales what is
        known, unless the aspect ratio changed, which resets.

        Parameters
        ----------
        thermal, rgb:
            As for ``register``.
        stamp_s:
            When they were taken, in seconds.
        thermal_live:
            False while the thermal image is frozen, as by the shutter: nothing is measured.

        Raises
        ------
        RegistrationError
            An image has a wrong shape or type.

        """
        check_pair(thermal, rgb)
        if stamp_s < self._latest_s:
            self.reset()
        self._resize(geometry.size_of(thermal), geometry.size_of(rgb))
        self._latest_s = stamp_s
        self._holding |= stamp_s - self._last_accepted_s > self.parameters.fresh_s
        if thermal_live:
            measurement = self._registrar.register(thermal, rgb, self._search_prior(stamp_s))
            self._reason = self._gate(measurement, stamp_s)
        else:
            self._reason = 'thermal frozen'
        if self._reason:
            self.rejections[self._reason.split(':')[0]] += 1
            self._consecutive_accepted = 0
        elif self._consecutive_accepted >= self.parameters.acquire_count:
            self._holding = False
        registration = self.current(stamp_s)
        self.states[registration.state.value] += 1
        return registration

    def current(self, stamp_s: float) -> Registration:
        """
        Return the best answer at a time, without measuring.

        Raises
        ------
        RegistrationError
            No pair of images has been seen, so that the sizes are unknown.

        """
        if not self._rgb_size[0]:
            raise RegistrationError('no pair of images has been seen yet')
        p, rgb_size = self.parameters, self._rgb_size
        age_s = max(stamp_s - self._last_accepted_s, 0.0)
        if self._last_accepted is not None and age_s <= p.hold_s:
            tracks = age_s <= p.fresh_s and not self._holding
            state = RegistrationState.TRACKING if tracks else RegistrationState.HOLDING
            confidence = self._last_accepted.confidence * math.exp(-age_s / p.decay_s)
            deviation_px = self._filter.deviation_px(stamp_s) * rgb_size[0] / _WIDTH_PX
            return Registration(self._filtered_homography(), confidence, self._last_accepted.inliers, state,
                                rgb_size, age_s, self._reason, deviation_px)
        prior = self.prior_registration(rgb_size)
        if prior is not None:
            return replace(prior, age_s=age_s, reason=self._reason)
        last = geometry.stretch(self._thermal_size, rgb_size) if self._last_accepted is None \
            else self._filtered_homography()
        return Registration(last, 0.0, 0, RegistrationState.LOST, rgb_size, age_s, self._reason)

    def prior_registration(self, rgb_size: tuple[int, int]) -> Registration | None:
        """Return what is known of RGB of this size before any measurement, or None."""
        prior = self._prior
        if prior is None:
            return None
        deviation_px = math.sqrt(2) * self.parameters.prior_px * rgb_size[0] / _WIDTH_PX
        return Registration(prior.copy(), 0.5, 0, RegistrationState.PRIOR, rgb_size,
                            corner_deviation_px=deviation_px)

    def _search_prior(self, stamp_s: float) -> np.ndarray | None:
        """Return where the registrar shall look first."""
        return self._filtered_homography() if self._is_held(stamp_s) else self._fallback()

    def _fallback(self) -> np.ndarray | None:
        """Return what speaks where nothing is held: the prior, or else what was known last."""
        if self._prior is None and self._last_accepted is not None:
            return self._filtered_homography()
        return self._prior

    def _is_held(self, stamp_s: float) -> bool:
        return stamp_s - self._last_accepted_s <= self.parameters.hold_s

    def _gate(self, measurement: Registration, stamp_s: float) -> str:
        """Take a measurement in, or return why not."""
        if measurement.state is RegistrationState.PRIOR and not measurement.reason:
            self._prior = measurement.H_thermal_to_rgb  # the method is a calibration
            return ''
        if measurement.state is not RegistrationState.TRACKING:
            return measurement.reason
        corners_px = self._corners_px(measurement.H_thermal_to_rgb)
        if self._is_held(stamp_s):
            outlier = self._outlier(corners_px, measurement.confidence, stamp_s)
            if not outlier:
                self._filter.update(corners_px, measurement.confidence, stamp_s)
                self._accept(measurement, stamp_s)
                return ''
            return self._confirm_pending(corners_px, measurement, stamp_s, outlier)
        fallback = self._fallback()
        if fallback is None:
            return self._confirm_pending(corners_px, measurement, stamp_s, 'acquiring')
        self._filter.start_at_prior(self._corners_px(fallback), self.parameters.prior_px, stamp_s)
        mahalanobis_squared = self._filter.mahalanobis_squared(corners_px, measurement.confidence, stamp_s)
        return self._confirm_pending(corners_px, measurement, stamp_s, 'outlier'
                                     if mahalanobis_squared > self.parameters.gate else 'acquiring')

    def _outlier(self, corners_px: np.ndarray, confidence: float, stamp_s: float) -> str:
        """Return why a measurement contradicts what is tracked, or ''; learn of its noise."""
        if _max_corner_distance_px(corners_px, self._filter.corners_px) > self.parameters.max_jump_px:
            return 'jump'
        mahalanobis_squared = self._filter.mahalanobis_squared(corners_px, confidence, stamp_s)
        self._filter.learn_noise(corners_px, confidence, stamp_s)
        return 'outlier' if mahalanobis_squared > self.parameters.gate else ''

    def _confirm_pending(self, corners_px: np.ndarray, measurement: Registration, stamp_s: float,
                         reason: str) -> str:
        """Believe a measurement that enough before it agree with, or return why not yet."""
        p = self.parameters
        agree = all(_max_corner_distance_px(corners_px, other.corners_px) <= p.agreement_px
                    for other in self._pending)
        latest = _Pending(corners_px, measurement.confidence, stamp_s)
        self._pending = [*self._pending, latest] if agree else [latest]
        needed, needed_s = (p.acquire_count, 0.0) if reason == 'acquiring' \
            else (p.relock_count, p.relock_s if p.relock_count > 1 else 0.0)
        count, elapsed_s = len(self._pending), stamp_s - self._pending[0].stamp_s
        if count < needed or elapsed_s < needed_s:
            return f'{reason}: {count} in a row agree over {elapsed_s:.1f} s'
        corners_px = np.mean([other.corners_px for other in self._pending], axis=0)
        confidence = float(np.mean([other.confidence for other in self._pending]))
        if reason == 'acquiring' and self._fallback() is not None:
            self._filter.update(corners_px, confidence, stamp_s)
        else:
            self._filter.start_at_measurement(corners_px, confidence, stamp_s)
        self._accept(measurement, stamp_s)
        self._consecutive_accepted = p.acquire_count
        return ''

    def _accept(self, measurement: Registration, stamp_s: float) -> None:
        self._last_accepted, self._last_accepted_s = measurement, stamp_s
        self._consecutive_accepted += 1
        self._pending = []

    def _filtered_homography(self) -> np.ndarray:
        return geometry.from_corners(geometry.corners_px(self._thermal_size),
                                     self._filter.corners_px * self._rgb_size[0] / _WIDTH_PX)

    def _corners_px(self, H: np.ndarray) -> np.ndarray:
        """Return where the corners of thermal lie in an RGB image 640 wide."""
        corners_px = geometry.transform_points(H, geometry.corners_px(self._thermal_size))
        return corners_px * _WIDTH_PX / self._rgb_size[0]

    def _resize(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> None:
        """Carry what is known over to new image sizes."""
        old, new = (self._thermal_size, self._rgb_size), (thermal_size, rgb_size)
        if not self._rgb_size[0] or new == old:
            self._thermal_size, self._rgb_size = new
            return
        (tx, ty), (rx, ry) = ((n[0] / o[0], n[1] / o[1]) for n, o in zip(new, old))
        if max(abs(tx / ty - 1), abs(rx / ry - 1)) < 0.02:
            tracked, self._prior = (
                None if H is None else geometry.rescale_homography(H, (tx, ty), (rx, ry))
                for H in (None if self._last_accepted is None else self._filtered_homography(), self._prior))
            self._thermal_size, self._rgb_size = new
            if tracked is not None:
                self._filter.corners_px = self._corners_px(tracked)
            self._pending = []
        else:  # another crop: nothing that is known says where it lies
            self._thermal_size, self._rgb_size = new
            self.reset()
            self._prior = None


def _max_corner_distance_px(corners_px: np.ndarray, others_px: np.ndarray) -> float:
    """Return the greatest displacement of a corner."""
    return float(np.linalg.norm(corners_px - others_px, axis=1).max())
