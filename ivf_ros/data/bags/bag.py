# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag: one or several files that are read as one recording."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
import sys

from ivf_ros.data.bags.files import find_bag_files, MCAP_MAGIC, ROSBAG1_MAGIC, SQLITE_MAGIC
from ivf_ros.data.bags.mcap import McapStorage
from ivf_ros.data.bags.rosbag1 import Rosbag1Storage
from ivf_ros.data.bags.sqlite import SqliteStorage
from ivf_ros.data.bags.storage import (
    MAX_MESSAGE_BYTES,
    merge_by_time,
    Message,
    OnDamage,
    Span,
    Storage,
    Topic,
)
from ivf_ros.data.bags.temporary import decompress_file, TemporaryFolder, ZSTD_MAGIC
from ivf_ros.data.recording import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STORAGES: dict[bytes, type[Storage]] = {
    MCAP_MAGIC: McapStorage, SQLITE_MAGIC: SqliteStorage, ROSBAG1_MAGIC: Rosbag1Storage}


class Bag:
    """
    The topics and messages of a bag, of which any part may be damaged or missing.

    The kind of a file is recognised by its content. Files that are compressed with zstd are
    decompressed to a temporary folder, which is removed with this object.

    Parameters
    ----------
    path:
        A folder, or a file of a bag.

    Attributes
    ----------
    counts:
        Number of messages by topic, of those that can be found.
    start_ns, end_ns:
        Times of the first and the last message; None in an empty bag.
    n_bytes:
        Size of the files on disk.
    n_described:
        Number of messages that ``metadata.yaml`` says; None without it.
    parts:
        The files that can be read.
    problems:
        What is damaged or missing, a sentence each.

    Raises
    ------
    SourceError
        No file of the bag can be read.

    """

    def __init__(self, path: Path) -> None:
        files = find_bag_files(path)
        self._folder: TemporaryFolder | None = None
        parts: list[Storage | None] = []
        lost: dict[int, str] = {}  # by the position of the file
        for position, (name, file) in enumerate(files.paths.items()):
            try:
                if file is None:
                    raise SourceError(f'{name} is missing')
                parts.append(self._open(file))
            except SourceError as error:
                parts.append(None)
                lost[position] = str(error)
        self.parts = [part for part in parts if part is not None]
        if not self.parts:
            raise SourceError('; '.join(lost.values()))
        self.n_bytes = sum(file.stat().st_size for file in files.paths.values() if file)
        self.n_described = files.n_messages
        self.start_ns, self.end_ns = _find_period(parts)
        names = list(files.paths)
        self._lost = [f'{text} ({files.periods.get(names[position]) or _find_gap(parts, position)}'
                      ' of the recording)' for position, text in lost.items()]
        self.problems = self._lost + [f'{name}: {problem}'
                                      for name, part in zip(names, parts, strict=True) if part
                                      for problem in part.problems]
        self.counts: dict[Topic, int] = {}
        for part in self.parts:
            for topic, count in part.counts.items():
                self.counts[topic] = self.counts.get(topic, 0) + count

    def messages(self, topics: Collection[Topic], on_damage: OnDamage) -> Iterator[Message]:
        """Yield the messages of some topics by time; what cannot be read is reported."""
        for problem in self._lost:
            on_damage(problem)
        spans = [Span(part.start_ns or 0, partial(part.messages, topics, on_damage))
                 for part in self.parts]
        for message in merge_by_time(spans):
            if message.topic.serialization != 'cdr' or message.data[:4] != ZSTD_MAGIC:
                yield message
                continue
            try:
                yield message._replace(data=_decompress(message.data))
            except (zstd.ZstdError, ValueError, MemoryError) as error:
                on_damage(f'a message cannot be decompressed: {error}')

    def _open(self, path: Path) -> Storage:
        try:
            head = _read_head(path)
            problem = ''
            if head.startswith(ZSTD_MAGIC):
                self._folder = self._folder or TemporaryFolder()
                path, problem = decompress_file(path, self._folder)
                head = _read_head(path)
            for magic, storage in _STORAGES.items():
                if head.startswith(magic):
                    part = storage(path)  # type: ignore[call-arg]
                    part.problems += [problem] * bool(problem)
                    return part
        except OSError as error:
            raise SourceError(f'{path} cannot be read: {error}') from None
        raise SourceError(f'{path} is damaged or was not closed after recording: it is no MCAP, '
                          f'SQLite or ROS 1 file, it begins with {head[:8]!r}')


def _decompress(data: bytes | memoryview) -> bytes:
    """Decompress a message; raise ValueError if it is cut short or larger than any image."""
    decompressor = zstd.ZstdDecompressor()
    content = decompressor.decompress(data, max_length=MAX_MESSAGE_BYTES + 1)
    if len(content) > MAX_MESSAGE_BYTES:
        raise ValueError(f'it has more than {MAX_MESSAGE_BYTES} bytes')
    if not decompressor.eof:
        raise ValueError('its end is lost')
    return content


def _find_period(parts: Sequence[Storage | None]) -> tuple[int | None, int | None]:
    """Return the times of the first and the last message."""
    return (min((part.start_ns for part in parts if part and part.start_ns is not None),
                default=None),
            max((part.end_ns for part in parts if part and part.end_ns is not None),
                default=None))


def _find_gap(parts: Sequence[Storage | None], position: int) -> str:
    """Describe the seconds between the parts before and after a position."""
    start_ns = _find_period(parts)[0] or 0
    before_ns, after_ns = _find_period(parts[:position])[1], _find_period(parts[position:])[0]
    bounds = [f'{word} second {(time_ns - start_ns) * 1e-9:.1f}' for word, time_ns
              in (('after', before_ns), ('before', after_ns)) if time_ns is not None]
    return ' and '.join(bounds) or 'of unknown time'


def _read_head(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(16)
