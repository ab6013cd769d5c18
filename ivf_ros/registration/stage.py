# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The registration stage without ROS: it takes pairs of frames and gives homographies and warps.

A measurement takes longer than a frame period. So it runs in a second thread, on the newest pair.
``follow`` processes every pair and returns the pairs that are due for a measurement. ``measure``
measures a pair. The warps and the status use the result as of the latest pair and as of now: it
ages while nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

from ivf_ros.pace import Pace
from ivf_ros.registration.advice import explain_rejection
from ivf_ros.registration.calibrated import CalibratedParameters, make_homography
from ivf_ros.registration.inputs import Registrar
from ivf_ros.registration.methods import create_from
from ivf_ros.registration.prior import Sizes
from ivf_ros.registration.settings import RegistrationStageParameters
from ivf_ros.registration.tracking import RegistrationTracker
from ivf_ros.thermal import FreezeDetector, ThermalState
from ivf_ros.thermal_on_rgb import ThermalOnRgb, ThermalWarper
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np


# The first registration should not wait for the period of the others.
_FIRST_MEASUREMENTS, _FIRST_RATE_HZ = 6, 10.0


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """
    A registration with the header of the thermal image of its measurement.

    A held homography keeps the header of its measurement.
    """

    registration: Registration
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class MeasurementRequest:
    """
    A pair to measure.

    Attributes
    ----------
    thermal_live:
        Whether the thermal image is live.
    jumps:
        Number of times that the stamps had jumped back before this pair.

    """

    thermal: Frame
    rgb: Frame
    thermal_live: bool
    jumps: int = 0


@dataclass(frozen=True)
class _FollowedPair:
    """Stamp and image sizes of a pair, and the time of the clock at which it arrived."""

    stamp_ns: int  # of thermal
    sizes: Sizes
    arrived_s: float


@dataclass(frozen=True)
class _Method:
    """A registrar with its tracker."""

    registrar: Registrar
    tracker: RegistrationTracker


