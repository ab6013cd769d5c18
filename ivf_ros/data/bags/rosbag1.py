# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of the bags of ROS 1 (.bag), by rosbags."""

from __future__ import annotations

import bz2
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, partial
from pathlib import Path
import struct
from typing import Any

from ivf_ros.data.bags.storage import MAX_CHUNK_BYTES, Message, OnDamage, Topic
from ivf_ros.data.recording import SourceError
import lz4.frame
from rosbags.rosbag1 import Reader, ReaderError
from rosbags.rosbag1.reader import Chunk, ChunkInfo

# Exceptions of rosbags for a damaged file.
_DAMAGE = (ReaderError, OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError,
           MemoryError, OverflowError, AssertionError, struct.error)


class _BoundedReader(Reader):
    """Reads each chunk once, and up to ``MAX_CHUNK_BYTES``."""

    def read_chunk_info(self) -> ChunkInfo:
        """Read the entry of a chunk in the index; raise ReaderError if it is a second one."""
        info = super().read_chunk_info()
        if info.pos in self._places:
            raise ReaderError('a chunk is listed twice')
        self._places.add(info.pos)
        return info

    def read_chunk(self) -> Chunk:
        """Read where a chunk is, and how it is to be decompressed."""
        chunk = super().read_chunk()
        make = {bz2.decompress: bz2.BZ2Decompressor,
                lz4.frame.decompress: lz4.frame.LZ4FrameDecompressor}.get(chunk.decompressor)
        return chunk if make is None else chunk._replace(decompressor=partial(_decompress, make))

    @cached_property
    def _places(self) -> set[int]:
        return set()


def _decompress(make_decompressor: Callable[[], Any], data: bytes) -> bytes:
    content = make_decompressor().decompress(data, max_length=MAX_CHUNK_BYTES + 1)
    if len(content) > MAX_CHUNK_BYTES:
        raise ReaderError(f'a chunk has more than {MAX_CHUNK_BYTES} bytes')
    return content


class Rosbag1Storage:
    """
    A bag of ROS 1; see ``Storage``.

    Raises
    ------
    SourceError
        The bag is damaged or has no index.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []
        self.counts: dict[Topic, int] = {}
        try:
            with _BoundedReader(path) as reader:
                for connection in reader.connections:
                    topic = Topic(connection.topic, connection.msgtype, 'ros1')
                    self.counts[topic] = self.counts.get(topic, 0) + connection.msgcount
                is_empty = not reader.message_count
                self.start_ns = None if is_empty else reader.start_time
                self.end_ns = None if is_empty else reader.end_time - 1
        except _DAMAGE as error:
            raise SourceError(f'{path} is damaged or was not closed after recording: {error}; '
                              'rosbag reindex of ROS 1 may repair it') from None

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def messages(self, topics: Collection[Topic], on_damage: OnDamage) -> Iterator[Message]:
        """Yield the messages of some topics by time, up to the first damage."""
        try:
            with _BoundedReader(self._path) as reader:
                wanted = {connection.id: topic for connection in reader.connections
                          if (topic := Topic(connection.topic, connection.msgtype, 'ros1'))
                          in topics}
                connections = [connection for connection in reader.connections
                               if connection.id in wanted]
                # rosbags yields all messages if it is given no connection.
                for connection, time_ns, data in reader.messages(connections) if wanted else ():
                    yield Message(time_ns, wanted[connection.id], data)
        except _DAMAGE as error:
            on_damage(str(error) or type(error).__name__)
