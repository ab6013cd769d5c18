# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much of a scene an image shows."""

from __future__ import annotations

from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.parameters import build
from ivf_ros.structure import measure_structure, subsample
import numpy as np
import pytest


@pytest.mark.parametrize('size', [(1, 1), (5, 400), (160, 160), (1024, 1280)])
def test_a_constant_image_has_no_structure(size):
    assert measure_structure(np.full(size, 77, np.uint8)) == 0


def test_stripes_have_their_standard_deviation():
    stripes = np.zeros((160, 160), np.uint8)
    stripes[:, ::2] = 20  # in a window of 9 columns 4 or 5 are bright
    assert measure_structure(stripes) == pytest.approx(20 * np.sqrt(20) / 9, abs=0.01)


def test_structure_in_less_than_a_quarter_of_the_image_does_not_count():
    stripes = np.zeros((160, 160), np.uint8)
    stripes[:30, ::2] = 200
    assert measure_structure(stripes) == 0


def test_the_structure_hardly_depends_on_the_resolution():
    coarse = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    small, large = (np.kron(coarse, np.ones((n, n), np.uint8)) for n in (8, 32))
    assert measure_structure(large) == pytest.approx(measure_structure(small), rel=0.02)
    assert subsample(large).shape == (160, 240)


@pytest.mark.parametrize('condition', ['day', 'night', 'rain', 'glare', 'dusk'])
def test_streets_have_more_structure_than_thick_smoke(condition):
    def render(name):
        simulator = RigSimulator(build(SimulatorParameters, {
            'condition': name, 'seed': 4, 'smoke_density': 2.0}))
        return simulator.render(2.0)[1][..., 1]

    assert measure_structure(render('smoke')) < 6.5 < 10 < measure_structure(render(condition))
