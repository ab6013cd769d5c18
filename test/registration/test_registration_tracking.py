# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker accepts, rejects and holds measurements, and reports its state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
import threading
from typing import Callable

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import geometry, registration
from ivf_ros.parameters import build, ParameterError
from ivf_ros.registration import RegistrationError, RegistrationTracker, TrackerParameters
from ivf_ros.registration.corner_filter import deviation_px
from ivf_ros.types import Registration, RegistrationState
import numpy as np
import pytest

SIZE = (640, 480)
EYE = np.eye(3)
GOOD = geometry.translation(20, 10)
NEAR = geometry.translation(23, 10)  # 3 of 640 pixels: within the gate
FAR = geometry.translation(80, -40)
ELSEWHERE = geometry.translation(-70, 30)
PRIOR = geometry.translation(5, 5)
THERMAL = np.zeros((480, 640), np.uint16)
RGB = np.zeros((480, 640, 3), np.uint8)


class ScriptedRegistrar:
    """A registrar that returns a homography, or a rejection with a reason, set by the test."""

    def __init__(self) -> None:
        self.measurement: np.ndarray | str = GOOD
        self.confidence = 1.0
        self.priors: list[np.ndarray | None] = []

    def register(self, thermal, rgb, prior=None) -> Registration:
        self.priors.append(prior)
        size = rgb.shape[1], rgb.shape[0]
        if isinstance(self.measurement, str):
            return Registration(EYE, 0.0, 0, RegistrationState.LOST, size,
                                reason=self.measurement)
        return Registration(self.measurement, self.confidence, 40, RegistrationState.TRACKING,
                            size, age_s=0.0)


class Rig:
    """A tracker with a scripted registrar that gets pairs at 10 Hz by default."""

    def __init__(self, prior=None, **parameters) -> None:
        self.registrar = ScriptedRegistrar()
        self.tracker = RegistrationTracker(self.registrar, build(TrackerParameters, parameters),
                                           prior)
        self.now_s = 100.0
        self.period_s = 0.1

    def update(self, measurement, count: int = 1, *, live: bool = True, thermal=THERMAL, rgb=RGB):
        self.registrar.measurement = measurement
        for _ in range(count):
            self.now_s += self.period_s
            result = self.tracker.update(thermal, rgb, self.now_s, thermal_live=live)
        return result


def error_px(result: Registration, H: np.ndarray, size: tuple[int, int] = SIZE) -> float:
    return geometry.corner_error_px(result.H_thermal_to_rgb, H, size)


