# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf faults``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ivf_ros.cli.interrupts import interrupt_on_signals
from ivf_ros.cli.output import print_json, print_line, print_progress, read_positive, read_size
from ivf_ros.progress import track


def add_faults_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf faults``."""
    parser.add_argument('--mode', choices=('composed', 'processes'), default='composed',
                        help='all nodes in one process, or a process each (default: composed)')
    parser.add_argument('--short', action='store_true', help='some faults of each kind only')
    parser.add_argument('--only', default='', metavar='TEXT',
                        help='the faults whose names contain this text')
    parser.add_argument('--list', action='store_true', help='show the names of the faults')
    parser.add_argument('--size', default='320x240', metavar='WxH',
                        help='image size (default: 320x240)')
    parser.add_argument('--rate', type=read_positive, default=15.0, metavar='HZ',
                        help='image rate of the cameras (default: 15)')
    parser.add_argument('--log', type=Path, metavar='FILE', help='file for the log of the nodes')
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ivf_ros.nodes.faults import campaign

    faults = campaign.select(options.only, options.short)
    if not faults:
        raise ValueError(f"no fault has '{options.only}' in its name; ivf faults --list shows all")
    if options.list:
        for fault in faults:
            print_line(fault.name)
        return 0
    print_progress(f'injecting {len(faults)} faults')
    verdicts: list[Any] = []
    settings = campaign.CampaignSettings(options.mode, read_size(options.size), options.rate,
                                         options.log)
    with interrupt_on_signals(), campaign.open_campaign(settings) as running:
        for fault in track(faults, len(faults), 'fault'):
            verdicts.append(running.judge(fault))
            if not options.json:
                print_line(_format(verdicts[-1]))
    if options.json:
        print_json([verdict._asdict() for verdict in verdicts])
    n_failed = sum(bool(verdict.failures) for verdict in verdicts)
    if n_failed:
        print_progress(f'{n_failed} of {len(verdicts)} faults failed')
    return int(n_failed > 0)


def _format(verdict: Any) -> str:
    said, back = ('    -' if time_s is None else f'{time_s:5.1f}'
                  for time_s in (verdict.said_s, verdict.back_s))
    return (f'{"FAILED" if verdict.failures else "passed"}  {verdict.name:42} said {said} s  '
            f'back {back} s  {",".join(verdict.modes):24} {"; ".join(verdict.failures)}').rstrip()
