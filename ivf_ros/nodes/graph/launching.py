# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Shared code of the launch files: launch arguments, and nodes as processes or components.

A launch argument that sets a parameter takes its name, default, description and choices from the
parameter dataclass of the node, so ``ros2 launch ... --show-args`` and the node agree.
"""

from __future__ import annotations

from dataclasses import dataclass
import tempfile
from typing import Any, Callable, Iterable, Mapping

from ament_index_python import PackageNotFoundError
from ivf_ros import dds
from ivf_ros.nodes.graph.launch_arguments import (
    declare_argument,
    find_config_file,
    LOG_LEVELS,
    make_remappings,
    make_use_sim_time,
    TOPICS,
)
from ivf_ros.nodes.graph.node_parameters import CONTAINER_NAME, NODE_PARAMETERS, TRANSPORTS
from ivf_ros.parameters import Declaration, declarations
from launch import Action, Condition, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
)
from launch_ros.actions import LoadComposableNodes, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackagePrefix
import yaml


@dataclass(frozen=True)
class GraphNode:
    """A node of the graph, which can run in a separate process or in a container."""

    name: str
    topics: tuple[str, ...]  # launch arguments that remap its topics
    settings: tuple[str, ...]  # parameters that are launch arguments of the same name

    def make_process(self, condition: Condition | None = None) -> OpaqueFunction:
        """Return the action that starts the node in a separate process."""
        return _start_process(lambda context: {'executable': f'{self.name}_node',
                                               **self._options()}, condition)

    def make_component(self) -> ComposableNode:
        """Return the node as a component; it reads ``/**`` and full names of the file only."""
        return ComposableNode(plugin=f'ivf_ros::{self.name.capitalize()}Node', **self._options())

    def declared_settings(self) -> list[Declaration]:
        """Return the declarations of the parameters that are launch arguments."""
        declared = {declaration.name: declaration
                    for declaration in declarations(NODE_PARAMETERS[self.name])}
        return [declared[name] for name in ('autostart', 'bond_heartbeat_period', *self.settings)]

    def parameter_values(self) -> dict[str, ParameterValue]:
        """Return the parameters that launch arguments set."""
        return {**make_use_sim_time(),
                **{setting.name: ParameterValue(LaunchConfiguration(setting.name),
                                                value_type=type(setting.default))
                   for setting in self.declared_settings()}}

    def _options(self) -> dict[str, Any]:
        return {
            'package': 'ivf_ros',
            'name': self.name,
            'namespace': LaunchConfiguration('namespace'),
            'parameters': [LaunchConfiguration('params_file'), self.parameter_values()],
            'remappings': make_remappings(self.topics),
        }


_TRANSPORTS = ('thermal_transport', 'rgb_transport')

NODES = {node.name: node for node in (
    GraphNode('registration', ('thermal', 'rgb', 'thermal_info', 'rgb_info'), _TRANSPORTS),
    GraphNode('fusion', ('thermal', 'rgb', 'thermal_info', 'rgb_info', 'fused'), _TRANSPORTS),
    GraphNode('perception', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('segmentation', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('detection', ('fused', 'rgb', 'rgb_info'), ('rgb_transport',)),
    GraphNode('replay', ('thermal', 'rgb', 'thermal_info', 'rgb_info'),
              ('source', 'rate', 'loop', 'restamp', 'clock', 'thermal_topic', 'rgb_topic',
               'stamps')),
    GraphNode('detection3d', ('rgb', 'rgb_info', 'depth', 'depth_info', 'cloud'),
              ('rgb_transport', 'depth_source', 'depth_extrinsics')),
)}


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
        declare_argument('log_level', 'info', 'Minimum severity of log messages.', LOG_LEVELS),
        declare_argument('respawn', False, 'Start a process again when it has ended.'),
        declare_argument('respawn_delay', 2.0, 'Seconds between the end of a process and its next '
                         'start.'),
        declare_argument('enclaves', False, 'Start each process in the security enclave of its '
                         'full name, as ivf security-policy names them.'),
        *(declare_argument(topic, TOPICS[topic].default, TOPICS[topic].description)
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
            composable_node_descriptions=[node.make_component()],
            condition=IfCondition(NotEqualsSubstitution(target, ''))),
    ])


def make_container(start_conditions: Mapping[GraphNode, Condition],
                   condition: Condition | None = None) -> OpaqueFunction:
    """
    Return the action that starts a container with those nodes whose condition is true.

    The nodes are on its command line, so that a container that is started again has them again.
    """
    def make_options(context: LaunchContext) -> dict[str, Any]:
        nodes = [node for node, is_needed in start_conditions.items()
                 if is_needed.evaluate(context)]
        return {
            'package': 'ivf_ros',
            'executable': 'component_container',
            'name': CONTAINER_NAME,
            'namespace': LaunchConfiguration('namespace'),
            'arguments': [node.name for node in nodes],
            'parameters': [LaunchConfiguration('params_file'),
                           _write_parameters(nodes, context)],
            'remappings': make_remappings(dict.fromkeys(
                topic for node in nodes for topic in node.topics)),
        }

    return _start_process(make_options, condition)


def make_viewers() -> list[Action]:
    """Return RViz and the Foxglove bridge; each starts if its argument is true."""
    return [
        _make_viewer('rviz', 'rviz2', arguments=['-d', find_config_file('ivf.rviz')],
                     remappings=make_remappings(TOPICS)),
        _make_viewer('foxglove', 'foxglove_bridge'),
    ]


def _make_viewer(argument: str, package: str, **options: Any) -> OpaqueFunction:
    """Return the action that starts a viewer, or says in one line that it is not installed."""
    def start(context: LaunchContext) -> list[Action]:
        try:
            FindPackagePrefix(package).perform(context)
        except PackageNotFoundError:
            debian_name = package.replace('_', '-')
            return [LogInfo(msg=f'{argument}:=true has no effect: the package {package} is not '
                                f'installed (sudo apt install ros-$ROS_DISTRO-{debian_name})')]
        return [Node(package=package, executable=package, name=package,
                     namespace=LaunchConfiguration('namespace'), parameters=[make_use_sim_time()],
                     **options)]

    return OpaqueFunction(function=start, condition=IfCondition(LaunchConfiguration(argument)))


def set_shared_memory_profile() -> SetEnvironmentVariable:
    """Set the Fast DDS profile whose shared memory fits images, unless the user has set one."""
    variable = dds.profile_variable()
    return SetEnvironmentVariable(variable, EnvironmentVariable(
        variable, default_value=find_config_file('fastdds.xml')))


def _start_process(make_options: Callable[[LaunchContext], dict[str, Any]],
                   condition: Condition | None) -> OpaqueFunction:
    """Return the action that starts a node; ``respawn_delay`` of launch must be a number."""
    def start(context: LaunchContext) -> list[Action]:
        text = LaunchConfiguration('respawn_delay').perform(context)
        try:
            delay_s = float(text)
        except ValueError:
            raise RuntimeError(f"respawn_delay takes seconds, such as 2.0, not '{text}'") from None
        options = make_options(context)
        return [Node(output='screen', respawn=LaunchConfiguration('respawn'),
                     respawn_delay=delay_s,
                     ros_arguments=['--log-level', LaunchConfiguration('log_level'),
                                    *_enclave_arguments(options['name'], context)],
                     **options)]

    return OpaqueFunction(function=start, condition=condition)


def _enclave_arguments(name: str, context: LaunchContext) -> list[str]:
    """Return the ROS arguments that select the enclave of a node, if the launch wants enclaves."""
    if LaunchConfiguration('enclaves').perform(context) != 'true':
        return []
    namespace = LaunchConfiguration('namespace').perform(context).strip('/')
    return ['--enclave', '/' + '/'.join(filter(None, (namespace, name)))]


def _write_parameters(nodes: Iterable[GraphNode], context: LaunchContext) -> str:
    """
    Write the parameters that launch arguments set into a file; return its path.

    launch_ros writes such files too, but only with the name of the process as the key.
    """
    sections = {f'/**/{node.name}': {'ros__parameters': {
        name: value.evaluate(context) for name, value in node.parameter_values().items()}}
        for node in nodes}
    with tempfile.NamedTemporaryFile('w', prefix='launch_params_', suffix='.yaml',
                                     delete=False) as file:
        yaml.safe_dump(sections, file)
    return file.name
