# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points with ambiguous displacements determine a homography together."""

from __future__ import annotations

from ivf_ros import geometry
from ivf_ros.registration.dfa.displacements import Displacements
import numpy as np
import pytest

SIDE = 11
POINTS = np.stack(np.meshgrid(np.arange(3.5, 320, 16), np.arange(3.5, 240, 16)), -1).reshape(-1, 2)
AXIS = np.arange(SIDE) - SIDE // 2


def displacements(probability):
    total = probability.sum((1, 2), keepdims=True)
    return Displacements(POINTS, (probability / total).astype(np.float32),
                         np.ones(len(POINTS), np.float32), 2.0, len(POINTS))


def ridges(H, across, angles, along=1e3):
    """Return probabilities of points on edges: normal, with deviations in cells for each axis."""
    true_displacement = (geometry.transform_points(H, POINTS) - POINTS) / 2
    x, y = AXIS - true_displacement[:, :1], AXIS - true_displacement[:, 1:]
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    u, v = (cos * x[:, None] + sin * y[:, :, None], cos * y[:, :, None] - sin * x[:, None])
    return np.exp(-0.5 * (u / across) ** 2 - 0.5 * (v / along) ** 2)


H_TRUE = geometry.from_corners(
    geometry.corners_px((320, 240)),
    geometry.corners_px((320, 240)) + ((3.0, -2.0), (-1.5, 1.0), (2.0, 3.5), (-4.0, 1.0)))


def test_a_match_is_the_mean_around_the_maximum_with_its_probability():
    probability = np.zeros((len(POINTS), SIDE, SIDE))
    probability[:, 6, 7], probability[:, 6, 8], probability[:, 0, 0] = 0.35, 0.15, 0.3
    probability[:, 10, 0] = 0.2
    matches = displacements(probability).matches()
    np.testing.assert_allclose(matches.to_px - POINTS, np.tile((4.6, 2.0), (len(POINTS), 1)))
    np.testing.assert_allclose(matches.distinctiveness, 0.5, atol=1e-6)


def test_points_with_a_sharp_maximum_give_the_homography():
    probability = ridges(H_TRUE, 0.6, np.zeros(len(POINTS)), 0.6)
    H = displacements(probability).fit_homography(np.eye(3))
    assert geometry.corner_error_px(H, H_TRUE, (320, 240)) < 0.05


@pytest.mark.parametrize('seed', range(3))
def test_points_on_edges_give_the_homography_in_spite_of_ambiguous_matches(seed):
    random = np.random.default_rng(seed)
    probability = ridges(H_TRUE, 0.6, random.uniform(0, np.pi, len(POINTS)), along=6.0)
    probability *= random.uniform(0.97, 1.03, probability.shape)  # the maximum is anywhere on it
    ambiguous = displacements(probability)
    H = ambiguous.fit_homography(np.eye(3))
    error_px = geometry.corner_error_px(H, H_TRUE, (320, 240))
    matches = ambiguous.matches()
    match_error_px = np.linalg.norm(
        matches.to_px - geometry.transform_points(H_TRUE, POINTS), axis=1)
    assert error_px < 0.4 and np.median(match_error_px) > 1


def test_a_third_of_outliers_has_little_effect():
    random = np.random.default_rng(0)
    probability = ridges(H_TRUE, 0.6, np.zeros(len(POINTS)), 0.6)
    wrong = random.random(len(POINTS)) < 0.33
    probability[wrong] = ridges(np.eye(3), 0.6, np.zeros(len(POINTS)), 0.6)[wrong][:, ::-1, ::-1]
    probability[wrong] = np.roll(probability[wrong], (4, -4), (1, 2))
    H = displacements(probability).fit_homography(np.eye(3))
    assert geometry.corner_error_px(H, H_TRUE, (320, 240)) < 0.3


def test_points_without_weight_do_not_count():
    probability = ridges(H_TRUE, 0.6, np.zeros(len(POINTS)), 0.6)
    half = POINTS[:, 1] > 120
    probability[half] = np.roll(probability[half], 2, 2)
    weight = np.where(half, 0, 1).astype(np.float32)
    normalized = displacements(probability).probability
    H = Displacements(POINTS, normalized, weight, 2.0, len(POINTS)).fit_homography(np.eye(3))
    error_px = geometry.transform_points(H, POINTS) - geometry.transform_points(H_TRUE, POINTS)
    assert np.abs(error_px[~half]).max() < 0.2
