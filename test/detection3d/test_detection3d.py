# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Positions of objects: closed forms, invalid depth, covariance, sources of depth."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.camera_input import CameraGeometry, CameraParameters
from ivf_ros.camera_model import CameraModel, CameraModelError
from ivf_ros.detection3d import (
    CalibratedCamera,
    convert_depth,
    DepthError,
    DepthParameters,
    Detection3dStage,
    Detection3dStageParameters,
    Extrinsics,
    make_points,
    PositionParameters,
    render_points,
    resize_depth,
)
from ivf_ros.parameters import ParameterError
from ivf_ros.thermal import RadiometryParameters
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Detection, MFNET_CLASSES, Segmentation
import numpy as np
import pytest

SIZE = (320, 240)
K = np.array([[300.0, 0.0, 159.5], [0.0, 310.0, 119.5], [0.0, 0.0, 1.0]])
CAMERA = CalibratedCamera(CameraModel(SIZE, K))
NAN = np.float32(np.nan)
# From a lidar (x forward, y left, z up) to an optical frame (x right, y down, z forward).
R_LIDAR_TO_RGB = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def detect(box, class_name='person', track_id='7'):
    return Detection(box, class_name, 0.9, track_id)


def fill(depth_m=np.nan):
    return np.full(SIZE[::-1], depth_m, np.float32)


def step(detections, depth_m, segmentation=None, camera=CAMERA, **parameters):
    stage = Detection3dStage(Detection3dStageParameters(
        position=PositionParameters(**parameters)))
    return stage.step(detections, depth_m, camera, segmentation)


def draw_sphere(center_m, radius_m, background_m):
    """Return the depth of a sphere before a wall, and the box around its pixels."""
    rays = CAMERA.rays(np.argwhere(np.ones(SIZE[::-1]))[:, ::-1]).reshape(*SIZE[::-1], 3)
    # |z ray - center| = radius is a quadratic equation of z.
    a, b = (rays ** 2).sum(axis=2), rays @ center_m
    discriminant = b ** 2 - a * (center_m @ center_m - radius_m ** 2)
    hit = discriminant > 0
    depth_m = np.full(SIZE[::-1], background_m, np.float32)
    depth_m[hit] = (b[hit] - np.sqrt(discriminant[hit])) / a[hit]
    rows, columns = np.nonzero(hit)
    return depth_m, (float(columns.min()), float(rows.min()), float(columns.max() + 1),
                     float(rows.max() + 1))


def test_an_object_on_a_plane_has_the_exact_position_and_size():
    [found] = step([detect((100.0, 60.0, 160.0, 180.0))], fill(6.0))
    # The edges 100 and 160 enclose the pixels 100 to 159, whose mean is 129.5.
    np.testing.assert_allclose(
        found.position_m, ((129.5 - 159.5) / 300 * 6, (119.5 - 119.5) / 310 * 6, 6.0), atol=1e-6)
    np.testing.assert_allclose(found.center_m, found.position_m, atol=1e-6)
    np.testing.assert_allclose(found.size_m, (60 / 300 * 6, 120 / 310 * 6, 0.0), atol=1e-6)
    assert found.detection.track_id == '7'
    assert found.pixel_count == 36 * 72  # the central part of the box


@pytest.mark.parametrize('center_m', [(0.0, 0.0, 8.0), (1.2, -0.6, 5.0), (-2.0, 1.0, 9.0)])
def test_a_sphere_before_a_wall_is_on_its_visible_surface(center_m):
    center, radius_m = np.array(center_m), 0.5
    depth_m, box = draw_sphere(center, radius_m, 30.0)
    [found] = step([detect(box)], depth_m)
    assert center[2] - radius_m <= found.position_m[2] <= center[2]
    assert np.abs(found.position_m[:2] - center[:2]).max() < 0.1 * radius_m + 0.06
    np.testing.assert_allclose(found.size_m[:2], 2 * radius_m, rtol=0.08)
    deviations = np.sqrt(np.diag(found.covariance_m2))
    assert (np.abs(found.position_m - center) < radius_m + 3 * deviations).all()


def test_the_object_is_the_cluster_in_the_centre_and_not_what_is_around_it():
    depth_m = fill(25.0)  # a wall
    depth_m[150:] = 8.0  # the ground before it
    depth_m[70:170, 140:180] = 12.0  # the object
    [found] = step([detect((130.0, 60.0, 190.0, 180.0))], depth_m)
    assert found.position_m[2] == pytest.approx(12.0)


