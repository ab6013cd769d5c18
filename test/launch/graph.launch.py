# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A test of the installed package by launch_testing: the graph runs, and ends without an error.

    launch_test test/launch/graph.launch.py mode:=processes
"""

import unittest

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare
import launch_testing
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from launch_testing_ros import WaitForTopics
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray

START_TIMEOUT_S = 90.0


def generate_test_description():
    """Launch the graph on simulated cameras, as the package installs it."""
    graph = IncludeLaunchDescription(
        PathJoinSubstitution([FindPackageShare('ivf_ros'), 'launch', 'ivf.launch.py']),
        launch_arguments={'source': 'simulator', 'namespace': 'tested', 'loop': 'true',
                          'mode': LaunchConfiguration('mode')}.items())
    return LaunchDescription([DeclareLaunchArgument('mode', default_value='composed'), graph,
                              ReadyToTest()])


class TestGraph(unittest.TestCase):
    """While the graph runs."""

    def test_every_stage_publishes(self):
        topics = [('tested/registration/homography', CameraInfo), ('tested/fused/image', Image),
                  ('tested/segmentation/labels', Image), ('tested/detections', Detection2DArray)]
        with WaitForTopics(topics, timeout=START_TIMEOUT_S) as waiting:
            self.assertEqual(waiting.topics_received(), {topic for topic, _ in topics})


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """After the graph was interrupted."""

    def test_every_process_ends_without_an_error(self, proc_info):
        self.assertTrue(proc_info.process_names())
        assertExitCodes(proc_info)
