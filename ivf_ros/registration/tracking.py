# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration over time: a tracker filters single measurements.

A rig moves rarely and slowly. A single measurement may be noisy, wrong or impossible. So
measurements pass a gate and a filter (``CornerFilter``). Outliers are accepted only if several of
them agree over some time. Between measurements the last accepted state is held.

    state     condition                                              H_thermal_to_rgb
    TRACKING  a measurement was accepted within ``fresh_s``          filtered measurements
    HOLDING   none was accepted within ``fresh_s``, or since it one  the same
              was an outlier or contradicts the homography
    PRIOR     none within ``hold_s``, or never; a prior is known     the prior
    LOST      the same, without a prior; or the images contradict    last known, or plain resize
              the homography

A refused pair between accepted ones does not end TRACKING, an outlier does until the next accepted
measurement. An accepted measurement between rejected ones does not end HOLDING after ``fresh_s``:
``acquire_count`` accepted measurements in a row are needed to return to TRACKING.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
import math
import threading

from ivf_ros import geometry
from ivf_ros.registration.agreement import Disagreement
from ivf_ros.registration.corner_filter import CornerFilter
from ivf_ros.registration.inputs import check_pair, check_prior, Registrar, RegistrationError
from ivf_ros.registration.prior import Prior, rescale_to_sizes, Sizes
from ivf_ros.registration.tracker_parameters import TrackerParameters
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_WIDTH_PX = 640  # width of the RGB image in whose pixels the corners are filtered


@dataclass(frozen=True, eq=False)
class _Pending:
    """A measurement that is not accepted yet."""

    corners_px: np.ndarray
    confidence: float
    stamp_s: float


