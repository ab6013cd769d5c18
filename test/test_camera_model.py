# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration of a camera follows its image: closed forms by projected points."""

from __future__ import annotations

from dataclasses import replace

import cv2
from ivf_ros.camera_input import CameraGeometry, CameraInputError, CameraParameters
from ivf_ros.camera_model import CameraModel, CameraModelError
from ivf_ros.parameters import ParameterError
import numpy as np
import pytest

K = np.array([[300.0, 0.0, 150.0], [0.0, 310.0, 130.0], [0.0, 0.0, 1.0]])
D = (-0.2, 0.05, 0.004, -0.006, 0.01)
MODEL = CameraModel((320, 240), K, 'plumb_bob', D, P=np.hstack([K, [[3.0], [0.0], [0.0]]]))
RNG = np.random.default_rng(0)
POINTS = np.column_stack([RNG.uniform(-0.4, 0.4, (20, 2)), np.ones(20)])


def project(model: CameraModel, points=POINTS) -> np.ndarray:
    """Project points of the optical frame to pixels ``(N, 2)``."""
    if model.distortion_model == 'equidistant':
        return cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), model.K,
                                         np.array(model.D))[0][:, 0]
    return cv2.projectPoints(points, np.zeros(3), np.zeros(3), model.K,
                             np.array(model.D or (0.0,) * 5))[0][:, 0]


def make_geometry(image=None, model=MODEL, **parameters) -> tuple[CameraGeometry, np.ndarray]:
    geometry = CameraGeometry(CameraParameters(**parameters))
    geometry.set_model(model)
    return geometry, geometry.apply(np.zeros((240, 320), np.uint8) if image is None else image)


def test_a_smaller_stream_scales_the_calibration_about_pixel_edges():
    fitted = MODEL.fit_to_image((160, 120))
    np.testing.assert_allclose(project(fitted), (project(MODEL) + 0.5) / 2 - 0.5, atol=1e-9)
    assert fitted.size == (160, 120)
    assert fitted.P[0, 3] == 1.5


@pytest.mark.parametrize('size', [(640, 480), (320, 240), (107, 80), (80, 60)])
def test_any_size_of_the_same_aspect_ratio_fits(size):
    scale = np.array(size) / 320, np.array(size) / 240
    expected = (project(MODEL) + 0.5) * [scale[0][0], scale[1][1]] - 0.5
    np.testing.assert_allclose(project(MODEL.fit_to_image(size)), expected, atol=1e-9)


def test_another_aspect_ratio_is_refused_with_both_sizes():
    with pytest.raises(CameraModelError, match=r'320x240, got 320x180.*aspect ratio'):
        MODEL.fit_to_image((320, 180))


def test_binning_and_region_of_interest_describe_the_image():
    binned = replace(MODEL, binning=(2, 4), roi=(20, 40, 200, 160))
    expected = (project(MODEL) - [20, 40] + 0.5) / [2, 4] - 0.5
    np.testing.assert_allclose(project(binned.fit_to_image((100, 40))), expected, atol=1e-9)


def test_a_region_that_is_sent_unbinned_or_smaller_is_recognised():
    region = replace(MODEL, roi=(20, 40, 200, 160))
    expected = (project(MODEL) - [20, 40] + 0.5) / 2 - 0.5
    np.testing.assert_allclose(project(region.fit_to_image((100, 80))), expected, atol=1e-9)


def test_a_calibration_without_size_is_that_of_the_image():
    np.testing.assert_array_equal(replace(MODEL, size=(0, 0)).fit_to_image((33, 77)).K, K)


@pytest.mark.parametrize('distortion_model, coefficients', [
    ('plumb_bob', D), ('rational_polynomial', (*D, 0.1, 0.02, -0.01)),
    ('equidistant', (0.02, -0.01, 0.003, 0.001)), ('', ())])
