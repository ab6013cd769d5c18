# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The correction of images in the nodes: shared, told, and waiting for CameraInfo."""

from __future__ import annotations

import time

from conftest import wait_until
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.camera_input import CameraParameters  # noqa: E402, I100
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.camera_inputs import CameraInputs  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.nodes.perception_node import PerceptionNode  # noqa: E402
from ivf_ros.pairing import Pair  # noqa: E402
from ivf_ros.thermal_input import ThermalCameraParameters  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

RANDOM = np.random.default_rng(0)
RGB = cv2.GaussianBlur(RANDOM.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
COUNTS = RANDOM.integers(28000, 30000, (48, 64)).astype(np.uint16)


def make_inputs(live_graph, name, hub, **rgb):
    node = live_graph.add(FusionNode, hub, cli_args=['--ros-args', '-r', f'__node:={name}'])
    return CameraInputs(node, ThermalCameraParameters(), CameraParameters(**rgb)), node


def test_the_nodes_of_a_process_correct_an_image_once(live_graph):
    hub = Hub()
    first, _ = make_inputs(live_graph, 'a', hub, rotate=90)
    second, _ = make_inputs(live_graph, 'b', hub, rotate=90)
    other, _ = make_inputs(live_graph, 'c', hub, rotate=180)
    frame = Frame(RGB, 7, 'camera')
    corrected = first.correct_frame('rgb', frame)
    np.testing.assert_array_equal(corrected.image, np.rot90(RGB, -1))
    assert (corrected.stamp_ns, corrected.frame_id) == (7, 'camera')
    assert second.correct_frame('rgb', frame) is corrected
    np.testing.assert_array_equal(other.correct_frame('rgb', frame).image, RGB[::-1, ::-1])
    plain, _ = make_inputs(live_graph, 'd', hub)
    assert plain.correct_frame('rgb', frame) is frame, 'nothing to correct'


def test_nodes_that_correct_one_camera_in_different_ways_are_warned(live_graph):
    hub = Hub()
    inputs, _ = make_inputs(live_graph, 'a', hub, rotate=90)
    same, _ = make_inputs(live_graph, 'b', hub, rotate=90)
    assert inputs.find_problem() == same.find_problem() == ''
    other, _ = make_inputs(live_graph, 'c', hub)
    assert inputs.find_problem() == other.find_problem() == (
        "the nodes of this process correct '/rgb/image_raw' in different ways; give all nodes the "
        'same parameters rgb.*')
    del other
    assert inputs.find_problem() == ''


def test_an_image_that_cannot_be_corrected_makes_no_pair_and_is_counted(live_graph):
    inputs, node = make_inputs(live_graph, 'a', Hub())
    thermal = Frame(RGB, 7, 'camera')
    assert inputs.correct(Pair(thermal, Frame(RGB, 7, 'rgb'), 0.0)) is None
    assert node.statistics.drops() == {'unusable_thermal': 1}
    assert 'false colours' in node.statistics.take_error()


def test_an_rgb_camera_of_16_bit_or_float_is_taken(live_graph):
    inputs, _ = make_inputs(live_graph, 'a', Hub())
    for image in (RGB.astype(np.uint16) * 257, RGB / np.float32(255)):
        np.testing.assert_allclose(
            inputs.correct_frame('rgb', Frame(image, 7, 'camera')).image, RGB, atol=1)


def test_rows_of_telemetry_are_told_in_the_diagnostics(live_graph):
    inputs, _ = make_inputs(live_graph, 'a', Hub())
    thermal = np.vstack([COUNTS, np.zeros((2, 64), np.uint16)])
    pair = inputs.correct(Pair(Frame(thermal, 7, 'lepton'), None, None))
    np.testing.assert_array_equal(pair.thermal.image, COUNTS)
    assert inputs.diagnostics() == {
        'telemetry_rows_removed': '0 at the top, 2 at the bottom'}


def test_images_are_undistorted_as_soon_as_their_camera_info_is_known(live_graph):
    hub = Hub()
    fusion = live_graph.add(FusionNode, hub, parameter_overrides=[
        Parameter('fusion.method', value='average'), Parameter('rgb.undistort', value=True)])
    perception = live_graph.add(PerceptionNode, hub, parameter_overrides=[
        Parameter('rgb.undistort', value=True)])
    assert fusion.autostart() and perception.autostart()
    camera = live_graph.stranger('camera')
    publisher = camera.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 5)
    infos = camera.create_publisher(messages.CAMERA_INFO.message_type, 'rgb/camera_info', 5)
    fused, fused_infos = [], []
    viewer = live_graph.node('viewer')
    viewer.create_subscription(messages.IMAGE.message_type, 'fused/image', fused.append, 5)
    viewer.create_subscription(messages.CAMERA_INFO.message_type, 'fused/camera_info',
                               fused_infos.append, 5)
    assert wait_until(lambda: publisher.get_subscription_count() >= 1
                      and infos.get_subscription_count() >= 1)

    def publish_until(condition, with_info):
        deadline_s = time.monotonic() + 15.0
        while time.monotonic() < deadline_s:
            if with_info:
                info = messages.CAMERA_INFO.message_type(
                    width=64, height=48, distortion_model='plumb_bob', d=[-0.3, 0.0, 0.0, 0.0])
                info.k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
                infos.publish(info)
            publisher.publish(messages.image_to_message(Frame(RGB, time.time_ns(), 'camera')))
            if wait_until(condition, 0.05):
                return True
        return False

    assert publish_until(lambda: fusion.statistics.drops().get('unusable_rgb', 0) >= 3, False)
    assert not fused
    assert publish_until(lambda: fused and fused_infos, True)
    K = np.array([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])
    expected = cv2.undistort(RGB, K, np.array([-0.3, 0.0, 0.0, 0.0]))
    image = messages.image_from_message(fused[-1]).image
    inner = (slice(6, -6), slice(6, -6))
    assert np.abs(image[inner].astype(int) - expected[inner]).max() <= 3
    assert not any(fused_infos[-1].d) and fused_infos[-1].k[0] == 60.0