def test_labels_find_an_object_that_is_mostly_hidden_behind_a_fence():
    depth_m = fill(3.0)
    depth_m[60:180, 130:190:4] = 10.0  # one column of four shows the object
    labels = np.where(depth_m == 10.0, MFNET_CLASSES.index('person'), 0).astype(np.uint8)
    segmentation = Segmentation(labels, MFNET_CLASSES)
    box = (130.0, 60.0, 190.0, 180.0)
    assert step([detect(box)], depth_m)[0].position_m[2] == pytest.approx(3.0)
    assert step([detect(box)], depth_m, segmentation)[0].position_m[2] == pytest.approx(10.0)
    # A class without labels, and labels that are too rare, leave it to the depth.
    assert step([detect(box, 'dog')], depth_m, segmentation)[0].position_m[2] == 3.0
    assert step([detect(box)], depth_m, segmentation,
                min_label_fraction=0.3)[0].position_m[2] == 3.0


@pytest.mark.parametrize(('class_name', 'label'), [('vehicle', 'car'), ('bicycle', 'bike')])
def test_classes_of_the_detector_have_labels_of_another_name(class_name, label):
    depth_m = fill(3.0)
    depth_m[:, ::4] = 10.0
    labels = np.where(depth_m == 10.0, MFNET_CLASSES.index(label), 0).astype(np.uint8)
    [found] = step([detect((20.0, 20.0, 80.0, 80.0), class_name)], depth_m,
                   Segmentation(labels, MFNET_CLASSES))
    assert found.position_m[2] == pytest.approx(10.0)


def test_objects_without_enough_depth_are_left_out_and_counted():
    stage = Detection3dStage(Detection3dStageParameters(
        position=PositionParameters(min_pixels=20)))
    depth_m = fill()
    depth_m[100, 100:119] = 4.0  # 19 pixels
    depth_m[180, 200:220] = 4.0  # 20 pixels
    boxes = [(90.0, 80.0, 130.0, 120.0), (180.0, 160.0, 240.0, 200.0), (0.0, 0.0, 9.0, 9.0),
             (-50.0, -50.0, -10.0, -10.0), (330.0, 100.0, 350.0, 120.0)]
    found = stage.step([detect(box) for box in boxes], depth_m, CAMERA)
    assert [item.detection.box_xyxy_px for item in found] == [boxes[1]]
    assert stage.left_out == 4


def test_boxes_may_be_smaller_than_a_pixel_or_reach_over_the_border():
    found = step([detect((100.2, 100.2, 100.6, 100.6)), detect((-40.0, -40.0, 400.0, 300.0))],
                 fill(5.0), min_pixels=1)
    assert [round(float(item.position_m[2]), 3) for item in found] == [5.0, 5.0]


def test_the_covariance_covers_the_errors_of_the_sensor_and_of_the_box():
    random = np.random.default_rng(0)
    parameters = {'depth_error_ratio': 0.02, 'box_error_ratio': 0.05, 'box_error_px': 2.0}
    true_m = np.array([-30 / 300 * 8, 0.0, 8.0])
    distances = []
    for _ in range(300):
        shift = random.normal(0, 0.05, 2) * (60, 120) + random.normal(0, 2.0, 2)
        box = np.array([100.0, 60.0, 160.0, 180.0]) + np.tile(shift, 2)
        [found] = step([detect(tuple(box))], fill(8.0 * (1 + random.normal(0, 0.02))),
                       **parameters)
        error = found.position_m - true_m
        assert (np.linalg.eigvalsh(found.covariance_m2) > 0).all()
        distances.append(error @ np.linalg.inv(found.covariance_m2) @ error)
    assert 2.5 < np.mean(distances) < 3.5  # chi-squared with three degrees of freedom: mean 3


def test_an_uneven_surface_increases_the_variance_of_depth():
    depth_m = fill(8.0) + np.linspace(-0.5, 0.5, SIZE[0], dtype=np.float32)
    box = detect((10.0, 60.0, 310.0, 180.0))
    [even], [uneven] = step([box], fill(8.0)), step([box], depth_m)
    assert uneven.covariance_m2[2, 2] > 2 * even.covariance_m2[2, 2]
    assert uneven.size_m[2] == pytest.approx(300 / 320 * 0.6 * 0.9, abs=0.01)  # 90 % of the centre


def test_millimetres_and_metres_are_the_same_depth_and_no_measurement_is_nan():
    parameters = DepthParameters(min_m=0.2, max_m=20.0)
    millimetres = np.array([[0, 150, 200, 5000, 20000, 20001, 65535]], np.uint16)
    expected = np.array([[NAN, NAN, 0.2, 5.0, 20.0, NAN, NAN]], np.float32)
    np.testing.assert_array_equal(convert_depth(millimetres, parameters), expected)
    metres = np.array([[np.nan, np.inf, -np.inf, 0.0, -3.0, 0.1, 5.0, 21.0]])
    expected = np.array([[NAN, NAN, NAN, NAN, NAN, NAN, 5.0, NAN]], np.float32)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(convert_depth(metres.astype(dtype), parameters), expected)


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_other_images_are_no_depth(image):
    with pytest.raises(DepthError, match='16UC1 in millimetres or 32FC1 in metres'):
        convert_depth(image, DepthParameters())


