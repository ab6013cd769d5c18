# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Segment the fused image, or both cameras together.

    ros2 launch ivf_ros segmentation.launch.py rgb:=/camera/image_raw
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the segmentation node by itself, or load it into a running container."""
    return launching.one_node('segmentation')
