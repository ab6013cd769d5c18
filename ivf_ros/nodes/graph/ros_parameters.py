# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Declare, describe, validate and read parameter dataclasses as ROS parameters."""

from __future__ import annotations

from array import array
import math
from typing import Any, TypeVar

from ivf_ros import parameters
from ivf_ros.parameters import Declaration, ParameterError
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar('T')

# rcl requires both limits of a range; these values mean "no limit".
_FLOAT_LIMIT = math.inf
_INTEGER_LIMIT = 2 ** 53


def declare(node: Node, cls: type[T]) -> T:
    """
    Declare every parameter of ``cls`` on ``node`` and return the values at start.

    A value under an old name is accepted with a warning in the log.

    Raises
    ------
    ParameterError
        A value has the wrong type or is out of range.

    """
    values = {}
    renamed = _collect_renamed_overrides(node, cls)
    for declared in parameters.declarations(cls):
        start_value = renamed.get(declared.name, _to_ros(declared.default))
        try:
            value = node.declare_parameter(declared.name, start_value,
                                           make_descriptor(declared)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter '{declared.name}': {error}") from None
        values[declared.name] = _from_ros(value)
    return parameters.build(cls, values)


def _collect_renamed_overrides(node: Node, cls: type) -> dict[str, Any]:
    """Return the overrides with old names, by the present names."""
    renamed = {}
    for name, override in node._parameter_overrides.items():
        present = parameters.current_name(cls, name)
        if present != name:
            node.get_logger().warning(f"parameter '{name}' is now called '{present}'")
            renamed[present] = override.value
    return renamed


def make_descriptor(declared: Declaration) -> ParameterDescriptor:
    """Make the descriptor of one parameter, which ``ros2 param describe`` shows."""
    descriptor = ParameterDescriptor(description=declared.description,
                                     read_only=not declared.live)
    # ROS cannot derive a type from an empty list; ``build`` checks the type instead.
    descriptor.dynamic_typing = isinstance(declared.default, tuple)
    if declared.choices:
        descriptor.additional_constraints = 'one of: ' + ', '.join(map(str, declared.choices))
    if declared.minimum is None and declared.maximum is None:
        return descriptor
    if isinstance(declared.default, float):
        low = _value_or(declared.minimum, -_FLOAT_LIMIT)
        high = _value_or(declared.maximum, _FLOAT_LIMIT)
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low),
                                                              to_value=float(high))]
    elif isinstance(declared.default, int):
        low = _value_or(declared.minimum, -_INTEGER_LIMIT)
        high = _value_or(declared.maximum, _INTEGER_LIMIT)
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high),
                                                 step=1)]
    return descriptor


def merge(current: T, requested: list[Parameter]) -> T:
    """
    Return ``current`` with the requested values of its own parameters.

    Raises
    ------
    ParameterError
        A value has the wrong type or is out of range.

    """
    names = parameters.flatten(current)
    values = {p.name: _from_ros(p.value) for p in requested if p.name in names}
    return parameters.replace(current, values)


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _from_ros(value: Any) -> Any:
    return tuple(value) if isinstance(value, (array, list)) else value


def _value_or(value: float | None, default: float) -> float:
    return default if value is None else value
