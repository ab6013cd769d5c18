# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter dataclasses as ROS parameters: declared, described, validated, read back."""

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

# rcl wants both ends of a range; these stand for "no limit".
_FLOAT_LIMIT = math.inf
_INTEGER_LIMIT = 2 ** 53


def declare(node: Node, cls: type[T]) -> T:
    """
    Declare every parameter of ``cls`` on ``node`` and return the values it was started with.

    A value that was given under an old name counts, with a warning in the log.

    Raises
    ------
    ParameterError
        A value given at start has the wrong type or lies outside its limits.

    """
    values = {}
    renamed = _renamed_overrides(node, cls)
    for declared in parameters.declarations(cls):
        start = renamed.get(declared.name, _to_ros(declared.default))
        try:
            value = node.declare_parameter(declared.name, start, descriptor(declared)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter '{declared.name}': {error}") from None
        values[declared.name] = _from_ros(value)
    return parameters.build(cls, values)


def _renamed_overrides(node: Node, cls: type) -> dict[str, Any]:
    """Return the values that were given under old names, by the present ones."""
    renamed = {}
    for name, override in node._parameter_overrides.items():
        present = parameters.current_name(cls, name)
        if present != name:
            node.get_logger().warning(f"parameter '{name}' is now called '{present}'")
            renamed[present] = override.value
    return renamed


def descriptor(declared: Declaration) -> ParameterDescriptor:
    """Describe one parameter for ``ros2 param describe``."""
    made = ParameterDescriptor(description=declared.description, read_only=not declared.live)
    # An empty list has no type that ROS could hold later values to; ours is checked by ``build``.
    made.dynamic_typing = isinstance(declared.default, tuple)
    if declared.choices:
        made.additional_constraints = 'one of: ' + ', '.join(declared.choices)
    if declared.minimum is None and declared.maximum is None:
        return made
    if isinstance(declared.default, float):
        low, high = _or(declared.minimum, -_FLOAT_LIMIT), _or(declared.maximum, _FLOAT_LIMIT)
        made.floating_point_range = [FloatingPointRange(from_value=float(low),
                                                        to_value=float(high))]
    elif isinstance(declared.default, int):
        low, high = _or(declared.minimum, -_INTEGER_LIMIT), _or(declared.maximum, _INTEGER_LIMIT)
        made.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return made


def changed(current: T, requested: list[Parameter]) -> T:
    """
    Return ``current`` with the requested values that belong to it.

    Raises
    ------
    ParameterError
        A value has the wrong type or lies outside its limits.

    """
    known = parameters.flatten(current)
    values = {p.name: _from_ros(p.value) for p in requested if p.name in known}
    return parameters.replace(current, values)


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _from_ros(value: Any) -> Any:
    return tuple(value) if isinstance(value, (array, list)) else value


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
