# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Landmark errors and the likeness of registered images have values worked out by hand."""

from __future__ import annotations

import math

import cv2
from ivf_ros import geometry
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics import MetricError
import numpy as np
import pytest

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
EVERYTHING = np.ones(NOISE.shape, bool)


def test_landmarks_that_are_off_by_a_known_distance():
    thermal_px = np.array([[0.0, 0.0], [10.0, 5.0], [3.0, 8.0]])
    found = metrics.landmark_errors(np.eye(3), thermal_px, thermal_px + ((3, 4), (0, 0), (0, 0)))
    assert found == pytest.approx({'landmark_rmse_px': 5 / math.sqrt(3), 'landmark_max_px': 5.0})
    H = geometry.scaling(2.0, 2.0)
    assert metrics.landmark_errors(H, thermal_px, 2 * thermal_px)['landmark_rmse_px'] == 0.0


@pytest.mark.parametrize('thermal_px, rgb_px', [
    (np.zeros((0, 2)), np.zeros((0, 2))), (np.zeros((2, 2)), np.zeros((3, 2)))])
def test_landmarks_come_in_pairs(thermal_px, rgb_px):
    with pytest.raises(MetricError, match='as many thermal as RGB landmarks'):
        metrics.landmark_errors(np.eye(3), thermal_px, rgb_px)


def test_an_image_is_like_itself_and_half_as_informative_as_with_two_copies():
    found = metrics.image_similarity(NOISE, NOISE, EVERYTHING)
    entropy = metrics.fusion(NOISE, NOISE, NOISE)['EN']
    assert found == pytest.approx({'RMSE': 0.0, 'SSIM': 1.0, 'MI': entropy, 'NCC': 1.0})


def test_a_brighter_image_differs_by_just_that():
    dark = (NOISE // 2).astype(np.uint8)
    found = metrics.image_similarity(dark + 20, dark, EVERYTHING)
    assert found['RMSE'] == pytest.approx(20.0) and found['NCC'] == pytest.approx(1.0)
    assert metrics.image_similarity(255 - dark, dark, EVERYTHING)['NCC'] == pytest.approx(-1.0)


def test_what_the_registered_image_does_not_cover_does_not_count():
    seen = EVERYTHING.copy()
    seen[:, :30] = False
    spoiled = NOISE.copy()
    spoiled[:, :30] = 0
    found = metrics.image_similarity(spoiled, NOISE, seen)
    assert found['RMSE'] == 0.0 and found['NCC'] == pytest.approx(1.0)
    assert metrics.image_similarity(spoiled, NOISE, EVERYTHING)['RMSE'] > 50
    assert all(math.isnan(value) for value in
               metrics.image_similarity(NOISE, NOISE, np.zeros_like(seen)).values())


def test_likeness_falls_with_misalignment():
    smooth = cv2.GaussianBlur(NOISE, (0, 0), 2)
    values = [metrics.image_similarity(np.roll(smooth, shift, 1), smooth, EVERYTHING)
              for shift in (0, 1, 3)]
    for name, sign in (('RMSE', 1), ('SSIM', -1), ('MI', -1), ('NCC', -1)):
        rising = [sign * value[name] for value in values]
        assert rising == sorted(rising) and rising[0] < rising[-1], name


@pytest.mark.parametrize('change, message', [
    (lambda image: image[:-1], 'must have one shape'),
    (lambda image: image.astype(np.float32), 'must be uint8, got float32'),
])
def test_other_shapes_and_types_are_refused(change, message):
    with pytest.raises(MetricError, match=message):
        metrics.image_similarity(change(NOISE), NOISE, EVERYTHING)