class RegistrationTracker:
    """
    Filters the measurements of one registrar.

    One thread calls ``update``. Any thread may call the other methods; they do not wait for a
    measurement.

    Parameters
    ----------
    registrar:
        The method, for example ``create('dense')``.
    parameters:
        See ``TrackerParameters``.
    prior:
        ``(3, 3)`` H_thermal_to_rgb from calibration, for the image sizes of the first ``update``.

    Attributes
    ----------
    states:
        Number of results of ``update`` by name of their state.
    rejections:
        Number of rejected pairs by reason (without its details).
    disagreement:
        The measurements in a row that contradict the held homography.

    """

    def __init__(self, registrar: Registrar, parameters: TrackerParameters = TrackerParameters(),
                 prior: np.ndarray | None = None) -> None:
        self.parameters = parameters
        self.states: Counter[str] = Counter()
        self.rejections: Counter[str] = Counter()
        self._registrar = registrar
        self._lock = threading.RLock()  # not held during a measurement
        self._prior: Prior | None = None
        self._thermal_size = (0, 0)  # unknown before the first pair
        self._rgb_size = (0, 0)
        self.set_prior(prior)
        self.reset()

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of thermal and RGB of the latest pair; None before the first one."""
        return (self._thermal_size, self._rgb_size) if self._rgb_size[0] else None

    def reset(self) -> None:
        """Discard all measurements; keep the prior and the counters."""
        with self._lock:
            self._filter = CornerFilter(self.parameters.drift_px, self.parameters.correlation_s)
            self._last_accepted: Registration | None = None
            self._last_accepted_s = -math.inf
            self._consecutive_accepted = 0
            self._holding = False
            self._pending: list[_Pending] = []  # consecutive measurements that agree
            self._latest_s = -math.inf
            self._reason = ''
            self._start_disagreement()

    def set_prior(self, H_thermal_to_rgb: np.ndarray | None, sizes: Sizes | None = None) -> None:
        """
        Replace the prior; the filter state does not change.

        Images of other sizes and the same aspect ratios get the rescaled prior, those of another
        aspect ratio none until the sizes change back.

        Parameters
        ----------
        H_thermal_to_rgb:
            ``(3, 3)``; None for no prior.
        sizes:
            The sizes for which it holds. None for those of the latest pair, or of the first one.

        Raises
        ------
        RegistrationError
            The prior is not a homography.

        """
        H = check_prior(H_thermal_to_rgb)
        with self._lock:
            self._prior = None if H is None else Prior(H, sizes or self.sizes)

    def update(self, thermal: np.ndarray, rgb: np.ndarray, stamp_s: float,
               thermal_live: bool = True) -> Registration:
        """
        Measure one pair of images and return the filtered registration.

        A stamp before the previous one (a looped bag) resets the tracker. A new image size
        rescales its state, and a new aspect ratio resets it.

        Parameters
        ----------
        thermal, rgb:
            As for ``register``.
        stamp_s:
            Time of the pair in seconds.
        thermal_live:
            False while the thermal image is frozen, as by the shutter. The pair is not measured.

        Raises
        ------
        RegistrationError
            An image has a wrong shape or type.

        """
        check_pair(thermal, rgb)
        with self._lock:
            if stamp_s < self._latest_s:
                self.reset()
            self._resize(geometry.size_of(thermal), geometry.size_of(rgb))
            self._latest_s = stamp_s
            self._holding |= stamp_s - self._last_accepted_s > self.parameters.fresh_s
            prior = self._search_prior(stamp_s)
        measurement = self._registrar.register(thermal, rgb, prior) if thermal_live else None
        with self._lock:
            self._reason = 'thermal frozen' if measurement is None \
                else self._gate(measurement, stamp_s)
            if not self._reason:
                self.disagreement.end(thermal, rgb)
        if self._reason and thermal_live:
            H_held = None if self._last_accepted is None else self._filtered_homography()
            self.disagreement.add(thermal, rgb, H_held, stamp_s,
                                  self._reason.startswith(('jump', 'outlier')))
        with self._lock:
            if not self._reason:
                if self._consecutive_accepted >= self.parameters.acquire_count:
                    self._holding = False
            else:
                self.rejections[self._reason.split(':')[0]] += 1
                self._consecutive_accepted = 0
            registration = self.current(stamp_s)
            self.states[registration.state.value] += 1
            return registration

    def current(self, stamp_s: float) -> Registration:
        """
        Return the filtered registration at a time, without a measurement.

        A homography measured long after this time is as old as one measured long before it.

        Raises
        ------
        RegistrationError
            ``update`` was never called, so the image sizes are unknown.

        """
        with self._lock:
            if not self._rgb_size[0]:
                raise RegistrationError('no pair of images yet; call update first')
            p, rgb_size = self.parameters, self._rgb_size
            age_s = abs(stamp_s - self._last_accepted_s)
            last, is_contradicted = self._last_accepted, self.disagreement.is_contradiction
            if last is not None and age_s <= p.hold_s and not is_contradicted:
                is_tracking = age_s <= p.fresh_s and not self._holding \
                    and not self.disagreement.is_disputed
                state = RegistrationState.TRACKING if is_tracking else RegistrationState.HOLDING
                confidence = last.confidence * math.exp(-age_s / p.decay_s)
                deviation_px = self._filter.deviation_px(stamp_s) * rgb_size[0] / _WIDTH_PX
                return Registration(self._filtered_homography(), confidence, last.inliers, state,
                                    rgb_size, age_s, self._reason, deviation_px)
            reason = self._reason
            if is_contradicted:
                reason = f'contradicted: the images do not fit as before ({reason})'
            elif last is not None and not reason:
                reason = f'no measurement for {age_s:.1f} s'
            prior = None if is_contradicted else self.prior_registration(
                self._thermal_size, rgb_size)
            if prior is not None:
                return replace(prior, age_s=age_s, reason=reason)
            H = geometry.stretch(self._thermal_size, rgb_size) if last is None \
                else self._filtered_homography()
            return Registration(H, 0.0, 0, RegistrationState.LOST, rgb_size, age_s, reason)

    def prior_registration(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]
                           ) -> Registration | None:
        """Return the prior as a registration for images of these sizes; None without a prior."""
        prior = self._prior
        H = None if prior is None else prior.for_sizes((thermal_size, rgb_size))
        if H is None:
            return None
        deviation_px = math.sqrt(2) * self.parameters.prior_px * rgb_size[0] / _WIDTH_PX
        return Registration(H, 0.5, 0, RegistrationState.PRIOR, rgb_size,
                            corner_deviation_px=deviation_px)

    def _search_prior(self, stamp_s: float) -> np.ndarray | None:
        """Return the prior for the registrar."""
        return self._filtered_homography() if self._is_held(stamp_s) else self._fallback()

    def _fallback(self) -> np.ndarray | None:
        """Return the prior, the last known homography without one, or None without both."""
        prior = self.prior_registration(self._thermal_size, self._rgb_size)
        if prior is not None:
            return prior.H_thermal_to_rgb
        return None if self._last_accepted is None else self._filtered_homography()

    def _is_held(self, stamp_s: float) -> bool:
        return stamp_s - self._last_accepted_s <= self.parameters.hold_s \
            and not self.disagreement.is_contradiction

    def _gate(self, measurement: Registration, stamp_s: float) -> str:
        """Accept a measurement and return '', or return the reason of the rejection."""
        if measurement.state is RegistrationState.PRIOR and not measurement.reason:
            self.set_prior(measurement.H_thermal_to_rgb)  # from the method ``calibrated``
            return ''
        if measurement.state is not RegistrationState.TRACKING:
            return measurement.reason
        corners_px = self._corners_px(measurement.H_thermal_to_rgb)
        if self._is_held(stamp_s):
            outlier_reason = self._check_outlier(corners_px, measurement.confidence, stamp_s)
            if not outlier_reason:
                self._filter.update(corners_px, measurement.confidence, stamp_s)
                self._accept(measurement, stamp_s)
                return ''
            return self._confirm_pending(corners_px, measurement, stamp_s, outlier_reason)
        fallback = self._fallback()
        if fallback is None:
            return self._confirm_pending(corners_px, measurement, stamp_s, 'acquiring')
        self._filter.start_at_prior(self._corners_px(fallback), self.parameters.prior_px, stamp_s)
        squared_distance = self._filter.mahalanobis_squared(corners_px, measurement.confidence,
                                                            stamp_s)
        return self._confirm_pending(
            corners_px, measurement, stamp_s,
            'outlier' if squared_distance > self.parameters.gate else 'acquiring')

    def _check_outlier(self, corners_px: np.ndarray, confidence: float, stamp_s: float) -> str:
        """Return the reason if a measurement is an outlier, or ''; learn noise without jumps."""
        distance_px = _max_corner_distance_px(corners_px, self._filter.corners_px)
        if distance_px > self.parameters.max_jump_px:
            return 'jump'
        squared_distance = self._filter.mahalanobis_squared(corners_px, confidence, stamp_s)
        self._filter.learn_noise(corners_px, confidence, stamp_s)
        return 'outlier' if squared_distance > self.parameters.gate else ''

    def _confirm_pending(self, corners_px: np.ndarray, measurement: Registration, stamp_s: float,
                         reason: str) -> str:
        """
        Accept a measurement if enough pending ones agree with it, or return the reason why not.

        ``reason`` is ``'acquiring'``, ``'outlier'`` or ``'jump'``. The last two need
        ``relock_count`` measurements over ``relock_s``.
        """
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

    def _start_disagreement(self) -> None:
        self.disagreement = Disagreement(self.parameters.contradiction_count,
                                         self.parameters.contradiction_s)

    def _filtered_homography(self) -> np.ndarray:
        return geometry.from_corners(geometry.corners_px(self._thermal_size),
                                     self._filter.corners_px * self._rgb_size[0] / _WIDTH_PX)

    def _corners_px(self, H: np.ndarray) -> np.ndarray:
        """Return the corners of thermal ``(4, 2)`` in pixels of an RGB image 640 wide."""
        corners_px = geometry.transform_points(H, geometry.corners_px(self._thermal_size))
        return corners_px * _WIDTH_PX / self._rgb_size[0]

    def _resize(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> None:
        """Rescale the filter state to new image sizes; reset for a new aspect ratio."""
        before, after = self.sizes, (thermal_size, rgb_size)
        rescaled = None
        if before is not None and before != after and self._last_accepted is not None:
            rescaled = rescale_to_sizes(self._filtered_homography(), before, after)
            if rescaled is None:  # another crop, at an unknown position
                self.reset()
        self._thermal_size, self._rgb_size = after
        if rescaled is not None:
            self._filter.corners_px = self._corners_px(rescaled)
        if before != after:
            self._pending = []
            self._start_disagreement()
        if self._prior is not None and self._prior.sizes is None:
            self._prior = replace(self._prior, sizes=after)


def _max_corner_distance_px(corners_px: np.ndarray, others_px: np.ndarray) -> float:
    """Return the largest distance of a corner between two sets ``(4, 2)``."""
    return float(np.linalg.norm(corners_px - others_px, axis=1).max())
