# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where results may be written, so that no command removes or overwrites what it did not make.

A folder of results carries a mark, the file ``.ivf_ros.json``, which names the command that made
it. A command writes into a folder that is new, empty, or marked by itself. It removes only folders
that carry a mark. Single files carry a mark too: PNG as the text 'Software', JPEG as a comment,
models in their metadata. Any other file that exists is overwritten only where the user says so,
and an input never.
"""

from __future__ import annotations

from collections.abc import Iterable
import json
from pathlib import Path
import shutil
import struct
import zlib

MARK = '.ivf_ros.json'
# What a file of ours says of itself, within its first bytes; a model says it as its producer.
FILE_MARK = 'Made by ' + 'ivf_ros'
_HEAD_BYTES = 4096


class OutputError(ValueError):
    """Results cannot be written there without a loss."""


def open_folder(folder: Path, command: str, sources: Iterable[str | Path] = ()) -> None:
    """
    Make a folder for the results of a command, or take one that the command made before.

    Parameters
    ----------
    folder:
        Where the results go.
    command:
        Name of the command, for example ``'demo'``.
    sources:
        What the command reads: paths, 'A,B' for two of them, or names that are no path.

    Raises
    ------
    OutputError
        A source lies in the folder, the folder holds something that the command did not make, or
        it cannot be made.

    """
    for source in sources:
        for path in _paths_of(source):
            if path.resolve().is_relative_to(folder.resolve()):
                raise OutputError(f"the source '{path}' lies in the output folder '{folder}'; "
                                  'give another --out')
    mark = folder / MARK
    if folder.is_dir() and any(folder.iterdir()):
        made_by = _read_mark(mark)
        if made_by != command:
            owner = f'results of ivf {made_by}' if made_by else 'something else'
            raise OutputError(f"'{folder}' holds {owner}, which ivf {command} does not "
                              'overwrite; give another --out')
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the output folder '{folder}': {error.strerror}") from None
    write_mark(folder, command)


def write_mark(folder: Path, command: str) -> None:
    """Mark a folder as made by a command."""
    (folder / MARK).write_text(json.dumps({'made_by': command}) + '\n')


def remove_marked_folder(folder: Path) -> None:
    """
    Remove a folder of an earlier run; nothing happens where there is none.

    Raises
    ------
    OutputError
        It carries no mark, so that somebody else made it.

    """
    if not folder.exists():
        return
    if not _read_mark(folder / MARK):
        raise OutputError(f"'{folder}' is in the way and was not made by ivf; move it away or "
                          'give another --out')
    shutil.rmtree(folder)


def check_file(path: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """
    Refuse to write a file where something would be lost.

    Parameters
    ----------
    path:
        The file.
    inputs:
        Files that the command reads.
    overwrite:
        Whether the user allows to overwrite a file that exists.

    Raises
    ------
    OutputError
        The file is an input, is a folder, or exists, carries no mark and may not be overwritten.

    """
    if any(path.resolve() == Path(one).expanduser().resolve() for one in inputs):
        raise OutputError(f"'{path}' is an input; give the output another name")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file")
    if path.exists() and not overwrite and not _is_marked(path):
        raise OutputError(f"'{path}' exists and was not made by ivf; give another name, or "
                          '--overwrite')


def mark_image(encoded: bytes) -> bytes:
    """Return an image file, PNG or JPEG, with the mark in it; other files as they are."""
    mark = FILE_MARK.encode()
    if encoded.startswith(b'\x89PNG'):
        # A text chunk after the header, which ends with byte 33.
        chunk = b'tEXt' + b'Software\0' + mark
        return encoded[:33] + struct.pack('>I', len(chunk) - 4) + chunk \
            + struct.pack('>I', zlib.crc32(chunk)) + encoded[33:]
    if encoded.startswith(b'\xff\xd8'):
        return encoded[:2] + b'\xff\xfe' + struct.pack('>H', len(mark) + 2) + mark + encoded[2:]
    return encoded


def _is_marked(path: Path) -> bool:
    with path.open('rb') as file:
        return FILE_MARK.encode() in file.read(_HEAD_BYTES)


def _paths_of(source: str | Path) -> list[Path]:
    """Return the paths that a source names, of those that exist."""
    whole = Path(source).expanduser()
    parts = [whole, *(Path(part.strip()).expanduser() for part in str(source).split(','))]
    return [path for path in parts if path.exists()]


def _read_mark(mark: Path) -> str:
    """Return the command that marked a folder, or '' where there is no mark."""
    try:
        return str(json.loads(mark.read_text())['made_by'])
    except (OSError, ValueError, KeyError, TypeError):
        return ''
