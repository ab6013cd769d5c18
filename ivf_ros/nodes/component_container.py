# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A component container: one process that loads and unloads nodes at run time.

The nodes pass frames by reference. The container implements the protocol of
composition_interfaces, which rclpy lacks, so that ``ros2 component`` and
ComposableNodeContainer and LoadComposableNodes of launch_ros work with Python nodes::

    ros2 run ivf_ros component_container
    ros2 component load /component_container ivf_ros ivf_ros::FusionNode -p fusion.method:=average

A component is a node class of any package under the entry-point group ``rclpy_components``. Its
name is ``<package>::<class>``, and it accepts the options of ``rclpy.node.Node``. Stages on the
command line are loaded at start::

    component_container registration fusion detection --ros-args --params-file ivf.yaml
"""

from __future__ import annotations

import argparse
from importlib import metadata
import sys
import threading
from typing import Any, Sequence

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from ivf_ros import memory
from ivf_ros.nodes.graph import process
from ivf_ros.nodes.graph.health import to_single_line
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

_ENTRY_POINTS = 'rclpy_components'
_STAGES = tuple(NODE_PARAMETERS)


class ComponentError(RuntimeError):
    """A node cannot be loaded or unloaded; the message contains the reason."""


class ComponentManager(Node):
    """
    Loads, lists and unloads the nodes of this process through services.

    The services need a separate executor, so that loading a network does not block the loaded
    nodes.

    Parameters
    ----------
    executor:
        Spins the loaded nodes, not this node.
    node_options:
        Options of ``rclpy.node.Node``.

    """

    def __init__(self, executor: Executor, **node_options: Any) -> None:
        super().__init__('component_container', **node_options)
        self._nodes_executor = executor
        self._hub = Hub()
        self._loaded: dict[int, Node] = {}
        self._last_id = 0
        for service, name, callback in ((LoadNode, 'load_node', self._on_load),
                                        (UnloadNode, 'unload_node', self._on_unload),
                                        (ListNodes, 'list_nodes', self._on_list)):
            self.create_service(service, f'~/_container/{name}', callback)

    def load(self, plugin: str, *, name: str = '', namespace: str = '',
             remap_rules: Sequence[str] = (), by_reference: bool = True, log_level: int = 0,
             use_global_arguments: bool = True, **node_options: Any) -> int:
        """
        Create a node, add it to the executor and, if its ``autostart`` is set, activate it.

        Parameters
        ----------
        plugin:
            Name of the component, such as ``ivf_ros::FusionNode``.
        name:
            Name of the node; if empty, the default name of its class.
        namespace:
            Namespace of the node; if empty, the namespace of the container.
        remap_rules:
            Remappings, such as ``rgb/image_raw:=/front/image_raw``.
        by_reference:
            Whether a stage passes frames to other stages of this process by reference.
        log_level:
            Minimum severity of log messages; 0 for that of the process.
        use_global_arguments:
            Whether the ROS arguments of the process also apply to the node.
        node_options:
            Further options of ``rclpy.node.Node``.

        Returns
        -------
        int
            The id of the node, for ``unload``.

        Raises
        ------
        ComponentError
            The component is unknown, cannot be created, or its name is already used.

        """
        cls = load_component_class(plugin)
        if issubclass(cls, StageNode):
            node_options['hub'] = self._hub if by_reference else Hub()
            name = name or cls.default_name
        if not namespace:
            namespace = self.get_namespace() if use_global_arguments else '/'
        # Checked before creation: a second node of the same name removes the first one from the
        # ROS graph.
        full_name = f'{namespace.rstrip("/")}/{name}'
        for id_, other in self._loaded.items():
            if other.get_fully_qualified_name() == full_name:
                raise ComponentError(f'a node {full_name} runs here already, with id {id_}')
        rules = [*remap_rules, f'__ns:={namespace}', *([f'__node:={name}'] if name else [])]
        try:
            node = cls(context=self.context, use_global_arguments=use_global_arguments,
                       cli_args=['--ros-args', *(word for rule in rules for word in ('-r', rule))],
                       **node_options)
        except Exception as error:  # any error must reach the caller of the service
            raise ComponentError(f'{plugin}: {error}') from error
        if log_level:
            node.get_logger().set_level(LoggingSeverity(log_level))
        self._last_id += 1
        self._loaded[self._last_id] = node
        self._nodes_executor.add_node(node)
        if isinstance(node, StageNode):
            node.autostart()
        self.get_logger().info(
            f'loaded {plugin} as {node.get_fully_qualified_name()}, id {self._last_id}')
        return self._last_id

    def unload(self, id_: int) -> None:
        """
        Destroy a node and free its resources.

        Raises
        ------
        ComponentError
            No node has this id.

        """
        if id_ not in self._loaded:
            loaded = ', '.join(map(str, self._loaded)) or 'none'
            raise ComponentError(f'no node has the id {id_}; loaded: {loaded}')
        node = self._loaded.pop(id_)
        name = node.get_fully_qualified_name()
        self._nodes_executor.remove_node(node)
        node.destroy_node()
        self.get_logger().info(f'unloaded {name}')

    def unload_all(self) -> None:
        """Destroy all nodes in reverse order."""
        # All workers are stopped first; otherwise they slow down the node that is being joined.
        for node in self._loaded.values():
            if isinstance(node, StageNode):
                node.request_stop()
        for id_ in reversed(list(self._loaded)):
            self.unload(id_)

    def node(self, id_: int) -> Node:
        """Return a loaded node by its id."""
        return self._loaded[id_]

    def _on_load(self, request: LoadNode.Request, response: LoadNode.Response
                 ) -> LoadNode.Response:
        try:
            response.unique_id = self.load(request.plugin_name, **_read_request(request))
        except ComponentError as error:
            response.error_message = to_single_line(str(error))
            self.get_logger().error(response.error_message)
            return response
        response.success = True
        response.full_node_name = self._loaded[response.unique_id].get_fully_qualified_name()
        return response

    def _on_unload(self, request: UnloadNode.Request, response: UnloadNode.Response
                   ) -> UnloadNode.Response:
        try:
            self.unload(request.unique_id)
            memory.release_unused()
        except ComponentError as error:
            response.error_message = str(error)
        response.success = not response.error_message
        return response

    def _on_list(self, _request: ListNodes.Request, response: ListNodes.Response
                 ) -> ListNodes.Response:
        response.unique_ids = list(self._loaded)
        response.full_node_names = [node.get_fully_qualified_name()
                                    for node in self._loaded.values()]
        return response

    def destroy_node(self) -> None:
        """Destroy all nodes, then the container."""
        self.unload_all()
        super().destroy_node()


def load_component_class(plugin: str) -> type[Node]:
    """
    Import the class of a component.

    Raises
    ------
    ComponentError
        No installed package provides the component, or it cannot be imported.

    """
    entry_points = {entry_point.name: entry_point
                    for entry_point in metadata.entry_points(group=_ENTRY_POINTS)}
    if plugin not in entry_points:
        raise ComponentError(f"no component '{plugin}'; "
                             f"known: {', '.join(sorted(entry_points))}")
    try:
        return entry_points[plugin].load()
    except (ImportError, AttributeError) as error:
        raise ComponentError(f'{plugin} cannot be imported: {error}') from error


def _read_request(request: LoadNode.Request) -> dict[str, Any]:
    """Return the keyword arguments of ``load`` for a request."""
    extra = {'use_intra_process_comms': True, 'forward_global_arguments': True}
    for argument in map(Parameter.from_parameter_msg, request.extra_arguments):
        if argument.name not in extra or not isinstance(argument.value, bool):
            raise ComponentError(
                f"extra argument '{argument.name}' = {argument.value!r} is not supported; allowed "
                f'are true or false for {" and ".join(extra)}')
        extra[argument.name] = argument.value
    return {
        'name': request.node_name,
        'namespace': request.node_namespace,
        'remap_rules': request.remap_rules,
        'log_level': request.log_level,
        'by_reference': extra['use_intra_process_comms'],
        'use_global_arguments': extra['forward_global_arguments'],
        'parameter_overrides': [Parameter.from_parameter_msg(message)
                                for message in request.parameters],
    }


def _remove_node_name(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that also apply to the loaded nodes: without the container name."""
    kept = list(arguments)
    for index in range(len(kept) - 1, 0, -1):
        if kept[index].startswith(('__node:=', '__name:=')) \
                and kept[index - 1] in ('-r', '--remap'):
            del kept[index - 1:index + 1]
    return kept


