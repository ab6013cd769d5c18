# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of a calibration, as the node, camera_info_manager and tf read them."""

from __future__ import annotations

import os

from ivf_ros import geometry, registration
from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.rig_files import (
    format_camera_info,
    format_rig,
    format_static_transform,
    read_prior,
)
from ivf_ros.output import FILE_MARK
from ivf_ros.parameters import build
from ivf_ros.registration.calibrated import make_homography
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import yaml

CAMERAS = {
    'thermal': Camera((160, 120), np.array([[150.0, 0, 80], [0, 151, 60], [0, 0, 1]]),
                      'plumb_bob', np.array([-0.3, 0.1, 0.0, 1e-5, 0.0])),
    'rgb': Camera((640, 480), np.array([[500.0, 0, 320], [0, 501, 240], [0, 0, 1]]),
                  'equidistant', np.array([0.01, 0.02, 0.03, 0.04]))}
POSE = Pose(Rotation.from_rotvec([1, -2, 90], degrees=True).as_matrix(),
            np.array([-0.06, 0.03, 1e-5]))
H = np.array([[4.0, 1e-5, 10], [0, 4.0, -12], [1e-6, 0, 1]])


def read_parameters(text: str) -> registration.RegistrationStageParameters:
    content = yaml.safe_load(text)
    assert list(content) == ['/**/registration']
    return build(registration.RegistrationStageParameters,
                 content['/**/registration']['ros__parameters'])


def test_the_registration_node_takes_the_homography_of_the_recorded_images():
    text = format_rig(['thermal: 0.1 px'], H, CAMERAS, POSE, 2.0)
    calibrated = read_parameters(text).registration.calibrated
    assert make_homography(calibrated) == pytest.approx(H)
    assert np.array(calibrated.K_thermal).reshape(3, 3) == pytest.approx(CAMERAS['thermal'].K)
    assert calibrated.plane_distance_m == 2.0
    assert FILE_MARK in text and '# thermal: 0.1 px' in text


@pytest.mark.parametrize('distance_m', [2.0, np.inf])
def test_rectified_images_use_the_intrinsics_and_extrinsics(distance_m):
    text = format_rig([], H, CAMERAS, POSE, distance_m, rectified=True)
    calibrated = read_parameters(text).registration.calibrated
    expected = geometry.from_rig(CAMERAS['thermal'].K, CAMERAS['rgb'].K, POSE.R, POSE.t_m,
                                 distance_m)
    assert make_homography(calibrated) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert 'H_thermal_to_rgb' in text


def test_a_prior_without_a_board_is_only_a_homography():
    calibrated = read_parameters(format_rig([], H)).registration.calibrated
    assert make_homography(calibrated) == pytest.approx(H) and not calibrated.K_thermal


def test_all_numbers_of_a_file_are_floats():
    for text in (format_rig([], H, CAMERAS, POSE), format_camera_info('x', CAMERAS['thermal'])):
        def check(value):
            if isinstance(value, dict):
                for name, inner in value.items():
                    if name not in ('rows', 'cols', 'image_width', 'image_height'):
                        check(inner)
            elif isinstance(value, list):
                assert all(type(number) is float for number in value)
        check(yaml.safe_load(text))


@pytest.mark.parametrize('stream', ['thermal', 'rgb'])
def test_camera_info_has_the_layout_of_camera_info_manager(stream):
    camera = CAMERAS[stream]
    content = yaml.safe_load(format_camera_info(stream, camera, ['a remark']))
    assert list(content) == ['image_width', 'image_height', 'camera_name', 'camera_matrix',
                             'distortion_model', 'distortion_coefficients',
                             'rectification_matrix', 'projection_matrix']
    assert (content['image_width'], content['image_height']) == camera.size
    assert content['distortion_model'] == camera.distortion
    for name, shape in (('camera_matrix', (3, 3)), ('rectification_matrix', (3, 3)),
                        ('projection_matrix', (3, 4)),
                        ('distortion_coefficients', (1, len(camera.coefficients)))):
        matrix = content[name]
        assert (matrix['rows'], matrix['cols']) == shape
        assert len(matrix['data']) == shape[0] * shape[1]
    assert np.reshape(content['camera_matrix']['data'], (3, 3)) == pytest.approx(camera.K)
    assert content['distortion_coefficients']['data'] == pytest.approx(camera.coefficients)


