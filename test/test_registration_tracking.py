# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker believes what it should, holds it, and says in which state it is."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import geometry, registration
from ivf_ros.parameters import build, ParameterError
from ivf_ros.registration import RegistrationError, RegistrationTracker, TrackerParameters
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
    """A tracker on a scripted registrar, fed at 10 Hz."""

    def __init__(self, prior=None, **parameters) -> None:
        self.registrar = Scripted()
        self.tracker = RegistrationTracker(self.registrar, build(TrackerParameters, parameters),
                                           prior)
        self.now_s = 100.0

    def see(self, answer, count: int = 1, *, live: bool = True, thermal=THERMAL, rgb=RGB):
        self.registrar.answer = answer
        for _ in range(count):
            self.now_s += 0.1
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
    # what is known outlives pairs that say nothing
    (None, [GOOD, GOOD, 'textureless'], 'HOLDING', GOOD, 'textureless'),
    (PRIOR, [GOOD, GOOD, 'low confidence: 0.2'], 'HOLDING', GOOD, 'low confidence'),
    (None, [GOOD, GOOD, 'textureless', GOOD], 'TRACKING', GOOD, ''),
    # and pairs that say something else
    (None, [GOOD, GOOD, FAR], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD, FAR, FAR, FAR, FAR], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 6 * [FAR, ELSEWHERE], 'HOLDING', GOOD, 'jump'),
    (None, [GOOD, GOOD] + 4 * [FAR] + [GOOD] + 4 * [FAR], 'HOLDING', GOOD, 'jump'),
    # until they insist: the rig was knocked
    (None, [GOOD, GOOD] + 5 * [FAR], 'TRACKING', FAR, ''),
    (None, [GOOD, GOOD] + 3 * [FAR] + ['textureless'] + 2 * [FAR], 'TRACKING', FAR, ''),
])
def test_what_is_believed(prior, script, state, H, reason):
    rig = Rig(prior)
    if not script:
        rig.see('textureless')
    for answer in script:
        rig.see(answer)
    found = rig.tracker.current(rig.now_s)
    assert found.state == state
    assert off_px(found, H) < 1e-6
    assert found.reason.startswith(reason) and bool(found.reason) == bool(reason)


@pytest.mark.parametrize('prior, later_s, state, H', [
    (None, 0.5, 'TRACKING', GOOD),
    (None, 1.5, 'HOLDING', GOOD),  # nobody measured: no longer fresh
    (None, 9.9, 'HOLDING', GOOD),
    (None, 10.1, 'LOST', GOOD),  # the last known is still the best guess
    (PRIOR, 9.9, 'HOLDING', GOOD),
    (PRIOR, 10.1, 'PRIOR', PRIOR),
])
def test_a_measurement_ages(prior, later_s, state, H):
    rig = Rig(prior)
    rig.see(GOOD, 2)
    found = rig.tracker.current(rig.now_s + later_s)
    assert found.state == state and off_px(found, H) < 1e-6
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
    assert rig.see(FAR).state is RegistrationState.LOST
    assert rig.see(FAR).state is RegistrationState.TRACKING


def test_small_changes_are_followed_smoothly():
    rig = Rig()
    rig.see(GOOD, 20)
    way = [off_px(rig.see(NEAR), GOOD) for _ in range(30)]
    assert 0 < way[0] < 1.5  # of 3
    assert way == sorted(way)
    assert way[-1] == pytest.approx(3, abs=0.05)


def test_an_unsure_measurement_moves_less():
    moves = []
    for confidence in (1.0, 0.5):
        rig = Rig()
        rig.see(GOOD, 20)
        rig.registrar.confidence = confidence
        moves.append(off_px(rig.see(NEAR), GOOD))
    assert moves[1] == pytest.approx(moves[0] / 2)


def test_noise_is_averaged():
    rig = Rig()
    rng = np.random.default_rng(0)
    rig.see(GOOD, 2)
    raw, filtered = [], []
    for _ in range(200):
        noisy = geometry.translation(*rng.normal(0, 1.5, 2)) @ GOOD
        raw.append(geometry.corner_error_px(noisy, GOOD, SIZE))
        filtered.append(off_px(rig.see(noisy), GOOD))
    assert np.mean(filtered[20:]) < 0.6 * np.mean(raw)


def test_a_frozen_thermal_image_is_not_measured():
    rig = Rig()
    rig.see(GOOD, 2)
    measured = len(rig.registrar.priors)
    found = rig.see(FAR, 20, live=False)
    assert len(rig.registrar.priors) == measured
    assert (found.state, found.reason) == (RegistrationState.HOLDING, 'thermal frozen')
    assert off_px(found, GOOD) < 1e-9


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
    answers = {'good': GOOD, 'near': NEAR, 'far': FAR, 'none': 'textureless', 'frozen': GOOD,
               'late': GOOD}
    for event in events:
        rig.now_s += 60 if event == 'late' else 0
        found = rig.see(answers[event], live=event != 'frozen')
        assert np.isfinite(found.H_thermal_to_rgb).all() and found.H_thermal_to_rgb[2, 2] == 1
        assert 0 <= found.confidence <= 1 and found.rgb_size == SIZE
        assert (found.state is RegistrationState.TRACKING) == (found.reason == '')
        if with_prior:
            assert found.state is not RegistrationState.LOST
    assert sum(rig.tracker.states.values()) == len(events)
    tracked = rig.tracker.states[RegistrationState.TRACKING.value]
    assert sum(rig.tracker.rejections.values()) == len(events) - tracked


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
        np.testing.assert_allclose(told, expected, atol=1e-9)
    rig = Rig()
    rig.see(GOOD)
    assert rig.registrar.priors == [None]


@pytest.mark.parametrize('thermal_size, rgb_size', [((320, 240), SIZE), (SIZE, (1280, 960))])
def test_resized_images_keep_what_is_known(thermal_size, rgb_size):
    rig = Rig()
    rig.see(GOOD, 2)
    expected = geometry.rescaled(GOOD, thermal_size[0] / 640, rgb_size[0] / 640)
    found = rig.see('textureless', thermal=np.zeros(thermal_size[::-1], np.uint16),
                    rgb=np.zeros((*rgb_size[::-1], 3), np.uint8))
    assert found.state is RegistrationState.HOLDING and found.rgb_size == rgb_size
    assert off_px(found, expected, thermal_size) < 1e-6


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
    assert off_px(rig.tracker.current(rig.now_s), GOOD) < 1e-6  # tracking goes on
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
    with pytest.raises(ParameterError, match='smoothing'):
        build(TrackerParameters, {'smoothing': 0.0})


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