def test_registered_depth_may_have_another_resolution_but_no_other_aspect_ratio():
    small = np.arange(80 * 60, dtype=np.float32).reshape(60, 80)
    resized = resize_depth(small, SIZE)
    np.testing.assert_array_equal(resized[1::4, 1::4], small)  # values are not mixed
    assert resize_depth(resized, SIZE) is resized
    with pytest.raises(DepthError, match='80x80 pixels and RGB 320x240'):
        resize_depth(np.zeros((80, 80), np.float32), SIZE)


def test_a_depth_camera_beside_rgb_gives_the_depth_on_the_rgb_grid():
    # Both look at a plane; the depth camera stands 0.1 m to the right of RGB, at half the size.
    stage = Detection3dStage(Detection3dStageParameters(
        depth=DepthParameters(t_depth_to_rgb_m=(0.1, 0.0, 0.0))))
    depth_model = CameraModel((160, 120), np.array([[150.0, 0, 79.5], [0, 150.0, 59.5],
                                                    [0, 0, 1.0]]))
    image = np.full((120, 160), 4000, np.uint16)
    image[40:80, 60:100] = 2000  # X from -0.26 to 0.273 m, Y alike
    depth_m = stage.depth_from_camera(image, CalibratedCamera(depth_model), CAMERA)
    columns = np.nonzero(depth_m == 2.0)[1]
    x_m = (columns - K[0, 2]) / 300 * 2.0
    assert x_m.min() == pytest.approx((60 - 79.5) / 150 * 2 + 0.1, abs=0.004)
    assert x_m.max() == pytest.approx((99 - 79.5) / 150 * 2 + 0.1, abs=0.004)
    assert 0.2 < np.isfinite(depth_m).mean() < 0.3  # a pixel of four has a point
    [found] = stage.step([detect((146.0, 78.0, 206.0, 160.0))], depth_m, CAMERA)
    assert found.position_m[2] == pytest.approx(2.0)
    with pytest.raises(DepthError, match='10x20 pixels, its camera 160x120'):
        stage.depth_from_camera(image[:20, :10], CalibratedCamera(depth_model), CAMERA)


def test_a_point_cloud_of_a_lidar_gives_the_same_position_as_the_depth_image():
    depth_m, box = draw_sphere(np.array([1.2, -0.6, 5.0]), 0.5, 30.0)
    [expected] = step([detect(box)], depth_m)
    t_m = np.array([0.1, -0.2, 0.05])
    points = (make_points(depth_m, CAMERA) - t_m) @ R_LIDAR_TO_RGB
    points = np.vstack([points, [(np.nan, 0, 0), (-5.0, 0, 0), (np.inf, 1, 1)]])
    stage = Detection3dStage()
    seen = stage.depth_from_points(points, CAMERA, Extrinsics(R_LIDAR_TO_RGB, t_m))
    np.testing.assert_allclose(seen, depth_m, rtol=1e-5)
    configured = Detection3dStage(Detection3dStageParameters(depth=DepthParameters(
        R_depth_to_rgb=tuple(R_LIDAR_TO_RGB.ravel()), t_depth_to_rgb_m=tuple(t_m))))
    np.testing.assert_array_equal(configured.depth_from_points(points, CAMERA), seen)
    sparse = stage.depth_from_points(points[::37], CAMERA, Extrinsics(R_LIDAR_TO_RGB, t_m))
    [found] = stage.step([detect(box)], sparse, CAMERA)
    assert np.linalg.norm(found.position_m - expected.position_m) < 0.1


def test_the_nearest_of_several_points_in_a_pixel_counts():
    ray = CAMERA.rays(np.array([(100.0, 50.0)]))
    depth_m = render_points(np.vstack([ray * z for z in (7.0, 3.0, 9.0)]), CAMERA,
                            DepthParameters())
    assert depth_m[50, 100] == 3.0 and np.isfinite(depth_m).sum() == 1


