# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reader of the SQLite files of rosbag2 (.db3), whole or damaged, of any schema version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, suppress
import os
from pathlib import Path
import struct
from typing import Any
from urllib.parse import quote

import apsw
from ivf_ros.data.bags.storage import (
    decode_text,
    is_latched,
    MAX_MESSAGE_BYTES,
    Message,
    normalize_type,
    OnDamage,
    Topic,
)
from ivf_ros.data.bags.temporary import copy_file, TemporaryFolder
from ivf_ros.data.recording import SourceError

# Instructions of SQLite: some for each row, and a row takes 20 bytes at least. In a damaged file
# pages may lead to each other, and the rows of such a file have no end.
_INSTRUCTIONS_PER_BYTE, _MIN_INSTRUCTIONS, _CHECK_PERIOD = 10, 50_000_000, 100_000

_MAX_ATTEMPTS = 2000  # to go on behind unreadable messages, before the rest is given up
_ERRORS = (apsw.Error, ValueError, OverflowError, MemoryError, struct.error)


class SqliteStorage:
    """
    An SQLite file; see ``Storage``.

    The file is not changed. A file that was not closed is read from a temporary copy, where
    SQLite completes it from its journal.

    Attributes
    ----------
    has_journal:
        Whether a journal lies beside the file, because the file was not closed.

    Raises
    ------
    SourceError
        The file is no bag, or nothing of it can be read.

    """

    def __init__(self, path: Path) -> None:
        self._folder: TemporaryFolder | None = None
        self._path = path
        self.problems: list[str] = []
        self.counts: dict[Topic, int] = {}
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self._ids: dict[int, Topic] = {}
        self.has_journal = False
        try:
            self._recover()
            with closing(self._connect()) as connection:
                self._read_topics(connection)
                self._count_messages(connection)
        except _ERRORS as error:
            self.close()
            raise SourceError(f'{path} is damaged or was not closed after recording: '
                              f"{'; '.join([*self.problems, str(error)])}") from None

    @property
    def definitions(self) -> dict[str, tuple[str, str]]:
        """The encoding and the text of the definition, by message type; none before Iron."""
        rows = self._read_optional(
            'SELECT CAST(topic_type AS BLOB), CAST(encoding AS BLOB), '
            'CAST(encoded_message_definition AS BLOB) FROM message_definitions')
        return {normalize_type(decode_text(name)): (
            decode_text(encoding), bytes(text or b'').decode(errors='replace'))
            for name, encoding, text in rows}

    @property
    def latched(self) -> set[Topic]:
        """Topics that were offered with transient-local durability."""
        rows = self._read_optional('SELECT id, CAST(offered_qos_profiles AS BLOB) FROM topics')
        return {self._ids[number] for number, qos in rows
                if number in self._ids and is_latched(qos or b'')}

    def close(self) -> None:
        """Remove the temporary copy, if there is one."""
        if self._folder is not None:
            self._folder.remove()

    def messages(self, topics: Collection[Topic], on_damage: OnDamage) -> Iterator[Message]:
        """Yield the messages of some topics by time; damaged ones are reported and left out."""
        wanted = {number: topic for number, topic in self._ids.items() if topic in topics}
        try:
            opened = self._connect()
        except _ERRORS as error:  # the file is gone, or has changed
            on_damage(str(error))
            return
        with closing(opened) as connection:
            for time_ns, number, topic_id in sorted(_find_messages(connection, wanted, on_damage)):
                try:
                    row = next(connection.execute('SELECT data FROM messages WHERE id = ?',
                                                  (number,)), None)
                except _ERRORS as error:
                    on_damage(str(error))
                    continue
                if row is None or not isinstance(row[0], bytes):
                    on_damage(f'message {number} has no data')
                else:
                    yield Message(time_ns, wanted[topic_id], row[0])

    def _recover(self) -> None:
        """Copy a file that has a journal, or whose end is lost, and continue with the copy."""
        original = self._path
        journals = [journal for suffix in ('-wal', '-journal')
                    if (journal := original.with_name(original.name + suffix)).is_file()
                    and journal.stat().st_size]
        with original.open('rb') as file:
            header = file.read(32)
        page_bytes, n_pages = struct.unpack_from('>H10xI', header, 16)
        page_bytes = 65536 if page_bytes == 1 else page_bytes
        is_cut = page_bytes > 0 and original.stat().st_size < page_bytes * n_pages
        self.has_journal = bool(journals)
        if not journals and not is_cut:
            return
        self._folder = TemporaryFolder()
        for file_path in (original, *journals):
            copy_file(file_path, self._folder)
        self._path = self._folder.path / original.name
        if is_cut and not journals:
            self.problems.append('the end of the file is lost')
            # SQLite reads what is missing of the last page as zeros.
            os.truncate(self._path, original.stat().st_size // page_bytes * page_bytes)

    def _connect(self) -> apsw.Connection:
        is_copy = self._folder is not None
        connection = apsw.Connection(
            f'file:{quote(str(self._path))}' + '?immutable=1' * (not is_copy),
            flags=apsw.SQLITE_OPEN_URI | (apsw.SQLITE_OPEN_READWRITE if is_copy
                                          else apsw.SQLITE_OPEN_READONLY))
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, MAX_MESSAGE_BYTES)
        remaining = (_MIN_INSTRUCTIONS + _INSTRUCTIONS_PER_BYTE * self._path.stat().st_size)

        def is_exceeded() -> bool:
            nonlocal remaining
            remaining -= _CHECK_PERIOD
            return remaining < 0

        connection.set_progress_handler(is_exceeded, _CHECK_PERIOD)
        # SQLite then opens a file that is shorter than its header says.
        connection.execute('PRAGMA writable_schema = ON')
        connection.execute('PRAGMA trusted_schema = OFF')
        return connection

    def _read_optional(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that can be read; files of old versions lack some tables and columns."""
        with suppress(*_ERRORS), closing(self._connect()) as connection:
            yield from connection.execute(query)

    def _read_topics(self, connection: apsw.Connection) -> None:
        tables = {name for name, in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {'topics', 'messages'} <= tables:
            raise SourceError("it is an SQLite file without the tables 'topics' and 'messages' "
                              'of a bag')
        # As bytes, because a damaged text may not be UTF-8.
        for number, *texts in connection.execute(
                'SELECT id, CAST(name AS BLOB), CAST(type AS BLOB), '
                'CAST(serialization_format AS BLOB) FROM topics ORDER BY id'):
            name, msgtype, serialization = map(decode_text, texts)
            topic = Topic(name, normalize_type(msgtype), serialization or 'cdr')
            self._ids[number] = topic
            self.counts[topic] = 0

    def _count_messages(self, connection: apsw.Connection) -> None:
        times_ns = []
        try:
            for number, count, first_ns, last_ns in connection.execute(
                    'SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages '
                    'GROUP BY topic_id'):
                if number in self._ids:
                    topic = self._ids[number]
                    self.counts[topic] += count
                    times_ns += [time_ns for time_ns in (first_ns, last_ns)
                                 if isinstance(time_ns, int)]
        except _ERRORS as error:
            self.problems.append(f'the table of messages is damaged: {error}')
            self.counts = dict.fromkeys(self.counts, 0)
            times_ns = []
            for time_ns, _, number in _find_messages(connection, self._ids, lambda problem: None):
                times_ns.append(time_ns)
                self.counts[self._ids[number]] += 1
        self.start_ns, self.end_ns = min(times_ns, default=None), max(times_ns, default=None)


def _find_messages(connection: apsw.Connection, topics: Collection[int],
                   on_damage: OnDamage) -> list[tuple[int, int, int]]:
    """Return time, number and topic of the messages; damaged parts are reported and left out."""
    found: list[tuple[int, int, int]] = []
    query = ('SELECT timestamp, id, topic_id FROM messages WHERE id > ? AND topic_id IN '
             f'({",".join("?" * len(topics))}) ORDER BY id')
    last, n_attempts = -1, 0
    while n_attempts < _MAX_ATTEMPTS:
        try:
            for row in connection.execute(query, (last, *topics)):
                if row[1] <= last:
                    raise ValueError('messages are not in the order of their numbers')
                last = row[1]
                if isinstance(row[0], int):
                    found.append(row)
            return found
        except _ERRORS as error:
            if not n_attempts:
                on_damage(str(error))
            last, n_attempts = last + 1, n_attempts + 1
    return found
