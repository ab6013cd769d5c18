# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images that contradict the held homography end it; images that show little do not."""

from __future__ import annotations

import cv2
from ivf_ros import geometry
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.parameters import build
from ivf_ros.registration import RegistrationTracker
from ivf_ros.registration.agreement import Agreement, check_agreement, Disagreement
from ivf_ros.types import Registration, RegistrationState
import numpy as np
import pytest

TURNS = {'upside down': lambda image: np.ascontiguousarray(image[::-1, ::-1]),
         'mirrored': lambda image: np.ascontiguousarray(image[:, ::-1]),
         'flipped': lambda image: np.ascontiguousarray(image[::-1])}


def simulate(condition: str, seed: int):
    """Return thermal, RGB and the true homography of a simulated pair."""
    thermal, rgb, truth = RigSimulator(build(SimulatorParameters, {
        'condition': condition, 'seed': seed, 'rig.mode': 'homography'})).pair(0)
    return thermal.image, rgb.image, truth.H_thermal_to_rgb


def veil(rgb: np.ndarray, density: float) -> np.ndarray:
    """Return RGB behind even smoke."""
    return np.clip(rgb * (1 - density) + 160 * density, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('condition, seed', [('day', 0), ('day', 5), ('night', 1), ('night', 6)])
def test_turned_images_contradict_the_homography_of_the_upright_ones(condition, seed):
    thermal, rgb, H_true = simulate(condition, seed)
    measured = check_agreement(thermal, rgb, H_true)
    assert measured.peak > 8
    assert measured.confirms(measured) and not measured.contradicts(measured)
    for turn in TURNS.values():
        turned = check_agreement(turn(thermal), rgb, H_true)
        assert turned.contradicts(measured) and not turned.confirms(measured)
        # and the camera that turned back agrees again
        assert not measured.contradicts(turned) and measured.confirms(turned)


def test_a_displacement_beyond_the_tolerance_contradicts():
    thermal, rgb, H_true = simulate('day', 0)
    measured = check_agreement(thermal, rgb, H_true)
    peaks = [check_agreement(thermal, rgb, geometry.translation(shift_px, 0) @ H_true).peak
             for shift_px in (0, 4, 40, 80)]
    assert peaks[1] > 0.9 * peaks[0] and max(peaks[2:]) < 0.5 * peaks[0]
    displaced = check_agreement(thermal, rgb, geometry.translation(60, 0) @ H_true)
    assert displaced.contradicts(measured)


def test_images_that_show_less_prove_nothing():
    thermal, rgb, H_true = simulate('day', 0)
    measured = check_agreement(thermal, rgb, H_true)
    for hidden in (np.full_like(rgb, 120), veil(TURNS['mirrored'](rgb), 0.6)):
        assert not check_agreement(thermal, hidden, H_true).contradicts(measured)
    flat = np.full_like(thermal, 30000)
    assert not check_agreement(flat, rgb, H_true).contradicts(measured)


@pytest.mark.parametrize('peak, thermal_levels, rgb_levels, contradicts, confirms', [
    (4.4, 10.0, 20.0, True, False),  # below half of 10 and below 4.5
    (4.6, 10.0, 20.0, False, False),
    (5.1, 10.0, 20.0, False, True),
    (0.0, 6.9, 20.0, False, False),  # thermal shows less than 70 % of 10
    (0.0, 7.1, 13.9, False, False),  # RGB does, of 20
    (0.0, 7.1, 14.1, True, False),
])
def test_the_limits_of_contradiction(peak, thermal_levels, rgb_levels, contradicts, confirms):
    measured, now = Agreement(10.0, 10.0, 20.0), Agreement(peak, thermal_levels, rgb_levels)
    assert (now.contradicts(measured), now.confirms(measured)) == (contradicts, confirms)


def test_a_contradiction_needs_its_count_and_its_duration():
    thermal, rgb, H_true = simulate('day', 0)
    turned = TURNS['upside down'](thermal)

    def add(pairs_at_s, count=3, duration_s=1.0):
        disagreement = Disagreement(count, duration_s)
        disagreement.end(thermal, rgb)
        for stamp_s in pairs_at_s:
            disagreement.add(turned, rgb, H_true, stamp_s, is_outlier=False)
        return disagreement

    assert [add(stamps).is_contradiction for stamps in (
        (5.0,), (5.0, 6.5), (5.0, 5.4, 5.9), (5.0, 5.5, 6.0))] == [False, False, False, True]
    assert add((5.0, 5.1), count=2, duration_s=0.0).is_contradiction
    disagreement = add((5.0, 5.5, 6.0))
    assert disagreement.count == 3 and disagreement.is_disputed
    disagreement.add(thermal, rgb, H_true, 6.5, is_outlier=False)  # it agrees, but was refused
    assert (disagreement.count, disagreement.is_contradiction) == (0, False)


def test_outliers_are_counted_without_images_to_compare():
    disagreement = Disagreement(3, 1.0)
    thermal, rgb = np.zeros((48, 64), np.uint16), np.zeros((48, 64, 3), np.uint8)
    for index in range(4):
        disagreement.add(thermal, rgb, None, float(index), is_outlier=index % 2 == 0)
    assert disagreement.count == 2 and disagreement.is_disputed
    assert not disagreement.is_contradiction
    disagreement.end(thermal, rgb)
    assert disagreement.count == 0 and not disagreement.is_disputed


def test_outliers_add_up_also_where_the_images_agree_with_the_held_homography():
    thermal, rgb, H_true = simulate('day', 0)
    disagreement = Disagreement(1, 0.0)
    disagreement.end(thermal, rgb)
    for index in range(3):
        disagreement.add(thermal, rgb, H_true, float(index), is_outlier=True)
    assert disagreement.count == 3 and not disagreement.is_contradiction


class RefusingRegistrar:
    """Accepts the true homography of the upright camera and refuses everything else."""

    def __init__(self, thermal: np.ndarray, H_true: np.ndarray) -> None:
        self._thermal, self._H_true = thermal, H_true
        self.parameters = None

    def register(self, thermal, rgb, prior=None) -> Registration:
        size = geometry.size_of(rgb)
        if thermal is self._thermal and rgb.std() > 20:
            return Registration(self._H_true, 0.9, 40, RegistrationState.TRACKING, size, age_s=0)
        return Registration(self._H_true, 0.0, 0, RegistrationState.LOST, size,
                            reason='low confidence: 0.01')


def play(tracker, frames, start_s, period_s=0.5):
    """Return the results of pairs at 2 Hz."""
    return [tracker.update(*pair, start_s + index * period_s)
            for index, pair in enumerate(frames)]


@pytest.mark.parametrize('turn', TURNS)
@pytest.mark.parametrize('has_prior', [False, True])
def test_a_camera_that_is_turned_is_lost_within_two_seconds(turn, has_prior):
    thermal, rgb, H_true = simulate('day', 3)
    tracker = RegistrationTracker(RefusingRegistrar(thermal, H_true),
                                  prior=H_true if has_prior else None)
    assert play(tracker, 10 * [(thermal, rgb)], 0.0)[-1].state is RegistrationState.TRACKING
    turned = play(tracker, 24 * [(TURNS[turn](thermal), rgb)], 5.0)
    states = [result.state for result in turned]
    assert states == 2 * ['HOLDING'] + 22 * ['LOST']
    assert turned[2].reason == ('contradicted: the images do not fit as before '
                                '(low confidence: 0.01)')
    assert turned[-1].confidence == 0 and tracker.disagreement.count == 24
    # and back: as at a start near the last known homography
    states = [result.state for result in play(tracker, 3 * [(thermal, rgb)], 17.0)]
    assert states[1:] == 2 * ['TRACKING']


def test_smoke_is_no_contradiction():
    thermal, rgb, H_true = simulate('day', 3)
    tracker = RegistrationTracker(RefusingRegistrar(thermal, H_true))
    play(tracker, 10 * [(thermal, rgb)], 0.0)
    smoke = cv2.GaussianBlur(veil(rgb, 0.9), (0, 0), 3)
    states = [result.state for result in play(tracker, 16 * [(thermal, smoke)], 5.0)]
    assert states[-1] is RegistrationState.HOLDING and 'LOST' not in states
    assert tracker.disagreement.count == 0
