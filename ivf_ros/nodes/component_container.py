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
from dataclasses import dataclass
from functools import partial
import gc
from queue import SimpleQueue
import sys
import time
from typing import Any, Sequence

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from ivf_ros import memory, shared_memory
from ivf_ros.nodes.graph import process, ros_parameters
from ivf_ros.nodes.graph.components import (
    ComponentError,
    load_component_class,
    read_request,
    remove_node_name,
)
from ivf_ros.nodes.graph.faults import (
    describe_error,
    FaultLimit,
    guard,
    GuardedCallbacks,
    locate_error,
    MAX_EXECUTOR_FAULTS_PER_MINUTE,
)
from ivf_ros.nodes.graph.health import Health, NodeStatus
from ivf_ros.nodes.graph.node_parameters import ContainerParameters, NODE_PARAMETERS
from ivf_ros.nodes.graph.spinner import CHECK_PERIOD_S, spin_turn, Spinner
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger_level, LoggingSeverity, set_logger_level
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

_STAGES = tuple(NODE_PARAMETERS)
_LOG_LEVELS = tuple(map(int, LoggingSeverity))  # with 0
_UNLOAD_TIMEOUT_S = 20.0  # longer than a stage waits for its workers


@dataclass
class _Component:
    """A loaded node, and what is needed to load it again and to unload it."""

    node: Node
    spinner: Spinner
    plugin: str
    options: dict[str, Any]
    previous_log_level: LoggingSeverity  # of its logger, which outlives the node


