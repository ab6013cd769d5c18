# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Launch the graph: registration, fusion, segmentation and detection.

    ros2 launch ivf_ros ivf.launch.py thermal:=/flir/image_raw rgb:=/camera/image_raw
    ros2 launch ivf_ros ivf.launch.py source:=simulator rviz:=true
"""

from ivf_ros.nodes.graph import launching
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
    arguments = launching.arguments(nodes, 'ivf.yaml')
    arguments['source'] = launching.argument(
        'source', LaunchConfiguration('bag'), 'What to replay: folder of pairs, two videos, bag, '
        'or simulator[:key=value,...]; the cameras are waited for where empty.')
    mode, source = LaunchConfiguration('mode'), LaunchConfiguration('source')
    # The stages run always, the replay only where there is something to replay.
    wanted = {'replay': NotEqualsSubstitution(source, '')}
    return LaunchDescription([
        launching.argument('bag', '', 'Bag to replay; see source, which takes more.'),
        *arguments.values(),
        launching.argument('mode', 'composed', 'One process, in which frames go by reference; '
                           'or one process a node.', ('composed', 'processes')),
        launching.argument('rviz', False, 'Show the images in RViz; needs the package rviz2.'),
        launching.argument('foxglove', False, 'Serve Foxglove, see config/ivf.foxglove.json; '
                           'needs the package foxglove_bridge.'),
        launching.shared_memory_profile(),
        launching.container(
            [node.component(IfCondition(wanted.get(node.name, 'true'))) for node in nodes],
            IfCondition(EqualsSubstitution(mode, 'composed'))),
        *(node.process(IfCondition(AndSubstitution(EqualsSubstitution(mode, 'processes'),
                                                   wanted.get(node.name, 'true'))))
          for node in nodes),
        *launching.viewers(),
    ])
