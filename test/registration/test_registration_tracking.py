# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker believes what it should, holds it, and says in which state it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
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


class Scripted:
    """A registrar that answers what the test tells it: a homography, or why it has none."""

    def __init__(self) -> None:
        self.answer: np.ndarray | str = GOOD
        self.confidence = 1.0
        self.priors: list[np.ndarray | None] = []

    def register(self, thermal, rgb, prior=None) -> Registration:
        self.priors.append(prior)
        size = rgb.shape[1], rgb.shape[0]
        if isinstance(self.answer, str):
            return Registration(EYE, 0.0, 0, RegistrationState.LOST, size, reason=self.answer)
        return Registration(self.answer, self.confidence, 40, RegistrationState.TRACKING, size,
                            age_s=0.0)


class Rig:
    """A tracker on a scripted registrar, fed at 10 Hz where nobody says otherwise."""

    def __init__(self, prior=None, **parameters) -> None:
        self.registrar = Scripted()
        self.tracker = RegistrationTracker(self.registrar, build(TrackerParameters, parameters),
                                           prior)
        self.now_s = 100.0
        self.period_s = 0.1

    def see(self, answer, count: int = 1, *, live: bool = True, thermal=THERMAL, rgb=RGB):
        self.registrar.answer = answer
        for _ in range(count):
            self.now_s += self.period_s
            registration_ = self.tracker.update(thermal, rgb, self.now_s, thermal_live=live)
        return registration_


def off_px(found: Registration, H: np.ndarray, size: tuple[int, int] = SIZE) -> float:
    return geometry.corner_error_px(found.H_thermal_to_rgb, H, size)


@pytest.mark.parametrize('prior, script, state, H, reason', [
    # one measurement is not enough, two that agree are
    (None, [GOOD], 'LOST', EYE, 'acquiring'),
    (None, [GOOD, GOOD], 'TRACKING', GOOD, ''),
    (None, [GOOD, FAR], 'LOST', EYE, 'acquiring'),
    (None, [GOOD, FAR, GOOD, FAR], 'LOST', EYE, 'acquiring'),
    # a pair without an answer between them does not matter
    (None, [GOOD, 'textureless', GOOD], 'TRACKING', GOOD, ''),
    # until then the prior is the answer
    (PRIOR, [], 'PRIOR', PRIOR, 'textureless'),
    (PRIOR, [GOOD], 'PRIOR', PRIOR, 'acquiring'),
    (PRIOR, [GOOD, GOOD], 'TRACKING', GOOD, ''),
    # and it takes more to believe what contradicts it
    (PRIOR, [FAR, FAR], 'PRIOR', PRIOR, 'outlier'),
    (PRIOR, 22 * [FAR], 'TRACKING', FAR, ''),
    # what is known outlives pairs that say nothing
    (None, [GOOD, GOOD, 'textureless'], 'TRACKING', GOOD, 'textureless'),
    (None, [GOOD, GOOD] + 21 * ['textureless'], 'HOLDING', GOOD, 'textureless'),
    (PRIOR, [GOOD, GOOD] + 21 * ['low confidence: 0.2'], 'HOLDING', GOOD, 'low confidence'),
    (None, [GOOD, GOOD, 'textureless', GOOD], 'TRACKING', GOOD, ''),
    # and pairs that say something else
    (None, [GOOD, GOOD, FAR], 'TRACKING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 20 * [FAR], 'TRACKING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 20 * [FAR, ELSEWHERE], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 19 * [FAR] + [GOOD] + 19 * [FAR], 'TRACKING', GOOD, 'jump'),
    # until they insist for two seconds: the rig was knocked
    (None, [GOOD, GOOD] + 22 * [FAR], 'TRACKING', FAR, ''),
    (None, [GOOD, GOOD] + 10 * [FAR] + ['textureless'] + 11 * [FAR], 'TRACKING', FAR, ''),
])
def test_what_is_believed(prior, script, state, H, reason):
    rig = Rig(prior)
    if not script:
        rig.see('textureless')
    for answer in script:
        rig.see(answer)
    found = rig.tracker.current(rig.now_s)
    assert found.state == state
    assert off_px(found, H) < (1e-6 if prior is None or H is prior else 0.5)
    assert found.reason.startswith(reason) and bool(found.reason) == bool(reason)