class ComponentManager(GuardedCallbacks, Node):
    """
    Loads, lists and unloads the nodes of this process through services.

    The stages of this package share one thread and one executor. Their callbacks raise nothing.
    Each other component has a thread and an executor of its own: an exception in one of its
    callbacks unloads that component only. The services run in the executor of this node, so that
    loading a network does not block the loaded nodes.

    Parameters
    ----------
    node_options:
        Options of ``rclpy.node.Node``.

    Attributes
    ----------
    failure:
        The exception that ended the thread of the stages, or None.

    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__('component_container', **node_options)
        shared_memory.claim()  # also where no stage is ever loaded
        self._hub = Hub()
        self._components: dict[int, _Component] = {}
        self._last_id = 0
        self.failure: BaseException | None = None
        self._limit = FaultLimit(MAX_EXECUTOR_FAULTS_PER_MINUTE)
        self._failed: SimpleQueue[tuple[int, BaseException]] = SimpleQueue()
        self._reloads: list[tuple[float, _Component]] = []  # with the time when they are due
        self._lost = ''  # components that are not there any more
        self._spinner = Spinner(process.make_executor(self.context), self._survives, 'stages')
        self._health = Health(self, self._get_status)
        self._settings = ros_parameters.declare(self, ContainerParameters)
        self.create_timer(CHECK_PERIOD_S, self._replace_failed,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        for service, name, callback in ((LoadNode, 'load_node', self._on_load),
                                        (UnloadNode, 'unload_node', self._on_unload),
                                        (ListNodes, 'list_nodes', self._on_list)):
            self.create_service(service, f'~/_container/{name}', callback)

    def load(self, plugin: str, *, name: str = '', namespace: str = '',
             remap_rules: Sequence[str] = (), by_reference: bool = True, log_level: int = 0,
             use_global_arguments: bool = True, **node_options: Any) -> int:
        """
        Create a node, spin it and, if its ``autostart`` is set, activate it.

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
        options = {'name': name, 'namespace': namespace, 'remap_rules': remap_rules,
                   'by_reference': by_reference, 'log_level': log_level,
                   'use_global_arguments': use_global_arguments, **node_options}
        if log_level not in _LOG_LEVELS:
            raise ComponentError(f"log_level must be one of {', '.join(map(str, _LOG_LEVELS))}, "
                                 f'got {log_level}')
        cls = load_component_class(plugin)
        if issubclass(cls, StageNode):
            node_options['hub'] = self._hub if by_reference else Hub()
            name = name or cls.default_name
        if not namespace:
            namespace = self.get_namespace() if use_global_arguments else '/'
        # Checked before creation: a second node of the same name removes the first one from the
        # ROS graph.
        self._check_name(f'{namespace.rstrip("/")}/{name}')
        rules = [*remap_rules, f'__ns:={namespace}', *([f'__node:={name}'] if name else [])]
        problem = ''
        try:
            node = cls(context=self.context, use_global_arguments=use_global_arguments,
                       cli_args=['--ros-args', *(word for rule in rules for word in ('-r', rule))],
                       **node_options)
        except (Exception, SystemExit) as error:  # any error must reach the caller of the service
            problem = describe_error(error)
        if problem:
            gc.collect()  # a node that is half done is in the ROS graph until then
            raise ComponentError(f'{plugin}: {problem}')
        try:  # a class of another package, or a rule, may have chosen the name
            self._check_name(node.get_fully_qualified_name())
        except ComponentError:
            node.destroy_node()
            raise
        logger_name = node.get_logger().name
        previous_log_level = get_logger_level(logger_name)
        if log_level:
            set_logger_level(logger_name, log_level)
        self._last_id += 1
        id_ = self._last_id
        spinner = self._spinner if isinstance(node, StageNode) else Spinner(
            process.make_executor(self.context), partial(self._on_failed, id_), node.get_name())
        self._components[id_] = _Component(node, spinner, plugin, options, previous_log_level)
        spinner.add(node)
        if isinstance(node, StageNode):
            node.autostart()
        self.get_logger().info(f'loaded {plugin} as {node.get_fully_qualified_name()}, id {id_}')
        return id_

    def unload(self, id_: int) -> None:
        """
        Destroy a node and free its resources.

        Raises
        ------
        ComponentError
            No node has this id, or the node is busy in a callback.

        """
        if id_ not in self._components:
            loaded = ', '.join(map(str, self._components)) or 'none'
            raise ComponentError(f'no node has the id {id_}; loaded: {loaded}')
        component = self._components[id_]
        node, spinner = component.node, component.spinner
        name, logger_name = node.get_fully_qualified_name(), node.get_logger().name
        try:
            with spinner.pause(_UNLOAD_TIMEOUT_S) as executor:
                executor.remove_node(node)
                guard(node.destroy_node, self.on_fault)()
            set_logger_level(logger_name, component.previous_log_level)
        except TimeoutError as error:
            raise ComponentError(f'{name} cannot be unloaded: {error}') from None
        del self._components[id_]
        if spinner is not self._spinner:
            spinner.stop(_UNLOAD_TIMEOUT_S)
        self.get_logger().info(f'unloaded {name}')

    def unload_all(self) -> None:
        """Destroy all nodes in reverse order."""
        # All workers are stopped first; otherwise they slow down the node that is being joined.
        for component in self._components.values():
            if isinstance(component.node, StageNode):
                component.node.request_stop()
        for id_ in reversed(list(self._components)):
            try:
                self.unload(id_)
            except ComponentError as error:
                self.get_logger().error(str(error))

    def node(self, id_: int) -> Node:
        """Return a loaded node by its id."""
        return self._components[id_].node

    def on_fault(self, error: Exception) -> None:
        """Report an exception of the container itself, or of the destruction of a node."""
        self._health.report_error(f'{describe_error(error)}; this is a defect, please report it')

    def destroy_node(self) -> None:
        """Destroy all nodes, then the container."""
        self._spinner.request_stop()
        self.unload_all()
        self._spinner.stop(_UNLOAD_TIMEOUT_S)
        self._health.stop()
        super().destroy_node()

    def _check_name(self, full_name: str) -> None:
        """Raise ComponentError if a loaded node has this name."""
        for id_, component in self._components.items():
            if component.node.get_fully_qualified_name() == full_name:
                raise ComponentError(f'a node {full_name} runs here already, with id {id_}')

    def _survives(self, error: BaseException) -> bool:
        """Report an exception of rclpy in the thread of the stages; return whether to go on."""
        self._health.report_error(describe_error(error))
        if self._limit.is_exceeded_by_another():
            self.failure = error
        return self.failure is None

    def _on_failed(self, id_: int, error: BaseException) -> bool:
        """Note that a component of another package raised an exception; end its thread."""
        self._failed.put((id_, error))
        return False

    def _replace_failed(self) -> None:
        """Unload the components that failed, and load again those for which it is time."""
        while not self._failed.empty():
            id_, error = self._failed.get()
            component = self._components.get(id_)
            if component is None:
                continue  # somebody has unloaded it in the meantime
            name = component.node.get_fully_qualified_name()
            delay_s = self._settings.reload_delay_s
            follows = f'; loading it again in {delay_s:g} s' if delay_s else ''
            self._lost = f'{name} ({component.plugin}) raised {locate_error(error)}: ' \
                         f'unloaded{follows}'
            self.get_logger().error(self._lost)
            self._health.publish_status()  # it may be loaded again before the next period
            self.unload(id_)
            if delay_s:
                self._reloads.append((time.monotonic() + delay_s, component))
        for due in [due for due in self._reloads if due[0] <= time.monotonic()]:
            self._reloads.remove(due)
            component = due[1]
            try:
                self.load(component.plugin, **component.options)
                self._lost = ''
            except ComponentError as error:
                self._lost = f'cannot be loaded again: {error}'
                self.get_logger().error(self._lost)

    def _get_status(self) -> NodeStatus:
        names = [component.node.get_fully_qualified_name()
                 for component in self._components.values()]
        return NodeStatus('active', self._lost, values={
            'nodes': ' '.join(names), 'node_count': len(names)})

    def _on_load(self, request: LoadNode.Request, response: LoadNode.Response
                 ) -> LoadNode.Response:
        try:
            response.unique_id = self.load(request.plugin_name, **read_request(request))
        except Exception as error:  # any error must reach the caller
            response.error_message = describe_error(error)
            self.get_logger().error(response.error_message)
            return response
        response.success = True
        response.full_node_name = self.node(response.unique_id).get_fully_qualified_name()
        return response

    def _on_unload(self, request: UnloadNode.Request, response: UnloadNode.Response
                   ) -> UnloadNode.Response:
        try:
            self.unload(request.unique_id)
            memory.release_unused()
        except Exception as error:  # any error must reach the caller
            response.error_message = describe_error(error)
        response.success = not response.error_message
        return response

    def _on_list(self, _request: ListNodes.Request, response: ListNodes.Response
                 ) -> ListNodes.Response:
        response.unique_ids = list(self._components)
        response.full_node_names = [component.node.get_fully_qualified_name()
                                    for component in self._components.values()]
        return response


