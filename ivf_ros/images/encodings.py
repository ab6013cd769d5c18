# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Conversion between the image encodings of ``sensor_msgs/image_encodings`` and arrays.

If a message already has the layout of the array, also with padded rows, nothing is copied: the
result is a read-only view of the message buffer.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cv2
from ivf_ros.images.arrays import convert_color, describe, ImageError, to_sample_type
from ivf_ros.images.limits import check_size
import numpy as np


class Encoded(NamedTuple):
    """Fields of an ``Image`` message; ``is_bigendian`` is always False."""

    encoding: str
    data: memoryview  # contiguous bytes; a view of the image if its layout allows it
    step: int  # bytes per row


# Encoding -> dtype of a sample, samples per pixel, OpenCV conversion to BGR (None: not needed).
_NAMED: dict[str, tuple[type, int, int | None]] = {
    'mono8': (np.uint8, 1, None),
    'mono16': (np.uint16, 1, None),
    'bgr8': (np.uint8, 3, None),
    'rgb8': (np.uint8, 3, cv2.COLOR_RGB2BGR),
    'bgra8': (np.uint8, 4, None),
    'rgba8': (np.uint8, 4, cv2.COLOR_RGBA2BGR),
    'bgr16': (np.uint16, 3, None),
    'rgb16': (np.uint16, 3, cv2.COLOR_RGB2BGR),
    'bgra16': (np.uint16, 4, None),
    'rgba16': (np.uint16, 4, cv2.COLOR_RGBA2BGR),
}
# ROS names a pattern after its first row, OpenCV after pixels 2 and 3 of the second row.
BAYER_CODES = {
    'bayer_rggb': cv2.COLOR_BayerBG2BGR,
    'bayer_bggr': cv2.COLOR_BayerRG2BGR,
    'bayer_gbrg': cv2.COLOR_BayerGR2BGR,
    'bayer_grbg': cv2.COLOR_BayerGB2BGR,
}
_NAMED.update((name + '8', (np.uint8, 1, code)) for name, code in BAYER_CODES.items())
_NAMED.update((name + '16', (np.uint16, 1, code)) for name, code in BAYER_CODES.items())

# The types of OpenCV: 16SC1 is one channel of int16. 16SC is the same; colour is BGR or BGRA.
_SAMPLES = {'8U': np.uint8, '8S': np.int8, '16U': np.uint16, '16S': np.int16, '32U': np.uint32,
            '32S': np.int32, '32F': np.float32, '64F': np.float64}
_PLAIN = _NAMED | {f'{name}C{channels}': (sample, int(channels or 1), None)
                   for name, sample in _SAMPLES.items() for channels in ('', '1', '3', '4')}
_TWO_CHANNELS = tuple(f'{name}C2' for name in _SAMPLES)

# 4:2:2, two bytes per pixel: two neighbours in a row share their chroma.
_YUV422 = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY,
    'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2,
    'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}
# A luma plane, then a plane of interleaved chroma, one pair per 2x2 pixels (4:2:0), per two pixels
# of a row (4:2:2) or per pixel (4:4:4). The code for 4:2:2 is that of the two planes interleaved.
_YUV420_PLANES = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}
_YUV422_PLANES = {'nv16': cv2.COLOR_YUV2BGR_YUY2, 'nv61': cv2.COLOR_YUV2BGR_YVYU}
_YUV444_PLANES = ('nv24',)
# BT.601 with limited range, as OpenCV converts the other formats: BGR = _YUV_TO_BGR [Y U V 1].
_YUV_TO_BGR = np.array([[1.164, 2.018, 0.0], [1.164, -0.391, -0.813], [1.164, 0.0, 1.596]])
_YUV_TO_BGR = np.column_stack([_YUV_TO_BGR, -_YUV_TO_BGR @ [16, 128, 128]])

ENCODINGS = (*_PLAIN, *_YUV422, *_YUV420_PLANES, *_YUV422_PLANES, *_YUV444_PLANES)
_KNOWN = (*_NAMED, f'({"|".join(_SAMPLES)})C(1|3|4)', *ENCODINGS[len(_PLAIN):])

