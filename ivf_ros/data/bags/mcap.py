# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Reader of MCAP files (https://mcap.dev/spec), with or without an index, whole or cut off.

A file with a summary is read by its index. Another one, also one that was not closed, is scanned
for chunks once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
import os
from pathlib import Path
import struct
import weakref
import zlib

from ivf_ros.data.bags.files import MCAP_MAGIC
from ivf_ros.data.bags.mcap_records import (
    DamageError,
    decompress,
    read_text,
    RECORD,
    split_records,
)
from ivf_ros.data.bags.storage import (
    decode_text,
    is_latched,
    MAX_CHUNK_BYTES,
    merge_by_time,
    Message,
    normalize_type,
    OnDamage,
    Span,
    Topic,
)
from ivf_ros.data.recording import SourceError

_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX = 2, 3, 4, 5, 6, 7
_CHUNK_INDEX, _STATISTICS, _DATA_END = 8, 11, 15
_MESSAGE_START = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
_CHUNK_START = struct.Struct('<QQQII')  # start, end, size, CRC, length of the compression name
_FOOTER_CONTENT = struct.Struct('<QQI')  # start of the summary, of its offsets, CRC
_FOOTER_SIZE = RECORD.size + _FOOTER_CONTENT.size + len(MCAP_MAGIC)
_MAX_LOADED_BYTES = 2 * MAX_CHUNK_BYTES  # of chunks that are read at the same time
_LOOSE_BYTES = 1 << 22  # messages outside of chunks are read in regions of this size
_DEFAULT_SERIALIZATION = {'ros2msg': 'cdr', 'ros2idl': 'cdr', 'ros1msg': 'ros1'}


@dataclass
class _Region:
    """
    A chunk, or messages outside of chunks.

    Attributes
    ----------
    offset, end:
        First byte of the first record and byte behind the last one.
    start_ns, end_ns:
        Log times of the first and the last message.
    counts:
        Messages by channel, where an index says so; only the keys are known with a summary.
    is_cut:
        Whether the file ends in this chunk.

    """

    offset: int
    end: int
    start_ns: int
    end_ns: int
    is_chunk: bool = True
    is_cut: bool = False
    counts: dict[int, int] = field(default_factory=dict)


