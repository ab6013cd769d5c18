# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parameters as frozen dataclasses: one place for each default, its meaning and its range.

A stage declares its parameters once::

    @dataclass(frozen=True)
    class AgcParameters:
        mode: str = parameter('percentile', 'How counts become 8 bit.', choices=MODES)
        low_percent: float = parameter(1.0, 'Share of pixels below black.', minimum=0, maximum=50)

The ROS parameter descriptors, the YAML files in ``config/`` and the tables in ``docs/`` are made
from these declarations. A field may itself be such a dataclass; its parameters are then named
``outer.inner``. A dataclass whose parameters were renamed says so in a class variable ``RENAMED``,
old name to new; old names are accepted with a warning.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
import difflib
import json
import logging
from typing import Any, Iterator, Mapping, Sequence, TypeVar

T = TypeVar('T')


class ParameterError(ValueError):
    """A parameter has an unknown name, the wrong type or a value out of range."""


@dataclass(frozen=True)
class Declaration:
    """One scalar or list parameter: its dotted name, default, meaning and limits."""

    name: str
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    live: bool  # False: can be set at start only


def parameter(default, description: str, *, minimum: float | None = None,
              maximum: float | None = None, choices: tuple[str, ...] = (),
              live: bool = True) -> Any:
    """Declare a dataclass field with its default, description and limits (inclusive)."""
    metadata = {'description': description, 'minimum': minimum, 'maximum': maximum,
                'choices': tuple(choices), 'live': live}
    return dataclasses.field(default=default, metadata=metadata)


def group(cls: type, description: str = '') -> Any:
    """Declare a dataclass field that holds another parameter dataclass."""
    return dataclasses.field(default_factory=cls, metadata={'description': description})


def declarations(cls: type, prefix: str = '') -> Iterator[Declaration]:
    """Yield every parameter of a parameter dataclass, depth first, in order of declaration."""
    for spec in dataclasses.fields(cls):
        if spec.default is dataclasses.MISSING:
            yield from declarations(_group_of(spec), f'{prefix}{spec.name}.')
        else:
            yield Declaration(prefix + spec.name, spec.default, **spec.metadata)


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """
    Make a parameter object from dotted names.

    Parameters that ``values`` does not name keep their defaults.

    Raises
    ------
    ParameterError
        A name is unknown, a value has the wrong type or lies outside the limits.

    """
    known = {declared.name: declared for declared in declarations(cls)}
    checked = {}
    for given, value in values.items():
        name = given if given in known else _renamed(cls, given)
        if name not in known:
            raise unknown_parameter(given, list(known))
        checked[name] = _check_value(known[name], value)
    return _assemble(cls, checked, '')


def current_name(cls: type, name: str) -> str:
    """
    Return the present name of a parameter, given that or an old one.

    A name that is neither is returned as it is.
    """
    known = {declared.name for declared in declarations(cls)}
    renames = dict(_renames(cls, ''))
    for _ in range(len(renames)):
        if name in known:
            break
        for old, new in renames.items():
            if name == old or (old.endswith('.') and name.startswith(old)):
                name = new + name[len(old):]
                break
    return name


def _renamed(cls: type, given: str) -> str:
    """Return the present name of a parameter, and warn where it was given by an old one."""
    name = current_name(cls, given)
    if name != given:
        logging.getLogger(__name__).warning("parameter '%s' is now called '%s'", given, name)
    return name


def _renames(cls: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield old and new names; those that end with a dot stand for all that begin so."""
    for old, new in getattr(cls, 'RENAMED', {}).items():
        yield prefix + old, prefix + new
    for spec in dataclasses.fields(cls):
        if spec.default is dataclasses.MISSING:
            yield from _renames(_group_of(spec), f'{prefix}{spec.name}.')


def unknown_parameter(name: str, known: Sequence[str]) -> ParameterError:
    """Return the error that names the parameter most like ``name``, or all where none is."""
    close_matches = difflib.get_close_matches(name, known, 1)
    return ParameterError(f"unknown parameter '{name}'; "
                          + (f'did you mean {close_matches[0]}?' if close_matches
                             else f'known: {", ".join(known)}'))


def flatten(parameters: Any) -> dict[str, Any]:
    """Return the values of a parameter object by dotted name: the inverse of ``build``."""
    flat: dict[str, Any] = {}
    for spec in dataclasses.fields(parameters):
        value = getattr(parameters, spec.name)
        if dataclasses.is_dataclass(value):
            flat.update((f'{spec.name}.{name}', inner) for name, inner in flatten(value).items())
        else:
            flat[spec.name] = value
    return flat


def replace(parameters: T, values: Mapping[str, Any]) -> T:
    """Return a copy with some parameters, given by dotted name, changed and checked."""
    return build(type(parameters), {**flatten(parameters), **values})


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """
    Read ``key=value`` texts, as given on a command line, into values by dotted name.

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
    """Read numbers, true and false as such and everything else as text."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _assemble(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    fields: dict[str, Any] = {}
    for spec in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = prefix + spec.name
        if spec.default is dataclasses.MISSING:
            fields[spec.name] = _assemble(_group_of(spec), values, f'{name}.')
        elif name in values:
            fields[spec.name] = values[name]
    return cls(**fields)


def _group_of(spec: dataclasses.Field) -> type:
    """Return the dataclass of a field declared by ``group``."""
    return spec.default_factory  # type: ignore[return-value]


def _check_value(declared: Declaration, value: Any) -> Any:
    name, default = declared.name, declared.default
    # Whole numbers may stand for floats, and lists for tuples, which are always of floats.
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, tuple):
        return _checked_tuple(name, value)
    if type(value) is not type(default):
        raise ParameterError(f"parameter '{name}' must be {type(default).__name__}, "
                             f'got {type(value).__name__} {value!r}')
    if declared.choices and value not in declared.choices:
        raise ParameterError(f"parameter '{name}' must be one of {', '.join(declared.choices)}, "
                             f"got '{value}'")
    if declared.minimum is not None and not value >= declared.minimum:
        raise ParameterError(f"parameter '{name}' must be at least {declared.minimum}, "
                             f'got {value}')
    if declared.maximum is not None and not value <= declared.maximum:
        raise ParameterError(f"parameter '{name}' must be at most {declared.maximum}, "
                             f'got {value}')
    return value


def _checked_tuple(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) \
            or any(type(item) not in (int, float) for item in value):
        raise ParameterError(f"parameter '{name}' must be a list of numbers, got {value!r}")
    return tuple(float(item) for item in value)