@pytest.mark.parametrize('prior, script, state, H, reason', [
    # one measurement is not enough, two that agree are
    (None, [GOOD], 'LOST', EYE, 'acquiring'),
    (None, [GOOD, GOOD], 'TRACKING', GOOD, ''),
    (None, [GOOD, FAR], 'LOST', EYE, 'acquiring'),
    (None, [GOOD, FAR, GOOD, FAR], 'LOST', EYE, 'acquiring'),
    # a rejected pair between them has no effect
    (None, [GOOD, 'textureless', GOOD], 'TRACKING', GOOD, ''),
    # until then the result is the prior
    (PRIOR, [], 'PRIOR', PRIOR, 'textureless'),
    (PRIOR, [GOOD], 'PRIOR', PRIOR, 'acquiring'),
    (PRIOR, [GOOD, GOOD], 'TRACKING', GOOD, ''),
    # outliers from the prior need more measurements
    (PRIOR, [FAR, FAR], 'PRIOR', PRIOR, 'outlier'),
    (PRIOR, 22 * [FAR], 'TRACKING', FAR, ''),
    # rejected pairs do not change the homography
    (None, [GOOD, GOOD, 'textureless'], 'TRACKING', GOOD, 'textureless'),
    (None, [GOOD, GOOD] + 21 * ['textureless'], 'HOLDING', GOOD, 'textureless'),
    (PRIOR, [GOOD, GOOD] + 21 * ['low confidence: 0.2'], 'HOLDING', GOOD, 'low confidence'),
    (None, [GOOD, GOOD, 'textureless', GOOD], 'TRACKING', GOOD, ''),
    # nor do outliers, but they end TRACKING at once: the rig may have been knocked
    (None, [GOOD, GOOD, FAR], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD, FAR, 'textureless'], 'HOLDING', GOOD, 'textureless'),
    (PRIOR, [GOOD, GOOD, FAR], 'HOLDING', GOOD, 'jump'),
    # until the next accepted measurement
    (None, [GOOD, GOOD, FAR, GOOD], 'TRACKING', GOOD, ''),
    (None, [GOOD, GOOD] + 20 * [FAR], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 20 * [FAR, ELSEWHERE], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 19 * [FAR] + [GOOD] + 19 * [FAR], 'HOLDING', GOOD, 'jump'),
    # until they agree for two seconds: the rig was knocked
    (None, [GOOD, GOOD] + 22 * [FAR], 'TRACKING', FAR, ''),
    (None, [GOOD, GOOD] + 10 * [FAR] + ['textureless'] + 11 * [FAR], 'TRACKING', FAR, ''),
])
def test_measurements_are_accepted_or_rejected(prior, script, state, H, reason):
    rig = Rig(prior)
    if not script:
        rig.update('textureless')
    for measurement in script:
        rig.update(measurement)
    result = rig.tracker.current(rig.now_s)
    assert result.state == state
    assert error_px(result, H) < (1e-6 if prior is None or H is prior else 0.5)
    assert result.reason.startswith(reason) and bool(result.reason) == bool(reason)


@pytest.mark.parametrize('prior, later_s, state, H', [
    (None, 0.5, 'TRACKING', GOOD),
    (None, 2.1, 'HOLDING', GOOD),  # no measurement within fresh_s
    (None, 9.9, 'HOLDING', GOOD),
    (None, 10.1, 'LOST', GOOD),  # the last known homography
    (PRIOR, 9.9, 'HOLDING', GOOD),
    (PRIOR, 10.1, 'PRIOR', PRIOR),
])
def test_a_measurement_ages(prior, later_s, state, H):
    rig = Rig(prior)
    rig.update(GOOD, 2)
    result = rig.tracker.current(rig.now_s + later_s)
    assert result.state == state and error_px(result, H) < (1e-6 if prior is None else 0.5)
    assert result.age_s == pytest.approx(later_s)


def test_confidence_decays_with_age_and_is_zero_when_lost():
    rig = Rig()
    rig.update(GOOD, 2)
    confidences = [rig.tracker.current(rig.now_s + later_s).confidence
                   for later_s in (0, 1, 5, 9, 11)]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == 1 and confidences[-1] == 0
    assert confidences[2] == pytest.approx(np.exp(-1))


def test_a_lost_registration_has_no_confidence_inliers_or_deviation():
    rig = Rig()
    never = rig.update('textureless')
    rig.update(GOOD, 2)
    expired = rig.tracker.current(rig.now_s + 10.5)
    for lost in (never, expired):
        assert lost.state is RegistrationState.LOST
        assert (lost.confidence, lost.inliers, lost.corner_deviation_px) == (0.0, 0, np.inf)
    assert never.age_s == np.inf and never.reason == 'textureless'
    assert expired.reason == 'no measurement for 10.5 s'


def test_the_state_can_be_read_while_a_measurement_takes_long():
    rig = Rig()
    rig.update(GOOD, 2)
    began, released = threading.Event(), threading.Event()
    register = rig.registrar.register

    def register_slowly(*arguments):
        began.set()
        assert released.wait(60.0)
        return register(*arguments)

    rig.registrar.register = register_slowly
    worker = threading.Thread(target=rig.update, args=(GOOD,))
    worker.start()
    try:
        assert began.wait(60.0)
        states = [rig.tracker.current(rig.now_s + later_s).state for later_s in (0, 5, 11)]
    finally:
        released.set()
        worker.join()
    assert states == ['TRACKING', 'HOLDING', 'LOST']


