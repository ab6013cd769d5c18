# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What commands share: their error, what they print, where they write, numbers that they read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import math
from pathlib import Path
import sys
from typing import Any

from ivf_ros.output import check_file


class CommandError(RuntimeError):
    """The command cannot do its job; the message is all that the user needs to see."""


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--overwrite``, which ``check_outputs`` reads."""
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file that exists and was not made by ivf')


def check_outputs(options: argparse.Namespace, outputs: Sequence[Path | None],
                  inputs: Sequence[Path | None]) -> None:
    """
    Refuse to write where something would be lost, before anything is computed.

    Raises
    ------
    OutputError
        See ``output.check_file``.
    CommandError
        Two outputs have the same name.

    """
    given = [path for path in outputs if path is not None]
    for path in given:
        check_file(path, [one for one in inputs if one is not None], options.overwrite)
    if len({path.resolve() for path in given}) < len(given):
        raise CommandError('two outputs have the same name')


def read_positive(text: str) -> float:
    """Read a number above 0, for ``argparse``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got '{text}'")
    return value


def read_size(text: str) -> tuple[int, int]:
    """Read width and height; raise CommandError where there are none."""
    width, _, height = text.partition('x')
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise CommandError(f"a size is WIDTHxHEIGHT, got '{text}'")
    return int(width), int(height)


def command_line(options: argparse.Namespace) -> str:
    """Return how the user called the command, for the record."""
    return ' '.join(['ivf', *options.arguments])


def report(options: argparse.Namespace, values: dict[str, Any]) -> None:
    """Print values by name, as JSON where the user wants that."""
    if options.json:
        print_json(values)
    else:
        for name, value in values.items():
            print_line(f'{name}: {value}')


def print_progress(text: str) -> None:
    """Print what goes on, for people, on standard error."""
    sys.stderr.write(text + '\n')


def print_json(value: Any) -> None:
    """Print a result for machines."""
    print_line(json.dumps(value, indent=2))


def print_line(text: str) -> None:
    """Print a line on standard output."""
    sys.stdout.write(text + '\n')