# Encodings in which an array can be published, the default first.
_PUBLISHED_ENCODINGS: dict[tuple[type, int], tuple[str, ...]] = {
    (np.uint8, 2): ('mono8', '8UC1'),
    (np.uint16, 2): ('mono16', '16UC1'),
    (np.float32, 2): ('32FC1',),
    (np.float64, 2): ('64FC1',),
    (np.uint8, 3): ('bgr8', '8UC3', 'rgb8'),
    (np.uint16, 3): ('bgr16', 'rgb16'),
}


def decode(encoding: str, data: Any, width: int, height: int, step: int = 0,
           is_bigendian: bool | int = False) -> np.ndarray:
    """
    Convert the fields of an ``Image`` message to an array.

    Parameters
    ----------
    encoding:
        One of ``ENCODINGS``.
    data:
        bytes, bytearray, memoryview, ``array.array('B')`` or a uint8 array.
    width, height:
        Size of the image in pixels. The planes of chroma (``nv12`` and others) are further rows
        of the buffer.
    step:
        Bytes from one row to the next; 0 means that the rows are not padded.
    is_bigendian:
        Byte order of samples of more than 8 bits.

    Returns
    -------
    np.ndarray
        ``(H, W)`` or ``(H, W, 3)`` BGR of uint8, uint16, float32 or float64 in native byte order;
        a read-only view of ``data`` if no conversion is needed. ``to_sample_type`` says what
        becomes of other samples.

    Raises
    ------
    ImageError
        The encoding is unknown or has two channels, width, height, step and data length are
        inconsistent, or the image is larger than ``limits`` allows.

    """
    _check_encoding(encoding, width, height)
    if encoding not in _PLAIN:
        return _decode_yuv(encoding, data, width, height, step)
    sample, channels, code = _PLAIN[encoding]
    wire_dtype = np.dtype(sample).newbyteorder('>' if is_bigendian else '<')
    image = _view(encoding, data, (height, width, channels), wire_dtype, step)
    if not (wire_dtype.isnative and image.flags.aligned):
        image = image.astype(sample)
    image = to_sample_type(image)
    if code is not None:
        return convert_color(image, code)
    return _without_alpha(image) if channels == 4 else image


def count_bytes(encoding: str, width: int, height: int, step: int = 0) -> int:
    """Return the length of the data of an ``Image`` message; raise ImageError as ``decode``."""
    _check_encoding(encoding, width, height)
    if encoding in _PLAIN:
        sample, channels, _ = _PLAIN[encoding]
        pixel_bytes = channels * np.dtype(sample).itemsize
    else:
        pixel_bytes = 2 if encoding in _YUV422 else 1
    return _count_rows(encoding, height) * (step or width * pixel_bytes)


def encode(image: np.ndarray, encoding: str | None = None) -> Encoded:
    """
    Convert an array to the fields of an ``Image`` message.

    ``image`` is ``(H, W)`` uint8, uint16, float32 or float64, or ``(H, W, 3)`` BGR uint8 or
    uint16. The default encodings are mono8, mono16, 32FC1, 64FC1, bgr8 and bgr16. ``encoding``
    selects another name for the same layout (8UC1, 16UC1, 8UC3) or RGB order (rgb8, rgb16). The
    returned bytes are a view of ``image`` unless they must be reordered. To fill a message, use
    ``a = array('B'); a.frombytes(data)``.

    Raises
    ------
    ImageError
        No encoding exists for this shape and dtype, or not the requested one.

    """
    names = encodings_of(image)
    name = names[0] if encoding is None else encoding
    if name not in names:
        raise ImageError(f"cannot publish {describe(image)} as '{encoding}'; "
                         f"allowed: {', '.join(names)}")
    if name in ('rgb8', 'rgb16'):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if sys.byteorder == 'big':
        image = image.astype(image.dtype.newbyteorder('<'))
    image = np.ascontiguousarray(image)
    return Encoded(name, image.data.cast('B'), image.nbytes // image.shape[0])


def encodings_of(image: np.ndarray) -> tuple[str, ...]:
    """Return the encodings in which an array can be published; raise ImageError if none."""
    names = _PUBLISHED_ENCODINGS.get((image.dtype.type, image.ndim), ())
    if not names or image.size == 0 or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f'cannot publish {describe(image)}; allowed are (H, W) uint8, uint16, '
                         'float32, float64 and (H, W, 3) uint8, uint16')
    return names


