# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The first directory of a TIFF file, and files of unsigned 32-bit samples.

OpenCV reads the latter only if they are called signed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339
_SHORT = 3  # type of a value
_UNSIGNED, _SIGNED = 1, 2
_NUMBERS = {1: 'B', _SHORT: 'H', 4: 'I', 16: 'Q'}  # types of values that are whole numbers
_MAX_VALUES = 64  # of an entry; an image has one for each channel


class _Layout(NamedTuple):
    """How a kind of TIFF file is built."""

    order: str
    start_offset: int  # of the position of the directory
    number: str  # type of a position and of a count of values
    n_entries: str  # type of the number of entries


_LAYOUTS = {b'II*\0': _Layout('<', 4, 'I', 'H'), b'MM\0*': _Layout('>', 4, 'I', 'H'),
            b'II+\0': _Layout('<', 8, 'Q', 'Q'), b'MM\0+': _Layout('>', 8, 'Q', 'Q')}


def read_directory(data: memoryview) -> dict[int, tuple[int, ...]]:
    """
    Return the values of the first directory of a TIFF or BigTIFF file, by tag.

    Of a tag that is there twice the first one counts, as for libtiff. Values that are no whole
    numbers, or more than ``_MAX_VALUES``, are left out as an empty tuple. The result is empty if
    the file is no TIFF file.

    Raises
    ------
    struct.error
        The file is cut off.

    """
    layout = _LAYOUTS.get(bytes(data[:4]))
    if layout is None:
        return {}
    tags: dict[int, tuple[int, ...]] = {}
    head = struct.Struct(f'{layout.order}HH{layout.number}')
    value_bytes = struct.calcsize(f'={layout.number}')
    for entry in _find_entries(data, layout):
        tag, kind, count = head.unpack_from(entry)
        if tag in tags:
            continue
        tags[tag] = ()
        if kind in _NUMBERS and count <= _MAX_VALUES:
            form = f'{layout.order}{count}{_NUMBERS[kind]}'
            if struct.calcsize(form) <= value_bytes:
                tags[tag] = struct.unpack_from(form, entry, head.size)
            else:
                (place,) = struct.unpack_from(layout.order + layout.number, entry, head.size)
                tags[tag] = struct.unpack_from(form, data, place) if place < len(data) else ()
    return tags


def call_signed(data: memoryview) -> bytes | None:
    """
    Return a TIFF file with its unsigned 32-bit samples declared as signed.

    Returns None if the file is another one. The bits of the samples are unchanged.
    """
    layout = _LAYOUTS.get(bytes(data[:4]))
    if layout is None or layout.number != 'I':
        return None
    order = layout.order
    try:
        entries: dict[int, bytes] = {}
        for entry in _find_entries(data, layout):
            entries.setdefault(struct.unpack_from(order + 'H', entry)[0], bytes(entry))
    except struct.error:
        return None
    if not entries or _read_short(entries.get(_BITS_PER_SAMPLE), order, 1) != 32 \
            or _read_short(entries.get(_SAMPLE_FORMAT), order, _UNSIGNED) != _UNSIGNED:
        return None
    entries[_SAMPLE_FORMAT] = struct.pack(order + 'HHIHH', _SAMPLE_FORMAT, _SHORT, 1, _SIGNED, 0)
    directory = b''.join(entries[tag] for tag in sorted(entries))
    # The directory moves to the end of the file; what it refers to stays where it is.
    padding = bytes(len(data) % 2)
    return b''.join((data[:4], struct.pack(order + 'I', len(data) + len(padding)), data[8:],
                     padding, struct.pack(order + 'H', len(entries)), directory, bytes(4)))


def _find_entries(data: memoryview, layout: _Layout) -> list[memoryview]:
    """Return the entries of the first directory; raise struct.error if they are cut off."""
    (start,) = struct.unpack_from(layout.order + layout.number, data, layout.start_offset)
    start = min(start, len(data))
    (count,) = struct.unpack_from(layout.order + layout.n_entries, data, start)
    first = start + struct.calcsize('=' + layout.n_entries)
    entry_bytes = 4 + 2 * struct.calcsize('=' + layout.number)
    if count * entry_bytes > len(data) - first:
        raise struct.error('the directory is cut off')
    return [data[place:place + entry_bytes]
            for place in range(first, first + count * entry_bytes, entry_bytes)]


def _read_short(entry: bytes | None, order: str, default: int) -> int | None:
    """Return the value of an entry of one 16-bit number; None if it is another one."""
    if entry is None:
        return default
    _, kind, count, value, _ = struct.unpack(order + 'HHIHH', entry)
    return value if (kind, count) == (_SHORT, 1) else None