def test_the_limits_of_time_belong_to_the_state_before_them():
    rig = Rig()
    rig.now_s, rig.period_s = 100.0, 0.5  # exact in binary
    rig.update(GOOD, 2)
    rig.period_s = 0.0
    assert rig.update('textureless').state is RegistrationState.TRACKING  # equal stamps: no jump
    rig.period_s = 2.0
    assert rig.update('textureless').state is RegistrationState.TRACKING  # fresh_s
    assert rig.update(GOOD).state is RegistrationState.HOLDING  # beyond it, until two in a row
    rig.period_s = 10.0
    assert rig.update('textureless').state is RegistrationState.HOLDING  # hold_s
    assert geometry.corner_error_px(rig.registrar.priors[-1], GOOD, SIZE) < 1e-6
    assert rig.tracker.current(rig.now_s + 0.5).state is RegistrationState.LOST


def test_a_jump_is_longer_than_max_jump_px():
    for shift_px, reason in ((16.0, ''), (16.5, 'jump')):
        rig = Rig(gate=1e4)
        rig.update(EYE, 20)
        assert rig.update(geometry.translation(shift_px, 0)).reason.split(':')[0] == reason


def test_after_hold_s_one_measurement_is_not_enough():
    rig = Rig()
    rig.update(GOOD, 2)
    rig.now_s += 60
    assert rig.update(NEAR).state is RegistrationState.LOST
    assert rig.update(NEAR).state is RegistrationState.TRACKING
    assert error_px(rig.tracker.current(rig.now_s), NEAR) < 0.5


def test_after_hold_s_the_last_known_homography_is_used_as_a_prior():
    rig = Rig()
    rig.update(GOOD, 2)
    rig.now_s += 60
    assert rig.update(FAR, 20).state is RegistrationState.LOST
    assert rig.update(FAR, 2).state is RegistrationState.TRACKING
    assert error_px(rig.tracker.current(rig.now_s), FAR) < 1e-6


def test_alternating_acceptance_and_rejection_does_not_change_the_state():
    rig = Rig()
    rig.update(GOOD, 2)
    states = {rig.update(measurement).state for measurement in 40 * ['textureless', GOOD]}
    assert states == {RegistrationState.TRACKING}
    # from HOLDING, with an interval longer than fresh_s
    rig.update('textureless', 25)
    states = set()
    for measurement in 5 * [GOOD, 'textureless']:
        rig.now_s += 2.5
        states.add(rig.update(measurement).state)
    assert states == {RegistrationState.HOLDING}
    rig.update(GOOD)
    assert rig.update(GOOD).state is RegistrationState.TRACKING


@pytest.mark.parametrize('rate_hz', [2.0, 10.0, 30.0])
def test_a_small_step_is_followed_equally_fast_at_any_rate(rate_hz):
    rig = Rig(gate=1e4)
    rig.period_s = 1 / rate_hz
    rig.update(GOOD, int(30 * rate_hz))
    shifts_px = [error_px(rig.update(NEAR), GOOD) for _ in range(int(20 * rate_hz))]
    assert shifts_px == sorted(shifts_px) and shifts_px[-1] < 3
    half_time_s = np.searchsorted(shifts_px, 1.5) / rate_hz
    assert 6 < half_time_s < 9


def test_an_uncertain_measurement_has_less_weight():
    shifts_px = []
    for confidence in (0.95, 0.5):
        rig = Rig(gate=1e4)
        rig.update(GOOD, 20)
        rig.registrar.confidence = confidence
        shifts_px.append(error_px(rig.update(NEAR), GOOD))
    # the variances are proportional to 1 / -2 ln(1 - confidence), and much larger than predicted
    assert shifts_px[1] / shifts_px[0] == pytest.approx(np.log(0.5) / np.log(0.05), rel=0.3)


