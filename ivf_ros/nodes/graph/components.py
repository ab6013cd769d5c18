# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which components there are, and what a request to load one says."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Sequence

from composition_interfaces.srv import LoadNode
from rclpy.node import Node
from rclpy.parameter import Parameter

_ENTRY_POINTS = 'rclpy_components'


class ComponentError(RuntimeError):
    """A node cannot be loaded or unloaded; the message contains the reason."""


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


def read_request(request: LoadNode.Request) -> dict[str, Any]:
    """
    Return the keyword arguments of ``ComponentManager.load`` for a request.

    Raises
    ------
    ComponentError
        An extra argument is unknown or has the wrong type.

    """
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


def remove_node_name(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that also apply to the loaded nodes: without the container name."""
    kept: list[str] = []
    for argument in arguments:
        if argument.startswith(('__node:=', '__name:=')) and kept[-1:] in (['-r'], ['--remap']):
            kept.pop()
        else:
            kept.append(argument)
    return kept
