# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Reads the command line and hands it to the module of the command.

Every command exits with 0 only when it did its job; an error is one line on standard error. Only
the module of the command that is run is imported, so that ``ivf doctor`` works where libraries
that other commands need are missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
import sys
from typing import NoReturn


@dataclass(frozen=True)
class Command:
    """
    One command.

    Attributes
    ----------
    module:
        Module of this package that has ``add_<name>_options(parser)``; it declares the options and
        sets ``run(options) -> exit code``.
    summary:
        What the command does, in one sentence.
    example:
        A command line that people can copy.

    """

    module: str
    summary: str
    example: str


COMMANDS = {
    'doctor': Command('machine', 'Say what this machine has, and what is missing.', 'ivf doctor'),
    'demo': Command('graph', 'Run the whole graph on simulated or recorded frames.',
                    'ivf demo --source recordings/night.mcap --seconds 20 --out night'),
    'replay': Command('graph', 'Publish a recording as two cameras would.',
                      'ivf replay recordings/night.mcap --rate 0.5 --loop'),
    'register': Command('stages', 'Register a thermal image onto an RGB image.',
                        'ivf register thermal.png rgb.jpg --out registered.png'),
    'fuse': Command('stages', 'Fuse a thermal image, already on the RGB grid, with RGB.',
                    'ivf fuse registered.png rgb.jpg --out fused.png'),
    'segment': Command('stages', 'Segment a fused image.',
                       'ivf segment fused.png --out labels.png'),
    'detect': Command('stages', 'Detect objects in a fused image.', 'ivf detect fused.png --json'),
    'metrics': Command('measure', 'Measure fused images against their sources.',
                       'ivf metrics --thermal ir/ --visible vi/ --fused fused/ --json'),
    'evaluate': Command('evaluate', 'Measure methods on data sets and write a report.',
                        'ivf evaluate msrs/test --stage fusion --methods fast,laplacian '
                        '--out results'),
    'train': Command('networks', 'Train a network of this package.',
                     'ivf train registration-fast --data recordings --out runs/fast '
                     '--weights f.safetensors'),
    'export': Command('networks', 'Write a trained network as an ONNX file.',
                      'ivf export detection --both --out anchor_free.onnx'),
    'benchmark': Command('measure', 'Measure how images travel between nodes, or how long the '
                         'stages take.', 'ivf benchmark --size 1280x1024 --seconds 5'),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser(words).parse_args(words)
        options.arguments = words
        return options.run(options)
    except _expected_errors() as error:
        sys.stderr.write(f'ivf {words[0]}: {" ".join(str(error).split())}\n')
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f'ivf {words[0]}: interrupted\n')
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f'{self.prog}: {message}; see {self.prog} --help\n')
        sys.exit(2)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the options of the one that is run."""
    parser = _Parser(prog='ivf', description='Infrared-visible perception for ROS 2.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='command')
    for name, command in COMMANDS.items():
        made = commands.add_parser(name, help=command.summary, description=command.summary,
                                   epilog=f'example: {command.example}')
        made.add_argument('--json', action='store_true', help='print the result as JSON')
        if words[:1] == [name]:
            module = import_module(f'ivf_ros.cli.{command.module}')
            getattr(module, f'add_{name}_options')(made)
    return parser


def _expected_errors() -> tuple[type[BaseException], ...]:
    """Return what users are told in one line; OpenCV has an error of its own where it is used."""
    opencv = sys.modules.get('cv2')
    return (ValueError, RuntimeError, OSError, ImportError, *([opencv.error] if opencv else []))


if __name__ == '__main__':
    sys.exit(main())
