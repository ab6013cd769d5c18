# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The records of MCAP files, their texts, and the compression of chunks."""

from __future__ import annotations

from collections.abc import Iterator
import struct
import sys

from ivf_ros.data.bags.storage import decode_text
import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECORD = struct.Struct('<BQ')  # opcode, length
_MAX_RECORDS = 1 << 22  # of a chunk; empty ones would take hours


class DamageError(ValueError):
    """A part of the file cannot be read."""


def split_records(content: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield opcode, start and end of each record; raise DamageError if there are too many."""
    position = n_records = 0
    while position < len(content):
        n_records += 1
        if n_records > _MAX_RECORDS:
            raise DamageError(f'a chunk has more than {_MAX_RECORDS} records')
        opcode, length = RECORD.unpack_from(content, position)
        position += RECORD.size
        if length > len(content) - position:
            raise DamageError('a record is cut off')
        yield opcode, position, position + length
        position += length


def read_text(content: memoryview, position: int) -> tuple[str, int]:
    """Return a string and the position behind it."""
    (length,) = struct.unpack_from('<I', content, position)
    start = position + 4
    if start + length > len(content):
        raise DamageError('a text is cut off')
    return decode_text(content[start:start + length]), start + length


def decompress(data: memoryview, compression: str, size: int) -> memoryview:
    """
    Return the content of a chunk, or the beginning of it if its end is lost.

    Of data that is longer than ``size``, one byte more is returned.
    """
    try:
        if compression == '':
            return data
        if compression == 'zstd':
            return memoryview(zstd.ZstdDecompressor().decompress(data, max_length=size + 1))
        if compression == 'lz4':
            decompressor = lz4.frame.LZ4FrameDecompressor()
            return memoryview(decompressor.decompress(data, max_length=size + 1))
    except (zstd.ZstdError, RuntimeError, MemoryError) as error:
        raise DamageError(f'a chunk cannot be decompressed: {error}') from None
    raise DamageError(f"a chunk is compressed by '{compression}'; known: lz4, zstd")
