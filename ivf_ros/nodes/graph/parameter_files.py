# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writes the files in ``config/`` and ``docs/parameters.md`` from the parameter dataclasses.

Run ``python -m ivf_ros.nodes.graph.parameter_files`` in a checkout after changing a parameter.
"""

from __future__ import annotations

from pathlib import Path
import sys
import textwrap
from typing import Any

from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS
from ivf_ros.parameters import Declaration, declarations

_WIDTH = 99
_ORIGIN = '# Made from the parameter dataclasses by python -m ivf_ros.nodes.graph.parameter_files'


def texts() -> dict[str, str]:
    """Return all files by their paths in the checkout."""
    return {
        'config/ivf.yaml': yaml_text(),
        **{f'config/{node}.yaml': node_yaml_text(node) for node in NODE_PARAMETERS},
        'docs/parameters.md': markdown_text(),
    }


def yaml_text() -> str:
    """Return one parameter file for all nodes, which find themselves in it by their names."""
    lines = ['# Parameters of the nodes of ivf_ros, with their defaults.', _ORIGIN]
    for node in NODE_PARAMETERS:
        lines += ['', *_yaml_lines(f'/**/{node}', node)]
    return '\n'.join(lines) + '\n'


def node_yaml_text(node: str) -> str:
    """Return the parameter file of one node, whatever its name and namespace."""
    # launch_ros reads parameter files for components, and knows no other wildcard than this.
    lines = [f'# Parameters of the {node} node of ivf_ros, with their defaults.', _ORIGIN, '',
             *_yaml_lines('/**', node)]
    return '\n'.join(lines) + '\n'


def markdown_text() -> str:
    """Return the parameter tables of the documentation."""
    lines = ['# Parameters', '',
             'Made from the parameter dataclasses by',
             '`python -m ivf_ros.nodes.graph.parameter_files`.',
             'Parameters marked *start* can be given at start only; the others may be changed',
             'while the node runs.']
    for node, cls in NODE_PARAMETERS.items():
        lines += ['', f'## {node}', '', '| parameter | default | allowed | meaning |',
                  '|---|---|---|---|']
        for declared in declarations(cls):
            meaning = declared.description + ('' if declared.live else ' *start*')
            lines.append(f'| `{declared.name}` | `{_yaml(declared.default)}` | '
                         f'{_allowed(declared)} | {meaning} |')
    return '\n'.join(lines) + '\n'


def _yaml_lines(key: str, node: str) -> list[str]:
    """Return every default of a node, with its meaning, under a key of a parameter file."""
    lines = [f'{key}:', '  ros__parameters:']
    for declared in declarations(NODE_PARAMETERS[node]):
        lines += textwrap.wrap(_comment(declared), _WIDTH, initial_indent='    # ',
                               subsequent_indent='    # ')
        # An empty list has no type in a parameter file, so it stays a comment.
        prefix = '    # ' if declared.default == () else '    '
        lines.append(f'{prefix}{declared.name}: {_yaml(declared.default)}')
    return lines


def _comment(declared: Declaration) -> str:
    allowed = _allowed(declared)
    return declared.description + (f' ({allowed})' if allowed else '')


def _allowed(declared: Declaration) -> str:
    if declared.choices:
        return ', '.join(declared.choices)
    low, high = declared.minimum, declared.maximum
    if low is None and high is None:
        return ''
    if high is None:
        return f'>= {low:g}'
    return f'<= {high:g}' if low is None else f'{low:g} to {high:g}'


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    if value == float('inf'):
        return '.inf'
    if isinstance(value, tuple):
        return '[' + ', '.join(_yaml(item) for item in value) + ']'
    return repr(value)


def main() -> int:
    """Write the files into the checkout that this module lies in."""
    checkout = Path(__file__).resolve().parents[3]
    for path, text in texts().items():
        (checkout / path).parent.mkdir(exist_ok=True)
        (checkout / path).write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
