# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Parses the command line and runs the module of the command.

A command exits with 0 only if it succeeds; an error is one line on standard error. Only the module
of the selected command is imported. So ``ivf doctor`` works if libraries of other commands are
missing.
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
    A command of ``ivf``.

    Attributes
    ----------
    module:
        Module of this package with ``add_<name>_options(parser)``, which adds the options and
        sets ``run(options) -> exit code``.
    summary:
        Purpose of the command, in one sentence.
    example:
        A complete command line.

    """

    module: str
    summary: str
    example: str


COMMANDS = {
    'doctor': Command('machine', 'Check the software and the settings of this machine.',
                      'ivf doctor'),
    'info': Command('info', 'Describe a recording: topics, images, times, damage.',
                    'ivf info recordings/night.mcap'),
    'demo': Command('graph', 'Run the whole graph on simulated or recorded frames.',
                    'ivf demo --source recordings/night.mcap --seconds 20 --out night'),
    'time-offset': Command('time_offset', 'Measure the offset of the stamps of the two cameras '
                           'from motion.', 'ivf time-offset recordings/drive.mcap'),
    'replay': Command('graph', 'Publish a recording on the topics of the two cameras.',
                      'ivf replay recordings/night.mcap --rate 0.5 --loop'),
    'register': Command('stages', 'Register a thermal image onto an RGB image.',
                        'ivf register thermal.png rgb.jpg --out registered.png'),
    'fuse': Command('stages', 'Fuse a thermal image, already on the RGB grid, with RGB.',
                    'ivf fuse registered.png rgb.jpg --out fused.png'),
    'segment': Command('stages', 'Segment a fused image.',
                       'ivf segment fused.png --out labels.png'),
    'detect': Command('stages', 'Detect objects in a fused image.', 'ivf detect fused.png --json'),
    'calibrate': Command('calibrate', 'Calibrate a thermal and an RGB camera with a board, or '
                         'without one.',
                         'ivf calibrate views --pattern 4x6 --square 0.05 --out rig.yaml'),
    'metrics': Command('measure', 'Compute fusion metrics of fused images and their sources.',
                       'ivf metrics --thermal ir/ --visible vi/ --fused fused/ --json'),
    'evaluate': Command('evaluate', 'Evaluate methods on data sets and write a report.',
                        'ivf evaluate msrs/test --stage fusion --methods fast,laplacian '
                        '--out results'),
    'train': Command('train', 'Train a network of this package.',
                     'ivf train registration-fast --data recordings --out runs/fast '
                     '--weights f.safetensors'),
    'export': Command('export', 'Write a trained network as an ONNX file.',
                      'ivf export detection --both --out anchor_free.onnx'),
    'benchmark': Command('measure', 'Measure the transport of images, the time of the stages, the '
                         'whole graph, or the accuracy of positions.',
                         'ivf benchmark --graph --size 640x480'),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _make_parser(argv).parse_args(argv)
        options.arguments = argv
        return options.run(options)
    except _expected_errors() as error:
        sys.stderr.write(f'ivf {argv[0]}: {" ".join(str(error).split())}\n')
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f'ivf {argv[0]}: interrupted\n')
        return 130


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f'{self.prog}: {message}; see {self.prog} --help\n')
        sys.exit(2)


def _make_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the options of the selected one."""
    parser = _Parser(prog='ivf', description='Infrared-visible perception for ROS 2.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='command')
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary, description=command.summary,
                                        epilog=f'example: {command.example}')
        subparser.add_argument('--json', action='store_true', help='print the result as JSON')
        if argv[:1] == [name]:
            module = import_module(f'ivf_ros.cli.{command.module}')
            getattr(module, f'add_{name.replace("-", "_")}_options')(subparser)
    return parser


def _expected_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that are reported in one line, including OpenCV's if cv2 is imported."""
    opencv = sys.modules.get('cv2')
    return (ValueError, RuntimeError, OSError, ImportError, *([opencv.error] if opencv else []))


if __name__ == '__main__':
    sys.exit(main())
