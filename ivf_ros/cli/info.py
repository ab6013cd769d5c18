# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf info``."""

from __future__ import annotations

import argparse
from typing import Any

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.output import print_json, print_line


def add_info_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf info``."""
    parser.add_argument('source', help='folder of pairs, two videos, bag, or simulator[:...]')
    add_bag_options(parser)
    parser.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> int:
    from ivf_ros.data.source_info import describe_source
    report = describe_source(options.source, bag_options_of(options))
    if options.json:
        print_json(report)
    else:
        for line in _format(report):
            print_line(line)
    return 0


def _format(report: dict[str, Any]) -> list[str]:
    """Return the lines of a report."""
    lines = [f"{report['source']}: {report['kind']}"]
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
