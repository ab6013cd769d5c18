# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One process that hosts nodes, loads and unloads them at run time; frames go by reference.

It speaks the protocol of composition_interfaces, which rclpy has lacked, so that
``ros2 component`` and launch_ros's ComposableNodeContainer and LoadComposableNodes work with
Python nodes::

    ros2 run ivf_ros component_container
    ros2 component load /component_container ivf_ros ivf_ros::FusionNode -p fusion.method:=average

A component is a node class under the entry-point group ``rclpy_components``, of this package or of
any other, named ``<package>::<class>`` and made with the options of ``rclpy.node.Node``. Stages
can be named on the command line, too, and are loaded before anybody asks::

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
    """A node cannot be loaded or unloaded; the message says why."""


class ComponentManager(Node):
    """
    Loads, lists and unloads the nodes of this process, by service.

    Its services run in an executor of their own, so that the nodes at work, which ``executor``
    turns, do not wait while a network is being loaded.
    """

    def __init__(self, executor: Executor, **node_options: Any) -> None:
        super().__init__('component_container', **node_options)
        self._nodes_executor = executor
        self._hub = Hub()
        self._loaded: dict[int, Node] = {}
        self._last_id = 0
        for service, name, answer in ((LoadNode, 'load_node', self._on_load),
                                      (UnloadNode, 'unload_node', self._on_unload),
                                      (ListNodes, 'list_nodes', self._on_list)):
            self.create_service(service, f'~/_container/{name}', answer)

    def load(self, plugin: str, *, name: str = '', namespace: str = '',
             remap_rules: Sequence[str] = (), by_reference: bool = True, log_level: int = 0,
             use_global_arguments: bool = True, **node_options: Any) -> int:
        """
        Make a node, let it run and, where it is a stage that starts by itself, start it.

        Parameters
        ----------
        plugin:
            Name of the component, such as ``ivf_ros::FusionNode``.
        name, namespace:
            Of the node; where empty, the name that its class gives it, the namespace of this node.
        remap_rules:
            Such as ``rgb/image_raw:=/front/image_raw``.
        by_reference:
            Whether a stage hands frames to its neighbours here by reference.
        log_level:
            Least severity that it logs; 0 for that of the process.
        use_global_arguments:
            Whether the arguments of the process hold for the node, too.
        node_options:
            Further options of ``rclpy.node.Node``.

        Returns
        -------
        int
            The id by which it is unloaded.

        Raises
        ------
        ComponentError
            There is no such component, it refuses what it was given, or its name is taken.

        """
        cls = component_class(plugin)
        if issubclass(cls, StageNode):
            node_options['hub'] = self._hub if by_reference else Hub()
            name = name or cls.default_name
        if not namespace:
            namespace = self.get_namespace() if use_global_arguments else '/'
        # Before it is made: a second node of a name takes the first one out of the ROS graph.
        full_name = f'{namespace.rstrip("/")}/{name}'
        for id_, other in self._loaded.items():
            if other.get_fully_qualified_name() == full_name:
                raise ComponentError(f'a node {full_name} runs here already, with id {id_}')
        rules = [*remap_rules, f'__ns:={namespace}', *([f'__node:={name}'] if name else [])]
        try:
            node = cls(context=self.context, use_global_arguments=use_global_arguments,
                       cli_args=['--ros-args', *(word for rule in rules for word in ('-r', rule))],
                       **node_options)
        except Exception as error:  # whatever it is, the one who asked has to hear it
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
        End a node and free what it held.

        Raises
        ------
        ComponentError
            No node has this id.

        """
        if id_ not in self._loaded:
            known = ', '.join(map(str, self._loaded)) or 'none'
            raise ComponentError(f'no node has the id {id_}; loaded: {known}')
        node = self._loaded.pop(id_)
        name = node.get_fully_qualified_name()
        self._nodes_executor.remove_node(node)
        node.destroy_node()
        self.get_logger().info(f'unloaded {name}')

    def unload_all(self) -> None:
        """End all nodes, the last one first."""
        # Else those that are still at work would slow down the one that is waited for.
        for node in self._loaded.values():
            if isinstance(node, StageNode):
                node.stop_soon()
        for id_ in reversed(list(self._loaded)):
            self.unload(id_)

    def node(self, id_: int) -> Node:
        """Return a node that runs here."""
        return self._loaded[id_]

    def _on_load(self, request: LoadNode.Request, response: LoadNode.Response
                 ) -> LoadNode.Response:
        try:
            response.unique_id = self.load(request.plugin_name, **_options(request))
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
        """End all nodes, then this one."""
        self.unload_all()
        super().destroy_node()


def component_class(plugin: str) -> type[Node]:
    """
    Import the class of a component.

    Raises
    ------
    ComponentError
        No installed package has it, or it cannot be imported.

    """
    known = {point.name: point for point in metadata.entry_points(group=_ENTRY_POINTS)}
    if plugin not in known:
        raise ComponentError(f"no component '{plugin}'; known: {', '.join(sorted(known))}")
    try:
        return known[plugin].load()
    except (ImportError, AttributeError) as error:
        raise ComponentError(f'{plugin} cannot be imported: {error}') from error


def _options(request: LoadNode.Request) -> dict[str, Any]:
    """Return what a request to load asks for, as keyword arguments of ``load``."""
    extra = {'use_intra_process_comms': True, 'forward_global_arguments': True}
    for asked in map(Parameter.from_parameter_msg, request.extra_arguments):
        if asked.name not in extra or not isinstance(asked.value, bool):
            raise ComponentError(f"extra argument '{asked.name}' = {asked.value!r}; known are "
                                 f'true or false for {" and ".join(extra)}')
        extra[asked.name] = asked.value
    return {
        'name': request.node_name,
        'namespace': request.node_namespace,
        'remap_rules': request.remap_rules,
        'log_level': request.log_level,
        'by_reference': extra['use_intra_process_comms'],
        'use_global_arguments': extra['forward_global_arguments'],
        'parameter_overrides': [Parameter.from_parameter_msg(one) for one in request.parameters],
    }


def _shared(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that also hold for the nodes in the container: not its own name."""
    kept = list(arguments)
    for at in range(len(kept) - 1, 0, -1):
        if kept[at].startswith(('__node:=', '__name:=')) and kept[at - 1] in ('-r', '--remap'):
            del kept[at - 1:at + 1]
    return kept