class McapStorage:
    """
    An MCAP file; see ``Storage``.

    Attributes
    ----------
    definitions:
        By message type: the encoding and the text of its definition.
    latched:
        Topics that were offered with transient-local durability.

    Raises
    ------
    SourceError
        The file has nothing that can be read.

    """

    def __init__(self, path: Path) -> None:
        self._file = path.open('rb')
        self.close = weakref.finalize(self, self._file.close)
        self._size = path.stat().st_size
        self._is_cut = False
        self._schemas: dict[int, tuple[str, str]] = {}  # name, encoding
        self._channels: dict[int, Topic] = {}
        self.definitions: dict[str, tuple[str, str]] = {}
        self.latched: set[Topic] = set()
        self._regions: list[_Region] = []
        self._loaded_bytes = 0
        self.problems: list[str] = []
        counts = self._read_index()
        if not self._channels and self.problems:
            self.close()
            raise SourceError(f'{path} is damaged or was not closed after recording: it has no '
                              f"readable channel; {'; '.join(self.problems)}")
        self.counts: dict[Topic, int] = {}
        for channel, topic in self._channels.items():
            self.counts[topic] = self.counts.get(topic, 0) + counts.get(channel, 0)
        self._regions.sort(key=lambda region: region.offset)
        filled = [region for region in self._regions if region.counts or region.is_cut]
        self.start_ns = min((region.start_ns for region in filled), default=None)
        self.end_ns = max((region.end_ns for region in filled), default=None)

    def messages(self, topics: Collection[Topic], on_damage: OnDamage) -> Iterator[Message]:
        """Yield the messages of some topics by time; damaged chunks are reported and left out."""
        wanted = {channel: topic for channel, topic in self._channels.items() if topic in topics}
        yield from merge_by_time(
            Span(region.start_ns, partial(self._read_region, region, wanted, on_damage))
            for region in self._regions
            if not region.counts or region.is_cut or not wanted.keys().isdisjoint(region.counts))
        if self._is_cut:
            on_damage('the end of the file is lost')

    def _read_region(self, region: _Region, wanted: dict[int, Topic],
                     on_damage: OnDamage) -> Iterator[Message]:
        found: list[tuple[int, int, int, int, int]] = []
        records = memoryview(b'')
        try:
            records = self._load(region)
            for opcode, start, end in split_records(records):
                if opcode == _MESSAGE:
                    channel, _, time_ns, _ = _MESSAGE_START.unpack_from(records, start)
                    if channel in wanted:
                        found.append((time_ns, len(found), channel, start, end))
        except (DamageError, struct.error) as error:
            on_damage(str(error))
        found.sort()
        self._loaded_bytes += len(records)
        try:
            for time_ns, _, channel, start, end in found:
                yield Message(time_ns, wanted[channel], records[start + _MESSAGE_START.size:end])
        finally:
            self._loaded_bytes -= len(records)

    def _read_index(self) -> dict[int, int]:
        """Find channels and chunks by the summary, or without it; return messages by channel."""
        try:
            counts = self._read_summary()
            if counts is None:
                return self._scan_file()
            if all(map(self._is_chunk, self._regions)):
                return counts
        except (DamageError, struct.error):
            counts = None
            self._channels.clear()
        self.problems.append('the summary at the end of the file is damaged')
        indexed, self._regions = self._regions, []
        scanned = self._scan_file()
        if counts is None or not self._is_cut:
            return scanned
        # The scan ends at the damage, the index does not.
        self._regions, self._is_cut = indexed, False
        self.problems[:] = ['a part of the file is damaged']
        return counts

    def _is_chunk(self, region: _Region) -> bool:
        """Return whether a region that the summary calls a chunk is one."""
        return not region.is_chunk or RECORD.unpack_from(self._read(
            region.offset, region.offset + RECORD.size)) == (
                _CHUNK, region.end - region.offset - RECORD.size)

    def _read_summary(self) -> dict[int, int] | None:
        """Read channels and chunks; return messages by channel, or None without an index."""
        if self._size < len(MCAP_MAGIC) + _FOOTER_SIZE:
            return None
        footer = self._read(self._size - _FOOTER_SIZE, self._size)
        if footer[-len(MCAP_MAGIC):] != MCAP_MAGIC or RECORD.unpack_from(footer) != (
                _FOOTER, _FOOTER_CONTENT.size):
            return None
        summary_start, _, crc = _FOOTER_CONTENT.unpack_from(footer, RECORD.size)
        if summary_start == 0:
            return None
        summary = self._read(summary_start, self._size - _FOOTER_SIZE)
        if crc and zlib.crc32(footer[:-len(MCAP_MAGIC) - 4], zlib.crc32(summary)) != crc:
            raise DamageError('wrong checksum')
        counts: dict[int, int] | None = None
        chunk_ends: list[tuple[int, int]] = []
        n_chunks = 0
        for opcode, start, end in split_records(summary):
            content = summary[start:end]
            if opcode in (_SCHEMA, _CHANNEL):
                self._add_definition(opcode, content)
            elif opcode == _CHUNK_INDEX:
                start_ns, end_ns, offset, length, n_bytes = struct.unpack_from('<QQQQI', content)
                channels = struct.iter_unpack('<HQ', content[36:36 + n_bytes])
                (index_length,) = struct.unpack_from('<Q', content, 36 + n_bytes)
                chunk_ends.append((offset, offset + length + index_length))
                self._regions.append(_Region(offset, offset + length, start_ns, end_ns,
                                             counts={channel: 0 for channel, _ in channels}))
            elif opcode == _STATISTICS:
                (n_chunks,) = struct.unpack_from('<I', content, 22)
                (n_bytes,) = struct.unpack_from('<I', content, 42)
                counts = dict(struct.iter_unpack('<HQ', content[46:46 + n_bytes]))
        if counts is None or not counts.keys() <= self._channels.keys() or \
                len(chunk_ends) != n_chunks or any(not region.counts for region in self._regions):
            self._regions.clear()
            return None
        end = len(MCAP_MAGIC)
        for offset, following in sorted(chunk_ends):
            self._scan(end, offset)
            end = following
        self._scan(end, summary_start)
        return counts

    def _scan_file(self) -> dict[int, int]:
        """Find channels and chunks; return messages by channel."""
        self._regions.clear()
        if not self._scan(len(MCAP_MAGIC), self._size):
            self._is_cut = True
            self.problems.append('the file was not closed after recording, or its end is lost')
        elif self._read(self._size - len(MCAP_MAGIC), self._size) != MCAP_MAGIC:
            self.problems.append('the end of the file is lost, but only with its index')
        counts: dict[int, int] = {}
        for region in self._regions:
            if region.is_chunk and (not region.counts
                                    or not region.counts.keys() <= self._channels.keys()):
                self._inspect(region)
            for channel, count in region.counts.items():
                counts[channel] = counts.get(channel, 0) + count
        n_unknown = sum(counts[channel] for channel in counts.keys() - self._channels.keys())
        if n_unknown:
            self.problems.append(f'{n_unknown} messages belong to no known channel')
        return counts

    def _scan(self, position: int, end: int) -> bool:
        """Find the records of a part of the file; return whether it ends as it should."""
        loose: _Region | None = None
        while position < end:
            head = self._read(position, min(position + RECORD.size + _CHUNK_START.size, end))
            if len(head) < RECORD.size:
                return False
            opcode, length = RECORD.unpack_from(head)
            start, following = position + RECORD.size, position + RECORD.size + length
            is_cut = following > end
            if opcode in (_DATA_END, _FOOTER):
                return True
            if opcode == 0 or (is_cut and opcode != _CHUNK):
                return False
            try:
                if opcode in (_SCHEMA, _CHANNEL):
                    self._add_definition(opcode, self._read(start, following))
                elif opcode == _MESSAGE:
                    channel, _, time_ns, _ = _MESSAGE_START.unpack_from(head, RECORD.size)
                    if loose is None or loose.end != position or \
                            following - loose.offset > _LOOSE_BYTES:
                        loose = _Region(position, following, time_ns, time_ns, is_chunk=False)
                        self._regions.append(loose)
                    loose.end = following
                    loose.start_ns = min(loose.start_ns, time_ns)
                    loose.end_ns = max(loose.end_ns, time_ns)
                    loose.counts[channel] = loose.counts.get(channel, 0) + 1
                elif opcode == _CHUNK:
                    start_ns, end_ns, *_ = _CHUNK_START.unpack_from(head, RECORD.size)
                    self._regions.append(_Region(position, min(following, end), start_ns, end_ns,
                                                 is_cut=is_cut))
                elif opcode == _MESSAGE_INDEX and self._regions:
                    channel, n_bytes = struct.unpack_from('<HI', head, RECORD.size)
                    self._regions[-1].counts[channel] = n_bytes // 16
            except (DamageError, struct.error):
                return False
            position = following
        return position == end and end < self._size

    def _inspect(self, region: _Region) -> None:
        """Find channels and counts in a chunk that has no index."""
        region.counts.clear()
        try:
            records = self._load(region)
            for opcode, start, end in split_records(records):
                if opcode in (_SCHEMA, _CHANNEL):
                    self._add_definition(opcode, records[start:end])
                elif opcode == _MESSAGE:
                    (channel,) = struct.unpack_from('<H', records, start)
                    region.counts[channel] = region.counts.get(channel, 0) + 1
        except (DamageError, struct.error):
            return  # reported when the messages are read

    def _add_definition(self, opcode: int, content: memoryview) -> None:
        """Add a schema or a channel."""
        if opcode == _SCHEMA:
            (schema,) = struct.unpack_from('<H', content)
            name, position = read_text(content, 2)
            encoding, position = read_text(content, position)
            self._schemas[schema] = name, encoding
            text = bytes(content[position + 4:]).decode(errors='replace')
            self.definitions[normalize_type(name)] = encoding, text
            return
        channel, schema = struct.unpack_from('<HH', content)
        topic, position = read_text(content, 4)
        serialization, position = read_text(content, position)
        msgtype, encoding = self._schemas.get(schema, ('', ''))
        serialization = serialization or _DEFAULT_SERIALIZATION.get(encoding, '')
        if serialization in ('cdr', 'ros1'):
            msgtype = normalize_type(msgtype)
        self._channels[channel] = Topic(topic, msgtype, serialization)
        if is_latched(content[position:]):
            self.latched.add(self._channels[channel])

    def _load(self, region: _Region) -> memoryview:
        """Return the records of a region, decompressed."""
        content = self._read(region.offset, region.end)
        if not region.is_chunk:
            return content
        opcode, _ = RECORD.unpack_from(content)
        *_, size, crc, n_bytes = _CHUNK_START.unpack_from(content, RECORD.size)
        position = RECORD.size + _CHUNK_START.size + n_bytes
        compression = decode_text(content[position - n_bytes:position])
        (compressed_size,) = struct.unpack_from('<Q', content, position)
        data = content[position + 8:position + 8 + compressed_size]
        if opcode != _CHUNK:
            raise DamageError('a chunk of the index is none')
        if size > MAX_CHUNK_BYTES:
            raise DamageError(f'a chunk of {size} bytes is too large; allowed are '
                              f'{MAX_CHUNK_BYTES}')
        if self._loaded_bytes + size > _MAX_LOADED_BYTES:
            raise DamageError('chunks of the same time are too large; allowed are '
                              f'{_MAX_LOADED_BYTES} bytes')
        records = decompress(data, compression, size)
        if region.is_cut:
            return records
        if len(records) != size or (crc and zlib.crc32(records) != crc):
            raise DamageError('a chunk has a wrong size or checksum')
        return records

    def _read(self, start: int, end: int) -> memoryview:
        if not 0 <= start <= end <= self._size:
            raise DamageError('an offset lies outside of the file')
        try:
            return memoryview(os.pread(self._file.fileno(), end - start, start))
        except OSError as error:
            raise DamageError(str(error)) from None
