# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview  # of a field: a number, or the bytes of anything else

_VARINT, _64_BIT, _BYTES, _32_BIT = 0, 1, 2, 5  # wire types
_FIXED_BYTES = {_32_BIT: 4, _64_BIT: 8}


class ProtobufError(ValueError):
    """A message does not follow the format."""


def read_fields(data: bytes | memoryview) -> dict[int, Value]:
    """
    Return the fields of a message by number: integers, and bytes of text and of messages.

    Of a repeated field the last value is returned.

    Raises
    ------
    ProtobufError
        The message is cut off or is none.

    """
    return {number: int.from_bytes(value, 'little')
            if wire_type in _FIXED_BYTES and not isinstance(value, int) else value
            for number, wire_type, value in iterate_fields(memoryview(data))}


def iterate_fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """
    Yield number, wire type and value of each field; a value of fixed length as its bytes.

    Raises
    ------
    ProtobufError
        The message is cut off or is none.

    """
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _read_varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == _BYTES:
            length, position = _read_varint(message, position)
        elif wire_type in _FIXED_BYTES:
            length = _FIXED_BYTES[wire_type]
        else:
            raise ProtobufError(f'unknown wire type {wire_type}')
        if length > len(message) - position:
            raise ProtobufError('the message is cut off')
        yield number, wire_type, message[position:position + length]
        position += length


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number of variable length, and the position behind it."""
    value = shift = 0
    while shift < 64:
        if position >= len(message):
            raise ProtobufError('the message is cut off')
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ProtobufError('a number has more than 64 bits')