@pytest.mark.parametrize('prior, later_s, state, H', [
    (None, 0.5, 'TRACKING', GOOD),
    (None, 2.1, 'HOLDING', GOOD),  # nobody measured: no longer fresh
    (None, 9.9, 'HOLDING', GOOD),
    (None, 10.1, 'LOST', GOOD),  # the last known is still the best guess
    (PRIOR, 9.9, 'HOLDING', GOOD),
    (PRIOR, 10.1, 'PRIOR', PRIOR),
])
def test_a_measurement_ages(prior, later_s, state, H):
    rig = Rig(prior)
    rig.see(GOOD, 2)
    found = rig.tracker.current(rig.now_s + later_s)
    assert found.state == state and off_px(found, H) < (1e-6 if prior is None else 0.5)
    assert found.age_s == pytest.approx(later_s)


def test_confidence_falls_with_age_and_is_none_when_lost():
    rig = Rig()
    rig.see(GOOD, 2)
    seen = [rig.tracker.current(rig.now_s + later_s).confidence for later_s in (0, 1, 5, 9, 11)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == 1 and seen[2] == pytest.approx(np.exp(-1)) and seen[-1] == 0


def test_after_the_hold_one_measurement_is_not_enough_again():
    rig = Rig()
    rig.see(GOOD, 2)
    rig.now_s += 60
    assert rig.see(NEAR).state is RegistrationState.LOST
    assert rig.see(NEAR).state is RegistrationState.TRACKING
    assert off_px(rig.tracker.current(rig.now_s), NEAR) < 0.5


def test_after_the_hold_what_was_known_last_still_counts_for_something():
    rig = Rig()
    rig.see(GOOD, 2)
    rig.now_s += 60
    assert rig.see(FAR, 20).state is RegistrationState.LOST
    assert rig.see(FAR, 2).state is RegistrationState.TRACKING
    assert off_px(rig.tracker.current(rig.now_s), FAR) < 1e-6


def test_good_and_bad_in_turns_do_not_flicker():
    rig = Rig()
    rig.see(GOOD, 2)
    states = {rig.see(answer).state for answer in 40 * ['textureless', GOOD]}
    assert states == {RegistrationState.TRACKING}
    # from HOLDING, and slower than what counts as fresh
    rig.see('textureless', 25)
    states = set()
    for answer in 5 * [GOOD, 'textureless']:
        rig.now_s += 2.5
        states.add(rig.see(answer).state)
    assert states == {RegistrationState.HOLDING}
    rig.see(GOOD)
    assert rig.see(GOOD).state is RegistrationState.TRACKING


@pytest.mark.parametrize('rate_hz', [2.0, 10.0, 30.0])
def test_a_small_change_is_followed_as_fast_at_any_rate(rate_hz):
    rig = Rig(gate=1e4)
    rig.period_s = 1 / rate_hz
    rig.see(GOOD, int(30 * rate_hz))
    way = [off_px(rig.see(NEAR), GOOD) for _ in range(int(20 * rate_hz))]
    assert way == sorted(way) and way[-1] < 3
    first_s = np.searchsorted(way, 1.5) / rate_hz  # half of it
    assert 6 < first_s < 9


def test_an_unsure_measurement_moves_less():
    moves = []
    for confidence in (0.95, 0.5):
        rig = Rig(gate=1e4)
        rig.see(GOOD, 20)
        rig.registrar.confidence = confidence
        moves.append(off_px(rig.see(NEAR), GOOD))
    # the variances of the two are as 1 / -2 ln(1 - confidence), and far above what is predicted
    assert moves[1] / moves[0] == pytest.approx(np.log(0.5) / np.log(0.05), rel=0.3)


def test_noise_is_averaged():
    rig = Rig()
    rng = np.random.default_rng(0)
    rig.see(GOOD, 2)
    raw, filtered = [], []
    for _ in range(200):
        noisy = geometry.translation(*rng.normal(0, 1.5, 2)) @ GOOD
        raw.append(geometry.corner_error_px(noisy, GOOD, SIZE))
        filtered.append(off_px(rig.see(noisy), GOOD))
    assert np.mean(filtered[20:]) < 0.3 * np.mean(raw)


@pytest.mark.parametrize('live, answer', [(False, FAR), (True, 'textureless')])
def test_frozen_and_textureless_images_never_move_it(live, answer):
    rig = Rig()
    rig.see(GOOD, 2)
    measured = len(rig.registrar.priors)
    found = rig.see(answer, 25, live=live)
    assert found.state is RegistrationState.HOLDING
    assert found.reason == ('textureless' if live else 'thermal frozen')
    assert off_px(found, GOOD) < 1e-9
    assert len(rig.registrar.priors) - measured == (25 if live else 0)


def test_the_deviation_is_told_and_grows_while_nothing_is_measured():
    rig = Rig()
    assert rig.see('textureless').corner_deviation_px == np.inf
    rig.see(GOOD, 2)
    at_first = rig.tracker.current(rig.now_s).corner_deviation_px
    assert at_first == pytest.approx(np.sqrt(2) * deviation_px(1.0))
    settled = rig.see(GOOD, 300).corner_deviation_px
    held = rig.tracker.current(rig.now_s + 9.0).corner_deviation_px
    assert settled < 0.5 * at_first
    assert held ** 2 - settled ** 2 == pytest.approx(2 * 0.8 ** 2 * 9 / 60)
    on_prior = Rig(PRIOR).see('textureless', rgb=np.zeros((960, 1280, 3), np.uint8))
    assert on_prior.corner_deviation_px == pytest.approx(2 * 10 * np.sqrt(2))  # of 1280


@dataclass
class Scene:
    """A made recording at 5 Hz: how the rig stands, and how well it is measured, at a time."""

    seconds: float
    shift_px: Callable[[float], float] = lambda _: 0.0
    outliers: Callable[[float], float] = lambda _: 0.0  # their share
    noise_px: float = 1.0
    fades_s: float = 0.7  # time constant of the noise

    def played(self, seed: int) -> tuple[np.ndarray, list[Registration], Counter]:
        """Return the errors in px of corners ``(N, 4)``, the answers, and the rejections."""
        rig, random = Rig(), np.random.default_rng(seed)
        rig.period_s = 0.2
        rig.registrar.confidence = 0.9
        corners = geometry.corners_px(SIZE)
        fades = np.exp(-rig.period_s / self.fades_s)
        noise = random.normal(0, self.noise_px, (4, 2))
        answers, errors_px = [], []
        for index in range(round(self.seconds / rig.period_s)):
            now_s = index * rig.period_s
            noise = fades * noise + np.sqrt(1 - fades ** 2) * random.normal(0, self.noise_px,
                                                                            (4, 2))
            true_px = corners + (self.shift_px(now_s), 0)
            wrong = random.random() < self.outliers(now_s)
            off_px_ = random.uniform(-40, 40, (4, 2)) if wrong else noise
            answers.append(rig.see(geometry.from_corners(corners, true_px + off_px_)))
            found_px = geometry.transform_points(answers[-1].H_thermal_to_rgb, corners)
            errors_px.append(np.linalg.norm(found_px - true_px, axis=1))
        return np.array(errors_px), answers, rig.tracker.rejections


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize('seed', range(3))
def test_a_resting_rig_is_known_as_well_as_it_says(seed):
    errors_px, answers, rejections = Scene(120).played(seed)
    told_px = [answer.corner_deviation_px for answer in answers]
    assert rms(errors_px[150:]) < 0.6  # of measurements 1.4 px off
    assert 0.5 < rms(errors_px[150:]) / rms(told_px[150:]) < 1.5
    assert sum(rejections.values()) - 1 <= 0.01 * len(answers)


def test_smoke_that_makes_most_measurements_wrong_moves_nothing():
    smoke = Scene(60, outliers=lambda now_s: 0.8 if 20 < now_s < 40 else 0.0)
    errors_px, answers, rejections = smoke.played(0)
    moved_px = np.abs(np.diff([answer.H_thermal_to_rgb for answer in answers[2:]], axis=0))
    assert errors_px[100:].max() < 2.0 and moved_px[:, :2, 2].max() < 0.5
    assert rejections['jump'] + rejections['outlier'] > 60
    assert all(answer.state in ('TRACKING', 'HOLDING') for answer in answers[2:])


def test_a_rig_that_drifts_is_followed_with_little_lag():
    # 3 px a minute, as from a mount in the sun
    errors_px, answers, _ = Scene(180, shift_px=lambda now_s: now_s / 20).played(1)
    assert rms(errors_px[150:]) < 1.2  # at 0.05 px a second
    assert {answer.state for answer in answers[150:]} == {RegistrationState.TRACKING}


@pytest.mark.parametrize('knock_px', [12.0, 60.0])
def test_a_knock_is_believed_after_two_seconds_and_overshoots_nothing(knock_px):
    knocked = Scene(60, shift_px=lambda now_s: knock_px * (now_s > 30))
    errors_px, answers, rejections = knocked.played(2)
    before, at_once, after = errors_px[100:150], errors_px[151:158], errors_px[162:]
    assert before.max() < 2.0
    assert at_once.min() > knock_px - 3.0  # not at once: it may be wrong
    assert after.max() < 4.0
    # and the noise is known as before: the knock was none of it
    told_px = [answer.corner_deviation_px for answer in answers]
    assert told_px[-1] < 1.5 * told_px[149]
    assert 8 <= rejections['jump'] + rejections['outlier'] <= 11
    assert answers[-1].state is RegistrationState.TRACKING


@pytest.mark.parametrize('garbage', range(5))
def test_a_third_of_garbage_never_moves_the_answer(garbage):
    rig, rng = Rig(), np.random.default_rng(garbage)
    corners = geometry.corners_px(SIZE)
    rig.see(GOOD, 3)
    for _ in range(200):
        jitter = geometry.translation(*rng.normal(0, 0.5, 2)) @ GOOD
        bad = geometry.from_corners(corners, corners + rng.uniform(-90, 90, (4, 2)))
        found = rig.see(bad if rng.random() < 0.3 else jitter)
        assert off_px(found, GOOD) < 1.5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(['good', 'near', 'far', 'none', 'frozen', 'late']), max_size=40),
       st.booleans())
