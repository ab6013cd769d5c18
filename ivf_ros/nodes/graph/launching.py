# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Shared code of the launch files: launch arguments, and nodes as processes or components.

A launch argument that sets a parameter takes its name, default, description and choices from the
parameter dataclass of the node, so ``ros2 launch ... --show-args`` and the node agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Sequence

from ivf_ros import dds
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS, TRANSPORTS
from ivf_ros.parameters import Declaration, declarations
from launch import Action, Condition, LaunchContext, LaunchDescription, Substitution
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONTAINER_NAME = 'ivf_container'

_LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')


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
class _TopicArgument:
    """A topic that a launch argument remaps."""

    name: str  # in the nodes
    description: str
    default: str | Substitution
    has_images: bool = True  # <topic>/compressed is remapped too


_TOPICS = {
    'thermal': _TopicArgument('thermal/image_raw', 'Topic of the thermal images.',
                              'thermal/image_raw'),
    'rgb': _TopicArgument('rgb/image_raw', 'Topic of the RGB images.', 'rgb/image_raw'),
    'thermal_info': _TopicArgument('thermal/camera_info', 'Topic of the thermal CameraInfo.',
                                   CameraInfoTopic('thermal'), has_images=False),
    'rgb_info': _TopicArgument('rgb/camera_info', 'Topic of the RGB CameraInfo.',
                               CameraInfoTopic('rgb'), has_images=False),
    'fused': _TopicArgument('fused/image', 'Topic of the fused image.', 'fused/image'),
    'depth': _TopicArgument('depth/image', 'Topic of the depth images.', 'depth/image'),
    'depth_info': _TopicArgument('depth/camera_info', 'Topic of the CameraInfo of depth.',
                                 CameraInfoTopic('depth'), has_images=False),
    'cloud': _TopicArgument('depth/points', 'Topic of the point clouds.', 'depth/points',
                            has_images=False),
}


@dataclass(frozen=True)
class GraphNode:
    """A node of the graph, which can run in a separate process or in a container."""

    name: str
    topics: tuple[str, ...]  # launch arguments that remap its topics
    settings: tuple[str, ...]  # parameters that are launch arguments of the same name

    def make_process(self, condition: Condition | None = None) -> Node:
        """Return the action that starts the node in a separate process."""
        return Node(executable=f'{self.name}_node', condition=condition, **_process_options(),
                    **self._options([LaunchConfiguration('params_file')]))

    def make_component(self, condition: Condition | None = None,
                       parameter_files: Sequence[Substitution] = ()) -> ComposableNode:
        """Return the node as a component; it reads ``/**`` and full names of the files only."""
        return ComposableNode(plugin=f'ivf_ros::{self.name.capitalize()}Node',
                              condition=condition, **self._options(parameter_files))

    def declared_settings(self) -> list[Declaration]:
        """Return the declarations of the parameters that are launch arguments."""
        declared = {declaration.name: declaration
                    for declaration in declarations(NODE_PARAMETERS[self.name])}
        return [declared[name] for name in ('autostart', *self.settings)]

    def _options(self, parameter_files: Sequence[Substitution]) -> dict[str, Any]:
        values = {setting.name: ParameterValue(LaunchConfiguration(setting.name),
                                               value_type=type(setting.default))
                  for setting in self.declared_settings()}
        return {
            'package': 'ivf_ros',
            'name': self.name,
            'namespace': LaunchConfiguration('namespace'),
            'parameters': [*parameter_files, {**_use_sim_time(), **values}],
            'remappings': _remappings(self.topics),
        }


_TRANSPORTS = ('thermal_transport', 'rgb_transport')