def test_noise_is_averaged():
    rig = Rig()
    rng = np.random.default_rng(0)
    rig.update(GOOD, 2)
    raw, filtered = [], []
    for _ in range(200):
        noisy = geometry.translation(*rng.normal(0, 1.5, 2)) @ GOOD
        raw.append(geometry.corner_error_px(noisy, GOOD, SIZE))
        filtered.append(error_px(rig.update(noisy), GOOD))
    assert np.mean(filtered[20:]) < 0.3 * np.mean(raw)


@pytest.mark.parametrize('live, measurement', [(False, FAR), (True, 'textureless')])
def test_frozen_and_textureless_images_do_not_change_the_homography(live, measurement):
    rig = Rig()
    rig.update(GOOD, 2)
    n_before = len(rig.registrar.priors)
    result = rig.update(measurement, 25, live=live)
    assert result.state is RegistrationState.HOLDING
    assert result.reason == ('textureless' if live else 'thermal frozen')
    assert error_px(result, GOOD) < 1e-9
    assert len(rig.registrar.priors) - n_before == (25 if live else 0)


def test_the_deviation_is_reported_and_grows_without_measurements():
    rig = Rig()
    assert rig.update('textureless').corner_deviation_px == np.inf
    rig.update(GOOD, 2)
    initial_px = rig.tracker.current(rig.now_s).corner_deviation_px
    assert initial_px == pytest.approx(np.sqrt(2) * deviation_px(1.0))
    steady_px = rig.update(GOOD, 300).corner_deviation_px
    held_px = rig.tracker.current(rig.now_s + 9.0).corner_deviation_px
    assert steady_px < 0.5 * initial_px
    assert held_px ** 2 - steady_px ** 2 == pytest.approx(2 * 0.8 ** 2 * 9 / 60)
    on_prior = Rig(PRIOR).update('textureless', rgb=np.zeros((960, 1280, 3), np.uint8))
    assert on_prior.corner_deviation_px == pytest.approx(2 * 10 * np.sqrt(2))  # of 1280


@dataclass
class Scene:
    """A synthetic recording at 5 Hz: shift of the rig, outlier ratio and noise over time."""

    duration_s: float
    shift_px: Callable[[float], float] = lambda _: 0.0
    outlier_ratio: Callable[[float], float] = lambda _: 0.0
    noise_px: float = 1.0
    correlation_s: float = 0.7  # of the noise

    def play(self, seed: int) -> tuple[np.ndarray, list[Registration], Counter]:
        """Return the errors in px of corners ``(N, 4)``, the results, and the rejections."""
        rig, random = Rig(), np.random.default_rng(seed)
        rig.period_s = 0.2
        rig.registrar.confidence = 0.9
        corners = geometry.corners_px(SIZE)
        decay = np.exp(-rig.period_s / self.correlation_s)
        noise = random.normal(0, self.noise_px, (4, 2))
        results, errors_px = [], []
        for index in range(round(self.duration_s / rig.period_s)):
            now_s = index * rig.period_s
            noise = decay * noise + np.sqrt(1 - decay ** 2) * random.normal(0, self.noise_px,
                                                                            (4, 2))
            true_px = corners + (self.shift_px(now_s), 0)
            is_outlier = random.random() < self.outlier_ratio(now_s)
            offset_px = random.uniform(-40, 40, (4, 2)) if is_outlier else noise
            results.append(rig.update(geometry.from_corners(corners, true_px + offset_px)))
            corners_px = geometry.transform_points(results[-1].H_thermal_to_rgb, corners)
            errors_px.append(np.linalg.norm(corners_px - true_px, axis=1))
        return np.array(errors_px), results, rig.tracker.rejections


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize('seed', range(3))
def test_the_error_of_a_rig_at_rest_matches_the_reported_deviation(seed):
    errors_px, results, rejections = Scene(120).play(seed)
    deviations_px = [result.corner_deviation_px for result in results]
    assert rms(errors_px[150:]) < 0.6  # the measurements have errors of 1.4 px
    assert 0.5 < rms(errors_px[150:]) / rms(deviations_px[150:]) < 1.5
    assert sum(rejections.values()) - 1 <= 0.01 * len(results)


