# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Registration of single pairs: known homographies are found, other pairs are rejected."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
import sys
import time

import cv2
from ivf_ros import geometry, registration
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.nn.devices import onnx_runtime
from ivf_ros.nn.errors import DeviceError
from ivf_ros.parameters import build, ParameterError
from ivf_ros.registration import matching, point_matches, RegistrationError
from ivf_ros.registration.features import rotate_features, structure
from ivf_ros.registration.inputs import limit_width, normalize_contrast, RegistrationRequest
from ivf_ros.registration.refinement import refine
from ivf_ros.types import RegistrationState
import numpy as np
import pytest

SIZE = (640, 480)
CENTRE = (319.5, 239.5)
EYE = np.eye(3)
DENSE = ('dense', 'fast')  # the methods that match blocks from coarse to fine
IDENTITY_K = (500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0)


def draw_scene(seed: int, size: tuple[int, int] = (1000, 800)) -> np.ndarray:
    """Draw boxes, discs and poles of random brightness: ``(H, W)`` float32 from 0 to 1."""
    rng = np.random.default_rng(seed)
    image = np.full(size[::-1], 0.5, np.float32)
    for shape in rng.integers(0, 3, 260):
        x, y = (int(v) for v in rng.uniform((0, 0), size))
        w, h = (int(v) for v in rng.uniform(8, 90, 2))
        shade = float(rng.uniform(0, 1))
        if shape == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), shade, -1)
        elif shape == 1:
            cv2.circle(image, (x, y), w // 3, shade, -1)
        else:
            cv2.line(image, (x, y), (x + w - 45, y + h), shade, 3)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def render(scene: np.ndarray, H_to_camera: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Render the image of a camera whose view is inside the scene."""
    shift = geometry.translation(-180, -160)
    return geometry.warp(scene, H_to_camera @ shift, size, cv2.INTER_CUBIC)


def pair(H_thermal_to_rgb: np.ndarray, seed: int = 0, *, cosine: bool = False):
    """Make a thermal image of 16-bit counts with inverted or folded contrast, and a BGR image."""
    scene = draw_scene(seed)
    heat = 0.5 + 0.5 * np.cos(5 * scene) if cosine else 1 - scene
    thermal = render(heat.astype(np.float32), np.linalg.inv(H_thermal_to_rgb))
    noise = np.random.default_rng(seed).normal(0, 4, thermal.shape)
    rgb = np.clip(render(scene, EYE) * 220 + 20, 0, 255).astype(np.uint8)
    return (30000 + 800 * thermal + noise).astype(np.uint16), np.dstack([rgb] * 3)


def about_centre(H: np.ndarray) -> np.ndarray:
    return geometry.translation(*CENTRE) @ H @ geometry.translation(-CENTRE[0], -CENTRE[1])


def random_corners(seed: int, reach_px: float) -> np.ndarray:
    corners = geometry.corners_px(SIZE)
    moves = np.random.default_rng(seed).uniform(-reach_px, reach_px, (4, 2))
    return geometry.from_corners(corners, corners + moves)


@pytest.mark.parametrize('method', DENSE)
@pytest.mark.parametrize('H_true', [
    EYE,
    geometry.translation(40, -30),
    geometry.translation(-63.4, 12.7),
    about_centre(geometry.scaling(1.22, 1.22)),
    about_centre(geometry.scaling(0.82, 0.82)),
    geometry.rotation(np.deg2rad(5), CENTRE),
    geometry.rotation(np.deg2rad(-5), CENTRE),
    about_centre(geometry.translation(30, 20) @ geometry.rotation(0.07)
                 @ geometry.scaling(1.15, 1.15)),
    about_centre(geometry.normalize_homography(
        np.array([[1, 0, 0], [0, 1, 0], [1e-4, -8e-5, 1]]))),
    random_corners(1, 32),
    random_corners(2, 32),
])
@pytest.mark.parametrize('cosine', [False, True], ids=['inverted', 'folded contrast'])
def test_a_known_homography_is_found_without_a_prior(H_true, cosine, method):
    result = registration.create(method).register(*pair(H_true, cosine=cosine))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0
    assert result.H_thermal_to_rgb[2, 2] == 1 and result.H_thermal_to_rgb.dtype == np.float64
    assert result.rgb_size == SIZE and result.age_s == 0 and result.reason == ''
    assert result.inliers > 50 and 0.8 < result.confidence <= 1


@pytest.mark.parametrize('method', DENSE)
@pytest.mark.parametrize('seed', range(3))
def test_near_a_prior_no_global_search_is_needed(seed, method):
    H_true = random_corners(seed, 32)
    prior = geometry.translation(9, -7) @ H_true
    local = registration.create(method, global_search='never')
    result = local.register(*pair(H_true, seed), prior=prior)
    assert result.state is RegistrationState.TRACKING
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0


@pytest.mark.parametrize('method', DENSE)
def test_a_wrong_prior_is_corrected(method):
    H_true = geometry.rotation(np.deg2rad(4), CENTRE)
    prior = about_centre(geometry.translation(55, 20) @ geometry.scaling(0.85, 0.85))
    assert geometry.corner_error_px(prior, H_true, SIZE) > 60
    result = registration.create(method).register(*pair(H_true), prior=prior)
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0


@pytest.mark.parametrize('parameters', [
    {'work_px': 240}, {'work_px': 1280}, {'global_search': 'always'}, {'refinement_steps': 0},
    {'scale_steps': 1, 'rotation_steps': 1, 'candidates': 1},
])
def test_dense_works_over_the_range_of_its_parameters(parameters):
    H_true = geometry.translation(31, -18)
    result = registration.create('dense', **parameters).register(*pair(H_true))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 2.5


@pytest.mark.parametrize('parameters', [
    {'work_px': 256}, {'work_px': 640}, {'global_search': 'always'}, {'refinement_steps': 0},
    {'candidates': 1, 'max_scale': 1.0, 'max_rotation_deg': 0.0}, {'precision': 'float32'},
])
def test_fast_works_over_the_range_of_its_parameters(parameters):
    H_true = geometry.translation(31, -18)
    result = registration.create('fast', **parameters).register(*pair(H_true))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 2.5


def test_fast_registers_a_rotated_camera_with_its_prior():
    """A thermal camera that is mounted upside down needs a prior only."""
    H_true = geometry.rotation(np.pi, CENTRE) @ geometry.translation(14, -9)
    result = registration.create('fast').register(
        *pair(H_true), prior=geometry.rotation(np.pi, CENTRE))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0


def test_without_a_runtime_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    onnx_runtime.cache_clear()
    with pytest.raises(DeviceError, match="needs 'onnxruntime'; pip install onnxruntime"):
        registration.create('fast', threads=3)


@pytest.mark.parametrize('method', DENSE)
def test_the_same_images_give_the_same_result(method):
    images = pair(random_corners(5, 32), 5)
    first, second = (registration.create(method).register(*images) for _ in range(2))
    # except for the order of summation in vector units
    np.testing.assert_allclose(first.H_thermal_to_rgb, second.H_thermal_to_rgb, atol=1e-5)
    assert first.confidence == pytest.approx(second.confidence, abs=1e-5)


@pytest.mark.parametrize('method', DENSE)
def test_absolute_counts_contrast_and_dead_pixels_do_not_matter(method):
    H_true = geometry.translation(21, -14)
    thermal, rgb = pair(H_true)
    celsius = (thermal * 0.01 - 273.15).astype(np.float32)
    celsius[::97, ::89] = np.nan
    celsius[5, 5], celsius[6, 9] = 1e9, np.inf
    result = registration.create(method).register(celsius, rgb)
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0


@pytest.mark.parametrize('method', DENSE)
@pytest.mark.parametrize('thermal_size, rgb_size', [
    ((160, 120), (1920, 1080)),
    ((640, 512), (1280, 720)),
    ((321, 243), (777, 581)),  # odd
    ((1280, 1024), (640, 480)),  # thermal has the higher resolution
    ((256, 192), (480, 640)),  # upright RGB
])
def test_any_two_resolutions_are_registered(thermal_size, rgb_size, method):
    thermal, rgb = pair(geometry.translation(24, -16))
    small = cv2.resize(thermal, thermal_size, interpolation=cv2.INTER_AREA)
    other = cv2.resize(rgb, rgb_size, interpolation=cv2.INTER_AREA)
    H_true = geometry.rescale_homography(
        geometry.translation(24, -16), (thermal_size[0] / 640, thermal_size[1] / 480),
        (rgb_size[0] / 640, rgb_size[1] / 480))
    result = registration.create(method).register(small, other)
    error = geometry.corner_error_px(result.H_thermal_to_rgb, H_true, thermal_size)
    assert result.state is RegistrationState.TRACKING, result.reason
    assert error * 640 / rgb_size[0] < 1.5


@pytest.mark.parametrize('scale, shift_px', [(1.36, (0, 0)), (1.25, (-30, 22)), (1.5, (40, -10))])
@pytest.mark.parametrize('method', DENSE)
def test_a_wide_rgb_camera_beside_a_thermal_one_of_another_shape(method, scale, shift_px):
    """Both have square pixels, so the plain resize of thermal to the RGB size is wrong."""
    thermal_size, rgb_size = (640, 512), (1280, 720)
    H_true = geometry.translation(639.5 + shift_px[0], 359.5 + shift_px[1]) \
        @ geometry.scaling(scale, scale) @ geometry.translation(-319.5, -255.5)
    scene = draw_scene(6, (1900, 1300))
    shift = geometry.translation(-300, -280)
    rgb = geometry.warp(scene, shift, rgb_size)
    thermal = geometry.warp(1 - scene, np.linalg.inv(H_true) @ shift, thermal_size, cv2.INTER_AREA)
    result = registration.create(method).register(
        thermal, np.clip(255 * rgb, 0, 255).astype(np.uint8))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, thermal_size) < 2.0


@pytest.mark.parametrize('method', DENSE)
def test_a_narrow_thermal_view_needs_its_prior(method):
    H_true = geometry.translation(200, 150) @ geometry.scaling(0.4, 0.4)
    scene = draw_scene(3, (2500, 2000))
    shift = geometry.translation(-600, -600)
    rgb = geometry.warp(scene, geometry.scaling(0.4, 0.4) @ shift, SIZE, cv2.INTER_AREA)
    thermal = geometry.warp(1 - scene, np.linalg.inv(H_true) @ geometry.scaling(0.4, 0.4) @ shift,
                            SIZE, cv2.INTER_CUBIC)
    rgb = np.clip(255 * rgb, 0, 255).astype(np.uint8)
    result = registration.create(method).register(thermal, rgb,
                                                  geometry.translation(4, 3) @ H_true)
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.0


@pytest.mark.parametrize('method', DENSE)
def test_gray_rgb_gives_the_same_result(method):
    thermal, rgb = pair(geometry.translation(10, 4))
    gray = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    colour, plain = (registration.create(method).register(thermal, image)
                     for image in (rgb, gray))
    np.testing.assert_allclose(colour.H_thermal_to_rgb, plain.H_thermal_to_rgb, atol=1e-5)


@pytest.mark.parametrize('method', DENSE)
@pytest.mark.parametrize('prior', [None, EYE], ids=['no prior', 'prior'])
@pytest.mark.parametrize('seed', range(4))
def test_unrelated_images_are_rejected(seed, prior, method):
    thermal, _ = pair(EYE, seed)
    _, rgb = pair(EYE, seed + 50)
    result = registration.create(method).register(thermal, rgb, prior)
    assert result.reason
    assert result.state is (RegistrationState.LOST if prior is None else RegistrationState.PRIOR)
    np.testing.assert_array_equal(result.H_thermal_to_rgb, EYE)  # prior and plain resize


@pytest.mark.parametrize('method', DENSE)
@pytest.mark.parametrize('thermal', [
    np.zeros((480, 640), np.uint16),
    np.full((480, 640), 30000, np.uint16),
    np.full((480, 640), np.nan, np.float32),
    np.full((480, 640), np.inf, np.float64),
], ids=['black', 'flat', 'nan', 'inf'])
def test_images_without_texture_are_rejected_as_textureless(thermal, method):
    _, rgb = pair(EYE)
    for prior, state in ((None, RegistrationState.LOST),
                         (geometry.stretch(thermal.shape[::-1], SIZE), RegistrationState.PRIOR)):
        result = registration.create(method).register(thermal, rgb, prior)
        assert (result.reason, result.state) == ('textureless', state)
        assert np.isfinite(result.H_thermal_to_rgb).all()


MEASURING = [method for method in registration.methods() if method != 'calibrated']
TOO_SMALL = 'image too small: {} is {}x{}, registration needs sides of at least 24 pixels'
TOO_NARROW = ('image too narrow: {} is {}x{}, registration needs a longer side of at most 4 times '
              'the shorter one')


@pytest.mark.parametrize('method', MEASURING)
@pytest.mark.parametrize('stream, size, reason', [
    ('thermal', (1, 1), TOO_SMALL), ('thermal', (1, 480), TOO_SMALL),
    ('thermal', (7, 48), TOO_SMALL), ('thermal', (7, 120), TOO_SMALL),
    ('thermal', (640, 23), TOO_SMALL), ('thermal', (23, 24), TOO_SMALL),
    ('thermal', (24, 97), TOO_NARROW), ('thermal', (641, 160), TOO_NARROW),
    ('rgb', (23, 23), TOO_SMALL), ('rgb', (8000, 1000), TOO_NARROW),
    ('thermal', (24, 24), ''), ('thermal', (24, 96), ''), ('rgb', (640, 160), ''),
])
def test_the_least_sides_and_the_greatest_aspect_ratio(method, stream, size, reason):
    sizes = {'thermal': SIZE, 'rgb': SIZE, stream: size}
    request = RegistrationRequest(sizes['thermal'], sizes['rgb'], None)
    assert request.check_input() == reason.format(stream, *size)
    if not reason:
        return
    noise = np.random.default_rng(0)
    thermal = noise.integers(7000, 9000, sizes['thermal'][::-1]).astype(np.uint16)
    rgb = noise.integers(0, 255, (*sizes['rgb'][::-1], 3)).astype(np.uint8)
    registrar = registration.create(method)
    for prior, state in ((None, 'LOST'), (geometry.stretch(*sizes.values()), 'PRIOR')):
        start_s = time.process_time()
        result = registrar.register(thermal, rgb, prior)
        assert time.process_time() - start_s < 1.0
        assert (result.state, result.reason) == (state, reason.format(stream, *size))
        np.testing.assert_array_equal(result.H_thermal_to_rgb, geometry.stretch(*sizes.values()))


@pytest.mark.parametrize('work_px, size, width', [
    (320, (640, 480), 320), (320, (480, 640), 320), (320, (240, 480), 320),
    (320, (120, 480), 320 / np.sqrt(2)), (160, (10, 80), 80),
])
def test_the_work_of_a_high_image_is_that_of_twice_its_width(work_px, size, width):
    assert limit_width(work_px, size) == pytest.approx(width)
    assert limit_width(work_px, size) ** 2 * size[1] / size[0] <= 2 * work_px ** 2 * (1 + 1e-9)


@pytest.mark.parametrize('size', [(24, 24), (32, 24), (160, 120)])
@pytest.mark.parametrize('method', DENSE)
def test_noise_is_not_registered(method, size):
    """Four pairs of each kind: noise in pixels, in columns, and smooth, and a gradient."""
    registrar, (_, rgb) = registration.create(method), pair(EYE, 4)
    random = np.random.default_rng(size[0])
    width, height = size
    for index in range(4):
        white = random.normal(0, 1, (height, width)).astype(np.float32)
        column = 3 * random.normal(0, 1, (1, width)).astype(np.float32) + white
        smooth = cv2.GaussianBlur(white, (0, 0), max(1.0, width / 40))
        gradient = np.linspace(0, 30, width) + np.linspace(0, 20, height)[:, None] + 0.1 * white
        prior = None if index % 2 else geometry.stretch(size, SIZE)
        for thermal in (white, column, smooth, gradient.astype(np.float32)):
            result = registrar.register(thermal, rgb, prior)
            assert result.state is not RegistrationState.TRACKING
        noise = random.integers(0, 255, (height, width, 3)).astype(np.uint8)
        assert registrar.register(column, noise, None).state is RegistrationState.LOST


@pytest.mark.parametrize('method', DENSE)
def test_flat_rgb_is_textureless_and_noise_is_rejected(method):
    thermal, rgb = pair(EYE)
    registrar = registration.create(method)
    assert registrar.register(thermal, np.full_like(rgb, 9)).reason == 'textureless'
    noise = np.random.default_rng(0).normal(3e4, 5, thermal.shape).astype(np.uint16)
    assert registrar.register(noise, rgb).state is RegistrationState.LOST


@pytest.mark.parametrize('method', DENSE)
def test_an_implausible_prior_is_rejected(method):
    prior = geometry.translation(5000, 0)
    result = registration.create(method).register(*pair(EYE), prior=prior)
    assert result.state is RegistrationState.PRIOR
    assert result.reason.startswith('implausible prior: off the image')


RGB = np.zeros((8, 8, 3), np.uint8)
THERMAL = np.zeros((8, 8), np.uint16)


@pytest.mark.parametrize('thermal, rgb, message', [
    (np.zeros((8, 8, 3), np.uint8), RGB, r'thermal must be \(H, W\).*got \(8, 8, 3\) uint8'),
    (np.zeros((8, 8), np.int32), RGB, 'uint16.*got .*int32'),
    (np.zeros((0, 8), np.uint16), RGB, r'got \(0, 8\)'),
    (THERMAL.tolist(), RGB, 'thermal must be a numpy array, got list'),
    (THERMAL, np.zeros((8, 8, 4), np.uint8), r'rgb must be \(H, W, 3\).*got \(8, 8, 4\)'),
    (THERMAL, np.zeros((8, 8, 3), np.uint16), 'got .* uint16'),
    (THERMAL, np.zeros(8, np.uint8), r'got \(8,\)'),
    (THERMAL, None, 'rgb must be a numpy array, got NoneType'),
])
@pytest.mark.parametrize('method', registration.methods())
def test_images_of_a_wrong_shape_or_type_are_errors(method, thermal, rgb, message):
    with pytest.raises(RegistrationError, match=message):
        registration.create(method).register(thermal, rgb)


@pytest.mark.parametrize('prior', [np.eye(2), np.full((3, 3), np.nan), np.zeros((3, 3)), 'H'])
@pytest.mark.parametrize('method', registration.methods())
def test_priors_that_are_not_homographies_are_errors(method, prior):
    with pytest.raises(RegistrationError, match='prior'):
        registration.create(method).register(THERMAL, RGB, prior)


def test_unknown_names_are_errors_that_list_the_allowed_names():
    with pytest.raises(ParameterError, match=r"one of calibrated, dense, .*, got 'sift'"):
        registration.create('sift')
    with pytest.raises(ParameterError, match="unknown parameter 'speed'"):
        registration.create('dense', speed=1)
    with pytest.raises(ParameterError, match='at least 240'):
        registration.create('dense', work_px=10)


@pytest.mark.parametrize('parameters, prior, expected, confident', [
    # a homography has priority, and its scale has no effect
    ({'H_thermal_to_rgb': (2, 0, 10, 0, 2, 4, 0, 0, 2), 'K_rgb': IDENTITY_K,
      'K_thermal': IDENTITY_K}, None, geometry.translation(5, 2), True),
    # intrinsics and a baseline: f b / d = 500 * 0.1 / 10
    ({'K_thermal': IDENTITY_K, 'K_rgb': IDENTITY_K, 't_thermal_to_rgb_m': (0.1, 0, 0),
      'plane_distance_m': 10.0}, None, geometry.translation(5, 0), True),
    # a distant scene has no parallax
    ({'K_thermal': IDENTITY_K, 'K_rgb': IDENTITY_K, 't_thermal_to_rgb_m': (0.1, 0, 0)},
     None, EYE, True),
    # without calibration: the prior of the caller, or the plain resize
    ({}, geometry.translation(1, 2), geometry.translation(1, 2), True),
    ({}, None, EYE, False),
    # the images are known to show the same view
    ({'aligned': True}, None, EYE, True),
    ({'aligned': True}, geometry.translation(1, 2), geometry.translation(1, 2), True),
])
def test_calibrated_returns_its_calibration(parameters, prior, expected, confident):
    images = np.zeros((480, 640), np.uint16), np.zeros((480, 640, 3), np.uint8)
    result = registration.create('calibrated', **parameters).register(*images, prior=prior)
    assert result.state is RegistrationState.PRIOR
    np.testing.assert_allclose(result.H_thermal_to_rgb, expected, atol=1e-9)
    assert (result.confidence > 0) == confident
    assert result.reason == ('' if confident else 'not calibrated')


@pytest.mark.parametrize('parameters, message', [
    ({'H_thermal_to_rgb': (1, 2, 3)}, 'H_thermal_to_rgb must have 9 numbers, row by row, got 3'),
    ({'K_thermal': IDENTITY_K}, 'K_rgb must have 9 numbers, row by row, got 0'),
    ({'H_thermal_to_rgb': (0,) * 9}, 'calibration'),
    ({'K_thermal': IDENTITY_K, 'K_rgb': IDENTITY_K, 't_thermal_to_rgb_m': (1,)}, '3 numbers'),
    ({'K_thermal': IDENTITY_K, 'K_rgb': IDENTITY_K, 'R_thermal_to_rgb': (1,) * 9}, 'rotation'),
])
def test_impossible_calibrations_are_errors(parameters, message):
    with pytest.raises(RegistrationError, match=message):
        registration.create('calibrated', **parameters)


def test_a_prior_with_a_mirrored_linear_part_is_valid():
    thermal, rgb = pair(EYE)
    prior = geometry.from_corners(geometry.corners_px(SIZE), np.array(
        [(39, 172), (488, 173), (817, 260), (128, 263)]))
    assert np.linalg.det(prior[:2, :2]) < 0 and geometry.check(prior, SIZE, SIZE) == ''
    with np.errstate(invalid='raise'):
        result = registration.create('dense', global_search='never').register(thermal, rgb, prior)
    assert result.state is RegistrationState.PRIOR and result.reason


def test_features_ignore_polarity_gain_and_offset():
    image = draw_scene(0, (160, 120))
    np.testing.assert_allclose(structure(image), structure(5 - 3 * image), atol=1e-3)


def test_features_measure_the_orientation_of_an_edge():
    image = np.zeros((40, 40), np.float32)
    image[:, 20:] = 1
    vertical, horizontal = structure(image), structure(image.T.copy())
    assert vertical[20, 20, 0] > 0.3 and horizontal[20, 20, 0] < -0.3  # cos 2a of 0, 90 degrees
    assert abs(vertical[20, 5]).max() == 0  # no edge, no feature


def test_contrast_ignores_pixels_that_are_not_finite():
    image = np.array([[0, 50], [100, np.nan]], np.float32).repeat(50, 0).repeat(50, 1)
    scaled = normalize_contrast(image)
    assert scaled.min() == 0 and scaled.max() == 1
    assert scaled[99, 99] == 0 and scaled[0, 99] == pytest.approx(0.5)


@pytest.mark.parametrize('dx, dy', [(0, 0), (3, -2), (-4, 4)])
def test_blocks_are_found_at_their_displacement(dx, dy):
    features = structure(draw_scene(1, (200, 160)))
    blocks = matching.correlate_blocks(features[20:140, 20:180],
                                       features[14 - dy:146 - dy, 14 - dx:186 - dx], 6, 8, 4)
    assert len(blocks.centres_px) > 0.7 * blocks.n_searched
    # Along a straight edge the displacement of a block is ambiguous.
    assert (blocks.displacement_px() == (dx, dy)).all(axis=1).mean() > 0.9
    correlation = blocks.correlation[:, 6 + dy, 6 + dx]
    np.testing.assert_allclose(np.median(correlation), 1.0, atol=0.05)


def test_the_cost_volume_is_the_sum_of_products_over_each_cell():
    random = np.random.default_rng(0)
    features, search_region = (random.normal(size=shape).astype(np.float32)
                               for shape in ((16, 24, 2), (20, 28, 2)))
    volume = matching.correlate_cells(features, search_region, 2, 8)
    for row, column, dy, dx in ((0, 0, 0, 0), (1, 2, 4, 1), (0, 1, 2, 2)):
        cell = np.s_[8 * row:8 * row + 8, 8 * column:8 * column + 8]
        displaced = search_region[dy:dy + 16, dx:dx + 24][cell]
        expected = (features[cell] * displaced).sum()
        assert volume[row, column, 5 * dy + dx] == pytest.approx(expected, abs=1e-4)


def test_the_prior_selects_between_equal_peaks():
    correlation = np.zeros((1, 9, 9), np.float32)
    correlation[0, 4, 1] = correlation[0, 4, 7] = 0.5  # equal peaks at -3 and at 3 along x
    blocks = matching.Blocks(np.zeros((1, 2)), correlation, 1)
    for expected in (-2.0, 2.0):
        displacement_px, _, _ = blocks.best(np.array([[expected, 0.0]]), 3.0)
        assert displacement_px[0, 0] == pytest.approx(np.sign(expected) * 3, abs=0.5)


def test_the_fit_of_blocks_is_subpixel_accurate():
    scene = draw_scene(2, (400, 320))
    H_true = geometry.rotation(0.01, (160, 120)) @ geometry.translation(2.3, -1.4)
    fixed = geometry.warp(scene, geometry.translation(-40, -40), (320, 240), cv2.INTER_CUBIC)
    moved = geometry.warp(scene, geometry.translation(4, 4) @ H_true
                          @ geometry.translation(-40, -40), (328, 248), cv2.INTER_CUBIC)
    blocks = matching.correlate_blocks(structure(fixed), structure(moved), 4, 8, 6)
    H = matching.fit(blocks, (('affine', 5.0), ('homography', 3.0), ('homography', 1.5)))
    assert geometry.corner_error_px(H, H_true, (320, 240)) < 0.25


def test_too_few_blocks_give_no_homography():
    few = matching.Blocks(np.random.default_rng(0).uniform(0, 200, (11, 2)),
                          np.zeros((11, 9, 9), np.float32), 50)
    assert matching.fit(few, (('affine', 3.0),)) is None


def test_rotated_features_are_those_of_the_rotated_image():
    image = draw_scene(3, (120, 120))
    quarter = np.ascontiguousarray(np.rot90(image, -1))  # clockwise: x towards y
    moved = np.ascontiguousarray(np.rot90(structure(image), -1))
    np.testing.assert_allclose(rotate_features(moved, np.pi / 2)[10:-10, 10:-10],
                               structure(quarter)[10:-10, 10:-10], atol=1e-3)


@pytest.mark.parametrize('H_true', [
    geometry.rotation(0.1, (50, 50)) @ geometry.scaling(1.1, 1.1),
    geometry.rotation(0.1) @ geometry.scaling(1.1, 0.9),
    random_corners(0, 20),
])
def test_fit_is_exact_in_spite_of_outliers(H_true):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 200, (120, 2))
    target = geometry.transform_points(H_true, points)
    target[:40] += rng.uniform(10, 60, (40, 2))
    matches = point_matches.Matches(points, target, np.ones(120), 120)
    H, inliers = point_matches.fit(matches, 1.0)
    np.testing.assert_allclose(geometry.transform_points(H, points[40:]), target[40:], atol=0.02)
    assert inliers[40:].all() and not inliers[:40].any()


def test_too_few_matches_give_no_homography():
    points = np.random.default_rng(0).uniform(0, 200, (11, 2))
    few = point_matches.Matches(points, points, np.ones(11), 11)
    H, inliers = point_matches.fit(few, 1.0)
    assert H is None and not inliers.any()


def test_refinement_is_subpixel_accurate():
    scene = draw_scene(2, (400, 320))
    H_true = geometry.rotation(0.006, (160, 120)) @ geometry.translation(0.7, -0.4)
    fixed = geometry.warp(scene, geometry.translation(-40, -40), (320, 240), cv2.INTER_CUBIC)
    moved = geometry.warp(scene, geometry.translation(4, 4) @ H_true
                          @ geometry.translation(-40, -40), (328, 248), cv2.INTER_CUBIC)
    H = refine(structure(fixed), structure(moved), 4, 2, 20)
    assert geometry.corner_error_px(H, H_true, (320, 240)) < 0.1


@pytest.mark.parametrize('work_px, median_px', [(320, 1.2), (640, 0.6)])
def test_simulated_scenes_are_registered(work_px, median_px):
    registrar = registration.create('dense', work_px=work_px)
    errors = []
    for condition, seed in (('day', 0), ('day', 1), ('night', 2)):
        parameters = {'condition': condition, 'seed': seed, 'rig.mode': 'homography'}
        thermal, rgb, truth = RigSimulator(build(SimulatorParameters, parameters)).pair(0)
        result = registrar.register(thermal.image, rgb.image)
        assert result.state is RegistrationState.TRACKING, result.reason
        errors.append(geometry.corner_error_px(result.H_thermal_to_rgb, truth.H_thermal_to_rgb,
                                               thermal.size))
    assert np.median(errors) < median_px and max(errors) < 2.5


def real_pairs(root: Path, names: list[str]):
    """Yield RoadScene pairs 640 pixels wide, and thermal warped by a known homography."""
    for seed, name in enumerate(names):
        rgb = cv2.imread(str(root / 'visible' / name))
        thermal = cv2.imread(str(root / 'thermal' / name), cv2.IMREAD_GRAYSCALE)
        size = 640, round(640 * rgb.shape[0] / rgb.shape[1])
        thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        corners = geometry.corners_px(size)
        moves = np.random.default_rng(seed).uniform(-32, 32, (4, 2))
        H_true = geometry.from_corners(corners, corners + moves)
        warped = cv2.warpPerspective(thermal, np.linalg.inv(H_true), size, flags=cv2.INTER_CUBIC,
                                     borderMode=cv2.BORDER_REFLECT_101)
        yield thermal, warped, rgb, H_true


@pytest.mark.parametrize('method', DENSE)
def test_real_pairs_are_registered_and_repeat(shared_data, method):
    root = shared_data / 'roadscene' / 'train'
    names = sorted(path.name for path in (root / 'visible').glob('*.jpg'))[::14]
    registrar = registration.create(method)
    errors, repeats = [], []
    for thermal, warped, rgb, H_true in real_pairs(root, names):
        size = thermal.shape[::-1]
        result, plain = (registrar.register(image, rgb) for image in (warped, thermal))
        if result.state is plain.state is RegistrationState.TRACKING:
            errors.append(geometry.corner_error_px(result.H_thermal_to_rgb, H_true, size))
            repeats.append(geometry.corner_error_px(result.H_thermal_to_rgb,
                                                    plain.H_thermal_to_rgb @ H_true, size))
    assert len(errors) >= 0.7 * len(names)
    assert np.median(errors) < 8  # unregistered: 24
    assert np.median(repeats) < 3
    assert np.mean(np.array(errors) > 20) <= 0.15


@pytest.mark.parametrize('method', DENSE)
def test_unrelated_real_scenes_are_rejected(shared_data, method):
    root = shared_data / 'roadscene' / 'train'
    names = sorted(path.name for path in (root / 'visible').glob('*.jpg'))[::17]
    pairs = list(real_pairs(root, names))
    registrar = registration.create(method)
    for (_, thermal, _, _), (_, _, rgb, _) in pairwise(pairs):
        assert registrar.register(thermal, rgb).state is RegistrationState.LOST
