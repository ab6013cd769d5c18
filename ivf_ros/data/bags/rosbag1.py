# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of the bags of ROS 1 (.bag), by rosbags."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
import struct

from ivf_ros.data.bags.storage import Message, OnDamage, Topic
from ivf_ros.data.recording import SourceError
from rosbags.rosbag1 import Reader, ReaderError

# Exceptions of rosbags for a damaged file.
_DAMAGE = (ReaderError, OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError,
           MemoryError, OverflowError, AssertionError, struct.error)


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
            with Reader(path) as reader:
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
            with Reader(self._path) as reader:
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