def test_smoke_with_mostly_wrong_measurements_does_not_move_the_homography():
    smoke = Scene(60, outlier_ratio=lambda now_s: 0.8 if 20 < now_s < 40 else 0.0)
    errors_px, results, rejections = smoke.play(0)
    shifts_px = np.abs(np.diff([result.H_thermal_to_rgb for result in results[2:]], axis=0))
    assert errors_px[100:].max() < 2.0 and shifts_px[:, :2, 2].max() < 0.5
    assert rejections['jump'] + rejections['outlier'] > 60
    assert all(result.state in ('TRACKING', 'HOLDING') for result in results[2:])


def test_a_drift_is_followed_with_little_lag():
    # 3 px per minute, as from a mount that is heated by the sun
    errors_px, results, _ = Scene(180, shift_px=lambda now_s: now_s / 20).play(1)
    assert rms(errors_px[150:]) < 1.2  # at 0.05 px per second
    states = [result.state for result in results[150:]]
    assert states.count(RegistrationState.TRACKING) >= len(states) - 1  # one outlier at most


@pytest.mark.parametrize('knock_px', [12.0, 60.0])
def test_a_knock_is_accepted_after_two_seconds_without_overshoot(knock_px):
    knocked = Scene(60, shift_px=lambda now_s: knock_px * (now_s > 30))
    errors_px, results, rejections = knocked.play(2)
    before, during, after = errors_px[100:150], errors_px[151:158], errors_px[162:]
    assert before.max() < 2.0
    assert during.min() > knock_px - 3.0  # rejected at first: it may be wrong
    assert after.max() < 4.0
    # and no wrong answer is called measured
    assert {result.state for result in results[151:160]} == {RegistrationState.HOLDING}
    # the knock does not change the learned noise
    deviations_px = [result.corner_deviation_px for result in results]
    assert deviations_px[-1] < 1.5 * deviations_px[149]
    assert 8 <= rejections['jump'] + rejections['outlier'] <= 11
    assert results[-1].state is RegistrationState.TRACKING


@pytest.mark.parametrize('seed', range(5))
def test_a_third_of_outliers_does_not_move_the_homography(seed):
    rig, rng = Rig(), np.random.default_rng(seed)
    corners = geometry.corners_px(SIZE)
    rig.update(GOOD, 3)
    for _ in range(200):
        jitter = geometry.translation(*rng.normal(0, 0.5, 2)) @ GOOD
        outlier = geometry.from_corners(corners, corners + rng.uniform(-90, 90, (4, 2)))
        result = rig.update(outlier if rng.random() < 0.3 else jitter)
        assert error_px(result, GOOD) < 1.5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(['good', 'near', 'far', 'none', 'frozen', 'late']), max_size=40),
       st.booleans())
def test_the_result_is_always_valid(events, with_prior):
    rig = Rig(PRIOR if with_prior else None)
    accepted = 0
    measurements = {'good': GOOD, 'near': NEAR, 'far': FAR, 'none': 'textureless',
                    'frozen': GOOD, 'late': GOOD}
    for event in events:
        rig.now_s += 60 if event == 'late' else 0
        result = rig.update(measurements[event], live=event != 'frozen')
        assert np.isfinite(result.H_thermal_to_rgb).all() and result.H_thermal_to_rgb[2, 2] == 1
        assert 0 <= result.confidence <= 1 and result.rgb_size == SIZE
        accepted += not result.reason
        if with_prior:
            assert result.state is not RegistrationState.LOST
    assert sum(rig.tracker.states.values()) == len(events)
    assert sum(rig.tracker.rejections.values()) == len(events) - accepted


