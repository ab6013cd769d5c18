# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Detect and track objects in the fused image, or in the images of both cameras.

    ros2 launch ivf_ros detection.launch.py container:=/ivf_container
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the detection node in a separate process, or load it into a running container."""
    return launching.describe_node_launch('detection')
