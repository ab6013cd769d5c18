# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters as frozen dataclasses: defaults, descriptions and limits in one place.

A stage declares its parameters once::

    @dataclass(frozen=True)
    class AgcParameters:
        mode: str = parameter('percentile', 'Mapping of counts to 8 bit.', choices=MODES)
        low_percent: float = parameter(1.0, 'Pixels below black.', minimum=0, maximum=50)

The ROS parameter descriptors, the YAML files in ``config/`` and the tables in ``docs/`` are
generated from these declarations. A field may itself be such a dataclass; its parameters are
named ``outer.inner``. If parameters of a dataclass were renamed, a class variable ``RENAMED`` maps
the old names to the new ones. Old names are accepted with a warning.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
import difflib
import json
import logging
import math
import reprlib
import sys
from typing import Any, Iterator, Mapping, Sequence, TypeVar

T = TypeVar('T')

_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = 100
_SHORTENED.maxlist = _SHORTENED.maxtuple = 12


class ParameterError(ValueError):
    """A parameter has an unknown name, a wrong type or a value out of range."""


@dataclass(frozen=True)
class Declaration:
    """One scalar or list parameter: dotted name, default, description and limits."""

    name: str
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple
    live: bool  # False: can be set only at start


def parameter(default, description: str, *, minimum: float | None = None,
              maximum: float | None = None, choices: tuple = (),
              live: bool = True) -> Any:
    """Declare a dataclass field with its default, description and limits (inclusive)."""
    metadata = {'description': description, 'minimum': minimum, 'maximum': maximum,
                'choices': tuple(choices), 'live': live}
    return dataclasses.field(default=default, metadata=metadata)


def group(cls: type, description: str = '') -> Any:
    """Declare a dataclass field that holds another parameter dataclass."""
    return dataclasses.field(default_factory=cls, metadata={'description': description})


def declarations(cls: type, prefix: str = '') -> Iterator[Declaration]:
    """Yield all parameters of a parameter dataclass, depth first, in declaration order."""
    for spec in dataclasses.fields(cls):
        if spec.default is dataclasses.MISSING:
            yield from declarations(_group_class(spec), f'{prefix}{spec.name}.')
        else:
            yield Declaration(prefix + spec.name, spec.default, **spec.metadata)


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """
    Create a parameter object from values by dotted name.

    Parameters that are not in ``values`` keep their defaults.

    Raises
    ------
    ParameterError
        A name is unknown, or a value has a wrong type or is outside the limits.

    """
    known = {declaration.name: declaration for declaration in declarations(cls)}
    checked = {}
    for requested, value in values.items():
        name = requested if requested in known else _resolve_renamed(cls, requested)
        if name not in known:
            raise unknown_parameter(requested, list(known))
        checked[name] = _check_value(known[name], value)
    return _assemble(cls, checked, '')


def current_name(cls: type, name: str) -> str:
    """
    Return the current name of a parameter from its current or an old name.

    An unknown name is returned unchanged.
    """
    known = {declaration.name for declaration in declarations(cls)}
    renames = dict(_renames(cls, ''))
    for _ in range(len(renames)):
        if name in known:
            break
        for old, new in renames.items():
            if name == old or (old.endswith('.') and name.startswith(old)):
                name = new + name[len(old):]
                break
    return name


def _resolve_renamed(cls: type, requested: str) -> str:
    """Return the current name of a parameter; warn if ``requested`` is an old name."""
    name = current_name(cls, requested)
    if name != requested:
        logging.getLogger(__name__).warning("parameter '%s' is now called '%s'", requested, name)
    return name


