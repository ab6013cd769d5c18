# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Checks of output paths: no command removes or overwrites files of other origin.

A result folder contains the mark file ``.ivf_ros.json`` with the name of the command that created
it. A command writes into a folder that is new, empty, or marked by the same command. It removes
only marked folders. Single files are marked too: PNG in the text chunk 'Software', JPEG in a
comment, models in their metadata. An unmarked existing file is overwritten only if the user
allows it. An input is never overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable
import json
from pathlib import Path
import shutil
import struct
import zlib

MARK = '.ivf_ros.json'
# Mark of a single file, within its first bytes; in a model it is the producer name.
FILE_MARK = 'Made by ' + 'ivf_ros'
_HEAD_BYTES = 4096


class OutputError(ValueError):
    """Results cannot be written to a path without loss of other data."""


def open_folder(folder: Path, command: str, sources: Iterable[str | Path] = ()) -> None:
    """
    Create a result folder for a command, or reuse a folder that the same command created.

    Parameters
    ----------
    folder:
        Result folder.
    command:
        Name of the command, for example ``'demo'``.
    sources:
        Inputs of the command: paths, 'A,B' for two paths, or names that are not paths.

    Raises
    ------
    OutputError
        See ``check_folder``, or the folder cannot be created.

    """
    check_folder(folder, command, sources)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the output folder '{folder}': "
                          f'{error.strerror}') from None
    if not _read_mark(folder / MARK):
        write_mark(folder, command)


def check_folder(folder: Path, command: str, sources: Iterable[str | Path] = ()) -> None:
    """
    Check that ``open_folder`` may create or reuse a folder, and change nothing.

    Raises
    ------
    OutputError
        A source is inside the folder, the folder has content from elsewhere, or it is a file.

    """
    resolved = folder.resolve()
    for source in sources:
        for path in _existing_paths(source):
            if path.resolve().is_relative_to(resolved):
                raise OutputError(f"the source '{path}' lies in the output folder '{folder}'; "
                                  'give another --out')
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file, and the output is a folder; give another --out")
    if folder.is_dir() and any(folder.iterdir()):
        creator = _read_mark(folder / MARK)
        if creator != command:
            content = f'results of ivf {creator}' if creator else 'something else'
            raise OutputError(f"'{folder}' holds {content}, which ivf {command} does not "
                              'overwrite; give another --out')


def write_mark(folder: Path, command: str) -> None:
    """Mark a folder as created by a command."""
    (folder / MARK).write_text(json.dumps({'made_by': command}) + '\n')


def remove_marked_folder(folder: Path) -> None:
    """
    Remove the result folder of an earlier run; do nothing if it does not exist.

    Raises
    ------
    OutputError
        The folder has no mark, so it was not created by this package.

    """
    if not folder.exists():
        return
    if not _read_mark(folder / MARK):
        raise OutputError(f"'{folder}' is in the way and was not made by ivf; move it away or "
                          'give another --out')
    shutil.rmtree(folder)


def check_file(path: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """
    Check that a file can be written without loss of other data.

    Parameters
    ----------
    path:
        Output file.
    inputs:
        Input files of the command.
    overwrite:
        The user allows overwriting an existing file.

    Raises
    ------
    OutputError
        The path is an input or a folder, or an unmarked file exists and ``overwrite`` is false.

    """
    if any(path.resolve() == Path(source).expanduser().resolve() for source in inputs):
        raise OutputError(f"'{path}' is an input; give the output another name")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file")
    if path.exists() and not overwrite and not is_marked(path):
        raise OutputError(f"'{path}' exists and was not made by ivf; give another name, or "
                          '--overwrite')


def mark_image(encoded: bytes) -> bytes:
    """Insert the mark into the bytes of a PNG or JPEG file; return other files unchanged."""
    mark = FILE_MARK.encode()
    if encoded.startswith(b'\x89PNG'):
        # Insert a text chunk after the header chunk, which has 33 bytes.
        chunk = b'tEXt' + b'Software\0' + mark
        return encoded[:33] + struct.pack('>I', len(chunk) - 4) + chunk \
            + struct.pack('>I', zlib.crc32(chunk)) + encoded[33:]
    if encoded.startswith(b'\xff\xd8'):
        return encoded[:2] + b'\xff\xfe' + struct.pack('>H', len(mark) + 2) + mark + encoded[2:]
    return encoded


def is_marked(path: Path) -> bool:
    """Return whether a file was written by this package."""
    with path.open('rb') as file:
        return FILE_MARK.encode() in file.read(_HEAD_BYTES)


def _existing_paths(source: str | Path) -> list[Path]:
    """Return the existing paths that a source refers to."""
    whole = Path(source).expanduser()
    parts = [whole, *(Path(part.strip()).expanduser() for part in str(source).split(','))]
    return [path for path in parts if path.exists()]


def _read_mark(mark: Path) -> str:
    """Return the command that marked a folder, or '' without a mark."""
    try:
        return str(json.loads(mark.read_text())['made_by'])
    except (OSError, ValueError, KeyError, TypeError):
        return ''
