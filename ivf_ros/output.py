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
import os
from pathlib import Path
import shutil
import stat
import struct
import tempfile
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
    Check that ``open_folder`` may and can create or reuse a folder, and change nothing.

    Raises
    ------
    OutputError
        A source is inside the folder, the folder has content from elsewhere, it is a file, or
        nothing can be written there.

    """
    existing, missing = _split_existing(folder)
    resolved = folder.resolve()
    for source in sources:
        for path in _existing_paths(source):
            if path.resolve().is_relative_to(resolved):
                raise OutputError(f"the source '{path}' lies in the output folder '{folder}'; "
                                  'give another --out')
    if not existing.is_dir():
        raise OutputError(f"'{existing}' is a file, and the output is a folder; give another "
                          '--out')
    if not missing and any(_list(folder)):
        creator = _read_mark(folder / MARK)
        if creator != command:
            content = f'results of ivf {creator}' if creator else 'something else'
            raise OutputError(f"'{folder}' holds {content}, which ivf {command} does not "
                              'overwrite; give another --out')
    _try_to_create(existing, missing[:1], is_folder=True)


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


def check_file(path: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False,
               folders: Iterable[Path] = ()) -> None:
    """
    Check that a file can be written, and without loss of other data; change nothing.

    Parameters
    ----------
    path:
        Output file.
    inputs:
        Input files of the command.
    overwrite:
        The user allows overwriting an existing file.
    folders:
        Folders that the command creates, which ``check_folder`` has checked.

    Raises
    ------
    OutputError
        The path is an input, a folder or a device, an unmarked file exists and ``overwrite`` is
        false, its folder does not exist, or it cannot be written there.

    """
    existing, missing = _split_existing(path)
    if any(path.resolve() == Path(source).expanduser().resolve() for source in inputs):
        raise OutputError(f"'{path}' is an input; give the output another name")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file")
    if len(missing) > 1 and path.parent.resolve() in [folder.resolve() for folder in folders]:
        return
    if not missing:
        _check_overwritable(path, overwrite)
    elif not existing.is_dir():
        raise OutputError(f"cannot write '{path}': '{existing}' is a file, not a folder")
    elif len(missing) > 1:
        raise OutputError(f"cannot write '{path}': the folder '{path.parent}' does not exist; "
                          'create it, or give another name')
    else:
        _try_to_create(existing, missing, is_folder=False)


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


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: if the process is killed, the old or the new file is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.part')
    temporary.write_bytes(data)
    temporary.replace(path)


def _check_overwritable(path: Path, overwrite: bool) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OutputError(f"'{path}' is not a regular file; give another name")
    try:
        if not overwrite and not is_marked(path):
            raise OutputError(f"'{path}' exists and was not made by ivf; give another name, or "
                              '--overwrite')
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from None


def _split_existing(path: Path) -> tuple[Path, list[str]]:
    """Return the longest part of a path that exists, and the names that are missing below it."""
    missing: list[str] = []
    existing = path.absolute()
    try:
        while not os.path.lexists(existing):
            missing.insert(0, existing.name)
            existing = existing.parent
        existing.stat()  # a link to nothing, or a folder that may not be read
        longest = os.pathconf(existing, 'PC_NAME_MAX')
        longest_path = os.pathconf(existing, 'PC_PATH_MAX') - 1  # a null ends it
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise OutputError(f"cannot write '{path}': "
                          f"{getattr(error, 'strerror', None) or error}") from None
    if any(len(os.fsencode(name)) > longest for name in missing):
        raise OutputError(f"cannot write '{path}': a name has more than {longest} bytes")
    if len(os.fsencode(path.absolute())) > longest_path:
        raise OutputError(f"cannot write '{path}': it has more than {longest_path} bytes")
    return existing, missing


def _try_to_create(folder: Path, names: list[str], is_folder: bool) -> None:
    """
    Create a name in a folder and remove it, as no other check tells all reasons against it.

    Without a name, a file without a name is created.
    """
    path = folder.joinpath(*names)
    try:
        if not names:
            with tempfile.TemporaryFile(dir=folder):
                pass
        elif is_folder:
            path.mkdir()
            path.rmdir()
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            path.unlink()
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from None


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise OutputError(f"cannot write into '{folder}': {error.strerror}") from None


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
