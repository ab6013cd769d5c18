# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the rig by CameraInfo and tf, and the resulting prior."""

from __future__ import annotations

import importlib.util
import math

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402, I100
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402

FOCAL_PX = 300.0
K = [FOCAL_PX, 0.0, 160.0, 0.0, FOCAL_PX, 120.0, 0.0, 0.0, 1.0]
THERMAL_FRAME, RGB_FRAME = 'thermal_optical_frame', 'rgb_optical_frame'


def camera_info(frame_id='', **fields):
    info = CameraInfo(width=320, height=240, **fields)
    info.k = K
    info.header.frame_id = frame_id
    return info


def publish_camera_infos(graph):
    """Publish the CameraInfo of both cameras as soon as there is a subscription."""
    node = graph.node('cameras')
    for stream, frame_id in (('thermal', THERMAL_FRAME), ('rgb', RGB_FRAME)):
        publisher = node.create_publisher(CameraInfo, f'{stream}/camera_info', 1)
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1)
        publisher.publish(camera_info(frame_id))


def listen(graph):
    received = []
    graph.node('observer').create_subscription(
        CameraInfo, 'registration/homography',
        lambda m: received.append(messages.homography_from_message(m).value.H_thermal_to_rgb), 10)
    return received


def start(graph, **overrides):
    node = graph.add(RegistrationNode, parameter_overrides=[
        Parameter(name, value=value) for name, value in {'method': 'dense', **overrides}.items()])
    node.autostart()
    return node


def test_extrinsics_of_the_parameters_give_the_infinite_homography(live_graph):
    received = listen(live_graph)
    angle = math.radians(3.0)
    R_thermal_to_rgb = [math.cos(angle), 0.0, math.sin(angle), 0.0, 1.0, 0.0,
                        -math.sin(angle), 0.0, math.cos(angle)]
    node = start(live_graph, **{'calibrated.R_thermal_to_rgb': R_thermal_to_rgb})
    assert wait_until(lambda: node.count_subscribers('registration/homography') == 1)
    publish_camera_infos(live_graph)
    assert wait_until(lambda: received)
    expected = np.reshape(K, (3, 3)) @ np.reshape(R_thermal_to_rgb, (3, 3)) \
        @ np.linalg.inv(np.reshape(K, (3, 3)))
    np.testing.assert_allclose(received[0], expected / expected[2, 2], atol=1e-9)


@pytest.mark.parametrize('k, message', [
    ([math.nan] * 9, 'K must be finite, got NaN or infinity'),
    ([300.0, 0.0, 160.0, 0.0, 0.0, 120.0, 0.0, 0.0, 1.0], 'K: focal lengths must be between 0'),
    ([1e300] * 9, 'K: focal lengths must be between 0')])
def test_a_calibration_that_no_camera_has_is_a_bad_message_and_the_node_goes_on(
        live_graph, k, message):
    received, statuses = listen(live_graph), []
    observer = live_graph.node('statuses')
    observer.create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda m: statuses.extend(item.message for item in m.status), 20)
    node = start(live_graph)
    publisher = observer.create_publisher(CameraInfo, 'rgb/camera_info', 50)
    assert wait_until(lambda: publisher.get_subscription_count() == 1)
    for _ in range(30):  # more than what would deactivate a node with a defect
        info = camera_info()
        info.k = k
        publisher.publish(info)
    said = f"bad message on '/rgb/camera_info': {message}"
    assert wait_until(lambda: any(text.startswith(said) for text in statuses))
    assert not received
    assert wait_until(lambda: node.count_subscribers('registration/homography') == 1)
    publish_camera_infos(live_graph)  # a good calibration still counts
    assert wait_until(lambda: received)


@pytest.mark.skipif(importlib.util.find_spec('tf2_ros') is not None, reason='tf2_ros is installed')
def test_without_tf2_ros_the_error_contains_the_remedy(live_graph):
    node = start(live_graph, extrinsics='tf')
    error = node._get_status().error
    assert error.startswith("cannot configure: extrinsics 'tf' needs tf2_ros: apt install")
    assert "extrinsics 'parameters'" in error


def test_tf_and_both_camera_infos_give_the_homography_of_a_plane(live_graph):
    pytest.importorskip('tf2_ros', reason='tf2_ros is not installed')
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    received = listen(live_graph)
    node = start(live_graph, extrinsics='tf', **{'calibrated.plane_distance_m': 5.0})
    assert wait_until(lambda: node.count_subscribers('registration/homography') == 1)
    publish_camera_infos(live_graph)
    problem = f"tf does not know the transform from '{THERMAL_FRAME}' to '{RGB_FRAME}'"
    assert wait_until(lambda: node._rig.find_problem() == problem)
    assert not received  # an incomplete calibration gives no prior
    # Both cameras are fixed to the rig. RGB is 0.1 m to the left of thermal and is rotated by 2
    # degrees to the right, about the downward axis of an optical frame.
    half_angle = math.radians(2.0) / 2
    transforms = []
    for frame_id, x_m, half_turn in ((THERMAL_FRAME, 0.1, 0.0), (RGB_FRAME, 0.0, half_angle)):
        message = TransformStamped(child_frame_id=frame_id)
        message.header.frame_id = 'rig'
        message.transform.translation.x = x_m
        message.transform.rotation.y = math.sin(half_turn)
        message.transform.rotation.w = math.cos(half_turn)
        transforms.append(message)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    live_graph.node('body').create_publisher(TFMessage, '/tf_static', latched).publish(
        TFMessage(transforms=transforms))
    assert wait_until(lambda: received)
    assert node._rig.find_problem() == ''
    # The expected projection of a point of the plane: from thermal to the rig frame, then to RGB.
    pixel = np.array([100.0, 80.0, 1.0])
    point_rig_m = np.linalg.inv(np.reshape(K, (3, 3))) @ pixel * 5.0 + [0.1, 0.0, 0.0]
    angle = 2 * half_angle
    to_rgb = np.array([[math.cos(angle), 0.0, -math.sin(angle)], [0.0, 1.0, 0.0],
                       [math.sin(angle), 0.0, math.cos(angle)]])
    expected = np.reshape(K, (3, 3)) @ to_rgb @ point_rig_m
    mapped = received[0] @ pixel
    np.testing.assert_allclose(mapped[:2] / mapped[2], expected[:2] / expected[2], atol=1e-6)
