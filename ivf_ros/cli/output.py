# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Common parts of the commands: errors, output, checks of files, parsing of numbers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import math
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from ivf_ros.output import check_file

if TYPE_CHECKING:
    from ivf_ros.parameters import Declaration


class CommandError(RuntimeError):
    """The command failed; the message is all that the user needs."""

    exit_code = 1


class UsageError(CommandError):
    """The arguments do not fit together."""

    exit_code = 2


def expected_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that are reported in one line, including OpenCV's if cv2 is imported."""
    opencv = sys.modules.get('cv2')
    return (ValueError, RuntimeError, OSError, ImportError, *([opencv.error] if opencv else []))


def describe_error(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return ' '.join(str(error).split())


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--overwrite``, which ``check_outputs`` reads."""
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite an existing file that was not written by ivf')


def check_outputs(options: argparse.Namespace, outputs: Sequence[Path | None],
                  inputs: Sequence[Path | None]) -> None:
    """
    Check, before any computation, that no output file overwrites other files.

    Raises
    ------
    OutputError
        See ``output.check_file``.
    CommandError
        Two outputs have the same name.

    """
    output_paths = [path for path in outputs if path is not None]
    input_paths = [path for path in inputs if path is not None]
    for path in output_paths:
        check_file(path, input_paths, options.overwrite)
    if len({path.resolve() for path in output_paths}) < len(output_paths):
        raise CommandError('two outputs have the same name')


def check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Raise CommandError if the name of an output file has none of the suffixes."""
    if not path.name.lower().endswith(tuple(suffixes)):
        raise CommandError(f"cannot write '{path}': the name must end in {', '.join(suffixes)}")


def read_count(text: str) -> int:
    """Parse a whole number above 0, for ``argparse``."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be an integer above 0, got '{text}'")
    return int(text)


def read_positive(text: str) -> float:
    """Parse a number above 0, for ``argparse``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got '{text}'")
    return value


def read_size(text: str) -> tuple[int, int]:
    """Parse width and height; raise CommandError if the text is no size."""
    width, _, height = text.partition('x')
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise CommandError(f"the size must be WIDTHxHEIGHT, got '{text}'")
    return int(width), int(height)


def command_line(options: argparse.Namespace) -> str:
    """Return the command line of the user."""
    return ' '.join(['ivf', *options.arguments])


def report(options: argparse.Namespace, values: dict[str, Any]) -> None:
    """Print values by name, or as JSON with ``--json``."""
    if options.json:
        print_json(values)
    else:
        for name, value in values.items():
            print_line(f'{name}: {value}')


def report_settings(options: argparse.Namespace, settings: Sequence[Declaration]) -> None:
    """Print settings with their defaults: as JSON, or a line for each."""
    if options.json:
        print_json({setting.name: {'default': setting.default, 'description': setting.description}
                    for setting in settings})
        return
    width = max(len(f'{setting.name}={setting.default}') for setting in settings)
    for setting in settings:
        print_line(f'{f"{setting.name}={setting.default}":{width}}  {setting.description}')


def print_progress(text: str) -> None:
    """Print a progress message on standard error."""
    sys.stderr.write(text + '\n')


def print_note(options: argparse.Namespace, text: str) -> None:
    """Print a line about the work of a command on standard error."""
    print_progress(f'ivf {options.command}: {text}')


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print_line(json.dumps(value, indent=2))


def print_line(text: str) -> None:
    """Print a line on standard output."""
    sys.stdout.write(text + '\n')
