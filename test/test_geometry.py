# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Homography algebra against closed-form results."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import geometry
from ivf_ros.geometry import GeometryError
import numpy as np
import pytest

SIZE = (64, 48)
CORNERS = geometry.corners_px(SIZE)
EYE = np.eye(3)


@st.composite
def homographies(draw) -> np.ndarray:
    """Return a random homography that moves each corner by at most 8 pixels per axis."""
    moves = draw(st.lists(st.floats(-8, 8), min_size=8, max_size=8))
    return geometry.from_corners(CORNERS, CORNERS + np.reshape(moves, (4, 2)))


def scene() -> np.ndarray:
    """Return a smooth image with a unique neighbourhood at every pixel."""
    noise = np.random.default_rng(0).normal(size=(SIZE[1], SIZE[0])).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4.0) * 10


@pytest.mark.parametrize('H, point, expected', [
    (geometry.translation(3, -2), (10, 10), (13, 8)),
    (geometry.scaling(2, 3), (10, 10), (20, 30)),
    (geometry.rotation(np.pi / 2), (1, 0), (0, 1)),  # x goes to y: clockwise on the screen
    (geometry.rotation(np.pi / 2, (5, 5)), (5, 5), (5, 5)),  # the centre stays
    (geometry.rotation(np.pi, (1, 2)), (0, 0), (2, 4)),
    (geometry.stretch((10, 10), (20, 30)), (0, 0), (0.5, 1)),
    (geometry.stretch((10, 10), (20, 30)), (-0.5, -0.5), (-0.5, -0.5)),  # outer edges coincide
    (geometry.stretch((10, 10), (20, 30)), (9.5, 9.5), (19.5, 29.5)),
    (np.array([[1, 0, 0], [0, 1, 0], [0.1, 0, 1]]), (10, 4), (5, 2)),  # perspective division
])
def test_points_are_transformed(H, point, expected):
    np.testing.assert_allclose(geometry.transform_points(H, [point]), [expected], atol=1e-12)


def test_the_horizon_maps_to_infinity_without_a_warning():
    H = np.array([[1, 0, 0], [0, 1, 0], [0.1, 0, 1]])
    assert np.isinf(geometry.transform_points(H, [(-10, 1)])).any()


def test_corners_are_pixel_centres_clockwise():
    np.testing.assert_array_equal(geometry.corners_px((640, 480)),
                                  [(0, 0), (639, 0), (639, 479), (0, 479)])


@pytest.mark.parametrize('H_est, expected', [
    (EYE, 0.0),
    (geometry.translation(3, 4), 5.0),
    (-2 * geometry.translation(3, 4), 5.0),  # the scale of the matrix has no effect
    # one corner stays, two move along an edge, one along the diagonal
    (geometry.scaling(2, 2), (0 + 63 + np.hypot(63, 47) + 47) / 4),
])
def test_corner_error_is_the_mean_distance(H_est, expected):
    assert geometry.corner_error_px(H_est, EYE, SIZE) == pytest.approx(expected)


@given(homographies(), st.floats(0.01, 100) | st.floats(-100, -0.01))
def test_normalization_removes_the_scale(H, factor):
    np.testing.assert_allclose(geometry.normalize_homography(H * factor), H, atol=1e-9)


@pytest.mark.parametrize('matrix, message', [
    (np.eye(2), r'\(3, 3\), got \(2, 2\)'),
    (np.full((3, 3), np.nan), 'finite'),
    (np.diag([1, 1, 0]), 'origin'),
    (np.diag([1, 0, 1]), 'singular'),
    (np.ones((3, 3)), 'singular'),
    # divided by H[2, 2], an entry or the determinant is too large for a float
    (np.array([[1, 0, 0], [0, 1, 1e300], [0, 0, 1e-100]]), 'singular'),
    (np.diag([1e200, 1e200, 1]), 'singular'),
])
def test_invalid_homographies_are_rejected(matrix, message):
    with pytest.raises(GeometryError, match=message):
        geometry.normalize_homography(matrix)