def test_a_camera_without_distortion_is_a_plumb_bob_of_zeros():
    content = yaml.safe_load(format_camera_info('x', Camera((4, 3), np.eye(3), 'none',
                                                            np.zeros(0))))
    assert content['distortion_model'] == 'plumb_bob'
    assert content['distortion_coefficients']['data'] == [0.0] * 5


def test_the_static_transform_places_thermal_in_the_rgb_frame():
    words = format_static_transform(POSE).split()
    assert words[:4] == ['ros2', 'run', 'tf2_ros', 'static_transform_publisher']
    values = dict(zip(words[4::2], words[5::2]))
    assert values['--frame-id'] == 'rgb_optical_frame'
    assert values['--child-frame-id'] == 'thermal_optical_frame'
    # tf: a point of the child frame, rotated and shifted, is the point in the parent frame. The
    # origin of thermal so lies at t, and its x axis, after a turn of about 90 degrees, points
    # along y of RGB.
    shift = np.array([float(values[f'--{axis}']) for axis in 'xyz'])
    rotation = Rotation.from_quat([float(values[f'--q{axis}']) for axis in 'xyzw'])
    assert shift == pytest.approx((-0.06, 0.03, 0.0), abs=1e-4)
    assert rotation.apply([1.0, 0.0, 0.0]) == pytest.approx((0.0, 1.0, 0.0), abs=0.05)
    point = np.array([[0.3, -0.2, 2.0]])
    assert rotation.apply(point) + shift == pytest.approx(POSE.transform(point), abs=1e-5)


def test_the_prior_is_read_back_from_the_file(tmp_path):
    path = tmp_path / 'rig.yaml'
    path.write_text(format_rig(['thermal: 0.1 px'], H, CAMERAS, POSE, 2.0))
    assert read_prior(path) == pytest.approx(H)
    path.write_text(format_rig([], H, CAMERAS, POSE, 2.0, rectified=True))
    expected = geometry.from_rig(CAMERAS['thermal'].K, CAMERAS['rgb'].K, POSE.R, POSE.t_m, 2.0)
    assert read_prior(path) == pytest.approx(expected, rel=1e-6)
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': {
        'max_rate_hz': 3.0, 'registration': {'calibrated': {
            'H_thermal_to_rgb': [float(value) for value in H.ravel()]}}}}}))
    assert read_prior(path) == pytest.approx(H), 'nested, as people write it'


@pytest.mark.parametrize('text, message', [
    (None, 'cannot read'), ('a: [', 'is no YAML file'), ('[1, 2]', 'holds no calibration'),
    ('a: !!timestamp x', 'is no YAML file'), ('a: !!bool x', 'is no YAML file'),
    ('a: !!int ""', 'is no YAML file'), ('a: 2001-99-99', 'is no YAML file'),
    ('[' * 10 ** 4, 'is no YAML file'),
    ('/**: {ros__parameters: {registration.calibrated.K_thermal: [1.0], '
     'registration.calibrated.K_rgb: [1.0]}}', 'K_thermal must have 9 numbers'),
    ('/**: {ros__parameters: {registration: {calibrated: {K_rbg: [1.0]}}}}',
     "unknown parameter 'K_rbg'; did you mean K_rgb"),
    # an alias may refer to what contains it, or multiply what it refers to
    ('/**: &a {ros__parameters: *a}', 'holds no calibration'),
    ('/**: {ros__parameters: &a {registration: *a}}', 'holds no calibration'),
    ('/**: {ros__parameters: {registration: {calibrated: &a {K_rgb: *a}}}}',
     "'K_rgb' must be a list of numbers"),
    ('/**:\n  ros__parameters:\n    n0: &n0 {x: 1}\n' + ''.join(
        f'    n{i}: &n{i} {{x: *n{i - 1}, y: *n{i - 1}}}\n' for i in range(1, 60)),
     'holds no calibration'),
    ('/**: {ros__parameters: {max_rate_hz: 3.0}}', 'holds no calibration')])
def test_a_file_without_a_calibration_is_no_prior(tmp_path, text, message):
    path = tmp_path / 'rig.yaml'
    if text is not None:
        path.write_text(text)
    with pytest.raises(CalibrationError, match=message):
        read_prior(path)


def test_a_prior_is_read_from_a_regular_file_of_moderate_size(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(CalibrationError, match='it is a named pipe'):
        read_prior(tmp_path / 'pipe')
    (tmp_path / 'rig.yaml').write_text(f'{format_rig([], H)}#{"x" * 300_000}')
    with pytest.raises(CalibrationError, match='at most 262144 are read'):
        read_prior(tmp_path / 'rig.yaml')
