# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the launch files share: their arguments, and each node as a process or as a component.

A launch argument that sets a parameter takes name, default, meaning and choices from the
parameter dataclass of the node, so ``ros2 launch ... --show-args`` and the node say the same.
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
    """The topic of the camera info that belongs to an image topic: its neighbour."""

    def __init__(self, image_topic: str) -> None:
        super().__init__()
        self._image_topic = LaunchConfiguration(image_topic)

    def describe(self) -> str:
        """Return what ``--show-args`` shows."""
        return f'camera_info beside {self._image_topic.describe()}'

    def perform(self, context: LaunchContext) -> str:
        """Replace the last part of the image topic, as image_transport does."""
        camera, slash, _ = self._image_topic.perform(context).rpartition('/')
        return f'{camera}{slash}camera_info'


@dataclass(frozen=True)
class _Topic:
    """A topic that a launch argument renames."""

    name: str  # by which the nodes know it
    description: str
    default: str | Substitution
    has_images: bool = True  # and so a compressed one beside it


_TOPICS = {
    'thermal': _Topic('thermal/image_raw', 'Topic of the thermal images.', 'thermal/image_raw'),
    'rgb': _Topic('rgb/image_raw', 'Topic of the RGB images.', 'rgb/image_raw'),
    'thermal_info': _Topic('thermal/camera_info', 'Topic of the thermal camera info.',
                           CameraInfoTopic('thermal'), has_images=False),
    'rgb_info': _Topic('rgb/camera_info', 'Topic of the RGB camera info.',
                       CameraInfoTopic('rgb'), has_images=False),
    'fused': _Topic('fused/image', 'Topic of the fused image.', 'fused/image'),
}


@dataclass(frozen=True)
class GraphNode:
    """One node of the graph, that can be started in a process of its own or in a container."""

    name: str
    topics: tuple[str, ...]  # launch arguments that rename what it subscribes to or publishes
    settings: tuple[str, ...]  # its parameters that are launch arguments of the same name

    def process(self, condition: Condition | None = None) -> Node:
        """Return the node as a process of its own."""
        return Node(executable=f'{self.name}_node', condition=condition, **_process_options(),
                    **self._options([LaunchConfiguration('params_file')]))

    def component(self, condition: Condition | None = None,
                  parameter_files: Sequence[Substitution] = ()) -> ComposableNode:
        """Return the node as a component; of the files, only ``/**`` and full names count."""
        return ComposableNode(plugin=f'ivf_ros::{self.name.capitalize()}Node',
                              condition=condition, **self._options(parameter_files))

    def declared_settings(self) -> list[Declaration]:
        """Return what the node says about its settings."""
        declared = {one.name: one for one in declarations(NODE_PARAMETERS[self.name])}
        return [declared[name] for name in ('autostart', *self.settings)]

    def _options(self, parameter_files: Sequence[Substitution]) -> dict[str, Any]:
        values = {one.name: ParameterValue(LaunchConfiguration(one.name),
                                           value_type=type(one.default))
                  for one in self.declared_settings()}
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
    GraphNode('fusion', ('thermal', 'rgb', 'rgb_info', 'fused'), _TRANSPORTS),
    GraphNode('segmentation', ('fused', 'rgb'), ('rgb_transport',)),
    GraphNode('detection', ('fused', 'rgb'), ('rgb_transport',)),
    GraphNode('replay', ('thermal', 'rgb'), ('source', 'rate', 'loop', 'restamp', 'clock')),
)}


def argument(name: str, default: Any, description: str,
             choices: Iterable[str] = ()) -> DeclareLaunchArgument:
    """Declare a launch argument; one whose default is a bool is a switch."""
    if isinstance(default, bool):
        default, choices = str(default).lower(), ('true', 'false')
    elif not isinstance(default, Substitution):
        default = str(default)
    return DeclareLaunchArgument(name, default_value=default, description=description,
                                 choices=list(choices) or None)