def test_the_answer_is_always_usable(events, with_prior):
    rig = Rig(PRIOR if with_prior else None)
    believed = 0
    answers = {'good': GOOD, 'near': NEAR, 'far': FAR, 'none': 'textureless', 'frozen': GOOD,
               'late': GOOD}
    for event in events:
        rig.now_s += 60 if event == 'late' else 0
        found = rig.see(answers[event], live=event != 'frozen')
        assert np.isfinite(found.H_thermal_to_rgb).all() and found.H_thermal_to_rgb[2, 2] == 1
        assert 0 <= found.confidence <= 1 and found.rgb_size == SIZE
        believed += not found.reason
        if with_prior:
            assert found.state is not RegistrationState.LOST
    assert sum(rig.tracker.states.values()) == len(events)
    assert sum(rig.tracker.rejections.values()) == len(events) - believed


def test_a_clock_that_goes_back_forgets_what_was_measured():
    rig = Rig(PRIOR)
    rig.see(GOOD, 2)
    rig.now_s -= 50
    assert rig.see(GOOD).state is RegistrationState.PRIOR
    assert rig.see(GOOD).state is RegistrationState.TRACKING


def test_the_registrar_is_told_where_to_look():
    rig = Rig(PRIOR)
    rig.see(GOOD, 3)
    for told, expected in zip(rig.registrar.priors, (PRIOR, PRIOR, GOOD)):
        assert geometry.corner_error_px(told, expected, SIZE) < 0.5
    rig = Rig()
    rig.see(GOOD)
    assert rig.registrar.priors == [None]


