# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf time-offset``."""

from __future__ import annotations

import argparse

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.output import print_json, print_line, print_progress, read_positive


def add_time_offset_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf time-offset``."""
    parser.add_argument('source', help='recording with motion: bag, folder or two videos')
    parser.add_argument('--seconds', type=read_positive, default=60.0,
                        help='duration of the recording to read, in seconds (default: 60)')
    parser.add_argument('--max-offset', type=read_positive, default=2.0, metavar='SECONDS',
                        help='largest offset beyond that of the clocks (default: 2)')
    add_bag_options(parser)
    parser.set_defaults(run=_measure, stamps='header')


def _measure(options: argparse.Namespace) -> int:
    from ivf_ros.calibration.time_offset import measure_time_offset
    from ivf_ros.data.sources import open_source

    source = open_source(options.source, **bag_options_of(options))
    print_progress(f'source: {source.name}')
    measured = measure_time_offset(source, seconds=options.seconds,
                                   max_offset_s=options.max_offset)
    if options.json:
        print_json({'thermal_minus_rgb_s': measured.offset_s, 'deviation_s': measured.deviation_s,
                    'correlation': measured.correlation, 'stamps': options.stamps,
                    'pairing.thermal_offset_s': -measured.offset_s})
        return 0
    print_line(f'thermal minus RGB: {measured.offset_s:+.4f} s, standard deviation '
               f'{measured.deviation_s:.4f} s, correlation {measured.correlation:.2f}')
    print_line(f'set pairing.thermal_offset_s: {-measured.offset_s:.4f}')
    return 0