def as_bytes(data: Any) -> memoryview:
    """Return a read-only view of the bytes of a buffer; raise ImageError if it is not one."""
    try:
        view = memoryview(data)
        return view.toreadonly() if view.nbytes == 0 else view.cast('B').toreadonly()
    except TypeError as error:
        raise ImageError('image data must be a contiguous buffer of bytes, '
                         f'got {type(data).__name__}: {error}') from error


def _decode_yuv(encoding: str, data: Any, width: int, height: int, step: int) -> np.ndarray:
    """Convert an image of luma and chroma, 8 bits each, to BGR."""
    if encoding in _YUV422:
        pixels = _view(encoding, data, (height, width, 2), np.dtype(np.uint8), step)
        return convert_color(pixels, _YUV422[encoding])
    planes = _view(encoding, data, (_count_rows(encoding, height), width, 1),
                   np.dtype(np.uint8), step)
    if encoding in _YUV420_PLANES:
        return convert_color(planes, _YUV420_PLANES[encoding])
    luma = planes[:height]
    if encoding in _YUV422_PLANES:
        return convert_color(np.dstack([luma, planes[height:]]), _YUV422_PLANES[encoding])
    # A row of chroma is two rows of luma long, and padded at its end.
    step = planes.strides[0]
    chroma = np.ndarray((height, width, 2), np.uint8, as_bytes(data), height * step,
                        (2 * step, 2, 1))
    return cv2.transform(np.dstack([luma, chroma]), _YUV_TO_BGR)


def _without_alpha(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.float64:  # not supported by OpenCV
        return np.ascontiguousarray(image[..., :3])
    return convert_color(image, cv2.COLOR_BGRA2BGR)


def _count_rows(encoding: str, height: int) -> int:
    """Return the number of rows of an image with those of its planes of chroma."""
    if encoding in _YUV420_PLANES:
        return height * 3 // 2
    return height * (2 if encoding in _YUV422_PLANES else 3 if encoding in _YUV444_PLANES else 1)


def _check_encoding(encoding: str, width: int, height: int) -> None:
    if encoding in _TWO_CHANNELS:
        raise ImageError(f"'{encoding}' has two channels; an image has one (gray), or three or "
                         'four (colour)')
    if encoding not in ENCODINGS:
        raise ImageError(f"unknown image encoding {encoding[:40]!r}; known: {', '.join(_KNOWN)}")
    check_size(width, height, f'{encoding} image')
    if encoding in {*_YUV422, *_YUV420_PLANES, *_YUV422_PLANES} and width % 2:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the width must be even')
    if encoding in _YUV420_PLANES and height % 2:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the height must be even')
    if encoding.startswith('bayer_') and min(width, height) < 3:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the minimum is 3x3')


def _view(encoding: str, data: Any, shape: tuple[int, int, int], dtype: np.dtype,
          step: int) -> np.ndarray:
    """Return a read-only view ``(rows, width[, channels])`` of the bytes."""
    buffer = as_bytes(data)
    rows, width, channels = shape
    row_bytes = width * channels * dtype.itemsize
    step = step or row_bytes
    size = f'{encoding} image of {width} pixels in {rows} rows'
    if step < row_bytes:
        raise ImageError(f'{size}: a row needs {row_bytes} bytes, but step is {step}')
    if buffer.nbytes != rows * step:
        raise ImageError(f'{size}: expected {rows * step} bytes ({rows} rows of {step}), '
                         f'got {buffer.nbytes}')
    pixel = channels * dtype.itemsize
    if channels == 1:
        return np.ndarray(shape[:2], dtype, buffer, strides=(step, pixel))
    return np.ndarray(shape, dtype, buffer, strides=(step, pixel, dtype.itemsize))
