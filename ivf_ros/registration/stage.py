# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the registration node drives: pairs of frames in, homographies and registered thermal out.

Measuring takes longer than a frame period, so it runs beside what every pair needs, in another
thread and on the newest pair. ``follow`` does what call_every pair needs and says when to measure;
``measure`` measures; the warps use the latest answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

from ivf_ros.pace import Pace
from ivf_ros.registration.calibrated import CalibratedParameters, homography_of
from ivf_ros.registration.methods import create_from
from ivf_ros.registration.settings import RegistrationStageParameters
from ivf_ros.registration.tracking import Registrar, RegistrationTracker
from ivf_ros.thermal import FreezeDetector, ThermalState
from ivf_ros.thermal_on_rgb import ThermalOnRgb, ThermalWarper
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """
    An answer, with the header of the thermal image that its homography was measured on.

    A homography that is held keeps the header of its measurement.
    """

    registration: Registration
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class MeasurementRequest:
    """A pair that is to be measured, and whether its thermal image shows the present."""

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
    Measures the homography at its own rate and holds the best answer.

    ``follow`` and the warps are called from one thread, ``measure`` from another one at most.

    Parameters
    ----------
    publish:
        Is called with each new answer that is not LOST, one call at a time and in order.

    Attributes
    ----------
    latest:
        The latest answer; None before the first one.
    thermal_state:
        Whether the latest thermal image shows the present.

    Raises
    ------
    RegistrationError, WeightsError
        See ``registration.create``, and ``calibrated.homography_of``.

    """

    def __init__(self, parameters: RegistrationStageParameters = RegistrationStageParameters(),
                 publish: Callable[[RegistrationResult], None] = lambda result: None) -> None:
        self._parameters = parameters
        self._publish = publish
        self.latest: Registration | None = None
        self.thermal_state = ThermalState.LIVE
        self._measured_header = (0, '')  # stamp and frame
        self._publish_lock = threading.Lock()  # a late prior must not follow a measurement
        self._pace = Pace()
        self._freeze = FreezeDetector(parameters.freeze)
        self._warper = ThermalWarper()  # with the gain control that all networks learned with
        self._H_calibrated = homography_of(parameters.registration.calibrated)
        self._method = self._build(parameters, None)
        self._use_prior()

    @property
    def method(self) -> Registrar:
        """What measures."""
        return self._method.registrar

    @property
    def tracker(self) -> RegistrationTracker:
        """What makes answers of the measurements."""
        return self._method.tracker

    def calibrate(self, calibrated: CalibratedParameters) -> None:
        """
        Take in what is known of the rig by now; it becomes the prior.

        Raises
        ------
        RegistrationError
            It makes no homography.

        """
        self._H_calibrated = homography_of(calibrated)
        self._use_prior()

    def answer_by_prior(self, rgb_size: tuple[int, int], stamp_ns: int, frame_id: str) -> None:
        """Publish what calibration says, while nothing has been measured yet."""
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
        Do what every pair needs; return what is to be measured where that is due.

        Raises
        ------
        ThermalError
            The thermal image has a wrong shape or type.

        """
        if self.latest is None:
            self.answer_by_prior(rgb.size, thermal.stamp_ns, thermal.frame_id)
        health = self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
        self.thermal_state = health.state
        if health.offset:
            self._warper.agc.reset()  # the shutter moved all counts: the old range is void
        if not self._pace.is_due(self._parameters.max_rate_hz):
            return None
        return MeasurementRequest(thermal, rgb, health.state is ThermalState.LIVE)

    def measure(self, request: MeasurementRequest) -> Registration:
        """
        Measure a pair, publish the answer unless it is LOST, and return it.

        Raises
        ------
        RegistrationError
            An image has a wrong shape or type.

        """
        thermal, rgb = request.thermal, request.rgb
        answer = self.tracker.update(thermal.image, rgb.image, thermal.stamp_ns * 1e-9,
                                     request.thermal_live)
        if answer.age_s == 0 or answer.state is RegistrationState.PRIOR:
            self._measured_header = thermal.stamp_ns, thermal.frame_id
        with self._publish_lock:
            self.latest = answer
            if answer.state is not RegistrationState.LOST:
                self._publish(RegistrationResult(answer, *self._measured_header))
        return answer

    def is_registered(self) -> bool:
        """Return whether there is an answer that is not LOST."""
        return self.latest is not None and self.latest.state is not RegistrationState.LOST

    def warp_gray(self, thermal: np.ndarray, rgb_size: tuple[int, int]) -> ThermalOnRgb | None:
        """Return thermal on the RGB grid after the gain control; None while LOST."""
        return self._warp(self._warper.warp_gray, thermal, rgb_size)

    def warp_counts(self, thermal: np.ndarray, rgb_size: tuple[int, int]) -> ThermalOnRgb | None:
        """Return thermal on the RGB grid as the camera delivers it; None while LOST."""
        return self._warp(self._warper.warp_counts, thermal, rgb_size)

    def prepare(self, requested: RegistrationStageParameters) -> _Method:
        """
        Build what these parameters ask for, beside what is in use.

        Raises
        ------
        RegistrationError, WeightsError
            They cannot be used.

        """
        homography_of(requested.registration.calibrated)
        return self._build(requested, self._method)

    def apply(self, parameters: RegistrationStageParameters, prepared: _Method) -> None:
        """Use these parameters from now on; a new tracker knows nothing but the prior."""
        calibrated = parameters.registration.calibrated
        if calibrated != self._parameters.registration.calibrated:
            self._H_calibrated = homography_of(calibrated)
        self._parameters, self._method = parameters, prepared
        self.method.parameters = parameters.registration.of_method
        self._freeze.parameters = parameters.freeze
        self._use_prior()

    def _build(self, requested: RegistrationStageParameters, present: _Method | None) -> _Method:
        """Return registrar and tracker for these parameters, those in use where they fit."""
        before, has_subscribers = self._parameters.registration, requested.registration
        # A calibrated registrar is its parameters; the others take new ones as they are.
        fits = (before.method, before.network) == (has_subscribers.method, has_subscribers.network) \
            and (has_subscribers.method != 'calibrated' or before.calibrated == has_subscribers.calibrated)
        if present is None or not fits:
            registrar = create_from(has_subscribers)
            return _Method(registrar, RegistrationTracker(registrar, requested.tracker))
        if self._parameters.tracker == requested.tracker:
            return present
        return _Method(present.registrar, RegistrationTracker(present.registrar,
                                                              requested.tracker))

    def _use_prior(self) -> None:
        if self._H_calibrated is not None:
            self.tracker.set_prior(self._H_calibrated)

    def _warp(self, warp: Callable[..., ThermalOnRgb], thermal: np.ndarray,
              rgb_size: tuple[int, int]) -> ThermalOnRgb | None:
        latest = self.latest  # its own name: another thread replaces it
        if latest is None or latest.state is RegistrationState.LOST:
            return None
        return warp(thermal, latest.H_thermal_to_rgb, rgb_size)

    def status(self) -> dict[str, Any]:
        """Return the state of the registration, for diagnostics."""
        values: dict[str, Any] = {
            'thermal_state': self.thermal_state.value,
            **{f'state_count.{state.value}': self.tracker.states[state.value]
               for state in RegistrationState},
            **{f'rejected.{why}': n for why, n in self.tracker.rejections.items()}}
        if self.latest is not None:
            values.update(
                state=self.latest.state.value, confidence=self.latest.confidence,
                inliers=self.latest.inliers, age_s=self.latest.age_s,
                corner_deviation_px=self.latest.corner_deviation_px, reason=self.latest.reason)
        return values
