# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf security-policy``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    print_json,
    print_line,
    print_note,
    UsageError,
)
from ivf_ros.output import FILE_MARK


def add_security_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf security-policy``."""
    parser.add_argument('nodes', nargs='*', metavar='node',
                        help='nodes of the policy (default: all of the package)')
    parser.add_argument('--namespace', default='', help='namespace of the nodes and topics')
    parser.add_argument('--composed', action='store_true',
                        help='one enclave for the container of the nodes, instead of one for '
                        'each node')
    parser.add_argument('--out', type=Path, help='file to write (default: standard output)')
    add_overwrite_option(parser)
    parser.add_argument('--ros-args', nargs=argparse.REMAINDER, default=[],
                        help='parameters and remappings that the nodes will have')
    parser.set_defaults(run=_make_policy)


def _make_policy(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out], [])
    from ivf_ros.nodes.graph import security_policy
    names = options.nodes or security_policy.NODES
    unknown = [name for name in names if name not in security_policy.NODES]
    if unknown:
        raise UsageError(f"unknown node '{unknown[0]}'; known: "
                         f'{", ".join(security_policy.NODES)}')
    ros_arguments = [word for word in options.ros_args if word != '--']
    if options.namespace:
        ros_arguments += ['-r', f'__ns:=/{options.namespace.strip("/")}']
    enclaves = security_policy.find_permissions(names, ros_arguments, options.composed)
    policy = security_policy.make_policy(enclaves, f'{FILE_MARK} (ivf security-policy)')
    if options.out:
        options.out.write_text(policy)
        print_note(options, f'wrote {options.out}: {len(enclaves)} enclaves')
    if options.json:
        print_json({path: [asdict(node) for node in nodes] for path, nodes in enclaves.items()})
    elif not options.out:
        print_line(policy.rstrip('\n'))
    return 0