def arguments(nodes: Iterable[GraphNode], params_file: str) -> dict[str, DeclareLaunchArgument]:
    """Return the launch arguments that the nodes need, by name; the file lies in config/."""
    nodes = list(nodes)
    topics = dict.fromkeys(topic for node in nodes for topic in node.topics)
    settings = {one.name: one for node in nodes for one in node.declared_settings()}
    # One for both cameras, unless either is told another.
    transport = [argument('transport', TRANSPORTS[0], 'How the images of both cameras come.',
                          TRANSPORTS)] if _TRANSPORTS[1] in settings else []
    declared = [
        argument('namespace', '', 'Namespace of the nodes and of all topics with relative names.'),
        argument('params_file', config_file(params_file), 'YAML file with the parameters. Those '
                 'that are launch arguments too have the value that they have here.'),
        argument('use_sim_time', False, 'Take the time from /clock.'),
        argument('log_level', 'info', 'Least severity that a process logs.', _LOG_LEVELS),
        *(argument(topic, _TOPICS[topic].default, _TOPICS[topic].description)
          for topic in topics),
        *transport,
        *(argument(one.name, LaunchConfiguration('transport') if one.name in _TRANSPORTS
                   else one.default, one.description, one.choices) for one in settings.values()),
    ]
    return {one.name: one for one in declared}


def one_node(name: str) -> LaunchDescription:
    """Describe the launch of one node: by itself, or into a container that runs already."""
    node, container = NODES[name], LaunchConfiguration('container')
    return LaunchDescription([
        *arguments([node], f'{name}.yaml').values(),
        argument('container', '', 'Running container to load the node into, such as '
                 f'/{CONTAINER_NAME}; where empty, the node gets a process of its own.'),
        shared_memory_profile(),
        node.process(IfCondition(EqualsSubstitution(container, ''))),
        LoadComposableNodes(
            target_container=container,
            composable_node_descriptions=[
                node.component(parameter_files=[LaunchConfiguration('params_file')])],
            condition=IfCondition(NotEqualsSubstitution(container, ''))),
    ])


def container(components: list[ComposableNode],
              condition: Condition | None = None) -> ComposableNodeContainer:
    """Return a container with components; it reads the parameter file on behalf of all of them."""
    return ComposableNodeContainer(
        package='ivf_ros', executable='component_container', name=CONTAINER_NAME,
        namespace=LaunchConfiguration('namespace'),
        # launch_ros would look only for '/**' and full names; rcl understands '/**/fusion', too.
        parameters=[LaunchConfiguration('params_file')],
        composable_node_descriptions=components, condition=condition, **_process_options())


def viewers() -> list[Action]:
    """Return RViz and the Foxglove bridge, each started where its argument says so."""
    namespace = LaunchConfiguration('namespace')
    return [
        Node(package='rviz2', executable='rviz2', name='rviz2', namespace=namespace,
             arguments=['-d', config_file('ivf.rviz')], parameters=[_use_sim_time()],
             remappings=_remappings(_TOPICS), condition=IfCondition(LaunchConfiguration('rviz'))),
        Node(package='foxglove_bridge', executable='foxglove_bridge', name='foxglove_bridge',
             namespace=namespace, parameters=[_use_sim_time()],
             condition=IfCondition(LaunchConfiguration('foxglove'))),
    ]


def shared_memory_profile() -> SetEnvironmentVariable:
    """Let images fit into the shared memory of Fast DDS; a profile that the user chose stays."""
    variable = dds.profile_variable()
    return SetEnvironmentVariable(variable, EnvironmentVariable(
        variable, default_value=config_file('fastdds.xml')))


def config_file(name: str) -> Substitution:
    """Return the path of a file in the installed config directory."""
    return PathJoinSubstitution([FindPackageShare('ivf_ros'), 'config', name])


def _process_options() -> dict[str, Any]:
    return {'output': 'screen',
            'ros_arguments': ['--log-level', LaunchConfiguration('log_level')]}


def _use_sim_time() -> dict[str, ParameterValue]:
    return {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}


def _remappings(topics: Iterable[str]) -> list[tuple[str, list[Any]]]:
    """Return the rules that give the topics the names in the launch arguments."""
    rules = []
    for topic in topics:
        suffixes = ('', '/compressed') if _TOPICS[topic].has_images else ('',)
        rules += [(_TOPICS[topic].name + suffix, [LaunchConfiguration(topic), suffix])
                  for suffix in suffixes]
    return rules
