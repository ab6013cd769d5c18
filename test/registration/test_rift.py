# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The phase structure of RIFT is invariant to contrast; the method finds known homographies."""

from __future__ import annotations

import cv2
from drawn_pairs import pair, SIZE
from ivf_ros import geometry, registration
from ivf_ros.data.image_file import read_image
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


def test_the_index_map_distinguishes_orientations_and_ignores_polarity():
    x = np.arange(128, dtype=np.float32)
    wave = np.tile(0.5 + 0.4 * np.sin(2 * np.pi * x / 9), (128, 1)).astype(np.float32)
    along_x = phase_structure(wave).index_map[30:-30, 30:-30]
    along_y = phase_structure(wave.T.copy()).index_map[30:-30, 30:-30]
    modes = [np.bincount(index.ravel(), minlength=6).argmax() for index in (along_x, along_y)]
    assert (modes[0] - modes[1]) % 6 == 3  # 90 degrees; six steps are 180 degrees
    np.testing.assert_array_equal(along_x,
                                  phase_structure(1 - wave).index_map[30:-30, 30:-30])


@pytest.mark.parametrize('H_true', [
    np.eye(3),
    geometry.translation(37.5, -22.0),
    geometry.rotation(np.deg2rad(4), CENTRE),
    geometry.translation(*CENTRE) @ geometry.scaling(1.12, 1.12)
    @ geometry.translation(-CENTRE[0], -CENTRE[1]),
])
def test_a_known_homography_is_found(H_true):
    result = registration.create('rift').register(*pair(H_true))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.5
    assert result.confidence > 0.5 and result.inliers > 50


def test_large_rotations_are_found_with_turns():
    H_true = geometry.rotation(np.deg2rad(58), CENTRE)
    thermal, rgb = pair(H_true, seed=3)
    assert registration.create('rift').register(thermal, rgb).reason
    result = registration.create('rift', turns=3).register(thermal, rgb)
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 2.5


def test_a_prior_restricts_the_positions_of_matches():
    H_true = geometry.translation(60, 0)
    thermal, rgb = pair(H_true)
    rift = registration.create('rift', max_shift=0.03)
    near = rift.register(thermal, rgb, geometry.translation(55, 3))
    assert geometry.corner_error_px(near.H_thermal_to_rgb, H_true, SIZE) < 1.5
    far = rift.register(thermal, rgb, np.eye(3))
    assert far.state is RegistrationState.PRIOR and far.reason
    np.testing.assert_array_equal(far.H_thermal_to_rgb, np.eye(3))


@pytest.mark.parametrize('seed', range(4))
def test_a_wrong_prior_gives_a_rejection(seed):
    thermal, rgb = pair(geometry.translation(60, 0), seed)
    result = registration.create('rift', max_shift=0.03).register(thermal, rgb, np.eye(3))
    assert result.state is RegistrationState.PRIOR and result.reason


def test_unrelated_or_textureless_images_are_rejected():
    rift = registration.create('rift')
    thermal, _ = pair(np.eye(3), seed=1)
    _, rgb = pair(np.eye(3), seed=2)
    assert rift.register(thermal, rgb).state is RegistrationState.LOST
    assert rift.register(np.full((120, 160), 7, np.uint16), rgb).reason == 'textureless'
    with pytest.raises(RegistrationError, match='rgb must be'):
        rift.register(thermal, rgb.astype(np.float32))


def test_no_keypoints_have_no_descriptors_and_no_matches():
    index_map = np.zeros((40, 50), np.uint8)
    empty = Keypoints(np.zeros((0, 2), np.float32), index_map)
    single = Keypoints(np.array([[20, 20]], np.float32), index_map)
    assert empty.describe(12).shape == (0, 216)
    for a, b in ((empty, single), (single, empty)):
        matches = match_mutually(a, b, a.describe(12) @ b.describe(12).T)
        assert len(matches.from_px) == len(matches.to_px) == 0


def test_a_prior_with_a_mirrored_linear_part_has_a_scale():
    corners_px = geometry.corners_px(SIZE)
    prior = geometry.from_corners(corners_px, np.array([(29, 129), (366, 130), (613, 195),
                                                        (96, 197)]))
    assert np.linalg.det(prior[:2, :2]) < 0 and geometry.check(prior, SIZE, SIZE) == ''
    with np.errstate(invalid='raise'):
        result = registration.create('rift').register(*pair(np.eye(3)), prior)
    assert result.state is RegistrationState.PRIOR and result.reason


@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_types_and_odd_sizes(dtype):
    thermal, rgb = pair(geometry.translation(8, 5))
    levels = cv2.normalize(thermal, None, 0, 255, cv2.NORM_MINMAX).astype(dtype)
    result = registration.create('rift').register(levels[:355, :471], rgb[:, :, 0].copy())
    assert geometry.corner_error_px(result.H_thermal_to_rgb, geometry.translation(8, 5),
                                    (471, 355)) < 1.5


def test_the_same_pair_gives_the_same_result():
    thermal, rgb = pair(geometry.translation(5, 5))
    results = [registration.create('rift').register(thermal, rgb) for _ in range(2)]
    np.testing.assert_allclose(*(result.H_thermal_to_rgb for result in results), atol=1e-6)


def test_real_pairs_are_registered(shared_data):
    errors_px = []
    for name in ('FLIR_00311', 'FLIR_04484', 'FLIR_08526'):
        folder = shared_data / 'roadscene' / 'train'
        thermal, rgb = (read_image(folder / camera / f'{name}.jpg')
                        for camera in ('thermal', 'visible'))
        result = registration.create('rift').register(
            thermal if thermal.ndim == 2 else thermal[..., 0], rgb)
        size = rgb.shape[1], rgb.shape[0]
        errors_px.append(geometry.corner_error_px(result.H_thermal_to_rgb, np.eye(3), size))
    assert np.median(errors_px) < 8
