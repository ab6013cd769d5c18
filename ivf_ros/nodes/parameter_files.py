# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writes ``config/ivf.yaml`` and ``docs/parameters.md`` from the parameter dataclasses.

Run ``python -m ivf_ros.nodes.parameter_files`` in a checkout after changing a parameter.
"""

from __future__ import annotations

from pathlib import Path
import sys
import textwrap
from typing import Any

from ivf_ros.nodes.node_parameters import NODE_PARAMETERS
from ivf_ros.parameters import Declaration, declarations

_WIDTH = 99


def yaml_text() -> str:
    """Return the parameter file: every default of every node, with its meaning."""
    lines = ['# Parameters of the nodes of ivf_ros, with their defaults.',
             '# Made from the parameter dataclasses by python -m ivf_ros.nodes.parameter_files']
    for node, cls in NODE_PARAMETERS.items():
        lines += ['', f'/**/{node}:', '  ros__parameters:']
        for declared in declarations(cls):
            lines += textwrap.wrap(_comment(declared), _WIDTH, initial_indent='    # ',
                                   subsequent_indent='    # ')
            # An empty list has no type in a parameter file, so it stays a comment.
            prefix = '    # ' if declared.default == () else '    '
            lines.append(f'{prefix}{declared.name}: {_yaml(declared.default)}')
    return '\n'.join(lines) + '\n'


def markdown_text() -> str:
    """Return the parameter tables of the documentation."""
    lines = ['# Parameters', '',
             'Made from the parameter dataclasses by `python -m ivf_ros.nodes.parameter_files`.',
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
    """Write both files into the checkout that this module lies in."""
    checkout = Path(__file__).resolve().parents[2]
    (checkout / 'config' / 'ivf.yaml').write_text(yaml_text())
    (checkout / 'docs').mkdir(exist_ok=True)
    (checkout / 'docs' / 'parameters.md').write_text(markdown_text())
    return 0


if __name__ == '__main__':
    sys.exit(main())
