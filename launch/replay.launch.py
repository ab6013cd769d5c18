# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Replay a recording, or the simulator, as two cameras.

    ros2 launch ivf_ros replay.launch.py source:=recordings/night.mcap loop:=true
"""

from ivf_ros.nodes.graph import launching
from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Start the replay node in a separate process, or load it into a running container."""
    return launching.describe_node_launch('replay')
