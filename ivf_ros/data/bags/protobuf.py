# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

import struct


def read_fields(data: bytes | memoryview) -> dict[int, int | memoryview]:
    """
    Return the fields of a message by number: integers, and bytes of text and of messages.

    Of a repeated field the last value is returned.

    Raises
    ------
    ValueError, struct.error
        The message is cut off or is none.

    """
    content = memoryview(data)
    fields: dict[int, int | memoryview] = {}
    position = 0
    while position < len(content):
        key, position = _read_varint(content, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            fields[number], position = _read_varint(content, position)
        elif wire_type in (1, 5):
            form, size = ('<Q', 8) if wire_type == 1 else ('<I', 4)
            (fields[number],) = struct.unpack_from(form, content, position)
            position += size
        elif wire_type == 2:
            size, position = _read_varint(content, position)
            if size > len(content) - position:
                raise ValueError('the message is cut off')
            fields[number] = content[position:position + size]
            position += size
        else:
            raise ValueError(f'unknown wire type {wire_type}')
    return fields


def _read_varint(content: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if position >= len(content):
            raise ValueError('the message is cut off')
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError('a number has more than 64 bits')
