# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Launch the graph: registration, fusion, segmentation and detection.

    ros2 launch ivf_ros ivf.launch.py thermal:=/flir/image_raw rgb:=/camera/image_raw
"""

from ivf_ros import dds
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import (EnvironmentVariable, EqualsSubstitution, LaunchConfiguration,
                                  NotEqualsSubstitution, PathJoinSubstitution)
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

STAGES = ('registration', 'fusion', 'segmentation', 'detection')


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes in one process or in several."""
    config = PathJoinSubstitution([FindPackageShare('ivf_ros'), 'config'])
    profile = PathJoinSubstitution([config, 'fastdds.xml'])
    arguments = [
        DeclareLaunchArgument('namespace', default_value='',
                              description='Namespace of all nodes and topics.'),
        DeclareLaunchArgument('params_file', default_value=PathJoinSubstitution(
            [config, 'ivf.yaml']), description='Parameters of all nodes.'),
        DeclareLaunchArgument('use_sim_time', default_value='false', choices=['true', 'false'],
                              description='Take the time from /clock.'),
        DeclareLaunchArgument('autostart', default_value='true', choices=['true', 'false'],
                              description='Configure and activate the nodes at start.'),
        DeclareLaunchArgument('log_level', default_value='info',
                              choices=['debug', 'info', 'warn', 'error', 'fatal'],
                              description='Least severity that the nodes log.'),
        DeclareLaunchArgument('mode', default_value='composed', choices=['composed', 'processes'],
                              description='One process, frames by reference; or one process a '
                                          'node.'),
        DeclareLaunchArgument('thermal', default_value='thermal/image_raw',
                              description='Topic of the thermal camera.'),
        DeclareLaunchArgument('rgb', default_value='rgb/image_raw',
                              description='Topic of the RGB camera.'),
        DeclareLaunchArgument('source', default_value='',
                              description='Recording, or "simulator", to replay; none where '
                                          'empty.'),
    ]
    # A profile that the user has chosen stays.
    name = dds.profile_variable()
    environment = [SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=profile))]
    common = {
        'package': 'ivf_ros',
        'namespace': LaunchConfiguration('namespace'),
        'output': 'screen',
        'ros_arguments': ['--log-level', LaunchConfiguration('log_level')],
    }
    remappings = [('thermal/image_raw', LaunchConfiguration('thermal')),
                  ('rgb/image_raw', LaunchConfiguration('rgb'))]
    parameters = [LaunchConfiguration('params_file'),
                  {'use_sim_time': LaunchConfiguration('use_sim_time'),
                   'autostart': LaunchConfiguration('autostart')}]
    mode = LaunchConfiguration('mode')
    source = LaunchConfiguration('source')
    nodes = [Node(executable='component_container', arguments=list(STAGES), remappings=remappings,
                  parameters=parameters, condition=IfCondition(EqualsSubstitution(
                      mode, 'composed')), **common)]
    nodes += [Node(executable=f'{stage}_node', remappings=remappings, parameters=parameters,
                   condition=IfCondition(EqualsSubstitution(mode, 'processes')), **common)
              for stage in STAGES]
    nodes.append(Node(executable='replay_node', remappings=remappings,
                      parameters=[{'source': source,
                                   'use_sim_time': LaunchConfiguration('use_sim_time')}],
                      condition=IfCondition(NotEqualsSubstitution(source, '')), **common))
    return LaunchDescription([*arguments, *environment, *nodes])