NODES = {node.name: node for node in (
    GraphNode('registration', ('thermal', 'rgb', 'thermal_info', 'rgb_info'), _TRANSPORTS),
    GraphNode('fusion', ('thermal', 'rgb', 'thermal_info', 'rgb_info', 'fused'), _TRANSPORTS),
    GraphNode('perception', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('segmentation', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('detection', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('detection3d', ('rgb', 'rgb_info', 'depth', 'depth_info', 'cloud'),
              ('rgb_transport', 'depth_source', 'depth_extrinsics')),
    GraphNode('replay', ('thermal', 'rgb', 'thermal_info', 'rgb_info'),
              ('source', 'rate', 'loop', 'restamp', 'clock', 'thermal_topic', 'rgb_topic',
               'stamps')),
)}


def declare_argument(name: str, default: Any, description: str,
                     choices: Iterable[str] = ()) -> DeclareLaunchArgument:
    """Declare a launch argument; a default of type bool gives the choices true and false."""
    if isinstance(default, bool):
        default, choices = str(default).lower(), ('true', 'false')
    elif not isinstance(default, Substitution):
        default = str(default)
    return DeclareLaunchArgument(name, default_value=default, description=description,
                                 choices=list(choices) or None)


def declare_arguments(nodes: Iterable[GraphNode],
                      params_file: str) -> dict[str, DeclareLaunchArgument]:
    """
    Return the launch arguments of the nodes, by name.

    Parameters
    ----------
    nodes:
        The nodes that the launch file starts.
    params_file:
        Name of the default parameter file in ``config/``.

    """
    nodes = list(nodes)
    topics = dict.fromkeys(topic for node in nodes for topic in node.topics)
    settings = {setting.name: setting for node in nodes for setting in node.declared_settings()}
    # The default of both cameras.
    transport = [declare_argument('transport', TRANSPORTS[0],
                                  'Transport of the images of both cameras.',
                                  TRANSPORTS)] if _TRANSPORTS[1] in settings else []
    declared = [
        declare_argument('namespace', '',
                         'Namespace of the nodes and of all topics with relative names.'),
        declare_argument('params_file', find_config_file(params_file),
                         'YAML file with the parameters. Launch arguments override its values.'),
        declare_argument('use_sim_time', False, 'Take the time from /clock.'),
        declare_argument('log_level', 'info', 'Minimum severity of log messages.', _LOG_LEVELS),
        *(declare_argument(topic, _TOPICS[topic].default, _TOPICS[topic].description)
          for topic in topics),
        *transport,
        *(declare_argument(setting.name,
                           LaunchConfiguration('transport') if setting.name in _TRANSPORTS
                           else setting.default, setting.description, setting.choices)
          for setting in settings.values()),
    ]
    return {argument.name: argument for argument in declared}


def describe_node_launch(name: str) -> LaunchDescription:
    """Describe the launch of one node: in a separate process, or into a running container."""
    node, target = NODES[name], LaunchConfiguration('container')
    return LaunchDescription([
        *declare_arguments([node], f'{name}.yaml').values(),
        declare_argument('container', '', 'Running container that loads the node, such as '
                         f'/{CONTAINER_NAME}; if empty, the node runs in a separate process.'),
        set_shared_memory_profile(),
        node.make_process(IfCondition(EqualsSubstitution(target, ''))),
        LoadComposableNodes(
            target_container=target,
            composable_node_descriptions=[
                node.make_component(parameter_files=[LaunchConfiguration('params_file')])],
            condition=IfCondition(NotEqualsSubstitution(target, ''))),
    ])


def make_container(components: list[ComposableNode],
                   condition: Condition | None = None) -> ComposableNodeContainer:
    """Return a container with components; it reads the parameter file for all of them."""
    return ComposableNodeContainer(
        package='ivf_ros', executable='component_container', name=CONTAINER_NAME,
        namespace=LaunchConfiguration('namespace'),
        # launch_ros reads only '/**' and full names from a parameter file; rcl also reads
        # '/**/fusion'.
        parameters=[LaunchConfiguration('params_file')],
        composable_node_descriptions=components, condition=condition, **_process_options())


def make_viewers() -> list[Action]:
    """Return RViz and the Foxglove bridge; each starts only if its argument is true."""
    namespace = LaunchConfiguration('namespace')
    return [
        Node(package='rviz2', executable='rviz2', name='rviz2', namespace=namespace,
             arguments=['-d', find_config_file('ivf.rviz')], parameters=[_use_sim_time()],
             remappings=_remappings(_TOPICS), condition=IfCondition(LaunchConfiguration('rviz'))),
        Node(package='foxglove_bridge', executable='foxglove_bridge', name='foxglove_bridge',
             namespace=namespace, parameters=[_use_sim_time()],
             condition=IfCondition(LaunchConfiguration('foxglove'))),
    ]


def set_shared_memory_profile() -> SetEnvironmentVariable:
    """Set the Fast DDS profile whose shared memory fits images, unless the user has set one."""
    variable = dds.profile_variable()
    return SetEnvironmentVariable(variable, EnvironmentVariable(
        variable, default_value=find_config_file('fastdds.xml')))


def find_config_file(name: str) -> Substitution:
    """Return the path of a file in the installed config directory."""
    return PathJoinSubstitution([FindPackageShare('ivf_ros'), 'config', name])


def _process_options() -> dict[str, Any]:
    return {'output': 'screen',
            'ros_arguments': ['--log-level', LaunchConfiguration('log_level')]}


def _use_sim_time() -> dict[str, ParameterValue]:
    return {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}


def _remappings(topics: Iterable[str]) -> list[tuple[str, list[Any]]]:
    """Return the remappings of the topics to the names in the launch arguments."""
    rules = []
    for topic in topics:
        suffixes = ('', '/compressed', '/compressedDepth') if _TOPICS[topic].has_images else ('',)
        rules += [(_TOPICS[topic].name + suffix, [LaunchConfiguration(topic), suffix])
                  for suffix in suffixes]
    return rules
