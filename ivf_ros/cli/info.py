# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf info``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.output import print_json, print_line


def add_info_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf info``."""
    parser.add_argument('source', help='folder of pairs, two videos, bag, or simulator[:...]')
    parser.add_argument('--recover', action='store_true',
                        help='of an MCAP or SQLite bag that was not closed, write a new file that '
                        'is whole, and metadata.yaml, for ros2 bag play; the old file stays as it '
                        'is')
    add_bag_options(parser)
    parser.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> int:
    from ivf_ros.data.source_info import describe_source
    source, recovered = options.source, None
    if options.recover:
        from ivf_ros.data.bags.recovery import recover
        recovery = recover(Path(options.source).expanduser())
        source = str(recovery.path)
        recovered = {'file': recovery.file and str(recovery.file), 'messages': recovery.counts,
                     'problems': list(recovery.problems)}
    report = describe_source(source, bag_options_of(options))
    if recovered:
        report['recovered'] = recovered
    if options.json:
        print_json(report)
    else:
        for line in _format(report):
            print_line(line)
    return 0


def _format(report: dict[str, Any]) -> list[str]:
    """Return the lines of a report."""
    lines = _format_recovery(report['recovered']) if 'recovered' in report else []
    lines.append(f"{report['source']}: {report['kind']}")
    if 'bytes' in report:
        lines.append(f"size: {report['bytes'] / 1e6:.1f} MB")
    if report.get('start') is not None:
        lines.append(f"start: {report['start']}")
    if report.get('duration_s') is not None:
        lines.append(f"duration: {report['duration_s']:.3f} s")
    if 'rate_hz' in report:
        lines.append(f"rate: {report['rate_hz']:g} Hz")
    if 'pairs' in report:
        lines.append(f"pairs: {report['pairs']}")
    lines += map(_format_topic, report.get('topics', ()))
    lines += [f'{stream}: {_format_camera(camera)}' for stream, camera
              in report['cameras'].items()]
    lines += [f'problem: {problem}' for problem in report['problems']]
    return lines


def _format_recovery(recovered: dict[str, Any]) -> list[str]:
    """Return the lines about a recovery."""
    if recovered['file'] is None:
        return ['the bag is complete, nothing to recover']
    return [*(f'lost: {problem}' for problem in recovered['problems']),
            f"{sum(recovered['messages'].values())} messages recovered to {recovered['file']}"]


def _format_camera(camera: dict[str, Any]) -> str:
    """Return the line of a camera without its name."""
    if 'topic' in camera:
        return (f"{camera['topic']} ({camera['reason']}), "
                f"{camera['camera_info'] or 'no CameraInfo'}")
    line = f"{camera['width']}x{camera['height']} {camera['dtype']}"
    if 'file' in camera:
        line += (f", {camera['frames']} frames of {camera['codec']} at {camera['rate_hz']:g} Hz, "
                 f"{camera['file']}")
    return line


def _format_topic(topic: dict[str, Any]) -> str:
    """Return the line of a topic."""
    facts = [topic['type'] or 'no type', f"{topic['messages']} messages"]
    if topic['serialization'] != 'cdr':
        facts.append(topic['serialization'] or 'unknown serialization')
    if topic['rate_hz'] is not None:
        facts.append(f"{topic['rate_hz']:.1f} Hz")
    if 'encoding' in topic:
        facts.append(topic['encoding'])
    if 'width' in topic:
        facts.append(f"{topic['width']}x{topic['height']}")
    if 'stamps' in topic:
        facts.append(f"stamps: {topic['stamps']}")
    if 'problem' in topic:
        facts.append(topic['problem'])
    return f"  {topic['name']}: {', '.join(facts)}"
