# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writer of serialised messages to a rosbag2 bag, by rosbags without ROS.

A process can be killed while it records. So that the bag then opens and holds all but the last
messages, ``flush`` hands what was written to the operating system, and ``metadata.yaml``
exists from the start. What the operating system has not yet written is lost if the power fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
import copy
import os
from pathlib import Path
import sqlite3
import sys
from types import TracebackType
from typing import Any

from ivf_ros.output import FILE_MARK
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
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import (
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
    Stores,
    TypesysError,
)

_STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
_CHECKOUT = Path(__file__).parents[2] / 'resource' / 'interfaces'


class BagError(RuntimeError):
    """A bag cannot be created, or a message cannot be written to it."""


class MessageTypeError(BagError):
    """The definition of a message type is missing or cannot be read."""


class BagWriter:
    """
    Writer of a bag for ``ros2 bag play`` and rosbags; use it as a context manager.

    The bag is finished when the context is left, also by an exception, so the messages up to then
    can be read. Those up to the last ``flush`` can be read even if the process is killed. After a
    failure, for example on a full disk, no more is written, and what was written can be read. The
    writer is not thread-safe.

    Parameters
    ----------
    path:
        Directory of the bag; it must not exist.
    storage:
        ``'mcap'`` or ``'sqlite3'``.
    compress:
        Compress with zstd: chunks of mcap, single messages of sqlite3. Writing takes two to three
        times as long. Decoded video shrinks to a third, sensor noise hardly at all.
    definitions:
        By message type: the encoding, ``'ros2msg'`` or ``'ros2idl'``, and the text of its
        definition, for messages that are copied from another bag. None: the standard types and
        those of installed packages.

    Attributes
    ----------
    counts:
        Number of written messages by topic name in the bag.

    Raises
    ------
    BagError
        The directory exists or cannot be created, or the storage is unknown.

    """

    def __init__(self, path: str | Path, storage: str = 'mcap', compress: bool = False,
                 definitions: Mapping[str, tuple[str, str]] | None = None) -> None:
        if storage not in _STORAGES:
            raise BagError(f"storage is one of {', '.join(_STORAGES)}, got '{storage}'")
        self.path = Path(path)
        if self.path.exists():
            raise BagError(f'{self.path} exists already, and a bag is written to a new folder; '
                           'give another name')
        self.counts: dict[str, int] = {}
        self._connections: dict[str, Connection] = {}
        self._n_described = -1  # topics in metadata.yaml
        self._definitions = definitions
        self._store = get_typestore(Stores.LATEST if definitions is None else Stores.EMPTY)
        try:
            # The newest metadata version that rosbag2 of both Humble and Lyrical can read.
            self._writer = Writer(self.path, version=8, storage_plugin=_STORAGES[storage])
            self._writer.set_custom_data('made_by', FILE_MARK)
            if compress:
                mode = CompressionMode.STORAGE if storage == 'mcap' else CompressionMode.MESSAGE
                self._writer.set_compression(mode, CompressionFormat.ZSTD)
            with self._abort_on_failure('write'):
                self._writer.open()
            self.flush()
        except WriterError as error:
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
            with self._abort_on_failure('finish'):
                self._writer.close()

    def flush(self) -> None:
        """
        Hand all messages to the operating system, so that they outlive this process.

        Raises
        ------
        BagError
            The files cannot be written; the bag is closed.

        """
        storage: Any = self._writer.storage
        if storage is None:
            return
        with self._abort_on_failure('write to'):
            if isinstance(storage, McapWriter):
                if storage.chunk.msgs:
                    storage.close_chunk()
                storage.bio.flush()
            else:
                storage.conn.commit()
            self._describe()

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
            with self._abort_on_failure('write to'):
                connection = self._connect(topic, msgtype, latched)
        elif connection.msgtype != msgtype:
            raise BagError(f"'{topic}' carries {connection.msgtype}, got {msgtype}")
        try:
            with self._abort_on_failure('write to'):
                self._writer.write(connection, stamp_ns, cdr)
        except WriterError as error:
            raise BagError(f'cannot write to {self.path}: {error}') from None
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def _connect(self, topic: str, msgtype: str, latched: bool) -> Connection:
        try:
            self._register_types(msgtype)
            connection = self._writer.add_connection(topic, msgtype, typestore=self._store,
                                                     offered_qos_profiles=[_make_qos(latched)])
        except (KeyError, TypesysError):
            raise MessageTypeError(f"no definition of {msgtype} for '{topic}': it is no standard "
                                   'message and no package with it is installed') from None
        except WriterError as error:
            raise BagError(f'{self.path}: {error}') from None
        self._connections[topic] = connection
        return connection

    def _describe(self) -> None:
        """Write ``metadata.yaml`` with the topics so far, if there are new ones."""
        if self._n_described == len(self._connections):
            return
        # The writer describes the bag when it is closed, so a copy is closed that has no storage.
        description: Any = copy.copy(self._writer)
        description.storage = _NoStorage(description.storage.path)
        description.close()
        self._n_described = len(self._connections)

    @contextmanager
    def _abort_on_failure(self, action: str) -> Iterator[None]:
        """Close the files as they are if they cannot be written."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            with suppress(OSError, sqlite3.Error):  # the rest cannot be written either
                self._writer.abort()
            raise BagError(f'cannot {action} {self.path}: {error}') from None

    def _register_types(self, msgtype: str) -> None:
        """Register a message type and those of its package, unless rosbags already has them."""
        if self._definitions is not None:
            encoding, text = self._definitions[msgtype]
            self._store.register(get_types_from_idl(text) if encoding == 'ros2idl'
                                 else get_types_from_msg(text, msgtype))
            return
        package = msgtype.partition('/')[0]
        if any(name.startswith(f'{package}/') for name in self._store.fielddefs):
            return
        for path in _find_message_files(package):
            name = f'{package}/msg/{path.stem}'
            self._store.register(get_types_from_msg(path.read_text(), name))


class _NoStorage:
    """Stands for the storage where only ``metadata.yaml`` is to be written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self, version: int, metadata: str) -> None:
        """Do nothing."""


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
