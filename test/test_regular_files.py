# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Only regular files are opened, wherever a user names a file."""

from __future__ import annotations

import os
from pathlib import Path
import socket

from ivf_ros import regular_files
from ivf_ros.regular_files import check_regular, open_regular, read_bytes, read_text
import pytest


def make_special(kind: str, folder: Path) -> Path:
    """Make a path that is no regular file; to open one of them may wait for ever."""
    path = folder / 'special'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'link to a pipe':
        os.mkfifo(folder / 'pipe')
        path.symlink_to(folder / 'pipe')
    elif kind == 'socket':
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == 'folder':
        path.mkdir()
    else:
        path.symlink_to(kind)
    return path


SPECIAL = {'pipe': 'a named pipe', 'link to a pipe': 'a named pipe', 'socket': 'a socket',
           'folder': 'a folder', '/dev/zero': 'a device', '/dev/full': 'a device'}


@pytest.mark.parametrize('kind', SPECIAL)
@pytest.mark.parametrize('read', [check_regular, open_regular, read_bytes, read_text])
def test_special_files_are_not_opened(read, kind, tmp_path):
    with pytest.raises(OSError) as caught:
        read(make_special(kind, tmp_path))
    assert SPECIAL[kind] in caught.value.strerror


def test_a_pipe_that_takes_the_place_of_the_file_is_not_waited_for(tmp_path, monkeypatch):
    path = make_special('pipe', tmp_path)
    monkeypatch.setattr(regular_files, 'check_regular', lambda path, max_bytes: None)
    with pytest.raises(OSError, match='a named pipe'):
        open_regular(path)
    assert str(path) not in [os.readlink(f'/proc/self/fd/{number}')
                             for number in os.listdir('/proc/self/fd')
                             if os.path.exists(f'/proc/self/fd/{number}')]


@pytest.mark.parametrize('read', [check_regular, open_regular, read_bytes])
def test_a_missing_file_is_not_found(read, tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / 'missing')


def test_files_are_read_up_to_a_size(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'\xef\xbb\xbf12\r\n3\n')
    assert read_bytes(path) == read_bytes(path, 9) == b'\xef\xbb\xbf12\r\n3\n'
    assert read_text(path, 'utf-8-sig') == '12\n3\n'
    with pytest.raises(OSError) as caught:
        read_bytes(path, 8)
    assert caught.value.strerror == 'it has 9 bytes, and at most 8 are read'


def test_a_file_without_a_size_is_read_up_to_the_limit():
    path = Path('/proc/self/maps')
    assert path.stat().st_size == 0 and len(read_bytes(path)) > 100
    with pytest.raises(OSError, match='at most 100 are read'):
        read_bytes(path, 100)
