# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The misalignments stay within the limits of their sets and are reproducible."""

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


@pytest.mark.parametrize('warp_set, max_shift_px', [('medium', 32), ('large', 64)])
def test_corner_shifts_fill_the_range_of_the_set(warp_set, max_shift_px):
    shifts_px = np.abs(corner_shifts_px(warp_set))
    assert 0.95 * max_shift_px < shifts_px.max() <= max_shift_px + 1e-6
    assert shifts_px.mean() == pytest.approx(max_shift_px / 2, rel=0.1)


def test_the_maximum_shift_is_proportional_to_the_width():
    np.testing.assert_allclose(2 * corner_shifts_px('large', (320, 240)),
                               corner_shifts_px('large'), atol=1e-6)


def test_rig_misalignments_have_the_documented_scale_rotation_and_shift():
    centre_px = np.array([[319.5, 239.5]])
    step = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    scales, angles_deg, shifts = [], [], []
    for seed in SEEDS:
        H = random_homography('rig', SIZE, seed)
        neighbours_px = geometry.transform_points(H, centre_px + step)
        along_x = (neighbours_px[0] - neighbours_px[2]) / 2
        scales.append(np.linalg.norm(along_x))
        angles_deg.append(np.rad2deg(np.arctan2(along_x[1], along_x[0])))
        shifts.append((geometry.transform_points(H, centre_px) - centre_px)[0] / SIZE)
        assert not geometry.check(H, SIZE, SIZE)
    assert 0.79 < min(scales) < 0.83 and 1.2 < max(scales) < 1.26
    assert np.median(scales) == pytest.approx(1.0, abs=0.03)  # as often larger as smaller
    assert -5.01 < min(angles_deg) < -4.5 and 4.5 < max(angles_deg) < 5.01
    assert np.abs(shifts).max() <= 0.1 + 1e-9


@pytest.mark.parametrize('warp_set', WARP_SETS)
def test_homographies_are_reproducible_and_differ_between_seeds_and_sets(warp_set):
    first = random_homography(warp_set, SIZE, 7)
    np.testing.assert_array_equal(first, random_homography(warp_set, SIZE, 7))
    others = [random_homography(warp_set, SIZE, 8),
              *(random_homography(name, SIZE, 7) for name in WARP_SETS if name != warp_set)]
    for other in others:
        assert geometry.corner_error_px(first, other, SIZE) > 1


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_the_homography_reverts_the_misalignment(dtype):
    noise = np.random.default_rng(0).uniform(0, 200, (48, 64)).astype(np.float32)
    thermal = cv2.GaussianBlur(noise, (0, 0), 3).astype(dtype)
    H = random_homography('medium', (64, 48), 1)
    misaligned = misalign(thermal, H)
    assert misaligned.dtype == dtype and misaligned.shape == thermal.shape
    registered = geometry.warp(misaligned, H, (64, 48))
    inside = cv2.erode(geometry.coverage(H, (64, 48), (64, 48)).astype(np.uint8),
                       np.ones((5, 5), np.uint8)) > 0
    difference = np.abs(registered.astype(float) - thermal)[inside]
    assert difference.mean() < 1.0 < np.abs(misaligned.astype(float) - thermal)[inside].mean()


def test_an_unknown_set_is_refused():
    with pytest.raises(WarpError, match="unknown set 'huge'; known: medium, large, rig"):
        random_homography('huge', SIZE, 0)
