# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registration stage tells the present: silence, jumps of the stamps, and other sizes."""

from __future__ import annotations

from ivf_ros import geometry
from ivf_ros.parameters import build
from ivf_ros.registration import CalibratedParameters, RegistrationStage, \
    RegistrationStageParameters
from ivf_ros.registration import stage as stage_module
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np
import pytest

SIZE = (64, 48)
GOOD = geometry.translation(3, 1)
PRIOR = geometry.translation(2, 2)
PRIOR_VALUES = {'registration.calibrated.H_thermal_to_rgb': tuple(PRIOR.ravel().tolist())}
START_S = 1000.0


class ScriptedRegistrar:
    """A registrar that returns the homography, or the reason of a rejection, set by the test."""

    parameters = None

    def __init__(self) -> None:
        self.measurement: np.ndarray | str = GOOD
        self.before_answer = lambda: None

    def register(self, thermal, rgb, prior=None) -> Registration:
        self.before_answer()
        size = geometry.size_of(rgb)
        if isinstance(self.measurement, str):
            return Registration(np.eye(3), 0.0, 0, RegistrationState.LOST, size,
                                reason=self.measurement)
        return Registration(self.measurement, 0.9, 40, RegistrationState.TRACKING, size, age_s=0)


class Rig:
    """A stage with a scripted registrar, the clock of the computer, and 10 pairs a second."""

    def __init__(self, monkeypatch, **parameters) -> None:
        self.registrar = ScriptedRegistrar()
        monkeypatch.setattr(stage_module, 'create_from', lambda parameters: self.registrar)
        self.clock_s = 5.0
        self.stamp_s = START_S
        self.published = []
        self.stage = RegistrationStage(
            build(RegistrationStageParameters, {'max_rate_hz': 1000.0, **parameters}),
            self.published.append, lambda: self.clock_s)
        self._random = np.random.default_rng(0)

    def frames(self, rgb_size=SIZE):
        """Return the next pair, 0.1 s later."""
        self.stamp_s += 0.1
        self.clock_s += 0.1
        stamp_ns = round(self.stamp_s * 1e9)
        thermal = np.linspace(7000, 9000, SIZE[0] * SIZE[1]).reshape(SIZE[::-1])
        thermal = (thermal + self._random.normal(0, 5, SIZE[::-1])).astype(np.uint16)
        rgb = self._random.integers(0, 255, (*rgb_size[::-1], 3)).astype(np.uint8)
        return Frame(thermal, stamp_ns, 'thermal'), Frame(rgb, stamp_ns, 'rgb')

    def play(self, count, rgb_size=SIZE):
        """Follow and measure pairs."""
        for _ in range(count):
            request = self.follow(rgb_size)
            if request is not None:
                self.stage.measure(request)

    def follow(self, rgb_size=SIZE):
        pair = self.frames(rgb_size)
        self.stage._pace._due_s = 0.0  # each pair is due
        return self.stage.follow(*pair)

    def state(self):
        return self.stage.status().get('state')

    def warps(self):
        return self.stage.warp_counts(np.zeros(SIZE[::-1], np.uint16), SIZE) is not None


@pytest.mark.parametrize('values, last', [({}, 'LOST'), (PRIOR_VALUES, 'PRIOR')])
def test_the_status_ages_while_the_cameras_are_silent(monkeypatch, values, last):
    rig = Rig(monkeypatch, **values)
    rig.play(5)
    states, ages_s, confidences = [], [], []
    for silent_s in (0.0, 1.0, 3.0, 9.0, 11.0, 100.0):
        before_s, rig.clock_s = rig.clock_s, rig.clock_s + silent_s
        status = rig.stage.status()
        rig.clock_s = before_s
        states.append(status['state'])
        ages_s.append(status['age_s'])
        confidences.append(status['confidence'])
    assert states == ['TRACKING', 'TRACKING', 'HOLDING', 'HOLDING', last, last]
    assert ages_s == pytest.approx([0.0, 1.0, 3.0, 9.0, 11.0, 100.0], abs=1e-3)
    assert confidences[:4] == pytest.approx(0.9 * np.exp(-np.array([0, 1, 3, 9]) / 5), rel=1e-3)
    assert confidences[4:] == ([0.0, 0.0] if last == 'LOST' else [0.5, 0.5])
    assert rig.stage.status()['state'] == 'TRACKING'  # the clock of the test was set back
    rig.clock_s += 11.0
    rig.play(1)  # the cameras are back, with stamps that did not advance as the clock did
    assert rig.state() == 'TRACKING'


def test_a_measurement_that_does_not_end_lets_the_homography_age_and_expire(monkeypatch):
    rig = Rig(monkeypatch)
    rig.play(5)
    assert rig.state() == 'TRACKING' and rig.warps() and rig.stage.is_registered()
    for _ in range(30):
        rig.follow()  # no request is measured
    assert rig.state() == 'HOLDING' and rig.warps()
    for _ in range(75):
        rig.follow()
    assert rig.state() == 'LOST' and not rig.warps() and not rig.stage.is_registered()