def test_a_clock_that_goes_back_discards_the_measurements():
    rig = Rig(PRIOR)
    rig.update(GOOD, 2)
    rig.now_s -= 50
    assert rig.update(GOOD).state is RegistrationState.PRIOR
    assert rig.update(GOOD).state is RegistrationState.TRACKING


@pytest.mark.parametrize('prior, state', [(None, 'LOST'), (PRIOR, 'PRIOR')])
def test_a_homography_that_was_measured_long_after_a_time_is_not_held_at_it(prior, state):
    rig = Rig(prior)
    rig.update(GOOD, 2)
    result = rig.tracker.current(rig.now_s - 3600)
    assert result.state == state and result.age_s == pytest.approx(3600)
    assert rig.tracker.current(rig.now_s - 0.05).state is RegistrationState.TRACKING


def test_the_registrar_gets_the_prior_or_the_filtered_homography():
    rig = Rig(PRIOR)
    rig.update(GOOD, 3)
    for prior, expected in zip(rig.registrar.priors, (PRIOR, PRIOR, GOOD)):
        assert geometry.corner_error_px(prior, expected, SIZE) < 0.5
    rig = Rig()
    rig.update(GOOD)
    assert rig.registrar.priors == [None]


@pytest.mark.parametrize('thermal_size, rgb_size', [((320, 240), SIZE), (SIZE, (1280, 960))])
def test_resized_images_keep_the_rescaled_state(thermal_size, rgb_size):
    rig = Rig()
    rig.update(GOOD, 2)
    expected = geometry.rescale_homography(GOOD, thermal_size[0] / 640, rgb_size[0] / 640)
    before = rig.tracker.current(rig.now_s)
    result = rig.update('textureless', thermal=np.zeros(thermal_size[::-1], np.uint16),
                        rgb=np.zeros((*rgb_size[::-1], 3), np.uint8))
    assert result.state is RegistrationState.TRACKING and result.rgb_size == rgb_size
    assert error_px(result, expected, thermal_size) < 1e-6
    assert result.corner_deviation_px == pytest.approx(
        before.corner_deviation_px * rgb_size[0] / 640, rel=0.01)


def test_cropped_images_reset_the_tracker_and_the_prior_returns_with_the_size():
    rig = Rig(PRIOR)
    rig.update(GOOD, 2)
    cropped = np.zeros((480, 480, 3), np.uint8)
    result = rig.update('textureless', rgb=cropped)
    assert result.state is RegistrationState.LOST
    assert error_px(result, geometry.stretch(SIZE, (480, 480))) < 1e-9
    assert rig.registrar.priors[-1] is None
    assert rig.update('textureless', 3, rgb=cropped).state is RegistrationState.LOST
    result = rig.update('textureless')
    assert result.state is RegistrationState.PRIOR and error_px(result, PRIOR) < 1e-9
    # at another resolution of the first aspect ratio, too
    rig.update('textureless', rgb=cropped)
    result = rig.update('textureless', rgb=np.zeros((960, 1280, 3), np.uint8))
    assert result.state is RegistrationState.PRIOR and result.rgb_size == (1280, 960)
    assert error_px(result, geometry.rescale_homography(PRIOR, 1, 2)) < 1e-9


def test_a_prior_may_be_for_other_sizes_than_the_latest_images():
    rig = Rig()
    square, half = (480, 480), (320, 240)
    assert rig.update('textureless', rgb=np.zeros((480, 480, 3), np.uint8)).state == 'LOST'
    rig.tracker.set_prior(PRIOR, (half, SIZE))  # of images that come later
    assert rig.tracker.current(rig.now_s).state is RegistrationState.LOST
    assert rig.tracker.prior_registration(SIZE, square) is None
    result = rig.update('textureless')
    assert result.state is RegistrationState.PRIOR
    assert error_px(result, geometry.rescale_homography(PRIOR, 2, 1)) < 1e-9


