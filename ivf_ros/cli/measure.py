# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands ``ivf metrics`` and ``ivf benchmark``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ivf_ros.cli.cameras import add_thermal_camera_option, thermal_camera_of
from ivf_ros.cli.interrupts import interrupt_on_signals
from ivf_ros.cli.output import (
    print_json,
    print_line,
    print_progress,
    read_positive,
    read_size,
)
from ivf_ros.evaluation.metrics import FUSION_METRICS
from ivf_ros.evaluation.triples import find_triples, measure_triples
from ivf_ros.progress import track
import numpy as np

_SECONDS, _GRAPH_SECONDS = 3.0, 10.0  # default duration of a run


def add_metrics_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf metrics``."""
    for stream in ('thermal', 'visible', 'fused'):
        parser.add_argument(f'--{stream}', type=Path, required=True,
                            help='an image or a folder of images')
    parser.add_argument('--metrics', metavar='EN,SD,...', help='some of '
                        f'{", ".join(FUSION_METRICS)} (default: all)')
    add_thermal_camera_option(parser)
    parser.set_defaults(run=_metrics)


def add_benchmark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf benchmark``."""
    parser.add_argument('--size', action='append', metavar='WxH',
                        help='image size; may be repeated (default: 640x480 and 1280x1024)')
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument('--stages', action='store_true',
                         help='measure the time of each stage instead of the transport')
    subject.add_argument('--graph', action='store_true',
                         help='measure the whole graph while two cameras send images')
    subject.add_argument('--positions', action='store_true',
                         help='measure the accuracy of detections_3d on simulated streets')
    parser.add_argument('--mode', choices=('composed', 'processes', 'naive'), default='composed',
                        help='for --graph: all nodes in one process, a process for each node, or '
                        'the chain that a user would write without this package: plain callbacks, '
                        'SIFT, and SeAFusion in float32 (default: composed)')
    parser.add_argument('--seconds', type=read_positive,
                        help='duration of each run in seconds (default: 3; with --graph: 10)')
    parser.add_argument('--warm-up', type=read_positive, default=10.0, metavar='SECONDS',
                        help='time before the measurement of --graph (default: 10)')
    parser.add_argument('--rate', type=read_positive, default=30.0, metavar='HZ',
                        help='image rate of the cameras of --graph (default: 30)')
    parser.add_argument('--params-file', type=Path, metavar='YAML',
                        help='ROS parameters of the stages of --graph')
    parser.add_argument('--streets', type=int, default=20, metavar='N',
                        help='number of streets of --positions (default: 20)')
    parser.set_defaults(run=_benchmark)


def _metrics(options: argparse.Namespace) -> int:
    triples = find_triples(options.thermal, options.visible, options.fused)
    names = options.metrics.split(',') if options.metrics else None
    values = dict(track(measure_triples(triples, names, thermal_camera_of(options)),
                        len(triples), 'image'))
    mean = {name: float(np.mean([image_values[name] for image_values in values.values()]))
            for name in next(iter(values.values()))}
    if options.json:
        print_json({'mean': _to_finite(mean),
                    'images': {name: _to_finite(image_values)
                               for name, image_values in values.items()}})
    else:
        print_line(f'{"metric":14}{"mean":>10}   of {len(values)} image{"s" * (len(values) > 1)}')
        for name, value in mean.items():
            print_line(f'{name:14}{value:10.4f}')
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    sizes = [read_size(text) for text in options.size or ('640x480', '1280x1024')]
    shown = ' and '.join(f'{width}x{height}' for width, height in sizes)
    if options.graph:
        print_progress(f'running the graph with images of {shown}')
        from ivf_ros.nodes.demo import graph_benchmark
        with interrupt_on_signals():
            rows = [row for size in sizes for row in graph_benchmark.run(
                graph_benchmark.GraphBenchmarkSettings(
                    size=size, rate_hz=options.rate, warm_up_s=options.warm_up,
                    seconds=options.seconds or _GRAPH_SECONDS,
                    params_file=options.params_file, mode=options.mode))]
    elif options.positions:
        from ivf_ros.evaluation.position_accuracy import measure_positions
        rows = measure_positions(options.streets)
    elif options.stages:
        from ivf_ros.evaluation.stage_times import time_stages
        rows = [row for size in sizes for row in time_stages(size, options.seconds or _SECONDS)]
    else:
        from ivf_ros.nodes.demo import transport_benchmark
        print_progress(f'sending images of {shown}')
        rows = transport_benchmark.run(sizes, options.seconds or _SECONDS)
    if options.json:
        print_json(rows)
    else:
        for row in rows:
            print_line('  '.join(f'{name} {value}' for name, value in row.items()))
    return 0


def _to_finite(values: dict[str, float]) -> dict[str, float | None]:
    """Replace infinite values by null, which JSON needs; the PSNR of equal images is infinite."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}