class RegistrationStage:
    """
    Measures the homography at its own rate and keeps the latest result of the tracker.

    Call ``follow`` and the warps from one thread, and ``measure`` from at most one other thread.

    Parameters
    ----------
    publish:
        Called with each new result, one call at a time and in order. Results that are LOST are
        published only after others, to withdraw these.
    clock:
        Returns the time in seconds, steadily, also while no images arrive.

    Attributes
    ----------
    latest:
        The latest result; None before the first one, and after the stamps jumped back.
    thermal_state:
        State of the latest thermal image.

    Raises
    ------
    RegistrationError, WeightsError
        See ``registration.create``, and ``calibrated.make_homography``.

    """

    def __init__(self, parameters: RegistrationStageParameters = RegistrationStageParameters(),
                 publish: Callable[[RegistrationResult], None] = lambda result: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._parameters = parameters
        self._publish = publish
        self._clock = clock
        self.latest: Registration | None = None
        self.thermal_state = ThermalState.LIVE
        self._followed: _FollowedPair | None = None
        self._jumps = 0  # of the stamps, back
        self._measured_jumps = 0  # before the latest measurement
        self._n_measured = 0  # since the stamps jumped back
        self._was_published = False  # a result, since the stamps jumped back
        self._latest_request: MeasurementRequest | None = None
        self._measured_header = (0, '')  # stamp_ns and frame_id of the latest measurement
        self._publish_lock = threading.Lock()  # a prior must not be published after a measurement
        self._pace = Pace()
        self._freeze = FreezeDetector(parameters.freeze)
        self._warper = ThermalWarper()
        self._H_calibrated = make_homography(parameters.registration.calibrated)
        self._calibrated_sizes: Sizes | None = None  # unknown: those of the first pair
        self._method = self._build(parameters, None)
        self._use_prior()

    @property
    def method(self) -> Registrar:
        """The registrar in use."""
        return self._method.registrar

    @property
    def tracker(self) -> RegistrationTracker:
        """The tracker in use."""
        return self._method.tracker

    def calibrate(self, calibrated: CalibratedParameters, sizes: Sizes | None = None) -> None:
        """
        Use a calibration of the rig as the prior; without values there is none.

        Parameters
        ----------
        calibrated:
            The values.
        sizes:
            Sizes of the thermal and the RGB image for which they hold; None for those of the
            first pair.

        Raises
        ------
        RegistrationError
            The values give no homography.

        """
        H = make_homography(calibrated)
        if sizes is not None or not _is_same(H, self._H_calibrated):
            self._H_calibrated, self._calibrated_sizes = H, sizes
        self._use_prior()

    def answer_by_prior(self, sizes: Sizes, stamp_ns: int, frame_id: str) -> None:
        """Publish the prior for these sizes, if there is one and no measurement is held."""
        with self._publish_lock:
            if self.latest is not None and self.latest.state in (RegistrationState.TRACKING,
                                                                 RegistrationState.HOLDING):
                return
            prior = self.tracker.prior_registration(*sizes)
            if prior is not None and not self.tracker.disagreement.is_contradiction:
                self._set_latest(RegistrationResult(prior, stamp_ns, frame_id))

    def follow(self, thermal: Frame, rgb: Frame) -> MeasurementRequest | None:
        """
        Process a pair; return a request for ``measure`` if a measurement is due, or None.

        It publishes the prior before the first measurement and updates the thermal state. Where
        the stamps jump back (a looped bag, a clock that was set), all measurements are discarded.

        Raises
        ------
        ThermalError
            The thermal image has a wrong shape or type.

        """
        before = self._followed
        self._followed = _FollowedPair(thermal.stamp_ns, (thermal.size, rgb.size), self._clock())
        if before is not None and thermal.stamp_ns < before.stamp_ns:
            with self._publish_lock:
                self._jumps += 1
                self._n_measured = 0
                self.latest, self._was_published = None, False
        if self._H_calibrated is not None and self._calibrated_sizes is None:
            self._calibrated_sizes = self._followed.sizes
            self._use_prior()
        if self.latest is None:
            self.answer_by_prior(self._followed.sizes, thermal.stamp_ns, thermal.frame_id)
        health = self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
        self.thermal_state = health.state
        if not self._pace.is_due(self._rate_hz()):
            return None
        return MeasurementRequest(thermal, rgb, health.state is ThermalState.LIVE, self._jumps)

    def _rate_hz(self) -> float:
        """Return the rate of measurements: a higher one for the first few, until they agree."""
        is_new = self._n_measured < _FIRST_MEASUREMENTS and not self.is_registered()
        return max(self._parameters.max_rate_hz, _FIRST_RATE_HZ if is_new else 0.0)

    def measure(self, request: MeasurementRequest) -> Registration:
        """
        Measure a pair, publish the filtered result, and return it.

        A result is not published if the stamps jumped back in the meantime.

        Raises
        ------
        RegistrationError
            An image has a wrong shape or type.

        """
        thermal, rgb = request.thermal, request.rgb
        self._latest_request = request
        registration = self.tracker.update(thermal.image, rgb.image, thermal.stamp_ns * 1e-9,
                                           request.thermal_live)
        if registration.age_s == 0 or registration.state is RegistrationState.PRIOR:
            self._measured_header = thermal.stamp_ns, thermal.frame_id
        with self._publish_lock:
            self._measured_jumps = request.jumps
            if request.jumps == self._jumps:
                self._n_measured += 1
                self._set_latest(RegistrationResult(registration, *self._measured_header))
        return registration

    def _set_latest(self, result: RegistrationResult) -> None:
        """Store a result and publish it, one that is LOST only after others."""
        self.latest = result.registration
        is_lost = result.registration.state is RegistrationState.LOST
        if self._was_published or not is_lost:
            self._was_published = True
            self._publish(result)

    def present(self) -> Registration | None:
        """
        Return the registration as of now; None before the first pair or result.

        Since the latest pair, the time of the clock counts. So it also ages while a camera is
        silent.
        """
        followed = self._followed
        if followed is None:
            return self.latest
        return self._registration_at(followed, self._clock() - followed.arrived_s)

    def _registration_at(self, followed: _FollowedPair, later_s: float = 0.0
                         ) -> Registration | None:
        """Return the registration some time after a pair; None if none belongs to it."""
        is_measured = self._n_measured > 0 and self._measured_jumps == self._jumps
        if not is_measured or self.tracker.sizes is None:
            latest = self.latest  # the prior
            is_prior = latest is not None and latest.rgb_size == followed.sizes[1]
            return latest if is_prior else None
        if self.tracker.sizes != followed.sizes:
            return None
        return self.tracker.current(followed.stamp_ns * 1e-9 + later_s)

    def is_registered(self) -> bool:
        """Return whether there is a registration for the latest pair that is not LOST."""
        registration = self.latest if self._followed is None \
            else self._registration_at(self._followed)
        return registration is not None and registration.state is not RegistrationState.LOST

    def explain_rejection(self) -> str:
        """Return the likely cause if the latest measurement was rejected, and what to do."""
        latest, request = self.latest, self._latest_request
        if latest is None or request is None:
            return ''
        return explain_rejection(latest.reason, request.thermal.image, request.rgb.image)

    def warp_counts(self, thermal: np.ndarray, rgb_size: tuple[int, int]) -> ThermalOnRgb | None:
        """Return the counts of the latest pair, warped to the RGB grid; None while LOST."""
        registration = None if self._followed is None else self._registration_at(self._followed)
        if registration is None or registration.state is RegistrationState.LOST:
            return None
        return self._warper.warp_counts(thermal, registration.H_thermal_to_rgb, rgb_size)

    def prepare(self, requested: RegistrationStageParameters) -> _Method:
        """
        Build registrar and tracker for new parameters; ``apply`` puts them into use.

        Raises
        ------
        RegistrationError, WeightsError
            The parameters cannot be used.

        """
        make_homography(requested.registration.calibrated)
        return self._build(requested, self._method)

    def apply(self, parameters: RegistrationStageParameters, prepared: _Method) -> None:
        """Put new parameters into use; a new tracker starts with the prior only."""
        calibrated = parameters.registration.calibrated
        if calibrated != self._parameters.registration.calibrated:
            self._H_calibrated, self._calibrated_sizes = make_homography(calibrated), None
        if prepared.tracker is not self.tracker:
            self._n_measured = 0
            self.latest, self._was_published = None, False
        self._parameters, self._method = parameters, prepared
        self.method.parameters = parameters.registration.of_method
        self._freeze.parameters = parameters.freeze
        self._use_prior()

    def _build(self, requested: RegistrationStageParameters, current: _Method | None) -> _Method:
        """Return registrar and tracker for these parameters; reuse current ones if possible."""
        old, new = self._parameters.registration, requested.registration
        # Only the calibrated registrar cannot take new parameters while it is in use.
        reusable = (old.method, old.network) == (new.method, new.network) \
            and (new.method != 'calibrated' or old.calibrated == new.calibrated)
        if current is None or not reusable:
            registrar = create_from(new)
            return _Method(registrar, RegistrationTracker(registrar, requested.tracker))
        if self._parameters.tracker == requested.tracker:
            return current
        return _Method(current.registrar, RegistrationTracker(current.registrar,
                                                              requested.tracker))

    def _use_prior(self) -> None:
        self.tracker.set_prior(self._H_calibrated, self._calibrated_sizes)

    def status(self) -> dict[str, Any]:
        """Return the present state of the registration, for diagnostics."""
        values: dict[str, Any] = {
            'thermal_state': self.thermal_state.value,
            **{f'state_count.{state.value}': self.tracker.states[state.value]
               for state in RegistrationState},
            **{f'rejected.{reason}': n for reason, n in self.tracker.rejections.items()},
            'disagreements': self.tracker.disagreement.count}
        present = self.present()
        if present is not None:
            values.update(
                state=present.state.value, confidence=present.confidence,
                inliers=present.inliers, age_s=present.age_s,
                corner_deviation_px=present.corner_deviation_px, reason=present.reason)
        return values


def _is_same(H: np.ndarray | None, other: np.ndarray | None) -> bool:
    return H is other if H is None or other is None else np.array_equal(H, other)
