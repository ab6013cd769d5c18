# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Temporary folders, and files that are decompressed into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import sys
import tempfile
import weakref

from ivf_ros.data.recording import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Of a compressed file: recordings of black images reach a ratio of some hundreds.
_MAX_RATIO = 1000
_MIN_LIMIT_BYTES = 1 << 30

ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


class TemporaryFolder:
    """A folder that exists until ``remove``, at the latest as long as this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix='ivf_bag_'))
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: Path, owner: int) -> None:
    """Remove a folder, unless in a forked process."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def decompress_file(path: Path, folder: TemporaryFolder) -> tuple[Path, str]:
    """
    Decompress a zstd file into a folder.

    Returns the new file and a description of the damage, which is empty if there is none. What
    stands before the damage is in the file. A file that holds more than ``_MAX_RATIO`` times its
    size is cut off, too.

    Raises
    ------
    SourceError
        There is no room for the file.

    """
    target = folder.path / path.stem
    problem = ''
    limit = max(_MAX_RATIO * path.stat().st_size, _MIN_LIMIT_BYTES)
    with path.open('rb') as compressed, zstd.open(compressed, 'rb') as content, \
            target.open('wb') as file:
        while True:
            try:
                block = content.read1(1 << 20)
            except (zstd.ZstdError, EOFError, MemoryError) as error:
                problem = f'the compression is damaged: {error}'
                break
            if not block:
                break
            limit -= len(block)
            if limit < 0:
                problem = (f'it holds more than {_MAX_RATIO} times its size; the rest is left out')
                break
            with _explain_full_disk(path, folder):
                file.write(block)
                file.flush()
    return target, problem


def copy_file(path: Path, folder: TemporaryFolder) -> None:
    """
    Copy a file into a folder.

    Raises
    ------
    SourceError
        There is no room for the file.

    """
    with _explain_full_disk(path, folder):
        shutil.copyfile(path, folder.path / path.name)


@contextmanager
def _explain_full_disk(path: Path, folder: TemporaryFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f'{path} must be copied to {folder.path} to be read: {error}; '
                          'set TMPDIR to a folder with more room') from None