@pytest.mark.parametrize('thermal_size, rgb_size', [((320, 240), SIZE), (SIZE, (1280, 960))])
def test_resized_images_keep_what_is_known(thermal_size, rgb_size):
    rig = Rig()
    rig.see(GOOD, 2)
    expected = geometry.rescale_homography(GOOD, thermal_size[0] / 640, rgb_size[0] / 640)
    before = rig.tracker.current(rig.now_s)
    found = rig.see('textureless', thermal=np.zeros(thermal_size[::-1], np.uint16),
                    rgb=np.zeros((*rgb_size[::-1], 3), np.uint8))
    assert found.state is RegistrationState.TRACKING and found.rgb_size == rgb_size
    assert off_px(found, expected, thermal_size) < 1e-6
    assert found.corner_deviation_px == pytest.approx(
        before.corner_deviation_px * rgb_size[0] / 640, rel=0.01)


def test_cropped_images_start_anew():
    rig = Rig(PRIOR)
    rig.see(GOOD, 2)
    found = rig.see('textureless', rgb=np.zeros((480, 480, 3), np.uint8))
    assert found.state is RegistrationState.LOST
    assert off_px(found, geometry.stretch(SIZE, (480, 480))) < 1e-9


def test_calibration_may_come_later():
    rig = Rig()
    assert rig.see('textureless').state is RegistrationState.LOST
    rig.tracker.set_prior(2 * PRIOR)
    found = rig.see('textureless')
    assert found.state is RegistrationState.PRIOR and off_px(found, PRIOR) < 1e-9
    rig.see(GOOD, 2)
    rig.tracker.set_prior(EYE)
    assert off_px(rig.tracker.current(rig.now_s), GOOD) < 0.5  # tracking goes on
    with pytest.raises(RegistrationError, match='prior'):
        rig.tracker.set_prior(np.zeros((3, 3)))


