# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment and detect by one network, in the fused image or in the images of both cameras.

    ros2 launch ivf_ros perception.launch.py rgb:=/camera/image_raw
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the perception node in a separate process, or load it into a running container."""
    return launching.describe_node_launch('perception')
