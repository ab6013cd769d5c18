# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The misalignments are what their sets promise, and the same for everyone."""

from __future__ import annotations

import cv2
from ivf_ros import geometry
from ivf_ros.data.misalignment import misalign, random_homography, WARP_SETS, WarpError
import numpy as np
import pytest

SIZE = (640, 480)
SEEDS = range(200)


def corner_shifts_px(warp_set, size=SIZE):
    corners = geometry.corners_px(size)
    return np.array([geometry.transform_points(random_homography(warp_set, size, seed), corners)
                     - corners for seed in SEEDS])


@pytest.mark.parametrize('warp_set, reach_px', [('medium', 32), ('large', 64)])
def test_corners_move_up_to_the_reach_of_the_set_and_use_all_of_it(warp_set, reach_px):
    shifts_px = np.abs(corner_shifts_px(warp_set))
    assert 0.95 * reach_px < shifts_px.max() <= reach_px + 1e-6
    assert shifts_px.mean() == pytest.approx(reach_px / 2, rel=0.1)


def test_the_reach_is_in_proportion_to_the_width():
    np.testing.assert_allclose(2 * corner_shifts_px('large', (320, 240)),
                               corner_shifts_px('large'), atol=1e-6)


def test_a_rig_differs_by_scale_rotation_shift_and_little_perspective():
    middle_px = np.array([[319.5, 239.5]])
    step = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    scales, angles_deg, shifts = [], [], []
    for seed in SEEDS:
        H = random_homography('rig', SIZE, seed)
        around = geometry.transform_points(H, middle_px + step)
        along_x = (around[0] - around[2]) / 2
        scales.append(np.linalg.norm(along_x))
        angles_deg.append(np.rad2deg(np.arctan2(along_x[1], along_x[0])))
        shifts.append((geometry.transform_points(H, middle_px) - middle_px)[0] / SIZE)
        assert not geometry.check(H, SIZE, SIZE)
    assert 0.79 < min(scales) < 0.83 and 1.2 < max(scales) < 1.26
    assert np.median(scales) == pytest.approx(1.0, abs=0.03)  # as often larger as smaller
    assert -5.01 < min(angles_deg) < -4.5 and 4.5 < max(angles_deg) < 5.01
    assert np.abs(shifts).max() <= 0.1 + 1e-9


@pytest.mark.parametrize('warp_set', WARP_SETS)
def test_a_seed_stands_for_one_homography_and_for_another_in_another_set(warp_set):
    first = random_homography(warp_set, SIZE, 7)
    np.testing.assert_array_equal(first, random_homography(warp_set, SIZE, 7))
    others = [random_homography(warp_set, SIZE, 8),
              *(random_homography(name, SIZE, 7) for name in WARP_SETS if name != warp_set)]
    for other in others:
        assert geometry.corner_error_px(first, other, SIZE) > 1


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_registering_the_misaligned_image_by_the_homography_gives_the_image_back(dtype):
    noise = np.random.default_rng(0).uniform(0, 200, (48, 64)).astype(np.float32)
    thermal = cv2.GaussianBlur(noise, (0, 0), 3).astype(dtype)
    H = random_homography('medium', (64, 48), 1)
    seen = misalign(thermal, H)
    assert seen.dtype == dtype and seen.shape == thermal.shape
    back = geometry.warp(seen, H, (64, 48))
    inside = cv2.erode(geometry.coverage(H, (64, 48), (64, 48)).astype(np.uint8),
                       np.ones((5, 5), np.uint8)) > 0
    difference = np.abs(back.astype(float) - thermal)[inside]
    assert difference.mean() < 1.0 < np.abs(seen.astype(float) - thermal)[inside].mean()


def test_an_unknown_set_is_refused():
    with pytest.raises(WarpError, match="unknown set 'huge'; known: medium, large, rig"):
        random_homography('huge', SIZE, 0)