def test_an_aspect_ratio_within_2_percent_is_the_same_view():
    rig = Rig(PRIOR)
    rig.update(GOOD, 2)
    assert rig.update('x', rgb=np.zeros((480, 652, 3), np.uint8)).state == 'TRACKING'  # 1.9 %
    assert rig.update('x', rgb=np.zeros((480, 667, 3), np.uint8)).state == 'LOST'  # 2.3 %


def test_the_prior_can_be_set_later():
    rig = Rig()
    assert rig.update('textureless').state is RegistrationState.LOST
    rig.tracker.set_prior(2 * PRIOR)
    result = rig.update('textureless')
    assert result.state is RegistrationState.PRIOR and error_px(result, PRIOR) < 1e-9
    rig.update(GOOD, 2)
    rig.tracker.set_prior(EYE)
    assert error_px(rig.tracker.current(rig.now_s), GOOD) < 0.5  # tracking continues
    with pytest.raises(RegistrationError, match='prior'):
        rig.tracker.set_prior(np.zeros((3, 3)))


def test_the_calibrated_method_sets_the_prior():
    method = registration.create('calibrated', H_thermal_to_rgb=PRIOR.ravel().tolist())
    result = RegistrationTracker(method).update(THERMAL, RGB, 1.0)
    assert result.state is RegistrationState.PRIOR and error_px(result, PRIOR) < 1e-9
    assert result.confidence == 0.5 and result.reason == ''


def test_reasons_are_counted_without_their_details():
    rig = Rig()
    rig.update(GOOD)
    rig.update('low confidence: 0.31, worst is spread')
    rig.update('low confidence: 0.12, worst is gain')
    rig.update(GOOD, live=False)
    assert rig.tracker.rejections == {'acquiring': 1, 'low confidence': 2, 'thermal frozen': 1}
    assert rig.tracker.states == {'LOST': 4}


def test_before_the_first_pair_there_is_no_registration():
    with pytest.raises(RegistrationError, match='no pair of images yet; call update first'):
        Rig().tracker.current(0.0)


def test_results_do_not_share_memory_with_the_tracker():
    rig = Rig()
    rig.update(GOOD, 2).H_thermal_to_rgb[:] = 0
    assert error_px(rig.tracker.current(rig.now_s), GOOD) < 1e-6


def test_parameters_out_of_range_are_errors():
    with pytest.raises(ParameterError, match='drift_px'):
        build(TrackerParameters, {'drift_px': 0.0})


def test_a_real_video_with_a_known_warp_is_tracked(shared_data):
    folder = shared_data / 'm3svd_sequences' / '0113_1714'
    videos = {name: sorted(folder.glob(f'{name}*'))[0] for name in ('thermal', 'visible')}
    captures = {name: cv2.VideoCapture(str(path)) for name, path in videos.items()}
    corners = geometry.corners_px(SIZE)
    offsets_px = np.random.default_rng(1).uniform(-12, 12, (4, 2))
    H_true = geometry.from_corners(corners, corners + offsets_px)
    tracker = RegistrationTracker(registration.create())
    results = []
    for index in range(90):
        frames = {name: capture.read() for name, capture in captures.items()}
        if index % 5:
            continue
        thermal = cv2.warpPerspective(cv2.cvtColor(frames['thermal'][1], cv2.COLOR_BGR2GRAY),
                                      np.linalg.inv(H_true), SIZE, flags=cv2.INTER_CUBIC,
                                      borderMode=cv2.BORDER_REFLECT_101)
        results.append(tracker.update(thermal, frames['visible'][1], index / 30))
    deviations_px = [error_px(result, results[-1].H_thermal_to_rgb) for result in results[4:]]
    assert tracker.states['TRACKING'] >= 14
    assert max(deviations_px) < 3
    assert error_px(results[-1], H_true) < 12  # the unwarped views differ by parallax