@pytest.mark.parametrize('back_s', [3600.0, 2.0, 0.5])
@pytest.mark.parametrize('values', [{}, PRIOR_VALUES], ids=['no prior', 'prior'])
def test_stamps_that_jump_back_discard_the_homography_at_once(monkeypatch, back_s, values):
    rig = Rig(monkeypatch, **values)
    rig.play(30)
    assert rig.state() == 'TRACKING'
    rig.registrar.measurement = 'low confidence: 0.01'
    rig.stamp_s -= back_s
    rig.published.clear()
    request = rig.follow()
    expected = ['PRIOR'] if values else []
    assert [result.registration.state.value for result in rig.published] == expected
    assert rig.state() == ('PRIOR' if values else None) and rig.warps() is bool(values)
    rig.stage.measure(request)
    rig.play(40)
    assert rig.state() == ('PRIOR' if values else 'LOST') and rig.warps() is bool(values)
    if not values:
        assert not rig.published
    rig.registrar.measurement = GOOD
    rig.play(2)
    assert rig.state() == 'TRACKING'


def test_a_measurement_of_before_a_jump_is_not_published_after_it(monkeypatch):
    rig = Rig(monkeypatch)
    rig.play(5)
    request = rig.follow()

    def jump():
        rig.registrar.before_answer = lambda: None
        rig.stamp_s -= 3600.0
        rig.follow()

    rig.registrar.before_answer = jump
    rig.published.clear()
    rig.stage.measure(request)
    assert not rig.published and rig.state() is None and not rig.warps()
    rig.play(1)
    assert rig.state() == 'LOST' and not rig.published
    rig.play(1)
    assert rig.state() == 'TRACKING' and len(rig.published) == 1


def test_a_loss_withdraws_what_was_published_and_nothing_is_withdrawn_at_the_start(monkeypatch):
    rig = Rig(monkeypatch, **{'tracker.hold_s': 3.0})
    rig.registrar.measurement = 'textureless'
    rig.play(5)
    assert not rig.published
    rig.registrar.measurement = GOOD
    rig.play(5)
    rig.registrar.measurement = 'textureless'
    rig.play(35)
    states = [result.registration.state.value for result in rig.published]
    assert list(dict.fromkeys(states)) == ['TRACKING', 'HOLDING', 'LOST']
    assert geometry.corner_error_px(rig.published[-1].registration.H_thermal_to_rgb, GOOD,
                                    SIZE) < 0.1


def test_images_of_another_aspect_ratio_and_back_keep_the_prior(monkeypatch):
    rig = Rig(monkeypatch, **PRIOR_VALUES)
    rig.registrar.measurement = 'textureless'
    rig.play(3)
    assert rig.state() == 'PRIOR' and rig.warps()
    rig.play(3, rgb_size=(48, 48))
    assert rig.state() == 'LOST'
    rig.follow()
    assert rig.state() is None and not rig.warps()  # nothing of the sizes before is shown
    rig.play(1)
    assert rig.state() == 'PRIOR' and rig.warps()
    rig.play(1, rgb_size=(128, 96))
    present = rig.stage.present()
    assert present.state is RegistrationState.PRIOR and present.rgb_size == (128, 96)
    np.testing.assert_allclose(present.H_thermal_to_rgb,
                               geometry.rescale_homography(PRIOR, 1, 2), atol=1e-9)


def test_a_calibration_for_the_new_sizes_is_used_before_they_are_measured(monkeypatch):
    rig = Rig(monkeypatch)
    rig.registrar.measurement = 'textureless'
    rig.play(2, rgb_size=(48, 48))
    calibrated = build(CalibratedParameters, {'H_thermal_to_rgb': tuple(PRIOR.ravel().tolist())})
    rig.stage.calibrate(calibrated, (SIZE, SIZE))
    assert rig.state() == 'LOST'
    rig.play(1)
    assert rig.state() == 'PRIOR'
    rig.stage.calibrate(build(CalibratedParameters, {}))
    rig.play(1)
    assert rig.state() == 'LOST'


def test_the_same_calibration_again_keeps_the_sizes_for_which_it_holds(monkeypatch):
    rig = Rig(monkeypatch, **PRIOR_VALUES)
    rig.registrar.measurement = 'textureless'
    rig.play(2)
    rig.follow((48, 48))
    rig.stage.calibrate(build(CalibratedParameters,
                              {'H_thermal_to_rgb': tuple(PRIOR.ravel().tolist())}))
    rig.play(2, rgb_size=(48, 48))
    assert rig.state() == 'LOST'


def test_the_calibrated_method_keeps_to_the_sizes_of_its_first_images():
    rig_values = {'registration.method': 'calibrated', **PRIOR_VALUES}
    stage = RegistrationStage(build(RegistrationStageParameters, rig_values))
    thermal = np.zeros(SIZE[::-1], np.uint16)

    def register(rgb_size):
        return stage.method.register(thermal, np.zeros((*rgb_size[::-1], 3), np.uint8))

    assert register(SIZE).confidence == 0.5
    np.testing.assert_allclose(register((128, 96)).H_thermal_to_rgb,
                               geometry.rescale_homography(PRIOR, 1, 2), atol=1e-9)
    other = register((48, 48))
    assert other.confidence == 0
    assert other.reason == ('calibrated for thermal and RGB of 64x48 and 64x48, got 64x48 and '
                            '48x48, which has another aspect ratio')
    np.testing.assert_array_equal(other.H_thermal_to_rgb, geometry.stretch(SIZE, (48, 48)))
    np.testing.assert_array_equal(register(SIZE).H_thermal_to_rgb, PRIOR)


def test_new_tracker_parameters_start_without_the_old_measurements(monkeypatch):
    rig = Rig(monkeypatch)
    rig.play(5)
    requested = build(RegistrationStageParameters, {'max_rate_hz': 1000.0, 'tracker.gate': 20.0})
    rig.stage.apply(requested, rig.stage.prepare(requested))
    assert rig.state() is None
    rig.play(2)
    assert rig.state() == 'TRACKING'
