# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure how thermal images lie on RGB images, and register them.

    ros2 launch ivf_ros registration.launch.py thermal:=/flir/image_raw rgb:=/camera/image_raw
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the registration node by itself, or load it into a running container."""
    return launching.one_node('registration')
