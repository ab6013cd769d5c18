# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Place the detections in space with depth images or point clouds.

    ros2 launch ivf_ros detection3d.launch.py depth:=/camera/aligned_depth/image
    ros2 launch ivf_ros detection3d.launch.py depth_source:=points cloud:=/lidar/points
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the detection3d node in a separate process, or load it into a running container."""
    return launching.describe_node_launch('detection3d')
