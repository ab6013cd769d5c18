# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration over time: single measurements become an answer that holds.

A rig moves rarely and slowly, while a single measurement may be noisy, wrong or impossible. So
measurements are believed when they lie near what is known, or when several of them in a row say
the same; between them the last good answer is held, and ages.

    state     entered when                                           H_thermal_to_rgb
    TRACKING  the latest pair was measured and believed              filtered measurements
    HOLDING   the latest pair was not, or no pair came for a while   the same, ageing
    PRIOR     nothing was believed for longer, a prior is known      the prior
    LOST      the same without a prior                               the last known, or the stretch
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
import math
from typing import Protocol

from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.inputs import check_pair, check_prior, RegistrationError
from ivf_ros.types import Registration, RegistrationState
import numpy as np


class Registrar(Protocol):
    """A method: measures the homography of one pair of images and remembers nothing."""

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Return what one pair of images says."""
        ...


@dataclass(frozen=True)
class TrackerParameters:
    """When a measurement is believed, and for how long."""

    smoothing: float = parameter(
        0.3, 'Weight of a new measurement of confidence 1 against the filtered one.',
        minimum=0.01, maximum=1.0)
    max_jump: float = parameter(
        0.025, 'Corner displacement that is believed at once, as a share of the RGB width.',
        minimum=0.0, maximum=1.0)
    agreement: float = parameter(
        0.015, 'Measurements whose corners differ less, as a share of the RGB width, agree.',
        minimum=0.0, maximum=1.0)
    acquire_count: int = parameter(
        2, 'Measurements in a row that must agree before the first is believed.',
        minimum=1, maximum=100)
    relock_count: int = parameter(
        5, 'Measurements in a row that must agree before a jump is believed.',
        minimum=1, maximum=100)
    fresh_s: float = parameter(
        1.0, 'Seconds for which a measurement counts as tracking.', minimum=0.0, maximum=3600.0)
    hold_s: float = parameter(
        10.0, 'Seconds for which a measurement is held before it is given up.',
        minimum=0.0, maximum=86400.0)
    decay_s: float = parameter(
        5.0, 'Seconds in which the confidence of a held measurement falls to 37 %.',
        minimum=0.01, maximum=86400.0)


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
        How often each state was the answer of ``update``, by name.
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
        self._H: np.ndarray | None = None  # filtered
        self._measured: Registration | None = None  # the latest that was believed
        self._measured_s = -math.inf
        self._believed = 0
        self._pending: list[np.ndarray] = []  # in a row, agreeing, not yet believed
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
        if thermal_live:
            answer = self._registrar.register(thermal, rgb, self._expected(stamp_s))
            self._reason = self._judge(answer, stamp_s)
        else:
            self._reason = 'thermal frozen'
        if self._reason:
            self.rejections[self._reason.split(':')[0]] += 1
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
        rgb_size = self._rgb_size
        age_s = max(stamp_s - self._measured_s, 0.0)
        if self._H is not None and self._measured is not None \
                and age_s <= self.parameters.hold_s:
            tracks = not self._reason and age_s <= self.parameters.fresh_s
            state = RegistrationState.TRACKING if tracks else RegistrationState.HOLDING
            confidence = self._measured.confidence * math.exp(-age_s / self.parameters.decay_s)
            return Registration(self._H.copy(), confidence, self._measured.inliers, state,
                                rgb_size, age_s, self._reason)
        if self._prior is not None:
            return Registration(self._prior.copy(), 0.5, 0, RegistrationState.PRIOR, rgb_size,
                                age_s, self._reason)
        last = self._H if self._H is not None else geometry.stretch(self._thermal_size, rgb_size)
        return Registration(last.copy(), 0.0, 0, RegistrationState.LOST, rgb_size, age_s,
                            self._reason)

    def _expected(self, stamp_s: float) -> np.ndarray | None:
        """Return where the registrar shall look first."""
        held = stamp_s - self._measured_s <= self.parameters.hold_s
        return self._H if held or self._prior is None else self._prior

    def _judge(self, answer: Registration, stamp_s: float) -> str:
        """Take a measurement in, or return why not."""
        if answer.state is RegistrationState.PRIOR and not answer.reason:
            self._prior = answer.H_thermal_to_rgb  # the method is a calibration
            return ''
        if answer.state is not RegistrationState.TRACKING:
            return answer.reason
        measured = self._corners(answer.H_thermal_to_rgb)
        filtered = None
        if self._H is not None and stamp_s - self._measured_s <= self.parameters.hold_s:
            filtered = self._corners(self._H)
            if self._apart(measured, filtered) <= self.parameters.max_jump:
                # a running mean at first, then exponential
                gain = max(self.parameters.smoothing * answer.confidence, 1 / (self._believed + 1))
                self._believe(filtered + gain * (measured - filtered), answer, stamp_s)
                return ''
        agree = all(self._apart(measured, other) <= self.parameters.agreement
                    for other in self._pending)
        self._pending = [*self._pending, measured] if agree else [measured]
        reason, needed = ('acquiring', self.parameters.acquire_count) if filtered is None \
            else ('jump', self.parameters.relock_count)
        if len(self._pending) < needed:
            return f'{reason}: {len(self._pending)} of {needed} in a row agree'
        self._believed = len(self._pending) - 1
        self._believe(np.mean(self._pending, axis=0), answer, stamp_s)
        return ''

    def _believe(self, corners: np.ndarray, answer: Registration, stamp_s: float) -> None:
        self._H = geometry.from_corners(geometry.corners_px(self._thermal_size), corners)
        self._measured, self._measured_s = answer, stamp_s
        self._believed += 1
        self._pending = []

    def _corners(self, H: np.ndarray) -> np.ndarray:
        return geometry.transform_points(H, geometry.corners_px(self._thermal_size))

    def _apart(self, corners: np.ndarray, others: np.ndarray) -> float:
        """Return the greatest corner displacement as a share of the RGB width."""
        return float(np.linalg.norm(corners - others, axis=1).max()) / self._rgb_size[0]

    def _resize(self, thermal_size: tuple[int, int], rgb_size: tuple[int, int]) -> None:
        """Carry what is known over to new image sizes."""
        old, new = (self._thermal_size, self._rgb_size), (thermal_size, rgb_size)
        if self._rgb_size[0] and new != old:
            (tx, ty), (rx, ry) = ((n[0] / o[0], n[1] / o[1]) for n, o in zip(new, old))
            if max(abs(tx / ty - 1), abs(rx / ry - 1)) < 0.02:
                self._H, self._prior = (
                    None if H is None else geometry.rescaled(H, (tx, ty), (rx, ry))
                    for H in (self._H, self._prior))
                self._pending = []
            else:  # another crop: nothing that is known says where it lies
                self.reset()
                self._prior = None
        self._thermal_size, self._rgb_size = new
