# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The codecs of ``compressed_depth_image_transport``.

A message begins with 12 bytes: the kind of quantisation (int32) and its two parameters A and B
(float32). A PNG file or RVL data with 16 bits per pixel follows. In an image of 16 bits these are
the values. In an image of floats they are q = A / depth + B, and 0 where there is no depth.

RVL: A. D. Wilson, 'Fast lossless depth image compression', ISS 2017.
"""

from __future__ import annotations

from collections.abc import Callable
import struct
from typing import NamedTuple

from ivf_ros.images.arrays import ImageError
from ivf_ros.images.file_ends import PNG_START
from ivf_ros.images.limits import check_size
import numpy as np

HEADER_BYTES = 12
_MAX_DIGITS = 10  # of a number in RVL data, three bits each
_TOO_GREAT = 1 << 30  # a number of as many digits, which no count has
# A pixel takes a difference of six digits at most, and half of two counts, four bits each.
_MAX_PIXEL_BYTES = 8


class _Runs(NamedTuple):
    """Runs of zeros, each followed by a run of other values."""

    zero_counts: np.ndarray
    value_counts: np.ndarray
    starts: np.ndarray  # of the values, among the numbers of the data


def has_header(data: memoryview) -> bool:
    """Return whether the data is a PNG file after the header of a depth image."""
    return data[HEADER_BYTES:HEADER_BYTES + len(PNG_START)] == PNG_START


def decode_depth(encoding: str, data: memoryview,
                 decode_png: Callable[[memoryview], np.ndarray]) -> np.ndarray:
    """
    Decode the data of a ``compressedDepth`` message.

    ``encoding`` is that of the image before compression. ``decode_png`` decodes a PNG file.
    Returns ``(H, W)`` uint16, or float32 with NaN where there is no value.

    Raises
    ------
    ImageError
        The encoding is another one, or the data is damaged.

    """
    if encoding not in ('16UC1', 'mono16', '32FC1'):
        raise ImageError('a compressed depth image is 16UC1, mono16 or 32FC1, got '
                         f'{encoding[:40]!r}')
    if len(data) < HEADER_BYTES:
        raise ImageError('truncated compressed depth image: its header is incomplete')
    _, a, b = struct.unpack('<iff', data[:HEADER_BYTES])
    content = data[HEADER_BYTES:]
    values = decode_png(content) if has_header(data) else decode_rvl(content)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ImageError('the PNG file of a compressed depth image must have one channel of 16 '
                         f'bits, got {values.shape} {values.dtype}')
    if encoding != '32FC1':
        return values
    with np.errstate(all='ignore'):
        depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    depth[(values == 0) | ~np.isfinite(depth)] = np.nan
    return depth


def decode_rvl(data: memoryview) -> np.ndarray:
    """
    Decode RVL data: width and height (uint32), then runs of zeros and of other pixels.

    Returns ``(H, W)`` uint16; raises ImageError if the data is damaged.
    """
    if len(data) < 8:
        raise ImageError('truncated RVL image: its header is incomplete')
    width, height = struct.unpack('<II', data[:8])
    check_size(width, height, 'RVL image')
    count = width * height
    numbers = _read_numbers(data[8:][:4 + _MAX_PIXEL_BYTES * count])
    runs, end = _find_runs(numbers, count)
    is_delta = np.ones(end, bool)
    is_delta[runs.starts - 2] = is_delta[runs.starts - 1] = False
    deltas = numbers[:end][is_delta]
    has_value = np.repeat(np.tile([False, True], len(runs.starts)),
                          np.column_stack([runs.zero_counts, runs.value_counts]).ravel())
    pixels = np.zeros(count, np.uint16)
    # The sign of a delta is its lowest bit. The sum is exact modulo 2^16.
    pixels[has_value] = np.cumsum(((deltas >> 1) ^ -(deltas & 1)).astype(np.uint16),
                                  dtype=np.uint16)
    return pixels.reshape(height, width)


def _read_numbers(data: memoryview) -> np.ndarray:
    """
    Return the numbers of RVL data, int32.

    A number is a sequence of nibbles, each with three bits of it, the lowest first. The highest
    bit of a nibble says that another one follows. A little-endian word of 32 bits holds eight
    nibbles, the first one in its highest bits.
    """
    words = np.frombuffer(data[:len(data) // 4 * 4], '<u4').astype('>u4').view(np.uint8)
    nibbles = np.column_stack([words >> 4, words & 15]).ravel()
    # Indices of 32 bits and digits of 8 bits make this twice as fast.
    ends = np.flatnonzero(nibbles < 8).astype(np.int32)
    if not ends.size:
        raise ImageError('truncated RVL image')
    starts = np.concatenate([np.zeros(1, np.int32), ends[:-1] + 1])
    last_places = (ends - starts).clip(max=_MAX_DIGITS).astype(np.uint8)
    nibbles &= 7
    numbers = nibbles.take(starts).astype(np.int32)
    for place in range(1, min(int(last_places.max()) + 1, _MAX_DIGITS)):
        longer = np.flatnonzero(last_places >= place)
        numbers[longer] |= nibbles.take(starts[longer] + place).astype(np.int32) << (3 * place)
    numbers[last_places == _MAX_DIGITS] = _TOO_GREAT
    return numbers


def _find_runs(numbers: np.ndarray, count: int) -> tuple[_Runs, int]:
    """Return the runs that fill ``count`` pixels, and the number of numbers that they use."""
    runs: list[tuple[int, int, int]] = []
    position = filled = 0
    while filled < count:
        if position + 2 > len(numbers):
            raise ImageError('truncated RVL image')
        zeros, values = int(numbers[position]), int(numbers[position + 1])
        # Only the first run may have no zeros, and only the last one no values. Otherwise data
        # without pixels would be searched run by run.
        if (not zeros and runs) or (not values and filled + zeros < count):
            raise ImageError('damaged RVL image: a run of length 0')
        runs.append((zeros, values, position + 2))
        position += 2 + values
        filled += zeros + values
    if position > len(numbers):
        raise ImageError('truncated RVL image')
    if filled > count:
        raise ImageError('damaged RVL image: its runs do not fit its size')
    return _Runs(*np.array(runs, np.int64).T), position
