# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The background of thermal gets the brightness that it has in RGB."""

from __future__ import annotations

import cv2
from hypothesis import given, settings, strategies
from hypothesis.extra.numpy import arrays
from ivf_ros import fusion
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.fusion.background import BackgroundMatcher, BackgroundParameters
from ivf_ros.parameters import build
from ivf_ros.thermal_on_rgb import ThermalWarper
import numpy as np
import pytest


def plain(level, shape=(40, 50)):
    return np.full(shape, level, np.uint8)


def warm_street(background=180, person=240):
    """Return a street that is warm all over, with a warmer person."""
    thermal = plain(background)
    thermal[10:30, 20:24] = person
    return thermal


def test_the_background_gets_the_level_of_rgb_and_the_hottest_pixel_stays_white():
    thermal = warm_street(180, 255)
    matched = BackgroundMatcher()(thermal, plain(60))
    assert (matched[0, 0], matched[15, 21]) == (60, 255)


def test_what_is_between_background_and_hottest_gets_the_rest_of_the_gray_levels():
    thermal = warm_street(100, 250)
    thermal[0, :10] = 175  # half way from the background to the hottest
    matched = BackgroundMatcher()(thermal, plain(55))
    assert matched[0, 0] == pytest.approx(155, abs=1)


def test_what_is_colder_than_the_background_is_scaled_with_it():
    thermal = warm_street(200, 255)
    thermal[0, :10] = 100
    assert BackgroundMatcher()(thermal, plain(50))[0, 0] == 25


def test_the_background_is_not_made_darker_than_the_parameter_and_never_brighter():
    assert BackgroundMatcher()(warm_street(180, 255), plain(0))[0, 0] == 40
    darkest = BackgroundMatcher(BackgroundParameters(darkest_level=70.0))
    assert darkest(warm_street(180, 255), plain(0))[0, 0] == 70
    assert BackgroundMatcher()(warm_street(30, 255), plain(200))[0, 0] == 30


def test_a_dull_8_bit_image_gets_bright_people():
    matched = BackgroundMatcher()(warm_street(30, 110), plain(10))
    assert (matched[0, 0], matched[15, 21]) == (30, 255)


def test_noise_is_not_stretched_over_all_levels():
    noise = np.random.default_rng(0).normal(100, 2, (120, 160)).clip(0, 255).astype(np.uint8)
    matched = BackgroundMatcher()(noise, plain(40, noise.shape))
    assert matched.std() < 4 * noise.std()


def test_an_image_that_uses_all_levels_and_is_not_brighter_than_rgb_is_unchanged():
    thermal = warm_street(90, 255)
    np.testing.assert_array_equal(BackgroundMatcher()(thermal, plain(120)), thermal)


def test_only_covered_pixels_count_and_without_the_match_nothing_changes():
    thermal, coverage = warm_street(180, 255), np.zeros((40, 50), bool)
    coverage[5:35, 10:40] = True
    thermal[~coverage] = 0
    rgb = plain(60)
    rgb[~coverage] = 250
    assert BackgroundMatcher()(thermal, rgb, coverage)[6, 11] == 60
    off = BackgroundMatcher(BackgroundParameters(match=False))
    assert off(thermal, rgb, coverage) is thermal
    assert BackgroundMatcher()(thermal, rgb, np.zeros_like(coverage)) is thermal


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, (12, 9)), strategies.integers(0, 255))
def test_a_warmer_pixel_is_never_darker(thermal, luma):
    matched = BackgroundMatcher()(thermal, plain(luma, thermal.shape))
    order = np.argsort(thermal.ravel(), kind='stable')
    assert (np.diff(matched.ravel()[order].astype(int)) >= 0).all()


def test_the_curve_follows_slow_changes_slowly_and_a_new_scene_at_once():
    matcher = BackgroundMatcher()
    matcher.parameters = BackgroundParameters(smoothing=0.75)
    matcher(warm_street(180, 255), plain(60))
    assert matcher(warm_street(180, 255), plain(64))[0, 0] == 61  # 0.75 * 60 + 0.25 * 64
    assert matcher(warm_street(180, 255), plain(160))[0, 0] == 180


@pytest.mark.parametrize('rgb, background', [(64, 64), (96, 138), (128, 180), (150, 180)])
def test_by_day_the_background_keeps_its_brightness(rgb, background):
    assert BackgroundMatcher()(warm_street(180, 255), plain(rgb))[0, 0] == background


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('method', ['fast', 'laplacian', 'max'])
def test_a_simulated_night_stays_dark_and_its_people_stand_out(method, bits):
    simulator = RigSimulator(build(SimulatorParameters, {'condition': 'night', 'seed': 2}))
    thermal, rgb, truth = simulator.render(1.0)
    warped = ThermalWarper().warp_gray(thermal, truth.H_thermal_to_rgb, rgb.shape[1::-1]) \
        if bits == 8 else ThermalWarper().warp_counts(thermal, truth.H_thermal_to_rgb,
                                                      rgb.shape[1::-1])
    fused = fusion.create(method).fuse(warped.image, rgb, warped.coverage)
    luma, rgb_luma = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(float)
                      for image in (fused, rgb))
    people = [box for box in truth.detections if box.class_name == 'person']
    assert people
    assert luma.mean() < rgb_luma.mean() + 25
    for box in people:
        left, top, right, bottom = (round(edge) for edge in box.box_xyxy_px)
        assert np.percentile(luma[top:bottom, left:right], 80) > luma.mean() + 100