def test_points_of_a_wrong_shape_are_rejected():
    with pytest.raises(GeometryError, match=r'\(N, 2\), got \(3,\)'):
        geometry.transform_points(EYE, [1, 2, 3])


@given(homographies())
def test_four_corners_determine_the_homography(H):
    estimated = geometry.from_corners(CORNERS, geometry.transform_points(H, CORNERS))
    np.testing.assert_allclose(estimated, H, atol=1e-8)


@pytest.mark.parametrize('corners, message', [
    (np.zeros((3, 2)), 'shape'),
    (np.zeros((4, 2)), 'line|singular'),
    (np.array([(0, 0), (1, 0), (2, 0), (0, 1)]), 'line|singular'),
])
def test_degenerate_corners_are_rejected(corners, message):
    with pytest.raises(GeometryError, match=message):
        geometry.from_corners(corners, CORNERS)


@given(homographies(), homographies())
def test_products_compose(first, second):
    expected = geometry.transform_points(second, geometry.transform_points(first, CORNERS))
    np.testing.assert_allclose(geometry.transform_points(second @ first, CORNERS), expected,
                               atol=1e-9)


@settings(max_examples=30)
@given(homographies())
def test_warp_then_inverse_is_the_identity(H):
    image = scene()
    warped = geometry.warp(image, H, SIZE, cv2.INTER_CUBIC)
    restored = geometry.warp(warped, np.linalg.inv(H), SIZE, cv2.INTER_CUBIC)
    coverage = geometry.coverage(H, SIZE, SIZE).astype(np.float32)
    kept = geometry.warp(coverage, np.linalg.inv(H), SIZE) > 0.999
    kept = cv2.erode(kept.astype(np.uint8), np.ones((9, 9)), borderValue=0).astype(bool)
    assert kept.any()
    np.testing.assert_allclose(restored[kept], image[kept], atol=0.1 * image.std())


def test_warp_moves_pixels_and_keeps_the_type():
    image = np.zeros((48, 64), np.uint16)
    image[10, 20] = 60000
    moved = geometry.warp(image, geometry.translation(5, -3), (70, 50), border_value=7)
    assert moved.dtype == np.uint16 and moved.shape == (50, 70)
    assert moved[7, 25] == 60000
    assert moved[0, 0] == moved[49, 69] == 7


def test_stretch_is_the_mapping_of_resize():
    image = scene()
    warped = geometry.warp(image, geometry.stretch(SIZE, (128, 144)), (128, 144))
    resized = cv2.resize(image, (128, 144), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(warped[4:-4, 4:-4], resized[4:-4, 4:-4], atol=0.05)


@pytest.mark.parametrize('H, expected', [
    (EYE, 64 * 48),
    (geometry.translation(10, 0), 54 * 48),
    (geometry.translation(0.5, 0), 63 * 48),  # a half pixel at each side lacks a neighbour
    (geometry.translation(100, 0), 0),
])
def test_coverage_has_the_expected_area(H, expected):
    assert geometry.coverage(H, SIZE, SIZE).sum() == expected


@given(homographies())
def test_coverage_contains_no_border_pixels_of_a_warp(H):
    ones = np.ones((SIZE[1], SIZE[0]), np.float32)
    warped = geometry.warp(ones, H, SIZE)
    assert (warped[geometry.coverage(H, SIZE, SIZE)] > 0.9).all()
    assert geometry.coverage(H, SIZE, SIZE)[warped > 0.999].mean() > 0.95


@given(homographies(), st.sampled_from([0.25, 0.5, 2.0]), st.sampled_from([0.5, 3.0]))
def test_a_rescaled_homography_maps_between_resized_images(H, thermal_scale, rgb_scale):
    point = np.array([[20.0, 30.0]])  # in the full thermal image
    small = (point + 0.5) * thermal_scale - 0.5
    H_small = geometry.rescale_homography(H, thermal_scale, rgb_scale)
    expected = (geometry.transform_points(H, point) + 0.5) * rgb_scale - 0.5
    np.testing.assert_allclose(geometry.transform_points(H_small, small), expected, atol=1e-9)


@given(homographies())
def test_rescaling_can_be_inverted(H):
    rescaled = geometry.rescale_homography(H, (0.5, 0.25), 3.0)
    np.testing.assert_allclose(geometry.rescale_homography(rescaled, (2.0, 4.0), 1 / 3), H,
                               atol=1e-9)


K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
K_WIDE = np.array([[250.0, 0, 160], [0, 250, 120], [0, 0, 1]])
SMALL_TURN = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0]


