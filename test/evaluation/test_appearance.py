# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stage appearance measures how a fused image looks to a person."""

from __future__ import annotations

import json

import cv2
from ivf_ros.cli.main import main
from ivf_ros.evaluation.stages.appearance import (
    measure_color_shift,
    measure_luma_change,
    measure_person_contrast,
)
from ivf_ros.types import Detection
import numpy as np
import pytest


def person(left, top, right, bottom, name='person'):
    return Detection((left, top, right, bottom), name, 1.0)


def test_the_contrast_of_a_person_is_that_of_the_brighter_half_of_the_box():
    image = np.full((60, 80), 50, np.uint8)
    image[20:40, 30:35] = 200  # the person fills half of the box
    assert measure_person_contrast(image, [person(30, 20, 40, 40)]) == 150
    assert measure_person_contrast(255 - image, [person(30, 20, 40, 40)]) == 0


def test_other_people_are_no_surroundings_and_other_classes_no_people():
    image = np.full((60, 80), 50, np.uint8)
    image[20:40, 30:50] = 200
    pair = [person(30, 20, 40, 40), person(40, 20, 50, 40)]
    assert measure_person_contrast(image, pair) == 150
    assert measure_person_contrast(image, [pair[0], person(40, 20, 50, 40, 'car')]) == 150
    assert np.isnan(measure_person_contrast(image, [person(40, 20, 50, 40, 'car')]))


def test_luma_change_and_color_shift_of_known_images():
    rgb = np.full((10, 12, 3), 100, np.uint8)
    assert measure_luma_change(rgb + np.uint8(7), rgb) == pytest.approx(7)
    mask = np.zeros((10, 12), bool)
    mask[:5] = True
    changed = rgb.copy()
    changed[5:] = (0, 0, 255)
    assert measure_color_shift(changed, rgb, mask) == 0
    assert measure_color_shift(changed, rgb, ~mask) > 30
    # Two grays: CIEDE2000 is the difference of L* divided by S_L.
    gray = np.full((4, 4, 3), 119, np.uint8)
    lightness = [cv2.cvtColor(np.full((1, 1, 3), level / 255, np.float32),
                              cv2.COLOR_BGR2LAB)[0, 0, 0] for level in (119, 129)]
    distance_2 = (np.mean(lightness) - 50) ** 2
    expected = (lightness[1] - lightness[0]) / (1 + 0.015 * distance_2
                                                / np.sqrt(20 + distance_2))
    assert measure_color_shift(gray + np.uint8(10), gray, np.ones((4, 4), bool)) \
        == pytest.approx(expected, abs=1e-3)


def test_the_match_of_the_background_keeps_a_simulated_night_dark(tmp_path, capsys):
    assert main(['evaluate', 'simulator:condition=night,seed=2,duration_s=0.1', '--stage',
                 'appearance', '--methods', 'max,max:background.match=false', '--out',
                 str(tmp_path / 'out'), '--limit', '1', '--json', '--jobs', '1']) == 0
    table = json.loads(capsys.readouterr().out)['stages']['appearance']['table']['all']
    matched, plain = (table[name]['values'] for name in ('max', 'max:background.match=false'))
    assert matched['luma change']['mean'] < 40 < plain['luma change']['mean']
    assert matched['color shift']['mean'] < plain['color shift']['mean'] / 2
    assert matched['person contrast']['mean'] > plain['person contrast']['mean'] + 30
