# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small writer of MCAP files of all kinds, and serialised image messages, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
import struct
import sys
from typing import NamedTuple
import zlib

import lz4.frame
import numpy as np
from rosbags.typesys import get_typestore, Stores

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b'\x89MCAP0\r\n'
IMAGE = 'sensor_msgs/msg/Image'
STORE = get_typestore(Stores.LATEST)
_COMPRESSORS = {'': bytes, 'zstd': zstd.compress, 'lz4': lz4.frame.compress}


class Channel(NamedTuple):
    """A channel and its schema; without a type it has no schema."""

    topic: str
    msgtype: str = IMAGE
    schema_encoding: str = 'ros2msg'
    schema: bytes = b'uint8[] data'
    encoding: str = 'cdr'


def write_mcap(path: Path, channels: list[Channel], messages: Iterable[tuple[int, int, bytes]], *,
               chunk: str | None = '', per_chunk: int = 4, has_indexes: bool = True,
               has_summary: bool = True, profile: str = 'ros2', has_crc: bool = True) -> Path:
    """
    Write messages ``(channel, time in ns, data)`` in the given order.

    ``chunk`` is the compression of the chunks; None writes messages outside of chunks.
    """
    definitions = b''
    for number, channel in enumerate(channels):
        if channel.msgtype:
            definitions += _record(3, struct.pack('<H', number + 1) + _text(channel.msgtype)
                                   + _text(channel.schema_encoding) + _text(channel.schema))
        definitions += _record(4, struct.pack('<HH', number, (number + 1) * bool(channel.msgtype))
                               + _text(channel.topic) + _text(channel.encoding) + bytes(4))
    out = bytearray(MAGIC + _record(1, _text(profile) + _text('test')))
    messages = list(messages)
    chunk_indexes = b''
    n_chunks = 0
    if chunk is None:
        out += definitions + b''.join(map(_message, messages))
    else:
        for start in range(0, len(messages), per_chunk):
            part = messages[start:start + per_chunk]
            index = _add_chunk(out, definitions * (start == 0), part, chunk, has_indexes, has_crc)
            chunk_indexes += index
            n_chunks += 1
    out += _record(15, bytes(4))
    summary_start = len(out) if has_summary else 0
    if has_summary:
        counts = {number: sum(message[0] == number for message in messages)
                  for number in range(len(channels))}
        times_ns = [message[1] for message in messages] or [0]
        out += definitions + chunk_indexes + _record(11, struct.pack(
            '<QHIIIIQQI', len(messages), len(channels), len(channels), 0, 0, n_chunks,
            min(times_ns), max(times_ns), 10 * len(counts))
            + b''.join(struct.pack('<HQ', *item) for item in counts.items()))
    footer = struct.pack('<BQQQ', 2, 20, summary_start, 0)
    crc = zlib.crc32(bytes(out[summary_start:]) + footer) if has_summary and has_crc else 0
    path.write_bytes(bytes(out) + footer + struct.pack('<I', crc) + MAGIC)
    return path


def find_chunks(content: bytes) -> list[tuple[int, int]]:
    """Return the first byte of the data and the end of each chunk."""
    chunks, position = [], len(MAGIC)
    while position < len(content) - len(MAGIC):
        opcode, length = struct.unpack_from('<BQ', content, position)
        position += 9
        if opcode == 6:
            (n_bytes,) = struct.unpack_from('<I', content, position + 28)
            chunks.append((position + 40 + n_bytes, position + length))
        position += length
    return chunks


def header(stamp_ns: int, frame_id: str = 'camera') -> object:
    """Return a std_msgs/Header."""
    types, (sec, nanosec) = STORE.types, divmod(stamp_ns, 1_000_000_000)
    return types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec), frame_id=frame_id)


def serialize(msgtype: str, store=STORE, **fields) -> bytes:
    """Serialise a message in CDR."""
    return bytes(store.serialize_cdr(store.types[msgtype](**fields), msgtype))


def image(array: np.ndarray, encoding: str, stamp_ns: int) -> bytes:
    """Serialise a sensor_msgs/Image."""
    return serialize(IMAGE, header=header(stamp_ns), height=array.shape[0], width=array.shape[1],
                     encoding=encoding, is_bigendian=0, step=array.nbytes // len(array),
                     data=np.frombuffer(array.tobytes(), np.uint8))


def _add_chunk(out: bytearray, definitions: bytes, messages: list, compression: str,
               has_indexes: bool, has_crc: bool) -> bytes:
    """Append a chunk and its message indexes; return its chunk index."""
    content, offsets = definitions, {}
    for message in messages:
        offsets.setdefault(message[0], []).append((message[1], len(content)))
        content += _message(message)
    times_ns = [message[1] for message in messages]
    packed = _COMPRESSORS[compression](content)
    start = len(out)
    out += _record(6, struct.pack('<QQQI', min(times_ns), max(times_ns), len(content),
                                  zlib.crc32(content) * has_crc)
                   + _text(compression) + struct.pack('<Q', len(packed)) + packed)
    length, index_offsets = len(out) - start, b''
    for channel, entries in offsets.items() if has_indexes else ():
        index_offsets += struct.pack('<HQ', channel, len(out))
        out += _record(7, struct.pack('<HI', channel, 16 * len(entries))
                       + b''.join(struct.pack('<QQ', *entry) for entry in entries))
    return _record(8, struct.pack('<QQQQ', min(times_ns), max(times_ns), start, length)
                   + struct.pack('<I', len(index_offsets)) + index_offsets
                   + struct.pack('<Q', len(out) - start - length) + _text(compression)
                   + struct.pack('<QQ', len(packed), len(content)))


def _message(message: tuple[int, int, bytes]) -> bytes:
    channel, time_ns, data = message
    return _record(5, struct.pack('<HIQQ', channel, 0, time_ns, time_ns) + data)


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


def _text(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack('<I', len(data)) + data
