# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Launch the graph: registration, fusion and perception, that is, segmentation and detection.

    ros2 launch ivf_ros ivf.launch.py thermal:=/flir/image_raw rgb:=/camera/image_raw
    ros2 launch ivf_ros ivf.launch.py source:=simulator rviz:=true
"""

from ivf_ros.nodes.graph import launching
from ivf_ros.nodes.graph.launch_arguments import declare_argument
from launch import LaunchDescription
from launch.conditions import IfCondition
from launch.substitutions import (
    AndSubstitution,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes in one process or in several."""
    nodes = launching.NODES.values()
    arguments = launching.declare_arguments(nodes, 'ivf.yaml')
    arguments['source'] = declare_argument(
        'source', LaunchConfiguration('bag'), 'Source to replay: folder of pairs, two videos, '
        'bag, or simulator[:key=value,...]. If empty, the nodes wait for the cameras.')
    mode, source = LaunchConfiguration('mode'), LaunchConfiguration('source')
    is_joint, is_separate = (EqualsSubstitution(LaunchConfiguration('perception'), choice)
                             for choice in ('joint', 'separate'))
    # Registration and fusion always start; the replay node starts only if there is a source.
    is_needed = {'replay': NotEqualsSubstitution(source, ''), 'perception': is_joint,
                 'segmentation': is_separate, 'detection': is_separate,
                 'detection3d': LaunchConfiguration('detection3d')}
    return LaunchDescription([
        declare_argument('bag', '', 'Bag to replay; source also takes other sources.'),
        *arguments.values(),
        declare_argument(
            'mode', 'composed', 'composed: one process, in which frames are passed by reference. '
            'processes: one process per node.', ('composed', 'processes')),
        declare_argument(
            'perception', 'joint', 'joint: one node segments and detects by one network. '
            'separate: a node for each of the two, with methods of its own.',
            ('joint', 'separate')),
        declare_argument('detection3d', False, 'Place the detections in space; needs depth images '
                         'or point clouds.'),
        declare_argument('rviz', False, 'Show the images in RViz; requires the package rviz2.'),
        declare_argument('foxglove', False, 'Start the Foxglove bridge, see '
                         'config/ivf.foxglove.json; requires the package foxglove_bridge.'),
        launching.set_shared_memory_profile(),
        launching.make_container(
            {node: IfCondition(is_needed.get(node.name, 'true')) for node in nodes},
            IfCondition(EqualsSubstitution(mode, 'composed'))),
        *(node.make_process(IfCondition(
            AndSubstitution(EqualsSubstitution(mode, 'processes'),
                            is_needed.get(node.name, 'true'))))
          for node in nodes),
        *launching.make_viewers(),
    ])
