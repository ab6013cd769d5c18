# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points that may lie anywhere along an edge, or in two places, fix a homography together."""

from __future__ import annotations

from ivf_ros import geometry
from ivf_ros.registration.dfa.displacements import Displacements
import numpy as np
import pytest

SIDE = 11
PLACES = np.stack(np.meshgrid(np.arange(3.5, 320, 16), np.arange(3.5, 240, 16)), -1).reshape(-1, 2)
AXIS = np.arange(SIDE) - SIDE // 2


def displacements(probability):
    total = probability.sum((1, 2), keepdims=True)
    return Displacements(PLACES, (probability / total).astype(np.float32),
                         np.ones(len(PLACES), np.float32), 2.0, len(PLACES))


def ridges(H, across, angles, along=1e3):
    """Return what is seen of edges: a normal deviation, in cells, across and along each."""
    moved = (geometry.transform_points(H, PLACES) - PLACES) / 2
    x, y = AXIS - moved[:, :1], AXIS - moved[:, 1:]
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    u, v = (cos * x[:, None] + sin * y[:, :, None], cos * y[:, :, None] - sin * x[:, None])
    return np.exp(-0.5 * (u / across) ** 2 - 0.5 * (v / along) ** 2)


H_TRUE = geometry.from_corners(
    geometry.corners_px((320, 240)),
    geometry.corners_px((320, 240)) + ((3.0, -2.0), (-1.5, 1.0), (2.0, 3.5), (-4.0, 1.0)))


def test_a_match_is_the_mean_around_the_highest_and_its_share():
    probability = np.zeros((len(PLACES), SIDE, SIDE))
    probability[:, 6, 7], probability[:, 6, 8], probability[:, 0, 0] = 0.35, 0.15, 0.3
    probability[:, 10, 0] = 0.2
    matches = displacements(probability).matches()
    np.testing.assert_allclose(matches.to_px - PLACES, np.tile((4.6, 2.0), (len(PLACES), 1)))
    np.testing.assert_allclose(matches.distinctiveness, 0.5, atol=1e-6)


def test_points_that_are_well_seen_give_the_homography():
    flat = ridges(H_TRUE, 0.6, np.zeros(len(PLACES)), 0.6)
    found = displacements(flat).fitted(np.eye(3))
    assert geometry.corner_error_px(found, H_TRUE, (320, 240)) < 0.05


@pytest.mark.parametrize('seed', range(3))
def test_points_on_edges_give_it_too_where_their_best_places_alone_do_not(seed):
    random = np.random.default_rng(seed)
    seen = ridges(H_TRUE, 0.6, random.uniform(0, np.pi, len(PLACES)), along=6.0)
    seen *= random.uniform(0.97, 1.03, seen.shape)  # so that the best place is anywhere on it
    seen = displacements(seen)
    found = seen.fitted(np.eye(3))
    error_px = geometry.corner_error_px(found, H_TRUE, (320, 240))
    matches = seen.matches()
    alone_px = np.linalg.norm(matches.to_px - geometry.transform_points(H_TRUE, PLACES), axis=1)
    assert error_px < 0.4 and np.median(alone_px) > 1


def test_a_third_of_points_that_say_something_else_hardly_matters():
    random = np.random.default_rng(0)
    seen = ridges(H_TRUE, 0.6, np.zeros(len(PLACES)), 0.6)
    wrong = random.random(len(PLACES)) < 0.33
    seen[wrong] = ridges(np.eye(3), 0.6, np.zeros(len(PLACES)), 0.6)[wrong][:, ::-1, ::-1]
    seen[wrong] = np.roll(seen[wrong], (4, -4), (1, 2))
    found = displacements(seen).fitted(np.eye(3))
    assert geometry.corner_error_px(found, H_TRUE, (320, 240)) < 0.3


def test_points_without_weight_do_not_count():
    seen = ridges(H_TRUE, 0.6, np.zeros(len(PLACES)), 0.6)
    half = PLACES[:, 1] > 120
    seen[half] = np.roll(seen[half], 2, 2)
    weight = np.where(half, 0, 1).astype(np.float32)
    made = displacements(seen)
    found = Displacements(PLACES, made.probability, weight, 2.0, len(PLACES)).fitted(np.eye(3))
    apart = geometry.transform_points(found, PLACES) - geometry.transform_points(H_TRUE, PLACES)
    assert np.abs(apart[~half]).max() < 0.2
