# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure the homography from thermal to RGB images, and register them.

    ros2 launch ivf_ros registration.launch.py thermal:=/flir/image_raw rgb:=/camera/image_raw
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the registration node in a separate process, or load it into a running container."""
    return launching.describe_node_launch('registration')