def test_strong_distortion_does_not_fold_points_from_outside_into_the_view():
    model = CameraModel(SIZE, K, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    camera = CalibratedCamera(model)
    outside = np.column_stack([np.linspace(1.2, 1.8, 50), np.zeros(50), np.ones(50)])
    folded = model.project(outside)[:, 0]
    assert ((folded >= 0) & (folded < SIZE[0])).any()
    assert not np.isfinite(render_points(outside, camera, DepthParameters())).any()


def test_positions_of_a_camera_that_is_built_in_upside_down_are_in_its_optical_frame():
    model = CameraModel(SIZE, K, 'plumb_bob', (-0.1, 0.02, 0.001, -0.002, 0.0))
    plain = CameraGeometry(CameraParameters())
    turned = CameraGeometry(CameraParameters(rotate=180))
    left, top, right, bottom = 40.0, 30.0, 90.0, 110.0
    boxes = ((left, top, right, bottom),
             (SIZE[0] - right, SIZE[1] - bottom, SIZE[0] - left, SIZE[1] - top))
    found = []
    for geometry, box in zip((plain, turned), boxes):
        geometry.set_model(model)
        camera = CalibratedCamera.from_geometry(geometry, rectified=False)
        found += step([detect(box)], fill(5.0), camera=camera)
    np.testing.assert_allclose(found[0].position_m, found[1].position_m, atol=1e-6)
    np.testing.assert_allclose(found[0].size_m, found[1].size_m, atol=1e-6)


def test_quarter_turns_exchange_width_and_height():
    geometry = CameraGeometry(CameraParameters(rotate=90))
    geometry.set_model(CameraModel(SIZE, K))
    camera = CalibratedCamera.from_geometry(geometry, rectified=False)
    assert camera.size == (240, 320)
    [found] = step([detect((100.0, 60.0, 130.0, 160.0))], np.full((320, 240), 6.0, np.float32),
                   camera=camera)
    # 30 columns of the turned image are 30 rows of the camera.
    np.testing.assert_allclose(found.size_m, (100 / 300 * 6, 30 / 310 * 6, 0.0), atol=1e-6)


def test_rectified_images_use_p_without_distortion():
    geometry = CameraGeometry(CameraParameters())
    P = np.hstack([np.diag([200.0, 200.0, 1.0]), np.zeros((3, 1))])
    P[:2, 2] = 100.0
    geometry.set_model(CameraModel(SIZE, K, 'plumb_bob', (-0.3, 0.1, 0.0, 0.0, 0.0), P=P))
    camera = CalibratedCamera.from_geometry(geometry, rectified=True)
    np.testing.assert_allclose(camera.rays(np.array([(300.0, 0.0)])), [(1.0, -0.5, 1.0)])
    geometry.set_model(CameraModel(SIZE, np.zeros((3, 3))))
    with pytest.raises(CameraModelError, match='focal length is 0'):
        CalibratedCamera.from_geometry(geometry, rectified=False)
    assert CalibratedCamera.from_geometry(CameraGeometry(CameraParameters()), False) is None


def test_a_coloured_cloud_has_a_point_for_each_depth():
    depth_m = fill()
    depth_m[50, 100], depth_m[60, 110] = 2.0, 4.0
    rgb = np.zeros((*SIZE[::-1], 3), np.uint8)
    rgb[50, 100], rgb[60, 110] = (1, 2, 3), (4, 5, 6)
    counts = np.full(SIZE[::-1], 30315, np.uint16)
    coverage = np.ones(SIZE[::-1], bool)
    coverage[60, 110] = False
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[60, 110] = 2
    stage = Detection3dStage(Detection3dStageParameters(
        radiometry=RadiometryParameters(kind='tlinear_0_01K')))
    cloud = stage.color(depth_m, CAMERA, rgb, ThermalOnRgb(counts, coverage),
                        Segmentation(labels, MFNET_CLASSES))
    np.testing.assert_allclose(cloud.points_m[0], (-59.5 / 300 * 2, -69.5 / 310 * 2, 2.0),
                               rtol=1e-6)
    np.testing.assert_array_equal(cloud.colors_bgr, [(1, 2, 3), (4, 5, 6)])
    np.testing.assert_allclose(cloud.celsius, [30.0, np.nan], atol=1e-4)
    np.testing.assert_array_equal(cloud.labels, [0, 2])
    # Without radiometry, or after a gain control, there are no temperatures.
    for plain, image in ((Detection3dStage(), counts), (stage, counts.astype(np.uint8))):
        cloud = plain.color(depth_m, CAMERA, rgb[..., 0], ThermalOnRgb(image, coverage))
        assert np.isnan(cloud.celsius).all() and not cloud.labels.any()
        np.testing.assert_array_equal(cloud.colors_bgr, [(1, 1, 1), (4, 4, 4)])


def test_images_of_different_sizes_make_no_cloud():
    with pytest.raises(ValueError, match='depth has 320x240, RGB 10x10'):
        Detection3dStage().color(fill(1.0), CAMERA, np.zeros((10, 10, 3), np.uint8))


def test_parameters_with_a_wrong_length_are_refused():
    with pytest.raises(ParameterError, match=r'depth\.R_depth_to_rgb must have 9 numbers'):
        replace(DepthParameters(), R_depth_to_rgb=(1.0, 0.0))
