# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Policies of SROS 2 for the nodes: what each may publish, subscribe to, serve and call.

The names are read from the nodes themselves. Each is created with the parameters and remappings of
the user, configured and activated, without a connection to any other process. So a policy holds
the topics that the code has, and a change of the code changes it. Subscriptions that exist only
while somebody asks for a result count as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import os
from typing import Any
from xml.etree import ElementTree

from ivf_ros.nodes.component_container import ComponentManager, load_component_class
from ivf_ros.nodes.graph.health import to_single_line
from ivf_ros.nodes.graph.node_parameters import CONTAINER_NAME, NODE_PARAMETERS
from ivf_ros.nodes.graph.stage_node import StageNode
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger_level, LoggingSeverity, set_logger_level
from rclpy.node import Node

NODES = tuple(NODE_PARAMETERS)

_POLICY_VERSION = '0.2.0'  # of the format, which ros2 security checks
# Without discovery the domain does not matter, but Humble has no such switch. Nobody who counts
# domains from 0 uses the last one that works on every Linux.
_DOMAIN_ID = 101
# No other process is found, and no keys are needed to read the names.
_ISOLATED = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'OFF', 'ROS_LOCALHOST_ONLY': '',
             'ROS_STATIC_PEERS': '', 'ROS_SECURITY_ENABLE': 'false'}


class PolicyError(RuntimeError):
    """The names of a node cannot be read; the message contains the reason."""


@dataclass(frozen=True)
class NodePermissions:
    """
    What a node may do; the names are fully qualified and sorted.

    Attributes
    ----------
    name, namespace:
        Of the node.
    publish, subscribe:
        Topics.
    reply, request:
        Services that the node offers, and that it calls.

    """

    name: str
    namespace: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reply: tuple[str, ...]
    request: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """Return the name of the node with its namespace."""
        return f'{self.namespace.rstrip("/")}/{self.name}'

    def relative_name(self, name: str) -> str:
        """Return a name as a policy has it: ``~/x`` below the node, ``x`` below its namespace."""
        namespace = f'{self.namespace.rstrip("/")}/'
        if name.startswith(f'{self.full_name}/'):
            return '~' + name[len(self.full_name):]
        if name.startswith(namespace) and (namespace != '/' or name.count('/') == 1):
            return name[len(namespace):]
        return name


def find_permissions(names: Sequence[str] = NODES, ros_arguments: Sequence[str] = (),
                     composed: bool = False) -> dict[str, list[NodePermissions]]:
    """
    Return the permissions of nodes by enclave.

    Parameters
    ----------
    names:
        Names of ``NODES``.
    ros_arguments:
        Parameters and remappings, as they stand after ``--ros-args``.
    composed:
        Put all nodes, and their container, into one enclave. Nodes of one process share the keys
        of the process. Otherwise each node has an enclave of its full name.

    Raises
    ------
    PolicyError
        A node cannot be created, configured or activated with these arguments.

    """
    with _isolated_context(ros_arguments) as context:
        found = [_read_stage_node(name, context, ros_arguments) for name in names]
        if not composed:
            return {permissions.full_name: [permissions] for permissions in found}
        container = _read_container(context, ros_arguments)
        return {container.full_name: [container, *found]}


def make_policy(enclaves: Mapping[str, Iterable[NodePermissions]], comment: str = '') -> str:
    """
    Return a policy in the XML format of ``ros2 security``, version 0.2.0.

    Parameters
    ----------
    enclaves:
        The permissions of the nodes by enclave; all else is denied.
    comment:
        Stands at the beginning of the file; without two hyphens in a row.

    """
    policy = ElementTree.Element('policy', version=_POLICY_VERSION)
    all_enclaves = ElementTree.SubElement(policy, 'enclaves')
    for path, nodes in enclaves.items():
        enclave = ElementTree.SubElement(all_enclaves, 'enclave', path=path)
        profiles = ElementTree.SubElement(enclave, 'profiles')
        for node in nodes:
            profile = ElementTree.SubElement(profiles, 'profile', ns=node.namespace,
                                             node=node.name)
            for kind, right, allowed in (('topic', 'publish', node.publish),
                                         ('topic', 'subscribe', node.subscribe),
                                         ('service', 'reply', node.reply),
                                         ('service', 'request', node.request)):
                if allowed:
                    names = ElementTree.SubElement(profile, f'{kind}s', {right: 'ALLOW'})
                    for name in allowed:
                        ElementTree.SubElement(names, kind).text = node.relative_name(name)
    ElementTree.indent(policy)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    if comment:
        lines.append(f'<!-- {comment} -->')
    return '\n'.join([*lines, ElementTree.tostring(policy, encoding='unicode'), ''])


def _read_stage_node(name: str, context: rclpy.Context, ros_arguments: Sequence[str]
                     ) -> NodePermissions:
    plugin = f'ivf_ros::{name.capitalize()}Node'
    try:
        node = load_component_class(plugin)(**_make_options(context, ros_arguments))
    except Exception as error:  # whatever a parameter file can cause; it is told in one line
        raise PolicyError(to_single_line(f'{name}: {error}')) from error
    logger_name = node.get_logger().name
    previous_log_level = get_logger_level(logger_name)  # a logger outlives its node
    try:
        assert isinstance(node, StageNode)
        set_logger_level(logger_name, LoggingSeverity.FATAL)  # a failure is raised
        success = TransitionCallbackReturn.SUCCESS
        if node.trigger_configure() != success or node.trigger_activate() != success:
            raise PolicyError(f'{name}: {node.failure_reason}')
        return _read_permissions(node, node.optional_topics)
    finally:
        set_logger_level(logger_name, previous_log_level)
        node.destroy_node()


def _read_container(context: rclpy.Context, ros_arguments: Sequence[str]) -> NodePermissions:
    arguments = [*ros_arguments, '-r', f'component_container:__node:={CONTAINER_NAME}']
    node = ComponentManager(**_make_options(context, arguments))
    try:
        return _read_permissions(node)
    finally:
        node.destroy_node()


def _make_options(context: rclpy.Context, ros_arguments: Sequence[str]) -> dict[str, Any]:
    # Any node can be told to use simulated time while it runs, and then subscribes to /clock.
    return {'context': context, 'use_global_arguments': False,
            'cli_args': ['--ros-args', *ros_arguments, '-p', 'use_sim_time:=true']}


def _read_permissions(node: Node, optional_topics: Iterable[str] = ()) -> NodePermissions:
    own_name = node.get_name(), node.get_namespace()
    published, subscribed, offered, called = (
        {name for name, _ in read(*own_name)} for read in (
            node.get_publisher_names_and_types_by_node,
            node.get_subscriber_names_and_types_by_node,
            node.get_service_names_and_types_by_node,
            node.get_client_names_and_types_by_node))
    return NodePermissions(*own_name, *(
        tuple(sorted(names))
        for names in (published, subscribed.union(optional_topics), offered, called)))


@contextmanager
def _isolated_context(ros_arguments: Sequence[str]) -> Iterator[rclpy.Context]:
    """Yield a context whose nodes find no other process and need no keys."""
    previous = {name: os.environ.get(name) for name in _ISOLATED}
    os.environ.update(_ISOLATED)
    context = rclpy.Context()
    try:
        try:
            rclpy.init(args=['--ros-args', *ros_arguments], context=context,
                       domain_id=_DOMAIN_ID)
        except RuntimeError as error:
            raise PolicyError(to_single_line(str(error))) from error
        yield context
    finally:
        context.try_shutdown()
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
