# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the files of a source are still those that were opened."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path

_Identity = tuple[int, int, int, int]  # device, inode, bytes, time of the last change in ns


class SourceChanges:
    """
    The files of a source as they are now, to find later what has happened to them.

    Parameters
    ----------
    name:
        Name of the source: a path, two paths ``A,B``, or a name without files.

    """

    def __init__(self, name: str) -> None:
        paths = [Path(name), *(Path(part.strip()) for part in name.split(','))]
        self._identities = {file: _identify(file) for path in dict.fromkeys(paths)
                            for file in _find_files(path)}

    def describe(self) -> str:
        """
        Return which file is missing or has changed, or an empty string.

        A file that only grows has not changed: it is being recorded.
        """
        for file, before in self._identities.items():
            now = _identify(file)
            if now is None:
                return f'{file} is missing'
            if before is not None and (now[:2] != before[:2] or now[2] < before[2]
                                       or (now[2] == before[2] and now[3] != before[3])):
                return f'{file} has changed'
        return ''


def _find_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _identify(file: Path) -> _Identity | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
