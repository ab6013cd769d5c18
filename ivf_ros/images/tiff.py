# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TIFF files of unsigned 32-bit samples, which OpenCV reads only if they are called signed."""

from __future__ import annotations

import struct

_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
_SHORT = 3  # type of a value
_UNSIGNED, _SIGNED = 1, 2
_ENTRY_BYTES = 12


def call_signed(data: memoryview) -> bytes | None:
    """
    Return a TIFF file with its unsigned 32-bit samples declared as signed.

    Returns None if the file is another one. The bits of the samples are unchanged.
    """
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(bytes(data[:4]))
    if order is None or len(data) < 8:
        return None
    start = struct.unpack(order + 'I', data[4:8])[0]
    count = int.from_bytes(data[start:start + 2], 'little' if order == '<' else 'big')
    end = start + 2 + count * _ENTRY_BYTES
    if not count or end > len(data):
        return None
    entries = {struct.unpack(order + 'H', entry[:2])[0]: entry
               for entry in (bytes(data[place:place + _ENTRY_BYTES])
                             for place in range(start + 2, end, _ENTRY_BYTES))}
    if _read_short(entries.get(_BITS_PER_SAMPLE), order, 1) != 32 \
            or _read_short(entries.get(_SAMPLE_FORMAT), order, _UNSIGNED) != _UNSIGNED:
        return None
    entries[_SAMPLE_FORMAT] = struct.pack(order + 'HHIHH', _SAMPLE_FORMAT, _SHORT, 1, _SIGNED, 0)
    directory = b''.join(entries[tag] for tag in sorted(entries))
    # The directory moves to the end of the file; what it refers to stays where it is.
    padding = bytes(len(data) % 2)
    return b''.join((data[:4], struct.pack(order + 'I', len(data) + len(padding)), data[8:],
                     padding, struct.pack(order + 'H', len(entries)), directory, bytes(4)))


def _read_short(entry: bytes | None, order: str, default: int) -> int | None:
    """Return the value of an entry of one 16-bit number; None if it is another one."""
    if entry is None:
        return default
    _, kind, count, value, _ = struct.unpack(order + 'HHIHH', entry)
    return value if (kind, count) == (_SHORT, 1) else None