def test_a_calibrated_method_is_the_prior():
    method = registration.create('calibrated', H_thermal_to_rgb=PRIOR.ravel().tolist())
    found = RegistrationTracker(method).update(THERMAL, RGB, 1.0)
    assert found.state is RegistrationState.PRIOR and off_px(found, PRIOR) < 1e-9
    assert found.confidence == 0.5 and found.reason == ''


def test_reasons_are_counted_without_their_details():
    rig = Rig()
    rig.see(GOOD)
    rig.see('low confidence: 0.31, worst is spread')
    rig.see('low confidence: 0.12, worst is gain')
    rig.see(GOOD, live=False)
    assert rig.tracker.rejections == {'acquiring': 1, 'low confidence': 2, 'thermal frozen': 1}
    assert rig.tracker.states == {'LOST': 4}


def test_nobody_can_ask_before_the_first_pair():
    with pytest.raises(RegistrationError, match='no pair'):
        Rig().tracker.current(0.0)


def test_what_is_handed_out_is_not_what_is_kept():
    rig = Rig()
    rig.see(GOOD, 2).H_thermal_to_rgb[:] = 0
    assert off_px(rig.tracker.current(rig.now_s), GOOD) < 1e-6


def test_parameters_out_of_range_are_errors():
    with pytest.raises(ParameterError, match='drift_px'):
        build(TrackerParameters, {'drift_px': 0.0})


def test_real_video_is_tracked_through_a_known_warp(shared_data):
    folder = shared_data / 'm3svd_sequences' / '0113_1714'
    videos = {name: sorted(folder.glob(f'{name}*'))[0] for name in ('thermal', 'visible')}
    captures = {name: cv2.VideoCapture(str(path)) for name, path in videos.items()}
    corners = geometry.corners_px(SIZE)
    moves = np.random.default_rng(1).uniform(-12, 12, (4, 2))
    H_true = geometry.from_corners(corners, corners + moves)
    tracker = RegistrationTracker(registration.create())
    found = []
    for index in range(90):
        frames = {name: capture.read() for name, capture in captures.items()}
        if index % 5:
            continue
        thermal = cv2.warpPerspective(cv2.cvtColor(frames['thermal'][1], cv2.COLOR_BGR2GRAY),
                                      np.linalg.inv(H_true), SIZE, flags=cv2.INTER_CUBIC,
                                      borderMode=cv2.BORDER_REFLECT_101)
        found.append(tracker.update(thermal, frames['visible'][1], index / 30))
    steady = [off_px(registration_, found[-1].H_thermal_to_rgb) for registration_ in found[4:]]
    assert tracker.states['TRACKING'] >= 14
    assert max(steady) < 3
    assert off_px(found[-1], H_true) < 12  # the views differ by parallax of their own
