# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a JPEG or PNG file ends.

Decoders return the readable part of a truncated file, and drivers append data to a complete one:
vendor data, or the rest of a buffer. Only the structure of the file tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator
import re
from typing import NamedTuple

from ivf_ros.images.arrays import ImageError

JPEG_START = b'\xff\xd8'
PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_END = bytes(4) + b'IEND\xaeB`\x82'  # the last chunk: its length, name and checksum

# A marker of JPEG with content. In the coded pixels FF 00 stands for FF, and FF D0 to FF D7 for a
# restart. FF 01 has no content either.
_MARKER = re.compile(rb'\xff[\x02-\xcf\xd8-\xfe]')
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_MAX_SCANS = 100  # of a JPEG file; each takes time for the whole image, also if it is empty


class Segment(NamedTuple):
    """A segment of a JPEG file: its marker, and the positions of its content."""

    marker: int  # second byte; the first is FF
    start: int
    end: int


def find_end(data: memoryview) -> int | None:
    """
    Return the length of the JPEG or PNG file at the start of the data, without what follows it.

    Returns None if the file is truncated, and the length of the data if it is of another kind.

    Raises
    ------
    ImageError
        A JPEG file has more than ``_MAX_SCANS`` scans; usual are 10.

    """
    if data[:2] == JPEG_START:
        return _find_jpeg_end(data)
    if data[:8] == PNG_START:
        return _find_png_end(data)
    return len(data)


def jpeg_segments(data: memoryview) -> Iterator[Segment]:
    """
    Yield the segments of a JPEG file up to its end marker.

    The content of a segment, such as a thumbnail in EXIF, is skipped, and so are the coded
    pixels. The segments stop early where the file is truncated or another one begins.
    """
    position = len(JPEG_START)
    while match := _MARKER.search(data, position):
        marker, position = data[match.end() - 1], match.end()
        if marker == _START_OF_IMAGE:
            return
        if marker == _END_OF_IMAGE:
            yield Segment(marker, position, position)
            return
        length = int.from_bytes(data[position:position + 2], 'big')
        if length < 2 or position + length > len(data):
            return
        yield Segment(marker, position + 2, position + length)
        position += length


def _find_jpeg_end(data: memoryview) -> int | None:
    n_scans = 0
    for segment in jpeg_segments(data):
        n_scans += segment.marker == _START_OF_SCAN
        if n_scans > _MAX_SCANS:
            raise ImageError(f'a JPEG file of more than {_MAX_SCANS} scans')
        if segment.marker == _END_OF_IMAGE:
            return segment.end
    return None


def _find_png_end(data: memoryview) -> int | None:
    position = len(PNG_START)
    while position + 12 <= len(data):
        if data[position:position + 12] == _PNG_END:
            return position + 12
        position += 12 + int.from_bytes(data[position:position + 4], 'big')
    return None