@pytest.mark.parametrize('rotate', [0, 90, 180, 270])
@pytest.mark.parametrize('mirror', ['none', 'horizontal', 'vertical'])
def test_a_turned_camera_sees_the_turned_points_where_the_turned_image_has_them(
        distortion_model, coefficients, rotate, mirror):
    model = replace(MODEL, distortion_model=distortion_model, D=coefficients)
    marked = np.zeros((240, 320), np.uint8)
    marked[17, 300] = 255
    geometry, turned_image = make_geometry(marked, model, rotate=rotate, mirror=mirror)
    M_image, size = geometry._turn((320, 240))
    assert size == turned_image.shape[::-1]
    x, y, _ = M_image @ [300, 17, 1]
    assert turned_image[round(y), round(x)] == 255, 'pixels move as the matrix says'

    turned = geometry.model()
    assert turned.K[0, 0] > 0 and turned.K[1, 1] > 0
    assert abs(turned.K[0, 1]) < 1e-9 and abs(turned.K[1, 0]) < 1e-9
    turn = np.eye(3)
    turn[:2, :2] = M_image[:2, :2]
    expected = project(model) @ M_image[:2, :2].T + M_image[:2, 2]
    np.testing.assert_allclose(project(turned, POINTS @ turn.T), expected, atol=1e-6)


def test_the_projection_refers_to_the_camera_as_it_is_built():
    geometry, _ = make_geometry(model=replace(MODEL, D=()), rotate=90, crop=(10, 20, 0, 4))
    pixels = POINTS @ geometry.projection().T
    x, y = (project(replace(MODEL, D=())) - [10, 20]).T
    np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], np.column_stack([215 - y, x]),
                               atol=1e-9)


def test_telemetry_rows_are_not_part_of_the_calibration_whether_it_counts_them_or_not():
    for size in ((320, 242), (320, 240)):
        geometry = CameraGeometry(CameraParameters())
        geometry.set_model(replace(MODEL, size=size))
        geometry.apply(np.zeros((240, 320), np.uint16), removed_rows=(0, 2))
        assert geometry.model().size == (320, 240)
        np.testing.assert_array_equal(geometry.model().K, K)
    head = CameraGeometry(CameraParameters())
    head.set_model(replace(MODEL, size=(320, 242)))
    head.apply(np.zeros((240, 320), np.uint16), removed_rows=(2, 0))
    assert head.model().K[1, 2] == K[1, 2] - 2


@pytest.mark.parametrize('distortion_model, coefficients', [
    ('plumb_bob', D), ('rational_polynomial', (*D, 0.1, 0.02, -0.01)),
    ('equidistant', (0.02, -0.01, 0.003, 0.001))])
def test_an_undistorted_image_shows_a_point_where_the_pinhole_camera_sees_it(
        distortion_model, coefficients):
    model = replace(MODEL, distortion_model=distortion_model, D=coefficients)
    point = np.array([[0.3, -0.2, 1.0]])
    image = np.zeros((240, 320), np.float32)
    cv2.circle(image, tuple(int(v) for v in (project(model, point)[0] * 16).round()), 48, 255, -1,
               cv2.LINE_AA, 4)
    geometry, undistorted = make_geometry(image, model, undistort=True)
    rows, columns = np.mgrid[:240, :320]
    centre = [(undistorted * axis).sum() / undistorted.sum() for axis in (columns, rows)]
    np.testing.assert_allclose(centre, (point @ K.T)[0, :2], atol=0.15)
    assert not any(geometry.model().D)


@pytest.mark.parametrize('model, message', [
    (None, 'none has arrived'),
    (replace(MODEL, size=(320, 200)), 'aspect ratio'),
    (replace(MODEL, K=np.zeros((3, 3))), 'focal length is 0'),
    (replace(MODEL, distortion_model='thin'), "unknown distortion model 'thin'"),
    (replace(MODEL, D=(0.1, 0.2, 0.3)), 'has 4 or 5 coefficients, got 3'),
])
def test_an_image_is_not_undistorted_by_a_calibration_that_does_not_fit(model, message):
    geometry = CameraGeometry(CameraParameters(undistort=True))
    if model is not None:
        geometry.set_model(model)
    with pytest.raises(CameraInputError, match=message):
        geometry.apply(np.zeros((240, 320), np.uint8))


def test_without_correction_the_image_itself_is_handed_on():
    image = np.zeros((240, 320), np.uint8)
    assert make_geometry(image)[1] is image