@pytest.mark.parametrize('point_m', [(0.3, -0.2, 5.0), (-1.0, 0.4, 5.0), (0.0, 0.0, 5.0)])
def test_rig_homography_is_exact_on_its_plane(point_m):
    t = np.array([0.1, 0.02, -0.03])
    H = geometry.from_rig(K_WIDE, K, SMALL_TURN, t, plane_distance_m=5.0)
    thermal = K_WIDE @ point_m
    rgb = K @ (SMALL_TURN @ point_m + t)
    np.testing.assert_allclose(geometry.transform_points(H, [thermal[:2] / thermal[2]]),
                               [rgb[:2] / rgb[2]], atol=1e-9)


def test_rig_of_coinciding_cameras_is_the_change_of_intrinsics():
    H = geometry.from_rig(K_WIDE, K, EYE, np.zeros(3))
    expected = geometry.normalize_homography(K @ np.linalg.inv(K_WIDE))
    np.testing.assert_allclose(H, expected, atol=1e-12)


def test_parallax_falls_with_distance():
    t = np.array([0.2, 0, 0])
    mapped_x_px = {
        d: geometry.transform_points(geometry.from_rig(K, K, EYE, t, d), [(320, 240)])[0, 0]
        for d in (2.0, 10.0, np.inf)}
    assert mapped_x_px == pytest.approx({2.0: 370, 10.0: 330, np.inf: 320})  # f b / d


@pytest.mark.parametrize('change, message', [
    ({'R_thermal_to_rgb': 2 * EYE}, 'rotation'),
    ({'R_thermal_to_rgb': np.diag([1, 1, -1])}, 'rotation'),
    ({'t_thermal_to_rgb_m': np.zeros(2)}, 'shapes'),
    ({'plane_distance_m': 0.0}, 'positive'),
    ({'plane_distance_m': float('nan')}, 'positive'),
    ({'K_rgb': np.zeros((3, 3))}, 'origin'),
])
def test_invalid_rigs_are_rejected(change, message):
    rig = {'K_thermal': K, 'K_rgb': K, 'R_thermal_to_rgb': EYE, 't_thermal_to_rgb_m': np.zeros(3)}
    with pytest.raises(GeometryError, match=message):
        geometry.from_rig(**{**rig, **change})


@pytest.mark.parametrize('H, reason', [
    (EYE, ''),
    (geometry.translation(20, 10), ''),
    (geometry.rotation(0.3, (32, 24)), ''),
    (geometry.translation(63, 0) @ geometry.scaling(-1, 1), 'mirrored'),
    (geometry.from_corners(CORNERS, CORNERS[[0, 2, 1, 3]]), 'folded'),  # two corners swapped
    (geometry.scaling(5, 5), 'too large'),
    (geometry.scaling(0.05, 0.05), 'too small'),
    (geometry.from_corners(CORNERS, [(0, 14), (63, 0), (63, 47), (0, 33)]), 'perspective'),
    (geometry.translation(60, 0), 'off the image'),
    (np.full((3, 3), np.nan), 'finite'),
    (np.zeros((3, 3)), 'origin'),
])
def test_the_reason_for_an_implausible_homography_is_named(H, reason):
    result = geometry.check(H, SIZE, SIZE)
    assert reason in result and bool(result) == bool(reason)


