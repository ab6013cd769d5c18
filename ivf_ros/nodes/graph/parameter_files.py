# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Generate the files in ``config/`` and ``docs/parameters.md`` from the parameter dataclasses.

Run ``python -m ivf_ros.nodes.graph.parameter_files`` in a checkout after changing a parameter.
"""

from __future__ import annotations

from pathlib import Path
import sys
import textwrap
from typing import Any

from ivf_ros.data.simulator import SimulatorParameters
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS
from ivf_ros.parameters import Declaration, declarations

_WIDTH = 99
_ORIGIN = ('# Generated from the parameter dataclasses by '
           'python -m ivf_ros.nodes.graph.parameter_files')


def generate_texts() -> dict[str, str]:
    """Return the text of all files by their paths in the repository."""
    return {
        'config/ivf.yaml': format_yaml(),
        **{f'config/{node}.yaml': format_node_yaml(node) for node in NODE_PARAMETERS},
        'docs/parameters.md': format_markdown(),
    }


def format_yaml() -> str:
    """Return the parameter file of all nodes; each node reads the section with its name."""
    lines = ['# Parameters of the nodes of ivf_ros, with their defaults.', _ORIGIN]
    for node in NODE_PARAMETERS:
        lines += ['', *_format_section(f'/**/{node}', node)]
    return '\n'.join(lines) + '\n'


def format_node_yaml(node: str) -> str:
    """Return the parameter file of one node, for any name and namespace."""
    # launch_ros reads parameter files for components; this is the only wildcard that it knows.
    lines = [f'# Parameters of the {node} node of ivf_ros, with their defaults.', _ORIGIN, '',
             *_format_section('/**', node)]
    return '\n'.join(lines) + '\n'


def format_markdown() -> str:
    """Return the parameter tables of the documentation."""
    lines = ['# Parameters', '',
             'Generated from the parameter dataclasses by',
             '`python -m ivf_ros.nodes.graph.parameter_files`.',
             'Parameters marked *start* can be set at start only; the others can be changed while',
             'the node runs.']
    for node, cls in NODE_PARAMETERS.items():
        lines += ['', f'## {node}', '', *_format_table(cls, marks_start=True)]
    lines += ['', '## simulator', '',
              'Settings of the source `simulator:key=value,...` ([simulator.md](simulator.md)).',
              '', *_format_table(SimulatorParameters, marks_start=False)]
    return '\n'.join(lines) + '\n'


def _format_table(cls: type, marks_start: bool) -> list[str]:
    lines = ['| parameter | default | allowed | meaning |', '|---|---|---|---|']
    for declared in declarations(cls):
        meaning = declared.description + (' *start*' if marks_start and not declared.live else '')
        lines.append(f'| `{declared.name}` | `{_format_value(declared.default)}` | '
                     f'{_format_limits(declared)} | {meaning} |')
    return lines


def _format_section(key: str, node: str) -> list[str]:
    """Return the defaults of a node under a key, each with its description as a comment."""
    lines = [f'{key}:', '  ros__parameters:']
    for declared in declarations(NODE_PARAMETERS[node]):
        lines += textwrap.wrap(_format_comment(declared), _WIDTH, initial_indent='    # ',
                               subsequent_indent='    # ')
        # An empty list has no type in a parameter file, so the line is a comment.
        prefix = '    # ' if declared.default == () else '    '
        lines.append(f'{prefix}{declared.name}: {_format_value(declared.default)}')
    return lines


def _format_comment(declared: Declaration) -> str:
    limits = _format_limits(declared)
    return declared.description + (f' ({limits})' if limits else '')


def _format_limits(declared: Declaration) -> str:
    if declared.choices:
        return ', '.join(map(str, declared.choices))
    low, high = declared.minimum, declared.maximum
    if low is None and high is None:
        return ''
    if high is None:
        return f'>= {low:g}'
    return f'<= {high:g}' if low is None else f'{low:g} to {high:g}'


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    if value == float('inf'):
        return '.inf'
    if isinstance(value, tuple):
        return '[' + ', '.join(_format_value(item) for item in value) + ']'
    return repr(value)


def main() -> int:
    """Write the files into the repository of this module."""
    repository = Path(__file__).resolve().parents[3]
    for path, text in generate_texts().items():
        (repository / path).parent.mkdir(exist_ok=True)
        (repository / path).write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