@pytest.mark.parametrize('crop', [(1, 2, 3), (1, 2, 3, -1), (0.5, 0, 0, 0)])
def test_a_crop_of_another_kind_is_refused(crop):
    with pytest.raises(ParameterError, match='crop must be empty or four whole numbers'):
        CameraParameters(crop=crop)


def test_a_crop_of_the_whole_image_is_refused():
    with pytest.raises(CameraInputError, match='leaves nothing of an image of 320x240'):
        make_geometry(crop=(0, 240, 0, 0))


@pytest.mark.parametrize(('distortion_model', 'D'), [
    ('', ()), ('plumb_bob', (-0.3, 0.1, 0.001, -0.002, 0.0)),
    ('rational_polynomial', (0.4, -0.1, 0.001, 0.0, 0.01, 0.6, -0.05, 0.02)),
    ('equidistant', (-0.01, 0.002, 0.0, 0.0)), ('equidistant', (0.0,) * 4)])
def test_rays_and_project_are_inverse(distortion_model, D):
    model = CameraModel((640, 480), np.array([[500.0, 0, 320], [0, 510.0, 240], [0, 0, 1]]),
                        distortion_model, D)
    pixels = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), -1)
    pixels = pixels.reshape(-1, 2)
    rays = model.rays(pixels)
    assert rays.shape == (63, 3) and (rays[:, 2] == 1).all()
    np.testing.assert_allclose(model.project(rays * 7.0), pixels, atol=1e-3)
    assert model.rays(np.empty((0, 2))).shape == (0, 3)
    assert model.project(np.empty((0, 3))).shape == (0, 2)


def test_a_camera_without_calibration_has_no_rays():
    model = CameraModel((640, 480), np.zeros((3, 3)))
    for use in (model.rays, model.project):
        with pytest.raises(CameraModelError, match='focal length is 0'):
            use(np.zeros((1, 3)))


def test_a_calibration_of_a_camera_and_an_uncalibrated_one_are_valid():
    for model in (MODEL, CameraModel((320, 240), np.zeros((3, 3)), P=np.zeros((3, 4))),
                  CameraModel((0, 0), K), replace(MODEL, D=())):
        model.check()


def change(matrix: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    changed = matrix.copy()
    changed[row, column] = value
    return changed


@pytest.mark.parametrize('fields, message', [
    ({'K': change(K, 0, 2, np.nan)}, 'K must be finite, got NaN or infinity'),
    ({'D': (0.1, np.inf, 0, 0)}, 'D must be finite'),
    ({'R': np.full((3, 3), np.nan)}, 'R must be finite'),
    ({'P': change(MODEL.P, 1, 3, np.inf)}, 'P must be finite'),
    ({'K': change(K, 1, 1, 0.0)}, r'K: focal lengths must be between 0 and 1e\+06 pixels, got '
                                  '300 and 0'),
    ({'K': change(K, 0, 0, -300.0)}, 'K: focal lengths .* got -300 and 310'),
    ({'K': change(K, 0, 0, 1e300)}, r'K: focal lengths .* got 1e\+300 and 310'),
    ({'P': change(MODEL.P, 1, 1, 0.0)}, 'P: focal lengths'),
    ({'K': change(K, 0, 2, 1e9)}, 'K: expected rows fx, skew, cx and 0, fy, cy, got 300, 0, 1e'),
    ({'K': change(K, 1, 0, 1.0)}, 'K: expected rows'),
    ({'K': change(K, 2, 2, 0.0)}, 'K: the last row must be 0, 0, 1, got 0, 0, 0'),
    ({'K': change(K, 2, 0, 1.0)}, 'K: the last row must be 0, 0, 1, got 1, 0, 1'),
    ({'size': (2 ** 32 - 1, 240)}, 'sizes must be at most 65535 pixels, got 4294967295'),
    ({'roi': (0, 0, 65536, 1)}, 'sizes must be at most 65535 pixels, got 65536'),
])
def test_numbers_that_no_camera_has_are_refused(fields, message):
    with pytest.raises(CameraModelError, match=message):
        replace(MODEL, **fields).check()
