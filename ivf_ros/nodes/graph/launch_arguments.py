# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of the launch files: topics, examples, and what the actions make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable

from ivf_ros.nodes.graph.node_parameters import CONTAINER_NAME
from launch import LaunchContext, Substitution
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')

# Values for the descriptions of the arguments that have no list of choices.
_EXAMPLES = {
    'namespace': 'robot',
    'params_file': '$HOME/ivf.yaml',
    'respawn_delay': '5.0',
    'thermal': '/flir/image_raw',
    'rgb': '/camera/image_raw',
    'thermal_info': '/flir/camera_info',
    'rgb_info': '/camera/camera_info',
    'fused': '/front/fused',
    'depth': '/camera/depth/image_raw',
    'depth_info': '/camera/depth/camera_info',
    'cloud': '/lidar/points',
    'bond_heartbeat_period': '0.1',
    'source': 'simulator:condition=night',
    'bag': 'recordings/night.mcap',
    'rate': '0.5',
    'thermal_topic': '/optris/thermal_image',
    'rgb_topic': '/camera/color/image_raw',
    'container': f'/{CONTAINER_NAME}',
}


class CameraInfoTopic(Substitution):
    """The CameraInfo topic in the namespace of an image topic."""

    def __init__(self, image_topic: str) -> None:
        super().__init__()
        self._image_topic = LaunchConfiguration(image_topic)

    def describe(self) -> str:
        """Return the text for ``--show-args``."""
        return f'camera_info beside {self._image_topic.describe()}'

    def perform(self, context: LaunchContext) -> str:
        """Replace the last part of the image topic, as image_transport does."""
        camera, slash, _ = self._image_topic.perform(context).rpartition('/')
        return f'{camera}{slash}camera_info'


@dataclass(frozen=True)
class TopicArgument:
    """A topic that a launch argument remaps."""

    name: str  # in the nodes
    description: str
    default: str | Substitution
    has_images: bool = True  # <topic>/compressed is remapped too


TOPICS = {
    'thermal': TopicArgument('thermal/image_raw', 'Topic of the thermal images.',
                             'thermal/image_raw'),
    'rgb': TopicArgument('rgb/image_raw', 'Topic of the RGB images.', 'rgb/image_raw'),
    'thermal_info': TopicArgument('thermal/camera_info', 'Topic of the thermal CameraInfo.',
                                  CameraInfoTopic('thermal'), has_images=False),
    'rgb_info': TopicArgument('rgb/camera_info', 'Topic of the RGB CameraInfo.',
                              CameraInfoTopic('rgb'), has_images=False),
    'fused': TopicArgument('fused/image', 'Topic of the fused image.', 'fused/image'),
    'depth': TopicArgument('depth/image', 'Topic of the depth images.', 'depth/image'),
    'depth_info': TopicArgument('depth/camera_info', 'Topic of the CameraInfo of depth.',
                                CameraInfoTopic('depth'), has_images=False),
    'cloud': TopicArgument('depth/points', 'Topic of the point clouds.', 'depth/points',
                           has_images=False),
}


def declare_argument(name: str, default: Any, description: str,
                     choices: Iterable[str] = ()) -> DeclareLaunchArgument:
    """
    Declare a launch argument; a default of type bool gives the choices true and false.

    The description of an argument without choices ends with an example.
    """
    if isinstance(default, bool):
        default, choices = str(default).lower(), ('true', 'false')
    elif not isinstance(default, Substitution):
        default = str(default)
    if not choices:
        description += f' Example: {name}:={_EXAMPLES[name]}'
    return DeclareLaunchArgument(name, default_value=default, description=description,
                                 choices=list(choices) or None)


def find_config_file(name: str) -> Substitution:
    """Return the path of a file in the installed config directory."""
    return PathJoinSubstitution([FindPackageShare('ivf_ros'), 'config', name])


def make_use_sim_time() -> dict[str, ParameterValue]:
    """Return the parameter use_sim_time, as the launch argument says."""
    return {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}


def make_remappings(topics: Iterable[str]) -> list[tuple[str, list[Any]]]:
    """Return the remappings of the topics to the names in the launch arguments."""
    rules = []
    for topic in topics:
        suffixes = ('', '/compressed', '/compressedDepth') if TOPICS[topic].has_images else ('',)
        rules += [(TOPICS[topic].name + suffix, [LaunchConfiguration(topic), suffix])
                  for suffix in suffixes]
    return rules