def test_the_scale_limit_is_relative_to_the_sizes():
    small, large = (160, 120), (1920, 1080)
    assert geometry.check(geometry.stretch(small, large), small, large) == ''


@pytest.mark.parametrize('shape', [(48, 64), (48, 64, 3)])
def test_a_size_is_width_and_height(shape):
    assert geometry.size_of(np.zeros(shape)) == (64, 48)


@pytest.mark.parametrize('shift_px, is_off', [
    # 64 x 48 images overlap by (64 - x) (48 - y) of 64 x 48 pixels; a quarter is enough
    ((47.9, 0), False), ((48.4, 0), True), ((-47.9, 0), False), ((-48.4, 0), True),
    ((0, 35.9), False), ((0, 36.4), True), ((0, -35.9), False), ((0, -36.4), True),
    ((32, 24), False), ((32.5, 24), True),
])
def test_the_overlap_is_that_of_the_image_areas(shift_px, is_off):
    reason = geometry.check(geometry.translation(*shift_px), SIZE, SIZE)
    assert reason.startswith('off the image: overlap 0.2') if is_off else reason == ''


@pytest.mark.parametrize('horizon_px, reason', [
    (63.25, 'folded'),  # between the last pixel centre and the edge of the image
    (63.5, 'folded'),  # on the edge
    (63.75, 'too large'),  # beyond it
    (-0.25, 'folded'), (-0.75, 'too large'),
])
@pytest.mark.parametrize('is_vertical', [False, True])
def test_the_horizon_may_not_cross_the_area_of_the_image(horizon_px, reason, is_vertical):
    H = np.eye(3)
    H[2, int(is_vertical)] = -1 / horizon_px
    assert geometry.check(H, (64, 64), (64, 64)).startswith(reason)


def test_a_horizon_through_a_corner_is_folded():
    H = np.array([[1, 0, 0], [0, 1, 0], [-2.0, 0, 1]])  # depth 0 at x = 0.5, the edge of a pixel
    assert geometry.check(H, (1, 1), (1, 1)).startswith('folded')


@pytest.mark.parametrize('scale, reason', [
    (4.0, ''), (4.01, 'too large: local scale 4.01, at most 4'),
    (0.1, ''), (0.099, 'too small: local scale 0.099, at least 0.1'),
])
def test_the_limits_of_the_local_scale(scale, reason):
    assert geometry.check(geometry.scaling(scale, scale), SIZE, SIZE) == reason


@pytest.mark.parametrize('ratio, is_strong', [(2.4, False), (2.6, True)])
def test_the_limit_of_the_perspective(ratio, is_strong):
    # the local scale is depth^-1.5; depth is 1 at one edge of the image and d at the other one
    H = np.eye(3)
    depth = ratio ** (-2 / 3)
    H[2, 0] = (depth - 1) / (63.5 + 0.5 * depth)  # depth(63.5) = d depth(-0.5)
    reason = geometry.check(H, SIZE, SIZE)
    assert reason == (f'too strong perspective: local scales differ {ratio:.3g} times, '
                      'at most 2.5' if is_strong else '')


def test_pixels_behind_the_horizon_are_not_covered():
    H_to_source = np.array([[1, 0, 0], [0, 1, 0], [-1 / 20, 0, 1]])  # depth 0 at x = 20
    covered = geometry.coverage(np.linalg.inv(H_to_source), (1000, 1000), (40, 4))
    # u = x / (1 - x / 20) of 0 to 999 for x below 20; negative or behind beyond
    assert covered[0, :20].all() and not covered[:, 20:].any()
    mirrored = geometry.coverage(np.linalg.inv(-H_to_source), (1000, 1000), (40, 4))
    np.testing.assert_array_equal(mirrored, covered)  # the scale of a matrix has no effect


