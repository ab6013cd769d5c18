# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands ``ivf demo`` and ``ivf replay``, which run nodes."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.interrupts import interrupt_on_signals
from ivf_ros.cli.output import print_json, print_line, print_progress, read_positive
from ivf_ros.cli.view import keep_open, open_view

if TYPE_CHECKING:
    from ivf_ros.nodes.demo.run import DemoSettings


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf demo``."""
    parser.add_argument('--source',
                        help='folder of pairs, two videos, bag, or simulator[:key=value,...]')
    parser.add_argument('--seconds', type=read_positive, default=10.0,
                        help='duration of the recording to play, in seconds')
    parser.add_argument('--out', type=Path, default=Path('ivf_demo'),
                        help='folder for the results: new, empty, or of an earlier demo')
    parser.add_argument('--rate', type=read_positive, default=1.0,
                        help='speed factor of the replay')
    parser.add_argument('--aligned', action='store_true',
                        help='both cameras show the same view already: fuse as it is')
    parser.add_argument('--still-seconds', type=float, metavar='S',
                        help='show each pair of files for S seconds; 0: the files are a sequence '
                        '(default: 1.5 for files of unrelated scenes, else 0)')
    parser.add_argument('--params-file', type=Path, help='ROS parameter file for the nodes')
    parser.add_argument('--view', nargs='?', const='window', choices=('window', 'web', 'file'),
                        help='show it live in a window of Rerun, in its web viewer on this '
                        'machine, or record view.rrd in the folder of the results')
    add_bag_options(parser)
    add_camera_options(parser)
    parser.set_defaults(run=_demo)


def add_replay_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf replay``."""
    parser.add_argument('source', help='folder of pairs, two videos, bag, or simulator[:...]')
    parser.add_argument('--rate', type=read_positive, default=1.0,
                        help='speed factor of the replay (default: 1)')
    parser.add_argument('--loop', action='store_true', help='start again at the end')
    parser.add_argument('--keep-stamps', action='store_true',
                        help='publish the recorded stamps instead of the current time')
    parser.add_argument('--clock', action='store_true',
                        help='publish the recorded time on /clock; needs --keep-stamps')
    parser.add_argument('--namespace', default='', metavar='NS',
                        help='of the topics that are published and recorded')
    parser.add_argument('--record', type=Path, metavar='BAG',
                        help='record what is published, and the results of a running graph, into '
                        'a new bag; it can be read even if the command is killed')
    add_bag_options(parser)
    parser.set_defaults(run=_replay)


def _demo(options: argparse.Namespace) -> int:
    from ivf_ros.nodes.demo import run as demo
    settings = demo.DemoSettings(
        source=options.source or demo.DEFAULT_SOURCE, seconds=options.seconds, out=options.out,
        rate=options.rate, aligned=options.aligned, still_s=options.still_seconds,
        params_file=options.params_file, bag_options=bag_options_of(options),
        thermal_camera=thermal_camera_of(options), rgb_camera=rgb_camera_of(options))
    if not options.view:
        with interrupt_on_signals():
            _run_demo(options, settings)
        return 0
    from ivf_ros.output import open_folder
    open_folder(options.out, 'demo', [settings.source])  # before something is written there
    with open_view(options.view, options.out / 'view.rrd', settings.source) as viewer:
        _run_demo(options, dataclasses.replace(settings, view_log=viewer.log))
        keep_open(viewer)
    return 0


def _run_demo(options: argparse.Namespace, settings: DemoSettings) -> None:
    from ivf_ros.nodes.demo import run as demo
    report = demo.run(settings, progress=print_progress)
    if options.json:
        print_json(report)
    else:
        print_line(demo.summary_text(report))


def _replay(options: argparse.Namespace) -> int:
    from ivf_ros.data.sources import open_source
    from ivf_ros.nodes.demo import replay
    source = open_source(options.source, **bag_options_of(options))
    code = replay.run(source, rate=options.rate, loop=options.loop,
                      restamp=not options.keep_stamps, clock=options.clock,
                      record=options.record, namespace=options.namespace)
    if options.json:
        print_json({'source': source.name, 'skipped': source.skipped})
    return code