def main(arguments: list[str] | None = None) -> int:
    """
    Run the container until SIGINT, SIGTERM or a shutdown.

    Returns
    -------
    int
        The exit code: 1 if a stage on the command line cannot be created, else 0. A stage that
        cannot be configured, for example without its weight file, stays loaded and can be
        configured again.

    """
    arguments = list(sys.argv) if arguments is None else ['component_container', *arguments]
    parser = argparse.ArgumentParser(prog='component_container',
                                     description='Load and run nodes in one process.')
    parser.add_argument('stages', nargs='*', metavar='stage',
                        help=f'stages to load at start: {", ".join(_STAGES)}; default: none')
    try:
        stages = parser.parse_args(remove_ros_args(arguments)[1:]).stages
        unknown = [name for name in stages if name not in _STAGES]
        if unknown:
            parser.error(f"unknown stage '{unknown[0]}'; known: {', '.join(_STAGES)}")
        process.init(_remove_node_name(arguments))
    except process.RCL_ERRORS as error:
        return process.report_failure(error)
    process.configure_process(n_stages=len(_STAGES))
    with process.stop_on_signals() as stop_requested:
        nodes_executor, service_executor = process.make_executor(), SingleThreadedExecutor()
        manager = ComponentManager(nodes_executor, cli_args=arguments)
        service_executor.add_node(manager)
        spin_thread = threading.Thread(target=_spin, args=(nodes_executor, stop_requested),
                                       name='nodes')
        spin_thread.start()
        try:
            for name in stages:
                if stop_requested.is_set():
                    break
                manager.load(f'ivf_ros::{name.capitalize()}Node')
            while rclpy.ok() and not stop_requested.is_set():
                service_executor.spin_once(timeout_sec=process.CHECK_PERIOD_S)
        except ComponentError as error:
            return process.report_failure(error)
        finally:
            stop_requested.set()
            spin_thread.join()
            manager.destroy_node()
            service_executor.shutdown()
            nodes_executor.shutdown()
    return 0


def _spin(executor: Executor, stop_requested: threading.Event) -> None:
    try:
        while not stop_requested.is_set():
            executor.spin_once(timeout_sec=process.CHECK_PERIOD_S)
    except ExternalShutdownException:
        pass
    finally:
        stop_requested.set()


if __name__ == '__main__':
    sys.exit(main())
