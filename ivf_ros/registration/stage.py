# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The registration stage without ROS: it takes pairs of frames and gives homographies and warps.

A measurement takes longer than a frame period. So it runs in a second thread, on the newest pair.
``follow`` processes every pair and returns the pairs that are due for a measurement. ``measure``
measures a pair. The warps use the latest result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

from ivf_ros.pace import Pace
from ivf_ros.registration.advice import explain_rejection
from ivf_ros.registration.calibrated import CalibratedParameters, make_homography
from ivf_ros.registration.inputs import Registrar
from ivf_ros.registration.methods import create_from
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
    """A pair to measure, and whether its thermal image is live."""

    thermal: Frame
    rgb: Frame
    thermal_live: bool


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
        Called with each new result that is not LOST, one call at a time and in order.

    Attributes
    ----------
    latest:
        The latest registration; None before the first one.
    thermal_state:
        State of the latest thermal image.

    Raises
    ------
    RegistrationError, WeightsError
        See ``registration.create``, and ``calibrated.make_homography``.

    """

    def __init__(self, parameters: RegistrationStageParameters = RegistrationStageParameters(),
                 publish: Callable[[RegistrationResult], None] = lambda result: None) -> None:
        self._parameters = parameters
        self._publish = publish
        self.latest: Registration | None = None
        self.thermal_state = ThermalState.LIVE
        self._latest_request: MeasurementRequest | None = None
        self._measured_header = (0, '')  # stamp_ns and frame_id of the latest measurement
        self._publish_lock = threading.Lock()  # a prior must not be published after a measurement
        self._pace = Pace()
        self._freeze = FreezeDetector(parameters.freeze)
        self._warper = ThermalWarper()
        self._H_calibrated = make_homography(parameters.registration.calibrated)
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

    def calibrate(self, calibrated: CalibratedParameters) -> None:
        """
        Use a calibration of the rig as the prior; without values there is none.

        Raises
        ------
        RegistrationError
            The values give no homography.

        """
        self._H_calibrated = make_homography(calibrated)
        self.tracker.set_prior(self._H_calibrated)

    def answer_by_prior(self, rgb_size: tuple[int, int], stamp_ns: int, frame_id: str) -> None:
        """Publish the prior, if one is known and the tracker holds no measurement."""
        with self._publish_lock:
            if self.latest is not None and self.latest.state in (RegistrationState.TRACKING,
                                                                 RegistrationState.HOLDING):
                return
            prior = self.tracker.prior_registration(rgb_size)
            if prior is not None:
                self.latest = prior
                self._publish(RegistrationResult(prior, stamp_ns, frame_id))

    def follow(self, thermal: Frame, rgb: Frame) -> MeasurementRequest | None:
        """
        Process a pair; return a request for ``measure`` if a measurement is due, or None.

        It publishes the prior before the first measurement and updates the thermal state.

        Raises
        ------
        ThermalError
            The thermal image has a wrong shape or type.

        """
        if self.latest is None:
            self.answer_by_prior(rgb.size, thermal.stamp_ns, thermal.frame_id)
        health = self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
        self.thermal_state = health.state
        if not self._pace.is_due(self._rate_hz()):
            return None
        return MeasurementRequest(thermal, rgb, health.state is ThermalState.LIVE)

    def _rate_hz(self) -> float:
        """Return the rate of measurements: a higher one for the first few, until they agree."""
        is_new = sum(self.tracker.states.values()) < _FIRST_MEASUREMENTS \
            and not self.is_registered()
        return max(self._parameters.max_rate_hz, _FIRST_RATE_HZ if is_new else 0.0)

    def measure(self, request: MeasurementRequest) -> Registration:
        """
        Measure a pair, publish the filtered result unless it is LOST, and return it.

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
            self.latest = registration
            if registration.state is not RegistrationState.LOST:
                self._publish(RegistrationResult(registration, *self._measured_header))
        return registration

    def is_registered(self) -> bool:
        """Return whether there is a registration that is not LOST."""
        return self.latest is not None and self.latest.state is not RegistrationState.LOST

    def explain_rejection(self) -> str:
        """Return the likely cause if the latest measurement was rejected, and what to do."""
        latest, request = self.latest, self._latest_request
        if latest is None or request is None:
            return ''
        return explain_rejection(latest.reason, request.thermal.image, request.rgb.image)

    def warp_counts(self, thermal: np.ndarray, rgb_size: tuple[int, int]) -> ThermalOnRgb | None:
        """Return thermal counts, warped to the RGB grid; None while LOST."""
        latest = self.latest  # a local copy, because another thread replaces the attribute
        if latest is None or latest.state is RegistrationState.LOST:
            return None
        return self._warper.warp_counts(thermal, latest.H_thermal_to_rgb, rgb_size)

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
            self._H_calibrated = make_homography(calibrated)
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
        if self._H_calibrated is not None:
            self.tracker.set_prior(self._H_calibrated)

    def status(self) -> dict[str, Any]:
        """Return the state of the registration, for diagnostics."""
        values: dict[str, Any] = {
            'thermal_state': self.thermal_state.value,
            **{f'state_count.{state.value}': self.tracker.states[state.value]
               for state in RegistrationState},
            **{f'rejected.{reason}': n for reason, n in self.tracker.rejections.items()}}
        if self.latest is not None:
            values.update(
                state=self.latest.state.value, confidence=self.latest.confidence,
                inliers=self.latest.inliers, age_s=self.latest.age_s,
                corner_deviation_px=self.latest.corner_deviation_px, reason=self.latest.reason)
        return values