def _renames(cls: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield old and new names; a name that ends with a dot is a prefix."""
    for old, new in getattr(cls, 'RENAMED', {}).items():
        yield prefix + old, prefix + new
    for spec in dataclasses.fields(cls):
        if spec.default is dataclasses.MISSING:
            yield from _renames(_group_class(spec), f'{prefix}{spec.name}.')


def unknown_parameter(name: str, known: Sequence[str]) -> ParameterError:
    """Return an error that suggests the most similar parameter, or else lists all."""
    close_matches = difflib.get_close_matches(name, known, 1)
    return ParameterError(f"unknown parameter '{name}'; "
                          + (f'did you mean {close_matches[0]}?' if close_matches
                             else f'known: {", ".join(known)}'))


def flatten(parameters: Any) -> dict[str, Any]:
    """Return the values of a parameter object by dotted name; the inverse of ``build``."""
    flat: dict[str, Any] = {}
    for spec in dataclasses.fields(parameters):
        value = getattr(parameters, spec.name)
        if dataclasses.is_dataclass(value):
            flat.update((f'{spec.name}.{name}', inner) for name, inner in flatten(value).items())
        else:
            flat[spec.name] = value
    return flat


def replace(parameters: T, values: Mapping[str, Any]) -> T:
    """Return a copy with other values for some parameters, by dotted name, after checks."""
    return build(type(parameters), {**flatten(parameters), **values})


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """
    Parse ``key=value`` texts from a command line to values by dotted name.

    Raises
    ------
    ParameterError
        A text has no ``=`` or no key.

    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not (equals and name.strip()):
            raise ParameterError(f"a setting is key=value, got '{setting}'")
        values[name.strip()] = _literal(text.strip())
    return values


def _literal(text: str) -> Any:
    """Parse a JSON literal, such as a number, true or a list, or inf; other text stays text."""
    if text.lower() in ('inf', '.inf', 'infinity'):  # in Python, YAML and words
        return math.inf
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # also numbers of thousands of digits, deep nesting
        return text
    return tuple(value) if isinstance(value, list) else value


def _assemble(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    fields: dict[str, Any] = {}
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = prefix + spec.name
        if spec.default is dataclasses.MISSING:
            fields[spec.name] = _assemble(_group_class(spec), values, f'{name}.')
        elif name in values:
            fields[spec.name] = values[name]
    return cls(**fields)


def _group_class(spec: dataclasses.Field) -> type:
    """Return the dataclass of a field declaration by ``group``."""
    return spec.default_factory  # type: ignore[return-value]


def _check_value(declaration: Declaration, value: Any) -> Any:
    name, default = declaration.name, declaration.default
    # An int is accepted for a float. A list is accepted for a tuple, which always holds floats.
    if isinstance(default, float) and type(value) is int:
        value = _to_float(name, value)
    if isinstance(default, tuple):
        return _check_tuple(name, value)
    if type(value) is not type(default):
        raise ParameterError(f"parameter '{name}' must be {type(default).__name__}, "
                             f'got {type(value).__name__} {_show(value)}')
    if declaration.choices and value not in declaration.choices:
        raise ParameterError(f"parameter '{name}' must be one of "
                             f"{', '.join(map(str, declaration.choices))}, got {_show(value)}")
    if declaration.minimum is not None and not value >= declaration.minimum:
        raise ParameterError(f"parameter '{name}' must be at least {declaration.minimum}, "
                             f'got {_show(value)}')
    if declaration.maximum is not None and not value <= declaration.maximum:
        raise ParameterError(f"parameter '{name}' must be at most {declaration.maximum}, "
                             f'got {_show(value)}')
    return value


def _check_tuple(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) \
            or any(type(item) not in (int, float) for item in value):
        raise ParameterError(f"parameter '{name}' must be a list of numbers, got {_show(value)}")
    return tuple(_to_float(name, item) for item in value)


def _to_float(name: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ParameterError(f"parameter '{name}' must be at most {sys.float_info.max:.0e}, got "
                             f'{_show(value)}') from None


def _show(value: Any) -> str:
    """Return a value for an error message, shortened; a file may hold one of any size."""
    try:
        return _SHORTENED.repr(value)
    except ValueError:  # Python does not write integers of thousands of digits
        return 'an integer that is too long to be shown'
