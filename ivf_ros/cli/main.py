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
import os
import sys
from typing import NoReturn

from ivf_ros import __version__
from ivf_ros.optional_imports import describe_missing_module


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
    'security-policy': Command('security', 'Write the SROS 2 policy of the nodes: one enclave a '
                               'node, exactly its topics.',
                               'ivf security-policy registration fusion --namespace front '
                               '--out policy.xml'),
    'view': Command('view', 'Show a source live: images, registration, fusion, objects, plots.',
                    'ivf view recordings/night.mcap --web'),
    'time-offset': Command('time_offset', 'Measure the offset of the stamps of the two cameras '
                           'from motion.', 'ivf time-offset recordings/drive.mcap'),
    'replay': Command('graph', 'Publish a recording on the topics of the two cameras.',
                      'ivf replay recordings/night.mcap --rate 0.5 --loop'),
    'register': Command('pair_commands', 'Register thermal images onto RGB images.',
                        'ivf register thermal.png rgb.jpg --out registered.png'),
    'fuse': Command('pair_commands', 'Fuse thermal images with RGB images.',
                    'ivf fuse thermal/ rgb/ --register --out fused'),
    'segment': Command('image_commands', 'Segment fused images, or RGB and thermal.',
                       'ivf segment fused.png --out labels.png'),
    'detect': Command('image_commands', 'Detect objects in fused images, or in RGB and thermal.',
                      'ivf detect fused.png --json'),
    'label': Command('label', 'Make boxes for a recording, and exchange them with labelling '
                     'tools.', 'ivf label recordings/drive --out drive_labels '
                     '--teacher anchor_free@rgb --teacher anchor_free@thermal'),
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
    'faults': Command('faults', 'Inject faults into a running graph, and judge what it does.',
                      'ivf faults --short'),
    'benchmark': Command('measure', 'Measure the transport of images, the time of the stages, the '
                         'whole graph, or the accuracy of positions.',
                         'ivf benchmark --graph --size 640x480'),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if arguments is None else list(arguments)
    if '_ARGCOMPLETE' in os.environ:  # the shell asks what may follow
        return _complete(os.environ['COMP_LINE'].split()[1:2])
    if not argv:
        make_parser([]).print_help()
        return 2
    try:
        options = _parse(make_parser(argv[:1]), argv)
        options.arguments = argv
        return options.run(options)
    except ModuleNotFoundError as error:
        sys.stderr.write(f'ivf {argv[0]}: {describe_missing_module(error.name or "")}\n')
        return 1
    except _expected_errors() as error:
        sys.stderr.write(f'ivf {argv[0]}: {" ".join(str(error).split())}\n')
        return getattr(error, 'exit_code', 1)
    except KeyboardInterrupt:
        sys.stderr.write(f'ivf {argv[0]}: interrupted\n')
        return 130


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f'{self.prog}: {message}; see {self.prog} --help\n')
        sys.exit(2)


def make_parser(command: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the options of the one that ``command`` holds."""
    parser = _Parser(prog='ivf', description='Infrared-visible perception for ROS 2.')
    parser.add_argument('--version', action='version', version=f'ivf {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='command')
    for name, entry in COMMANDS.items():
        subparser = commands.add_parser(name, help=entry.summary, description=entry.summary,
                                        epilog=f'example: {entry.example}')
        if [name] == list(command):
            add_options(name, subparser)
    return parser


def add_options(name: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a command; imports its module."""
    parser.add_argument('--json', action='store_true', help='print the result as JSON')
    module = import_module(f'ivf_ros.cli.{COMMANDS[name].module}')
    getattr(module, f'add_{name.replace("-", "_")}_options')(parser)


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parse; paths may also stand between and behind the options."""
    options, rest = parser.parse_known_args(argv)
    paths = getattr(options, getattr(options, 'paths', ''), None)
    if paths is None or any(text.startswith('-') for text in rest):
        return parser.parse_args(argv)  # an error, if there is a rest
    paths += rest  # argparse takes only one block of them
    return options


def _complete(command: Sequence[str]) -> int:
    try:
        import argcomplete
    except ImportError:
        return 1
    argcomplete.autocomplete(make_parser(command))
    return 0


def _expected_errors() -> tuple[type[BaseException], ...]:
    from ivf_ros.cli.output import expected_errors  # only where there is an error
    return expected_errors()


if __name__ == '__main__':
    sys.exit(main())
