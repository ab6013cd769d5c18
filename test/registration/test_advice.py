# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The likely cause of a failed registration, and what to do."""

from __future__ import annotations

from conftest import wait_until
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.parameters import build
from ivf_ros.registration import RegistrationStage, RegistrationStageParameters
from ivf_ros.registration.advice import explain_rejection
from ivf_ros.types import Frame, RegistrationState
import numpy as np
import pytest


def render(condition, **values):
    simulator = RigSimulator(build(SimulatorParameters, {'condition': condition, 'seed': 4,
                                                         **values}))
    return simulator.render(2.0)[:2]


@pytest.mark.parametrize('reason', ['', 'jump: 1 in a row', 'thermal frozen', 'not calibrated'])
def test_a_reason_that_says_its_cause_needs_no_explanation(reason):
    assert explain_rejection(reason, *render('day')) == ''


def test_the_images_show_the_cause():
    thermal, rgb = render('day')
    smoke = render('smoke', smoke_density=2.0)[1]
    flat = np.full_like(thermal, 30000)
    flat[10:20, 10:20] = 30500  # one warm object
    reason = 'low confidence: 0.21'
    assert explain_rejection(reason, thermal, smoke).startswith('RGB shows little')
    assert explain_rejection(reason, flat, rgb).startswith('thermal shows few edges')
    assert explain_rejection(reason, thermal, rgb).startswith('one lens may be much narrower')
    assert explain_rejection(reason, thermal, rgb[..., 0]).startswith('one lens may be')


def test_the_stage_explains_its_latest_rejection():
    stage = RegistrationStage(build(RegistrationStageParameters, {
        'registration.method': 'dense'}))
    assert stage.explain_rejection() == ''
    thermal, _ = render('day')
    smoke = render('smoke', smoke_density=2.0)[1]
    request = stage.follow(Frame(thermal, 10 ** 9, 't'), Frame(smoke, 10 ** 9, 'r'))
    assert stage.measure(request).state is RegistrationState.LOST
    assert 'ivf calibrate' in stage.explain_rejection()


def test_the_first_measurements_come_quickly_and_later_ones_at_the_rate():
    stage = RegistrationStage(build(RegistrationStageParameters, {
        'registration.method': 'dense', 'max_rate_hz': 0.01}))
    thermal, rgb = render('day')[0], render('smoke', smoke_density=2.0)[1]
    frames = Frame(thermal, 10 ** 9, 't'), Frame(rgb, 10 ** 9, 'r')
    found = []

    def is_due():
        found.append(stage.follow(*frames))
        return found[-1] is not None

    for _ in range(6):
        assert wait_until(is_due)
        stage.measure(found[-1])
    # That one was scheduled before.
    assert wait_until(lambda: stage.follow(*frames) is not None)
    assert not wait_until(lambda: stage.follow(*frames) is not None, 0.5)
