# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Radiometric JPEG files: a picture, and beside it what the thermal camera measured.

FLIR stores raw values with the calibration of the camera, and often the image of a visible camera
(https://exiftool.org/TagNames/FLIR.html). DJI stores raw values without a public description.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
import struct
from typing import Any
import zlib

from ivf_ros.data.recording import SourceError
from ivf_ros.images.file_ends import jpeg_segments, JPEG_START
from ivf_ros.optional_imports import explain_missing
import numpy as np

HEADER_BYTES = 1 << 17  # of a file; they hold the directory of FLIR records

_APP1, _APP3 = 0xE1, 0xE3
_FLIR_START = b'FLIR\0'
_MAX_RECORDS = 256  # in a directory; files have about 10
_DJI = b'DJI'  # the make in EXIF
_FLIR_SEGMENT_HEADER = 8  # bytes: the start, a version, the number and the last number of a part
_RAW_VALUES, _VISIBLE_IMAGE, _PLACEMENT = 1, 14, 42  # kinds of FLIR records

# Exceptions of flyr and Pillow for damaged records.
_DAMAGE = (ValueError, LookupError, OSError, EOFError, TypeError, AttributeError, ArithmeticError,
           SyntaxError, AssertionError, struct.error, zlib.error)


@dataclass(frozen=True)
class FlirImage:
    """
    A radiometric JPEG file of FLIR.

    Attributes
    ----------
    name:
        Name of the file in error messages.
    data:
        Its bytes.

    """

    name: str
    data: bytes

    def read_celsius(self) -> np.ndarray:
        """
        Return the temperatures ``(H, W)`` float32 in degrees Celsius, NaN where there is none.

        They are apparent temperatures for the emissivity, distance, humidity and reflected
        temperature that were set in the camera.

        Raises
        ------
        SourceError
            The records are damaged, or flyr is not installed.

        """
        thermogram = self._thermogram
        try:
            with np.errstate(all='ignore'):
                celsius = np.asarray(thermogram.celsius, np.float32)
        except _DAMAGE as error:
            raise self._damage(error) from None
        if celsius.ndim != 2 or not celsius.size:
            raise SourceError(f'{self.name} has damaged radiometric records: temperatures of '
                              f'shape {celsius.shape}')
        return celsius

    def read_visible(self) -> np.ndarray:
        """
        Return the image of the visible camera ``(H, W, 3)`` BGR uint8.

        Raises
        ------
        SourceError
            There is none, it is damaged, or flyr is not installed.

        """
        visible = self._thermogram.optical
        if visible is None or visible.ndim != 3:
            raise SourceError(f'{self.name} is a radiometric JPEG file without a visible image')
        return np.ascontiguousarray(visible[..., 2::-1])

    def read_prior(self) -> np.ndarray | None:
        """
        Return H_thermal_to_rgb ``(3, 3)`` as the camera places thermal on its visible image.

        It is a scaling and a shift for the distance on which the camera was set: a prior, not a
        measurement. None if the file does not state it. Raises SourceError as ``read_visible``.
        """
        placement = find_flir_records(self.data).get(_PLACEMENT, b'')[:8]
        if len(placement) < 8:
            return None
        thermal_per_rgb_width, offset_x, offset_y = struct.unpack('<fhh', placement)
        if not thermal_per_rgb_width > 0:
            return None
        height, width = self.read_celsius().shape
        rgb_height, rgb_width = self.read_visible().shape[:2]
        scale = rgb_width / width / thermal_per_rgb_width
        shift_x = (rgb_width - 1) / 2 + offset_x - scale * (width - 1) / 2
        shift_y = (rgb_height - 1) / 2 + offset_y - scale * (height - 1) / 2
        return np.array([[scale, 0, shift_x], [0, scale, shift_y], [0, 0, 1]])

    @cached_property
    def _thermogram(self) -> Any:
        with explain_missing(f'{self.name} is a radiometric JPEG file; its temperature image',
                             SourceError, 'flyr'):
            import flyr
            from flyr.records import extract_flir_app1
            from PIL.Image import DecompressionBombError
        try:
            # flyr joins the segments in its own way, and reads any number of records.
            header = extract_flir_app1(BytesIO(self.data)).read(32)
            count = int.from_bytes(header[28:], 'big')
            if count > _MAX_RECORDS:
                raise ValueError(f'the directory states {count} records, at most {_MAX_RECORDS} '
                                 'are read; flyr reads no little-endian directory')
            return flyr.unpack(BytesIO(self.data))
        except (*_DAMAGE, DecompressionBombError) as error:
            raise self._damage(error) from None

    def _damage(self, error: BaseException) -> SourceError:
        return SourceError(f'{self.name} has damaged radiometric records: '
                           f'{type(error).__name__}: {error}')


def find_flir_records(data: bytes) -> dict[int, bytes]:
    """
    Return the FLIR records in a JPEG file by their kind; empty if it is another file.

    The first ``HEADER_BYTES`` of the file suffice to know which records there are.
    """
    if not data.startswith(JPEG_START) or data.find(_FLIR_START, 0, HEADER_BYTES) < 0:
        return {}
    view = memoryview(data)
    content = b''.join(
        view[segment.start + _FLIR_SEGMENT_HEADER:segment.end] for segment in jpeg_segments(view)
        if segment.marker == _APP1 and view[segment.start:segment.start + 5] == _FLIR_START)
    if content[:4] not in (b'FFF\0', b'AFF\0') or len(content) < 32:
        return {}
    # The version, a number of about 100, tells the byte order.
    order = '>' if int.from_bytes(content[20:24], 'big') < 1 << 16 else '<'
    directory, count = struct.unpack(order + 'II', content[24:32])
    if count > _MAX_RECORDS:
        return {}
    # An entry holds the kind, ten bytes that do not matter here, the position and the length.
    entry = struct.Struct(order + 'H10xII')
    records = {}
    for place in range(directory, directory + 32 * count, 32):
        if place + entry.size <= len(content):
            kind, start, length = entry.unpack_from(content, place)
            records[kind] = content[start:start + length]  # kind 0: a free entry
    return records


def is_flir(data: bytes) -> bool:
    """Return whether a file is a radiometric JPEG file of FLIR."""
    return _RAW_VALUES in find_flir_records(data)


def has_visible_image(data: bytes) -> bool:
    """Return whether a file is a radiometric JPEG file of FLIR with a visible image."""
    return {_RAW_VALUES, _VISIBLE_IMAGE} <= find_flir_records(data).keys()


def is_dji(data: bytes) -> bool:
    """Return whether a file is a radiometric JPEG file of DJI."""
    if not data.startswith(JPEG_START) or data.find(_DJI, 0, HEADER_BYTES) < 0:
        return False
    view = memoryview(data)
    segments = list(jpeg_segments(view))
    return any(segment.marker == _APP3 for segment in segments) and any(
        segment.marker == _APP1 and _DJI in bytes(view[segment.start:segment.end])
        for segment in segments)
