# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""RIFT's phase structure ignores contrast, and its keypoints find known mappings."""

from __future__ import annotations

import cv2
from drawn_pairs import pair, SIZE
from ivf_ros import geometry, registration
from ivf_ros.data.folder import read_image
from ivf_ros.registration import RegistrationError
from ivf_ros.registration.rift.features import Keypoints, match_mutually
from ivf_ros.registration.rift.phase_congruency import phase_structure
from ivf_ros.types import RegistrationState
import numpy as np
import pytest

CENTRE = (239.5, 179.5)


def test_phase_congruency_is_highest_at_an_edge_whatever_its_contrast():
    step = np.zeros((96, 128), np.float32)
    step[:, 64:] = 1
    for image in (step, 0.2 * step + 0.3, 1 - step):
        strength = phase_structure(image).edges[20:-20, 20:-20].mean(axis=0)
        assert 20 + strength.argmax() in (63, 64)
        assert strength.max() > 5 * np.median(strength)


def test_the_index_map_tells_orientations_apart_and_ignores_polarity():
    x = np.arange(128, dtype=np.float32)
    upright = np.tile(0.5 + 0.4 * np.sin(2 * np.pi * x / 9), (128, 1)).astype(np.float32)
    of_upright = phase_structure(upright).index_map[30:-30, 30:-30]
    of_level = phase_structure(upright.T.copy()).index_map[30:-30, 30:-30]
    most = [np.bincount(index.ravel(), minlength=6).argmax() for index in (of_upright, of_level)]
    assert (most[0] - most[1]) % 6 == 3  # a quarter turn, of six steps a half turn
    np.testing.assert_array_equal(of_upright,
                                  phase_structure(1 - upright).index_map[30:-30, 30:-30])


@pytest.mark.parametrize('H_true', [
    np.eye(3),
    geometry.translation(37.5, -22.0),
    geometry.rotation(np.deg2rad(4), CENTRE),
    geometry.translation(*CENTRE) @ geometry.scaling(1.12, 1.12)
    @ geometry.translation(-CENTRE[0], -CENTRE[1]),
])
def test_a_known_mapping_is_found(H_true):
    found = registration.create('rift').register(*pair(H_true))
    assert found.state is RegistrationState.TRACKING, found.reason
    assert geometry.corner_error_px(found.H_thermal_to_rgb, H_true, SIZE) < 1.5
    assert found.confidence > 0.5 and found.inliers > 50


def test_any_rotation_is_found_where_turns_are_tried():
    H_true = geometry.rotation(np.deg2rad(58), CENTRE)
    thermal, rgb = pair(H_true, seed=3)
    assert registration.create('rift').register(thermal, rgb).reason
    found = registration.create('rift', turns=3).register(thermal, rgb)
    assert geometry.corner_error_px(found.H_thermal_to_rgb, H_true, SIZE) < 2.5


def test_a_prior_restricts_where_matches_may_lie():
    H_true = geometry.translation(60, 0)
    thermal, rgb = pair(H_true)
    rift = registration.create('rift', max_shift=0.03)
    near = rift.register(thermal, rgb, geometry.translation(55, 3))
    assert geometry.corner_error_px(near.H_thermal_to_rgb, H_true, SIZE) < 1.5
    far = rift.register(thermal, rgb, np.eye(3))
    assert far.state is RegistrationState.PRIOR and far.reason
    np.testing.assert_array_equal(far.H_thermal_to_rgb, np.eye(3))


@pytest.mark.parametrize('seed', range(4))
def test_a_wrong_prior_leads_to_no_answer(seed):
    thermal, rgb = pair(geometry.translation(60, 0), seed)
    found = registration.create('rift', max_shift=0.03).register(thermal, rgb, np.eye(3))
    assert found.state is RegistrationState.PRIOR and found.reason


def test_what_shares_nothing_or_shows_nothing_is_refused():
    rift = registration.create('rift')
    thermal, _ = pair(np.eye(3), seed=1)
    _, rgb = pair(np.eye(3), seed=2)
    assert rift.register(thermal, rgb).state is RegistrationState.LOST
    assert rift.register(np.full((120, 160), 7, np.uint16), rgb).reason == 'textureless'
    with pytest.raises(RegistrationError, match='rgb must be'):
        rift.register(thermal, rgb.astype(np.float32))


def test_no_keypoints_have_no_descriptors_and_no_matches():
    index_map = np.zeros((40, 50), np.uint8)
    none = Keypoints(np.zeros((0, 2), np.float32), index_map)
    one = Keypoints(np.array([[20, 20]], np.float32), index_map)
    assert none.describe(12).shape == (0, 216)
    for a, b in ((none, one), (one, none)):
        matches = match_mutually(a, b, a.describe(12) @ b.describe(12).T)
        assert len(matches.from_px) == len(matches.to_px) == 0


def test_a_prior_whose_linear_part_alone_is_mirrored_has_a_scale_all_the_same():
    corners_px = geometry.corners_px(SIZE)
    prior = geometry.from_corners(corners_px, np.array([(29, 129), (366, 130), (613, 195),
                                                        (96, 197)]))
    assert np.linalg.det(prior[:2, :2]) < 0 and geometry.check(prior, SIZE, SIZE) == ''
    with np.errstate(invalid='raise'):
        found = registration.create('rift').register(*pair(np.eye(3)), prior)
    assert found.state is RegistrationState.PRIOR and found.reason


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_types_and_odd_sizes(dtype):
    thermal, rgb = pair(geometry.translation(8, 5))
    levels = cv2.normalize(thermal, None, 0, 255, cv2.NORM_MINMAX).astype(dtype)
    found = registration.create('rift').register(levels[:355, :471], rgb[:, :, 0].copy())
    assert geometry.corner_error_px(found.H_thermal_to_rgb, geometry.translation(8, 5),
                                    (471, 355)) < 1.5


def test_the_same_pair_gives_the_same_answer():
    thermal, rgb = pair(geometry.translation(5, 5))
    answers = [registration.create('rift').register(thermal, rgb) for _ in range(2)]
    np.testing.assert_allclose(*(answer.H_thermal_to_rgb for answer in answers), atol=1e-6)


def test_real_pairs_are_found(shared_data):
    errors_px = []
    for name in ('FLIR_00311', 'FLIR_04484', 'FLIR_08526'):
        folder = shared_data / 'roadscene' / 'train'
        thermal, rgb = (read_image(folder / kind / f'{name}.jpg')
                        for kind in ('thermal', 'visible'))
        found = registration.create('rift').register(
            thermal if thermal.ndim == 2 else thermal[..., 0], rgb)
        size = rgb.shape[1], rgb.shape[0]
        errors_px.append(geometry.corner_error_px(found.H_thermal_to_rgb, np.eye(3), size))
    assert np.median(errors_px) < 8
