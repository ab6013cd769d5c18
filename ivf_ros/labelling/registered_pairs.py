# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of a recording with thermal on the RGB grid, as the nodes hand them to a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivf_ros import geometry
from ivf_ros.fusion import FusionStage
from ivf_ros.parameters import build
from ivf_ros.registration import RegistrationResult, RegistrationStage, RegistrationStageParameters
from ivf_ros.types import Frame, RegistrationState
import numpy as np

_EACH_PAIR_HZ = 1000.0  # the stage offers each pair for a measurement; the stamps set the pace
_SEARCH_PERIOD_S = 0.1  # between measurements, as long as there is no registration


@dataclass(frozen=True, eq=False)
class RegisteredPair:
    """
    A pair on the RGB grid.

    Attributes
    ----------
    thermal:
        ``(H, W)`` uint8 after the gain control, 0 where thermal does not cover the grid.
    rgb, fused:
        ``(H, W, 3)`` uint8 BGR.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    fused: np.ndarray


class PairRegistration:
    """
    Registration and fusion of a recording, with the stages that the nodes drive.

    The pace of the measurements follows the stamps, so that the result does not depend on the
    machine.

    Parameters
    ----------
    is_sequence:
        The pairs are the frames of a recording. Otherwise each one is registered by itself.
    prior:
        H_thermal_to_rgb ``(3, 3)`` from which registration begins; None without one.
    aligned:
        The two images of a pair show the same view: thermal is resized, and not registered.

    Raises
    ------
    RegistrationError, FusionError, WeightsError, DeviceError
        A stage cannot be created.

    """

    def __init__(self, is_sequence: bool, prior: np.ndarray | None = None, aligned: bool = False
                 ) -> None:
        self._is_sequence, self._aligned = is_sequence, aligned
        values: dict[str, Any] = {'max_rate_hz': _EACH_PAIR_HZ}
        if not is_sequence:
            values['tracker.acquire_count'] = 1
        if prior is not None:
            values['registration.calibrated.H_thermal_to_rgb'] = tuple(prior.ravel().tolist())
        self._parameters = build(RegistrationStageParameters, values)
        self._period_s = 1 / RegistrationStageParameters().max_rate_hz
        self._start()

    def _start(self) -> None:
        self._fusion = FusionStage()
        self._registration = RegistrationStage(self._parameters, self._on_homography)
        self._jumps = -1  # of the stamps, back, before the latest measurement
        self._due_ns = 0  # stamp of the next measurement

    def register(self, thermal: Frame, rgb: Frame) -> RegisteredPair | str:
        """
        Return a pair on the RGB grid, or why its thermal image cannot be used.

        Raises
        ------
        RegistrationError, FusionError
            An image has a wrong shape or type.

        """
        if not self._is_sequence:
            self._start()
        if self._aligned:
            self._fusion.update_homography(geometry.stretch(thermal.size, rgb.size), rgb.size,
                                           thermal.stamp_ns)
        else:
            self._measure(thermal, rgb)
        result = self._fusion.step(thermal, rgb)
        if result.thermal is None or result.image is None:
            return result.reason or 'thermal cannot be used'
        return RegisteredPair(result.thermal, rgb.image, result.image)

    def _measure(self, thermal: Frame, rgb: Frame) -> None:
        request = self._registration.follow(thermal, rgb)
        if request is None or (request.jumps == self._jumps and thermal.stamp_ns < self._due_ns):
            return
        self._registration.measure(request)
        period_s = self._period_s if self._registration.is_registered() else _SEARCH_PERIOD_S
        self._jumps, self._due_ns = request.jumps, thermal.stamp_ns + round(period_s * 1e9)

    def _on_homography(self, result: RegistrationResult) -> None:
        registration = result.registration
        self._fusion.update_homography(registration.H_thermal_to_rgb, registration.rgb_size,
                                       result.stamp_ns,
                                       registration.state is RegistrationState.LOST)
