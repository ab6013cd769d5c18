# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The shared memory of Fast DDS: who may read it, and what killed processes leave in it.

Each process makes segments of up to 64 MB with random names in /dev/shm, and removes them when it
ends. One that is killed cannot, so its segments stay until the machine is started again. As long
as a process lives it holds a lock on the lock file of each of its segments.

A process of this package records its segments in a file beside them, on which it holds a lock,
too. The next process of this package that starts removes the recorded segments, if both locks are
free and no living process has the segment mapped. Segments of other makers are never removed. The
files of the ports are left as well: they are small, and the next process of the domain uses them.

A process receives through ports. Fast DDS removes a port of which it thinks that its reader is
dead. If the reader lives, it does not notice, and hears no writer that opens the port afterwards.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
import fcntl
from functools import cache
import os
from pathlib import Path
import re
import tempfile

FOLDER = Path('/dev/shm')
_LOCKS = Path('/proc/locks')
_LOCK_SUFFIX = '_el'
_SEGMENT = re.compile(r'fast(?:dds|rtps)_[0-9a-f]{16}')
_PORT_LOCK = re.compile(rf'{FOLDER}/(fast(?:dds|rtps)_port\d+){_LOCK_SUFFIX}(?: \(deleted\))?')
_MAPPED_PORT = re.compile(rf' (\d+) +{FOLDER}/(fast(?:dds|rtps)_port\d+)$', re.MULTILINE)
_RECORD_PREFIX, _NEW_PREFIX = 'ivf_ros_', '.ivf_ros_'

_intact_ports: dict[str, int] = {}  # inodes of the ports of this process that nobody removed


class _Record:
    """The file that names the segments of this process, locked as long as the process lives."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        # It is locked before it has the name by which other processes find it.
        self._descriptor, new = tempfile.mkstemp(prefix=_NEW_PREFIX, dir=FOLDER)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._path = Path(new).with_name(Path(new).name.replace(_NEW_PREFIX, _RECORD_PREFIX, 1))
        os.rename(new, self._path)
        self._names: set[str] = set()
        atexit.register(self._remove)

    def add(self, segments: list[Path]) -> None:
        """Add segments; those that do not exist any more are harmless."""
        new = {segment.name for segment in segments} - self._names
        if new:
            os.write(self._descriptor, ''.join(f'{name}\n' for name in sorted(new)).encode())
            self._names |= new

    def _remove(self) -> None:
        """At the end of the process, which has removed its segments by then or will do so."""
        if os.getpid() == self._owner and not any((FOLDER / name).exists()
                                                  for name in self._names):
            self._path.unlink(missing_ok=True)


@cache
def _open_record(_pid: int) -> _Record:
    """Return the record of the process of this id: this one."""
    return _Record()


def claim() -> list[Path]:
    """
    Let only this user read the segments of this process, and record them; return their paths.

    Fast DDS makes them readable by all users of the machine, whatever the umask is, and has no
    setting for it. The nodes of another user get nothing through them in either case, because they
    would have to write to them. Call it after a participant exists, before it sends images.
    """
    segments = []
    for descriptor in Path('/proc/self/fd').glob('*'):  # empty where there is no such folder
        with suppress(FileNotFoundError):  # closed or removed meanwhile
            lock_file = Path(os.readlink(descriptor))
            segment = lock_file.with_name(lock_file.name.removesuffix(_LOCK_SUFFIX))
            if lock_file != segment and lock_file.parent == FOLDER \
                    and _SEGMENT.fullmatch(segment.name):
                os.chmod(segment, 0o600)
                segments.append(segment)
    with suppress(OSError):  # where nothing can be recorded nothing is removed later
        if segments:
            _open_record(os.getpid()).add(segments)
    return segments


def remove_leftovers() -> int:
    """
    Remove the segments of processes of this package that were killed; return their bytes.

    What cannot be removed is left for the next call.
    """
    n_bytes = 0
    mapped: set[str] | None = None
    for path in FOLDER.glob(f'{_RECORD_PREFIX}*'):
        with suppress(OSError), _lock(path) as content:
            if content is None:
                continue  # its process lives
            if mapped is None:
                mapped = _find_mapped()
            remaining = False
            for name in filter(_SEGMENT.fullmatch, content.split()):
                if name in mapped:
                    remaining = True
                else:
                    n_bytes += _remove_segment(FOLDER / name)
            if not remaining:
                path.unlink()
    return n_bytes


def find_leftovers() -> list[Path]:
    """Return the segments of this user, by any maker, whose processes have ended."""
    # Others' locks are not tried: a process that has just made its lock file would fail.
    if not _LOCKS.is_file():
        return []
    locked = {int(inode) for inode in re.findall(r'^\d+: FLOCK .* \w+:\w+:(\d+) ',
                                                 _read(_LOCKS), re.MULTILINE)}
    leftovers = []
    for segment in FOLDER.glob('fast*'):
        lock_file = segment.with_name(segment.name + _LOCK_SUFFIX)
        with suppress(FileNotFoundError):
            if _SEGMENT.fullmatch(segment.name) and segment.stat().st_uid == os.geteuid() \
                    and lock_file.stat().st_ino not in locked:
                leftovers.append(segment)
    return leftovers


def find_lost_ports() -> list[str]:
    """Return the ports of this process, such as fastdds_port7413, that another one has removed."""
    ports = set()
    for descriptor in Path('/proc/self/fd').glob('*'):  # empty where there is no such folder
        with suppress(FileNotFoundError):
            if match := _PORT_LOCK.fullmatch(os.readlink(descriptor)):
                ports.add(match[1])
    changed = {port for port in ports if _intact_ports.get(port) != _find_inode(FOLDER / port)}
    if changed:  # at the first look, too
        mapped = {(match[2], int(match[1])) for match in _MAPPED_PORT.finditer(
            _read(Path('/proc/self/maps')))}
        for port in changed:
            inode = _find_inode(FOLDER / port)
            if inode is not None and (port, inode) in mapped:
                _intact_ports[port] = inode
            else:
                _intact_ports.pop(port, None)
    return sorted(ports - _intact_ports.keys())


def _find_inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _remove_segment(segment: Path) -> int:
    """Remove a segment whose lock is free; return its bytes."""
    lock_file = segment.with_name(segment.name + _LOCK_SUFFIX)
    with suppress(FileNotFoundError), _lock(lock_file) as content:
        if content is not None:
            n_bytes = segment.stat().st_size
            segment.unlink()
            lock_file.unlink()
            return n_bytes
    return 0


@contextmanager
def _lock(path: Path) -> Iterator[str | None]:
    """Yield the content of a file of this user while it is locked; None if another holds it."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            yield None
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.read()


def _find_mapped() -> set[str]:
    """
    Return the names of the segments that processes have mapped.

    The processes of other users cannot be read; they have no access to what was claimed.
    """
    return {name for maps in Path('/proc').glob('[0-9]*/maps')
            for name in re.findall(rf'{FOLDER}/(fast\w+)', _read(maps))}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # of another user, or its process has ended
        return ''
