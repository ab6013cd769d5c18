# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf faults``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import csv
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ivf_ros.cli.interrupts import interrupt_on_signals
from ivf_ros.cli.output import print_json, print_line, print_progress, read_positive, read_size
from ivf_ros.evaluation.studies.figures import blank_figure, png_bytes
from ivf_ros.output import check_file, open_folder
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
    parser.add_argument('--soak', type=read_positive, metavar='SECONDS',
                        help='inject faults in random order for this long; table of memory, '
                        'threads and descriptors, with a plot of them')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help='folder for the table and the plot of --soak')
    parser.add_argument('--log', type=Path, metavar='FILE',
                        help='new file for the log of the nodes')
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ivf_ros.nodes.faults import campaign

    if options.log is not None:
        check_file(options.log)
    settings = campaign.CampaignSettings(options.mode, read_size(options.size), options.rate,
                                         options.log)
    if options.soak:
        return _soak(options, settings)
    faults = campaign.select(options.only, options.short)
    if not faults:
        raise ValueError(f"no fault has '{options.only}' in its name; ivf faults --list shows all")
    if options.list:
        names = [fault.name for fault in faults]
        if options.json:
            print_json(names)
        else:
            print_line('\n'.join(names))
        return 0
    print_progress(f'injecting {len(faults)} faults')
    verdicts: list[Any] = []
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


def _soak(options: argparse.Namespace, settings: Any) -> int:
    from ivf_ros.nodes.faults import soak

    if options.out is None:
        raise ValueError('--soak needs --out DIR for its table and its plot')
    open_folder(options.out, 'faults')
    # Each row is on disk at once: hours of measuring must not be lost at their end.
    with (options.out / 'soak.csv').open('w', newline='', buffering=1) as file:
        table = csv.DictWriter(file, [field.name for field in fields(soak.Sample)])
        table.writeheader()
        with interrupt_on_signals():
            done = soak.run(options.soak, settings,
                            on_verdict=lambda verdict: print_progress(_format(verdict)),
                            on_sample=lambda sample: table.writerow(asdict(sample)))
    (options.out / 'soak.png').write_bytes(_draw(done.rows()))
    slopes = {name: done.memory_slope_mb_per_min(name) for name in ('memory_mb', 'anonymous_mb')}
    n_failed = sum(bool(verdict.failures) for verdict in done.verdicts)
    summary = {'faults': len(done.verdicts), 'failed': n_failed,
               **{f'{name}_per_min': None if slope is None else round(slope, 3)
                  for name, slope in slopes.items()},
               'memory_mb': round(done.samples[-1].memory_mb, 1) if done.samples else None}
    if options.json:
        print_json(summary)
    else:
        print_line('  '.join(f'{name} {value}' for name, value in summary.items()))
    return int(n_failed > 0)


def _draw(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Return the curves of a soak as PNG."""
    figure = blank_figure((8.0, 5.0))
    axes = figure.subplots(3, 1, sharex=True)
    for axis, (name, label) in zip(axes, (
            ('memory_mb', 'memory in MB'), ('threads', 'threads'),
            ('descriptors', 'descriptors')), strict=True):
        axis.plot([row['at_s'] / 60 for row in rows], [row[name] for row in rows], linewidth=1,
                  label='resident' if name == 'memory_mb' else None)
        if name == 'memory_mb':
            axis.plot([row['at_s'] / 60 for row in rows], [row['anonymous_mb'] for row in rows],
                      linewidth=1, label='allocated')
            axis.legend(frameon=False)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel('minutes')
    return png_bytes(figure)


def _format(verdict: Any) -> str:
    said, back = ('    -' if time_s is None else f'{time_s:5.1f}'
                  for time_s in (verdict.said_s, verdict.back_s))
    if verdict.obstacle:
        return f'omitted {verdict.name:54} {verdict.obstacle}'
    return (f'{"FAILED" if verdict.failures else "passed"}  {verdict.name:54} said {said} s  '
            f'back {back} s  {",".join(verdict.modes):24} {"; ".join(verdict.failures)}').rstrip()
