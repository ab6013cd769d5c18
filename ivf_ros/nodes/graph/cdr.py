# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Reading of serialised images without deserialisation.

rclpy copies each field of a message into a Python object. For an image this takes longer than the
rest of the transport. A subscription with ``raw=True`` receives the serialised message instead:
the stamp is read from its bytes, and the pixels are a view of them.

A message is serialised as CDR (OMG DDSI-RTPS 2.3, section 10): four bytes that name the
representation, then the fields in order. A number is aligned to its size. A string and a sequence
begin with their length as uint32; the length of a string includes a closing zero.
"""

from __future__ import annotations

from dataclasses import dataclass
import struct

# Representation identifiers of plain CDR, big and little endian, of versions 1 and 2.
_BYTE_ORDERS = {b'\0\0': '>', b'\0\1': '<', b'\0\6': '>', b'\0\7': '<'}
_REPRESENTATION_BYTES = 4


class CdrError(ValueError):
    """A serialised message is truncated, or its representation is not plain CDR."""


@dataclass(frozen=True, eq=False)
class ImageFields:
    """The fields of a ``sensor_msgs/Image``; ``data`` is a view of the serialised message."""

    stamp_ns: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: memoryview


@dataclass(frozen=True, eq=False)
class CompressedImageFields:
    """
    The fields of a ``sensor_msgs/CompressedImage``; ``data`` is a view likewise.

    ``message_format`` is the field ``format``.
    """

    stamp_ns: int
    frame_id: str
    message_format: str
    data: memoryview


def read_stamp_ns(cdr: bytes | memoryview) -> int:
    """
    Return the stamp of a serialised message that begins with a Header, in nanoseconds.

    Raises
    ------
    CdrError
        The message is truncated or not plain CDR.

    """
    return _Reader(cdr).read_stamp_ns()


def read_image(cdr: bytes | memoryview) -> ImageFields:
    """Read a serialised ``sensor_msgs/Image``; raise CdrError as ``read_stamp_ns``."""
    reader = _Reader(cdr)
    return ImageFields(
        stamp_ns=reader.read_stamp_ns(), frame_id=reader.read_string(),
        height=reader.read_uint32(), width=reader.read_uint32(), encoding=reader.read_string(),
        is_bigendian=bool(reader.read_uint8()), step=reader.read_uint32(),
        data=reader.read_bytes())


def read_compressed_image(cdr: bytes | memoryview) -> CompressedImageFields:
    """Read a serialised ``sensor_msgs/CompressedImage``; raise CdrError likewise."""
    reader = _Reader(cdr)
    return CompressedImageFields(
        stamp_ns=reader.read_stamp_ns(), frame_id=reader.read_string(),
        message_format=reader.read_string(), data=reader.read_bytes())


class _Reader:
    """Reads the fields of a serialised message one after the other."""

    def __init__(self, cdr: bytes | memoryview) -> None:
        self._cdr = memoryview(cdr)
        representation = bytes(self._cdr[:2])
        if representation not in _BYTE_ORDERS:
            raise CdrError('a message must be plain CDR, got the representation '
                           f"'{representation.hex()}'")
        self._byte_order = _BYTE_ORDERS[representation]
        self._offset = _REPRESENTATION_BYTES

    def read_stamp_ns(self) -> int:
        seconds = self._read('i')
        return seconds * 1_000_000_000 + self.read_uint32()

    def read_uint8(self) -> int:
        return self._read('B')

    def read_uint32(self) -> int:
        return self._read('I')

    def read_string(self) -> str:
        return bytes(self.read_bytes()).rstrip(b'\0').decode(errors='replace')

    def read_bytes(self) -> memoryview:
        return self._take(self.read_uint32())

    def _read(self, number: str) -> int:
        size = struct.calcsize('=' + number)
        # The four bytes before the fields do not change the alignment of numbers up to 4 bytes.
        self._offset += -self._offset % size
        return struct.unpack(self._byte_order + number, self._take(size))[0]

    def _take(self, size: int) -> memoryview:
        start, self._offset = self._offset, self._offset + size
        if self._offset > len(self._cdr):
            raise CdrError(f'a message is truncated: a field ends at byte {self._offset}, got '
                           f'{len(self._cdr)} bytes')
        return self._cdr[start:self._offset]
