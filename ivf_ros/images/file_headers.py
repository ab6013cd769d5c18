# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The size of the image in a file, read from its header without decoding.

Only the formats that are read here are decoded: OpenCV allocates the image that a header states.
Where a header could be read in two ways, it is read as the decoder of OpenCV does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import re
import struct
from typing import NamedTuple

from ivf_ros.images.arrays import ImageError
from ivf_ros.images.file_ends import jpeg_segments, JPEG_START, PNG_START
from ivf_ros.images.limits import check_size
from ivf_ros.images.tiff import read_directory

# Frames of JPEG: all markers from C0 to CF but DHT, JPG and DAC.
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette of RGB
_JP2_START = b'\0\0\0\x0cjP  \r\n\x87\n'
_J2K_START = b'\xff\x4f\xff\x51'
_J2K_SAMPLE_BYTES = 4  # OpenJPEG decodes to 32 bits
_PNM_SPACE = rb'(?:\s|#[^\r\n]*[\r\n])*'
_PNM = re.compile(rb'P[1-6](?=\s)' + (_PNM_SPACE + rb'(\d{1,9})\s') * 2)

_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277
_TILE_WIDTH, _TILE_HEIGHT = 322, 323


class ImageHeader(NamedTuple):
    """Size of an image in pixels, and the bytes that its decoder needs for a pixel."""

    width: int
    height: int
    pixel_bytes: int


def check_header(data: memoryview) -> None:
    """
    Check the size of an image that its file states.

    Raises
    ------
    ImageError
        The format is unknown, the header is damaged, or the image is empty or too large.

    """
    header = None
    for start, read in _READERS.items():
        if data[:len(start)] == start:
            with suppress(struct.error, LookupError):  # the header is cut off or damaged
                header = read(data)
            break
    if header is None:
        raise ImageError('cannot decode the image file: it is damaged, truncated or of an unknown '
                         f'format; it begins with {bytes(data[:8])!r}')
    check_size(header.width, header.height, 'an image file', pixel_bytes=header.pixel_bytes)


def _read_jpeg(data: memoryview) -> ImageHeader | None:
    for segment in jpeg_segments(data):
        if segment.marker in _JPEG_FRAMES:
            bits, height, width, n_components = struct.unpack_from('>BHHB', data, segment.start)
            return ImageHeader(width, height, n_components * (1 if bits <= 8 else 2))
    return None


def _read_png(data: memoryview) -> ImageHeader | None:
    length, kind, width, height, bits, color = struct.unpack_from('>I4sIIBB', data, 8)
    if (length, kind) != (13, b'IHDR'):
        return None
    return ImageHeader(width, height, _PNG_CHANNELS[color] * max(1, bits // 8))


def _read_tiff(data: memoryview) -> ImageHeader | None:
    tags = read_directory(data)
    bits = tags.get(_BITS, (1,))
    if not bits or not {_WIDTH, _HEIGHT} <= tags.keys():
        return None
    pixel_bytes = max(1, max(bits) // 8) * tags.get(_SAMPLES, (1,))[0]
    if {_TILE_WIDTH, _TILE_HEIGHT} <= tags.keys():
        # A tile is decoded as a whole, and may be larger than the image.
        check_size(tags[_TILE_WIDTH][0], tags[_TILE_HEIGHT][0], 'a tile of a TIFF file',
                   pixel_bytes=pixel_bytes)
    return ImageHeader(tags[_WIDTH][0], tags[_HEIGHT][0], pixel_bytes)


def _read_webp(data: memoryview) -> ImageHeader | None:
    if data[8:12] != b'WEBP':
        return None
    kind = bytes(data[12:16])
    if kind == b'VP8X':  # the canvas: three bytes each, less 1
        width, height = (1 + int.from_bytes(data[place:place + 3], 'little') for place in (24, 27))
    elif kind == b'VP8L':
        (bits,) = struct.unpack_from('<I', data, 21)
        width, height = 1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff)
    elif kind == b'VP8 ':
        width, height = (side & 0x3fff for side in struct.unpack_from('<HH', data, 26))
    else:
        return None
    return ImageHeader(width, height, 4)


def _read_jp2(data: memoryview) -> ImageHeader | None:
    """Find the codestream among the boxes; a box begins with its length and its kind."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, place)
        start = place + 8
        if length == 1:  # a long one: the length follows, in eight bytes
            (length,) = struct.unpack_from('>Q', data, start)
            start += 8
        if kind == b'jp2c':
            return _read_j2k(data[start:])
        if length < 8:
            return None
        place += length
    return None


def _read_j2k(data: memoryview) -> ImageHeader | None:
    if data[:4] != _J2K_START:
        return None
    right, bottom, left, top = struct.unpack_from('>4I', data, 8)
    (n_components,) = struct.unpack_from('>H', data, 40)
    return ImageHeader(right - left, bottom - top, n_components * _J2K_SAMPLE_BYTES)


def _read_bmp(data: memoryview) -> ImageHeader | None:
    (header_bytes,) = struct.unpack_from('<I', data, 14)
    width, height = struct.unpack_from('<HH' if header_bytes == 12 else '<ii', data, 18)
    return ImageHeader(width, abs(height), 4)  # a negative height: the first row is at the top


def _read_pnm(data: memoryview) -> ImageHeader | None:
    match = _PNM.match(data)
    return None if match is None else ImageHeader(int(match[1]), int(match[2]), 6)


_READERS: dict[bytes, Callable[[memoryview], ImageHeader | None]] = {
    JPEG_START: _read_jpeg, PNG_START: _read_png, b'RIFF': _read_webp, b'BM': _read_bmp,
    b'II*\0': _read_tiff, b'MM\0*': _read_tiff, b'II+\0': _read_tiff, b'MM\0+': _read_tiff,
    _JP2_START: _read_jp2, _J2K_START: _read_j2k, b'P': _read_pnm}