def main(arguments: list[str] | None = None) -> int:
    """
    Run the container until SIGINT, SIGTERM or a shutdown.

    Returns
    -------
    int
        The exit code: 0 after a signal or a shutdown; 1 if a stage on the command line cannot be
        created, or the executor of the stages fails again and again. A stage that cannot be
        configured, for example without its weight file, stays loaded and can be configured again.

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
        process.init(remove_node_name(arguments))
    except process.RCL_ERRORS as error:
        return process.report_failure(error)
    process.configure_process(n_stages=len(_STAGES))
    with process.stop_on_signals() as stop_requested:
        manager, executor = None, SingleThreadedExecutor()
        try:
            manager = ComponentManager(cli_args=arguments)
            executor.add_node(manager)
            for name in stages:
                if stop_requested.is_set():
                    break
                manager.load(f'ivf_ros::{name.capitalize()}Node')
            while rclpy.ok() and not stop_requested.is_set():
                if manager.failure is not None or not spin_turn(executor, _ends_container):
                    return int(rclpy.ok())  # 0 after a shutdown
        except (ComponentError, *process.NODE_ERRORS) as error:
            return process.report_failure(error)
        finally:
            if manager is not None:
                manager.destroy_node()
            executor.shutdown()
    return 0


def _ends_container(error: BaseException) -> bool:
    """Report an exception of rclpy: without its services a container cannot be used."""
    process.report_failure(error)
    return False


if __name__ == '__main__':
    sys.exit(main())