@pytest.mark.parametrize('margin_px, columns', [(0.0, 64), (0.5, 65), (1.0, 66), (3.0, 70)])
def test_a_margin_of_the_coverage_is_in_source_pixels_on_each_side(margin_px, columns):
    H = geometry.translation(20, 20)
    H = geometry.translation(0.5, 0.5) @ H if margin_px == 0.5 else H
    covered = geometry.coverage(H, SIZE, (120, 120), margin_px)
    assert covered.sum() == columns * (columns - 16)
    scaled = geometry.coverage(geometry.scaling(0.5, 0.5), (65, 65), (40, 40), 2.0)
    assert scaled.sum() == 34 ** 2  # 0 to 32 in the target, and one pixel beyond


@pytest.mark.parametrize('margin_px, last', [(0.0, 38), (6.0, 40)])
def test_the_margin_of_the_coverage_is_in_source_pixels_under_a_perspective(margin_px, last):
    # u = x / (1 - x / 100), so that u = 63 at x = 38.65 and u = 69 at x = 40.83
    H_to_source = np.array([[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]])
    covered = geometry.coverage(np.linalg.inv(H_to_source), SIZE, (60, 2), margin_px)
    assert covered[0, :last + 1].all() and not covered[:, last + 1:].any()


@pytest.mark.parametrize('size, is_valid', [
    ((1, 1), True), ((0, 5), False), ((5, 0), False), ((5,), False), ((5, 5, 5), False)])
def test_a_size_has_two_sides_of_at_least_one_pixel(size, is_valid):
    if is_valid:
        np.testing.assert_array_equal(geometry.stretch(size, size), EYE)
        return
    with pytest.raises(GeometryError, match=r'\(width, height\) of at least 1 pixel'):
        geometry.stretch(size, (4, 4))
    with pytest.raises(GeometryError, match='at least 1 pixel'):
        geometry.stretch((4, 4), size)


def test_a_narrow_thermal_view_within_a_wide_one_overlaps_fully():
    H = geometry.translation(20, 10) @ geometry.scaling(0.3, 0.3)
    assert geometry.check(H, SIZE, SIZE) == ''


@pytest.mark.parametrize('H, scale', [
    (np.eye(3), 1.0),
    (geometry.scaling(2.0, 0.5), 1.0),
    (geometry.rotation(0.3, (5, 9)) @ geometry.scaling(3.0, 3.0), 3.0),
    (7.0 * geometry.scaling(2.0, 2.0), 2.0),  # the matrix scale has no effect
])
def test_the_scale_at_the_centre_of_known_mappings(H, scale):
    assert geometry.scale_at_centre(H, (640, 480)) == pytest.approx(scale)


def test_the_scale_at_the_centre_is_that_of_a_small_square():
    H = geometry.from_corners(geometry.corners_px((480, 360)),
                              np.array([(29, 129), (366, 130), (613, 195), (96, 197)]))
    assert np.linalg.det(H[:2, :2]) < 0  # mirrored at the origin, though not in the image
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * 1e-3 + (239.5, 179.5)
    area = cv2.contourArea(((geometry.transform_points(H, square)
                             - geometry.transform_points(H, square)[0]) * 1e3).astype(np.float32))
    assert geometry.scale_at_centre(H, (480, 360)) == pytest.approx(np.sqrt(area), rel=1e-3)


@pytest.mark.parametrize('h31, h32', [(0.01, 0.0), (0.0, 0.02), (-0.01, 0.01)])
def test_the_scale_at_the_centre_of_a_perspective(h31, h32):
    H = np.array([[1, 0, 0], [0, 1, 0], [h31, h32, 1]])
    depth = 1 + 31.5 * h31 + 23.5 * h32  # at the centre of 64 x 48 pixels
    assert geometry.scale_at_centre(H, SIZE) == pytest.approx(depth ** -1.5, rel=1e-9)


def test_a_plane_may_be_close():
    H = geometry.from_rig(K, K, EYE, np.array([0.1, 0, 0]), 0.5)
    np.testing.assert_allclose(H, geometry.translation(100, 0), atol=1e-9)  # f b / d
