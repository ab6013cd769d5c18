# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images that are lost between processes: the log names the cause and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import REPOSITORY, wait_until
from ivf_ros import dds
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402, I100
from ivf_ros.nodes.graph import topic_checks  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

# Two cameras of 640x480 at 15 Hz; the colour images are larger than the default segment.
DRIVERS = """
import array, time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('drivers')
cameras = [(node.create_publisher(Image, f'{stream}/image_raw', qos_profile_sensor_data),
            Image(width=640, height=480, encoding=encoding, step=640 * size,
                  data=array.array('B', bytes(640 * 480 * size))))
           for stream, encoding, size in (('thermal', 'mono8', 1), ('rgb', 'bgr8', 3))]
index = 0
while True:
    index += 1
    stamp = node.get_clock().now().to_msg()
    for publisher, image in cameras:
        image.header.stamp = stamp
        image.data[index % 1000] = index % 256
        publisher.publish(image)
    time.sleep(1 / 15)
"""


@pytest.mark.parametrize('times_s, image_bytes, words', [
    (np.arange(20) / 15, 10 ** 6, ''),  # none is lost
    (np.array([0, 1, 2, 9, 10, 25, 26, 40]) / 15, 10 ** 6, 'about 82% of the images'),
    (np.array([0, 1, 2, 9, 10, 25, 26, 40]) / 15, 10 ** 5, ''),  # they fit into the segment
    (np.array([0, 1, 9]) / 15, 10 ** 6, ''),  # too few to judge
])
def test_loss_shows_in_the_times_of_large_images(times_s, image_bytes, words):
    text = topic_checks.explain_loss('/rgb/image_raw', times_s, image_bytes)
    assert text.startswith(words) and bool(text) == bool(words)
    if words:
        assert f'export {dds.profile_variable()}={dds.profile_path()}' in text


def test_drivers_without_the_profile_are_told_how_to_start(live_graph):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id())}
    for name in dds.PROFILE_VARIABLES:
        environment.pop(name, None)
    node = live_graph.add(FusionNode, None, parameter_overrides=[
        Parameter('fusion.method', value='average')])
    assert node.autostart()
    with subprocess.Popen([sys.executable, '-c', DRIVERS], cwd=REPOSITORY, env=environment
                          ) as drivers:
        try:
            assert wait_until(
                lambda: f'export {dds.profile_variable()}=' in node.diagnose()[0], 40.0), \
                node.diagnose()
        finally:
            drivers.kill()
    problem = node.diagnose()[0]
    assert "'/rgb/image_raw'" in problem and str(dds.profile_path()) in problem


def test_drivers_with_the_profile_lose_nothing_and_are_told_nothing(live_graph):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id()),
                   dds.profile_variable(): str(dds.profile_path())}
    node = live_graph.add(FusionNode, None, parameter_overrides=[
        Parameter('fusion.method', value='average')])
    fused = []
    live_graph.node('viewer').create_subscription(Image, 'fused/image', fused.append, 5)
    assert node.autostart()
    with subprocess.Popen([sys.executable, '-c', DRIVERS], cwd=REPOSITORY, env=environment
                          ) as drivers:
        try:
            assert wait_until(lambda: len(fused) > 30, 40.0)
            assert 'lost on the way' not in node.diagnose()[0]
        finally:
            drivers.kill()
