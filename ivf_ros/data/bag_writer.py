# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writer of serialised messages to a rosbag2 bag, by rosbags without ROS."""

from __future__ import annotations

import os
from pathlib import Path
import sqlite3
import sys
from types import TracebackType

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores, TypesysError

_STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_CHECKOUT = Path(__file__).parents[2] / 'resource' / 'interfaces'


class BagError(RuntimeError):
    """A bag cannot be created, or a message cannot be written to it."""


class BagWriter:
    """
    Writer of a bag for ``ros2 bag play`` and rosbags; use it as a context manager.

    The bag is finished when the context is left, also by an exception, so the messages up to then
    can be read. The writer is not thread-safe.

    Parameters
    ----------
    path:
        Directory of the bag; it must not exist.
    storage:
        ``'mcap'`` or ``'sqlite3'``.
    compress:
        Compress with zstd: chunks of mcap, single messages of sqlite3. Writing takes two to three
        times as long. Decoded video shrinks to a third, sensor noise hardly at all.

    Attributes
    ----------
    counts:
        Number of written messages by topic name in the bag.

    Raises
    ------
    BagError
        The directory exists or cannot be created, or the storage is unknown.

    """

    def __init__(self, path: str | Path, storage: str = 'mcap', compress: bool = False) -> None:
        if storage not in _STORAGES:
            raise BagError(f"storage is one of {', '.join(_STORAGES)}, got '{storage}'")
        self.path = Path(path)
        self.counts: dict[str, int] = {}
        self._connections: dict[str, Connection] = {}
        self._store = get_typestore(Stores.LATEST)
        try:
            # The newest metadata version that rosbag2 of both Humble and Lyrical can read.
            self._writer = Writer(self.path, version=8, storage_plugin=_STORAGES[storage])
            if compress:
                mode = CompressionMode.STORAGE if storage == 'mcap' else CompressionMode.MESSAGE
                self._writer.set_compression(mode, CompressionFormat.ZSTD)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise BagError(f'cannot write the bag: {error}') from None

    def __enter__(self) -> BagWriter:
        """Return the writer; the constructor has opened the bag."""
        return self

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Finish the bag."""
        self.close()

    def close(self) -> None:
        """
        Write the index and ``metadata.yaml`` and close the bag.

        Raises
        ------
        BagError
            The files cannot be written, for example on a full disk.

        """
        if self._writer.storage is not None:
            try:
                self._writer.close()
            except (OSError, sqlite3.Error) as error:
                self._writer.abort()
                raise BagError(f'cannot finish {self.path}: {error}') from None

    def write_raw(self, topic: str, msgtype: str, cdr: bytes | memoryview, stamp_ns: int,
                  latched: bool = False) -> None:
        """
        Write a serialised message.

        Parameters
        ----------
        topic:
            Name of the topic; a relative name becomes absolute.
        msgtype:
            For example ``'sensor_msgs/msg/Image'``.
        cdr:
            Message with its encapsulation header, as serialised by ``rclpy.serialization``.
        stamp_ns:
            Time of the message in the bag, usually the time of reception.
        latched:
            Offer the topic with transient-local durability; the first message of a topic decides.

        Raises
        ------
        BagError
            The message type is unknown, the topic has another type, or the bag is closed.

        """
        topic = '/' + topic.lstrip('/')
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._connect(topic, msgtype, latched)
        elif connection.msgtype != msgtype:
            raise BagError(f"'{topic}' carries {connection.msgtype}, got {msgtype}")
        try:
            self._writer.write(connection, stamp_ns, cdr)
        except (WriterError, OSError, sqlite3.Error) as error:
            raise BagError(f'cannot write to {self.path}: {error}') from None
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def _connect(self, topic: str, msgtype: str, latched: bool) -> Connection:
        self._register_types(msgtype.partition('/')[0])
        try:
            connection = self._writer.add_connection(topic, msgtype, typestore=self._store,
                                                     offered_qos_profiles=[_make_qos(latched)])
        except (KeyError, TypesysError):
            raise BagError(f"no definition of {msgtype} for '{topic}': it is no standard message "
                           'and no package with it is installed') from None
        except WriterError as error:
            raise BagError(f'{self.path}: {error}') from None
        self._connections[topic] = connection
        return connection

    def _register_types(self, package: str) -> None:
        """Register the message types of a package, unless rosbags already has them."""
        if any(name.startswith(f'{package}/') for name in self._store.fielddefs):
            return
        for path in _find_message_files(package):
            name = f'{package}/msg/{path.stem}'
            self._store.register(get_types_from_msg(path.read_text(), name))


def _find_message_files(package: str) -> list[Path]:
    """Return the definition files of a message package: ROS, environment or checkout."""
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
                sys.prefix]
    for folder in [*(Path(prefix, 'share', package, 'msg') for prefix in prefixes),
                   _CHECKOUT / package / 'msg']:
        files = sorted(folder.glob('*.msg'))
        if files:
            return files
    return []


def _make_qos(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    unset = QosTime(0, 0)
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability,
               unset, unset, QosLiveliness.AUTOMATIC, unset, False)
