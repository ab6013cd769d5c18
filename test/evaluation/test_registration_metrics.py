# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Landmark errors and the similarity of registered images have values that are known by hand."""

from __future__ import annotations

import math

import cv2
from ivf_ros import geometry
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics import MetricError
import numpy as np
import pytest

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
FULL_COVERAGE = np.ones(NOISE.shape, bool)


def test_landmarks_with_a_known_distance():
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


def test_similarity_of_an_image_with_itself():
    found = metrics.image_similarity(NOISE, NOISE, FULL_COVERAGE)
    entropy = metrics.fusion(NOISE, NOISE, NOISE)['EN']
    assert found == pytest.approx({'RMSE': 0.0, 'SSIM': 1.0, 'MI': entropy, 'NCC': 1.0})


def test_similarity_of_a_brighter_image():
    dark = (NOISE // 2).astype(np.uint8)
    found = metrics.image_similarity(dark + 20, dark, FULL_COVERAGE)
    assert found['RMSE'] == pytest.approx(20.0) and found['NCC'] == pytest.approx(1.0)
    assert metrics.image_similarity(255 - dark, dark, FULL_COVERAGE)['NCC'] == pytest.approx(-1.0)


def test_pixels_without_coverage_do_not_count():
    coverage = FULL_COVERAGE.copy()
    coverage[:, :30] = False
    altered = NOISE.copy()
    altered[:, :30] = 0
    found = metrics.image_similarity(altered, NOISE, coverage)
    assert found['RMSE'] == 0.0 and found['NCC'] == pytest.approx(1.0)
    assert metrics.image_similarity(altered, NOISE, FULL_COVERAGE)['RMSE'] > 50
    assert all(math.isnan(value) for value in
               metrics.image_similarity(NOISE, NOISE, np.zeros_like(coverage)).values())


def test_similarity_falls_with_misalignment():
    smooth = cv2.GaussianBlur(NOISE, (0, 0), 2)
    values = [metrics.image_similarity(np.roll(smooth, shift, 1), smooth, FULL_COVERAGE)
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
        metrics.image_similarity(change(NOISE), NOISE, FULL_COVERAGE)