def main(arguments: list[str] | None = None) -> int:
    """
    Host nodes until SIGINT, SIGTERM or a shutdown.

    Returns
    -------
    int
        0, or 1 where a stage named here could not be made. One that was made and does not start,
        as without its weight file, stays, and can be configured again.

    """
    arguments = list(sys.argv) if arguments is None else ['component_container', *arguments]
    parser = argparse.ArgumentParser(prog='component_container',
                                     description='Host nodes in one process.')
    parser.add_argument('stages', nargs='*', metavar='stage',
                        help=f'loaded at start, any of {", ".join(_STAGES)}; default: none')
    try:
        stages = parser.parse_args(remove_ros_args(arguments)[1:]).stages
        unknown = [name for name in stages if name not in _STAGES]
        if unknown:
            parser.error(f"unknown stage '{unknown[0]}'; known: {', '.join(_STAGES)}")
        process.init(_shared(arguments))
    except process.RCL_ERRORS as error:
        return process.fail(error)
    process.configure_process(n_stages=len(_STAGES))
    with process.stop_on_signals() as stop_requested:
        nodes_executor, service_executor = SingleThreadedExecutor(), SingleThreadedExecutor()
        manager = ComponentManager(nodes_executor, cli_args=arguments)
        service_executor.add_node(manager)
        spin_thread = threading.Thread(target=_spin, args=(nodes_executor, stop_requested), name='nodes')
        spin_thread.start()
        try:
            for name in stages:
                manager.load(f'ivf_ros::{name.capitalize()}Node')
            while rclpy.ok() and not stop_requested.is_set():
                service_executor.spin_once(timeout_sec=0.5)
        except ComponentError as error:
            return process.fail(error)
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
            executor.spin_once(timeout_sec=0.5)
    except ExternalShutdownException:
        pass
    finally:
        stop_requested.set()


if __name__ == '__main__':
    sys.exit(main())
