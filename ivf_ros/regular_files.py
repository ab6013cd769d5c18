# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Reading of files that a user names.

To open a named pipe waits for a writer, and a device may never end. So only regular files are
opened, and only up to a size. What is wrong is an ``OSError``, whose ``strerror`` says it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
import stat
from typing import BinaryIO

MAX_TEXT_BYTES = 256 << 20  # annotations of large data sets are JSON files of 100 MB


def check_regular(path: Path, max_bytes: int | None = None) -> None:
    """
    Check that a path is a regular file, for libraries that open files by their path.

    Raises
    ------
    OSError
        The path does not exist, is no regular file, or has more than ``max_bytes`` bytes.

    """
    _check(path, path.stat(), max_bytes)


def open_regular(path: Path, max_bytes: int | None = None) -> BinaryIO:
    """
    Open a regular file for reading; never wait for a writer.

    Raises
    ------
    OSError
        As in ``check_regular``, or the file cannot be read.

    """
    check_regular(path, max_bytes)  # first, as the mere opening of a device may do something
    # The path may have changed since: without O_NONBLOCK, a named pipe would wait here.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(descriptor), max_bytes)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, 'rb')


def read_bytes(path: Path, max_bytes: int | None = None) -> bytes:
    """
    Return the content of a regular file.

    Raises
    ------
    OSError
        As in ``open_regular``.

    """
    with open_regular(path, max_bytes) as file:
        content = file.read() if max_bytes is None else file.read(max_bytes + 1)
    if max_bytes is not None and len(content) > max_bytes:  # it grew, or it has no size
        raise _too_large(path, len(content), max_bytes)
    return content


def read_text(path: Path, encoding: str = 'utf-8', max_bytes: int = MAX_TEXT_BYTES) -> str:
    """
    Return the text of a regular file; line ends become newlines.

    Raises
    ------
    OSError
        As in ``open_regular``.
    UnicodeDecodeError
        The content is no text in this encoding.

    """
    text = read_bytes(path, max_bytes).decode(encoding)
    return text.replace('\r\n', '\n').replace('\r', '\n')


def _check(path: Path, status: os.stat_result, max_bytes: int | None) -> None:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, 'it is a folder', str(path))
    if not stat.S_ISREG(mode):
        kind = 'a named pipe' if stat.S_ISFIFO(mode) else \
            'a socket' if stat.S_ISSOCK(mode) else 'a device'
        raise OSError(errno.EINVAL, f'it is {kind}, not a regular file', str(path))
    if max_bytes is not None and status.st_size > max_bytes:
        raise _too_large(path, status.st_size, max_bytes)


def _too_large(path: Path, size_bytes: int, max_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f'it has {size_bytes} bytes, and at most {max_bytes} are read',
                   str(path))
