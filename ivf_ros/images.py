# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Conversion between the image encodings of ``sensor_msgs`` and arrays, without ROS.

Gray images become ``(H, W)`` arrays of the dtype that was sent. Colour images become
``(H, W, 3)`` arrays in BGR order: uint8, or uint16 for 16-bit encodings (``bayer_*16``,
``rgb16``, ``bgr16``). An alpha channel is dropped. If the message already has this layout, also
with padded rows, nothing is copied: the result is a read-only view of the message buffer.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cv2
import numpy as np


class ImageError(ValueError):
    """An image cannot be decoded or encoded: unknown encoding, or inconsistent sizes."""


def check_8bit(image: np.ndarray, name: str, error: type[ValueError] = ImageError) -> None:
    """
    Check that an image is BGR ``(H, W, 3)`` or gray ``(H, W)`` of uint8.

    Raises
    ------
    error
        The image has another type, shape or dtype. The message refers to it as ``name``.

    """
    if not isinstance(image, np.ndarray):
        raise error(f'{name} must be a numpy array, got {type(image).__name__}')
    if image.ndim < 2 or image.shape[2:] not in ((), (3,)) or image.dtype != np.uint8 \
            or image.size == 0:
        raise error(f'{name} must be (H, W, 3) BGR or (H, W) gray of uint8, '
                    f'got {image.shape} {image.dtype}')


class Encoded(NamedTuple):
    """Fields of an ``Image`` message; ``is_bigendian`` is always False."""

    encoding: str
    data: memoryview  # contiguous bytes; a view of the image if its layout allows it
    step: int  # bytes per row


class Compressed(NamedTuple):
    """Fields of a ``CompressedImage`` message."""

    message_format: str
    data: memoryview  # bytes of the JPEG or PNG file


# Encoding -> dtype of a sample, samples per pixel, OpenCV conversion to BGR (None: not needed).
_PLAIN: dict[str, tuple[type, int, int | None]] = {
    'mono8': (np.uint8, 1, None),
    '8UC1': (np.uint8, 1, None),
    'mono16': (np.uint16, 1, None),
    '16UC1': (np.uint16, 1, None),
    '32FC1': (np.float32, 1, None),
    '64FC1': (np.float64, 1, None),
    'bgr8': (np.uint8, 3, None),
    '8UC3': (np.uint8, 3, None),
    'rgb8': (np.uint8, 3, cv2.COLOR_RGB2BGR),
    'bgra8': (np.uint8, 4, cv2.COLOR_BGRA2BGR),
    'rgba8': (np.uint8, 4, cv2.COLOR_RGBA2BGR),
    'bgr16': (np.uint16, 3, None),
    'rgb16': (np.uint16, 3, cv2.COLOR_RGB2BGR),
}
# ROS names a pattern after its first row, OpenCV after pixels 2 and 3 of the second row.
_BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2BGR,
    'bayer_bggr': cv2.COLOR_BayerRG2BGR,
    'bayer_gbrg': cv2.COLOR_BayerGR2BGR,
    'bayer_grbg': cv2.COLOR_BayerGB2BGR,
}
_PLAIN.update((name + '8', (np.uint8, 1, code)) for name, code in _BAYER.items())
_PLAIN.update((name + '16', (np.uint16, 1, code)) for name, code in _BAYER.items())

# 4:2:2, two bytes per pixel: two neighbours in a row share their chroma.
_YUV422 = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY,
    'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2,
    'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}
# 4:2:0: a luma plane, then half as many rows of interleaved chroma, one sample per 2x2 pixels.
_YUV420 = {
    'nv12': cv2.COLOR_YUV2BGR_NV12,
    'nv21': cv2.COLOR_YUV2BGR_NV21,
}

ENCODINGS = tuple(_PLAIN) + tuple(_YUV422) + tuple(_YUV420)

# Encodings in which an array can be published, the default first.
_PUBLISHED_ENCODINGS: dict[tuple[type, int], tuple[str, ...]] = {
    (np.uint8, 2): ('mono8', '8UC1'),
    (np.uint16, 2): ('mono16', '16UC1'),
    (np.float32, 2): ('32FC1',),
    (np.float64, 2): ('64FC1',),
    (np.uint8, 3): ('bgr8', '8UC3', 'rgb8'),
    (np.uint16, 3): ('bgr16', 'rgb16'),
}

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'


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
        Size of the image in pixels. For ``nv12`` and ``nv21`` the buffer has 1.5 times as many
        rows as the image.
    step:
        Bytes from one row to the next; 0 means that the rows are not padded.
    is_bigendian:
        Byte order of 16-bit and float samples.

    Returns
    -------
    np.ndarray
        ``(H, W)`` or ``(H, W, 3)`` BGR in native byte order; a read-only view of ``data`` if no
        conversion is needed.

    Raises
    ------
    ImageError
        The encoding is unknown, or width, height, step and data length are inconsistent.

    """
    if encoding in _PLAIN:
        sample, channels, code = _PLAIN[encoding]
        rows = height
    elif encoding in _YUV422:
        sample, channels, code = np.uint8, 2, _YUV422[encoding]
        rows = height
    elif encoding in _YUV420:
        sample, channels, code = np.uint8, 1, _YUV420[encoding]
        rows = height + height // 2
    else:
        raise ImageError(f"unknown image encoding '{encoding}'; known: {', '.join(ENCODINGS)}")
    _check_size(encoding, width, height)
    wire_dtype = np.dtype(sample).newbyteorder('>' if is_bigendian else '<')
    image = _view(encoding, data, (rows, width, channels), wire_dtype, step)
    if not (wire_dtype.isnative and image.flags.aligned):
        image = image.astype(sample)
    return image if code is None else _to_bgr(image, code)


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
    names = _encodings_of(image)
    name = names[0] if encoding is None else encoding
    if name not in names:
        raise ImageError(f"cannot publish {_describe(image)} as '{encoding}'; "
                         f"allowed: {', '.join(names)}")
    if name in ('rgb8', 'rgb16'):
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if sys.byteorder == 'big':
        image = image.astype(image.dtype.newbyteorder('<'))
    image = np.ascontiguousarray(image)
    return Encoded(name, image.data.cast('B'), image.nbytes // image.shape[0])


def decode_compressed(message_format: str, data: Any) -> np.ndarray:
    """
    Decode the fields of a ``CompressedImage`` message, a JPEG or PNG file, to an array.

    ``message_format`` is what ``image_transport`` writes, such as ``'mono16; png compressed '``
    or ``'rgb8; jpeg compressed bgr8'``, or only the codec name. The codec itself is detected from
    the data. The first word is the encoding before compression. The last word is the channel
    order in the file: if it is not ``bgr*``, red and blue are exchanged in the file of a colour
    image. A Bayer mosaic (``bayer_*``) is converted to BGR.

    Returns ``(H, W)`` uint8 or uint16, or ``(H, W, 3)`` BGR uint8 or uint16.

    Raises
    ------
    ImageError
        The data is empty, truncated, neither JPEG nor PNG, or a ``compressedDepth`` image.

    """
    original, _, codec = message_format.partition(';')
    if 'compresseddepth' in message_format.lower():
        raise ImageError(f"format '{message_format}' is a compressed depth image; use the "
                         "transport 'compressed' (PNG for 16 bit) instead of 'compressedDepth'")
    buffer = _as_bytes(data)
    description = f"{len(buffer)} bytes of format '{message_format}'"
    _check_file(description, buffer)
    try:
        image = cv2.imdecode(np.frombuffer(buffer, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f'cannot decode {description}: {error.err}') from error
    if image is None:
        raise ImageError(f'cannot decode {description}: the file is damaged')
    if image.ndim == 2:
        pattern = original.strip().rstrip('0123456789')
        return _to_bgr(image, _BAYER[pattern]) if pattern in _BAYER else image
    swapped = original.startswith(('rgb', 'bgr')) and codec != '' and 'compressed bgr' not in codec
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_RGBA2BGR if swapped else cv2.COLOR_BGRA2BGR)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if swapped else image


def encode_compressed(image: np.ndarray, codec: str = 'png', quality: int = 90,
                      png_level: int = 1) -> Compressed:
    """
    Encode an array as the fields of a ``CompressedImage`` message.

    ``image`` is ``(H, W)`` or ``(H, W, 3)`` BGR: uint8, or uint16 for PNG. PNG is lossless.
    ``quality`` (0 to 100) applies to JPEG, ``png_level`` (0: fast, 9: small) to PNG.

    Raises
    ------
    ImageError
        The codec is unknown or does not support this shape and dtype.

    """
    name = _encodings_of(image)[0]
    allowed = {'png': (np.uint8, np.uint16), 'jpeg': (np.uint8,)}
    if codec not in allowed:
        raise ImageError(f"unknown codec '{codec}'; known: {', '.join(allowed)}")
    if image.dtype.type not in allowed[codec]:
        raise ImageError(f'{codec} does not support {_describe(image)}')
    options = {'png': [cv2.IMWRITE_PNG_COMPRESSION, png_level],
               'jpeg': [cv2.IMWRITE_JPEG_QUALITY, quality]}[codec]
    _, file = cv2.imencode('.' + codec, image, options)
    return Compressed(f"{name}; {codec} compressed {name if image.ndim == 3 else ''}",
                      file.reshape(-1).data)


def as_bgr8(image: np.ndarray, white_level: float = 65535.0) -> np.ndarray:
    """
    Convert an image of an RGB camera to ``(H, W, 3)`` uint8 BGR, the input of the stages.

    ``image`` is ``(H, W)`` or ``(H, W, 3)``, uint8 or uint16. An image that is already uint8 BGR
    is returned without a copy. Counts of a 16-bit image are scaled so that ``white_level``
    becomes 255 (4095 for a 12-bit camera that does not shift its counts up).

    Raises
    ------
    ImageError
        The shape or dtype is another one.

    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f'a colour image is (H, W) or (H, W, 3), got {_describe(image)}')
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255.0 / white_level)
    elif image.dtype != np.uint8:
        raise ImageError(f'a colour image is uint8 or uint16, got {_describe(image)}')
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


def _check_size(encoding: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; '
                         'width and height must be at least 1')
    if (encoding in _YUV422 or encoding in _YUV420) and width % 2:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the width must be even')
    if encoding in _YUV420 and height % 2:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the height must be even')
    if encoding.startswith('bayer_') and min(width, height) < 3:
        raise ImageError(f'{encoding} image of {width}x{height} pixels; the minimum is 3x3')


def _as_bytes(data: Any) -> memoryview:
    try:
        view = memoryview(data)
        return view.toreadonly() if view.nbytes == 0 else view.cast('B').toreadonly()
    except TypeError as error:
        raise ImageError('image data must be a contiguous buffer of bytes, '
                         f'got {type(data).__name__}: {error}') from error


def _view(encoding: str, data: Any, shape: tuple[int, int, int], dtype: np.dtype,
          step: int) -> np.ndarray:
    """Return a read-only view ``(rows, width[, channels])`` of the bytes."""
    buffer = _as_bytes(data)
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


def _to_bgr(image: np.ndarray, code: int) -> np.ndarray:
    try:
        return cv2.cvtColor(image, code)
    except cv2.error as error:
        raise ImageError(f'cannot convert {_describe(image)} to BGR: {error.err}') from error


def _check_file(description: str, buffer: memoryview) -> None:
    """Check for a complete JPEG or PNG file; OpenCV fills missing parts with gray."""
    head = bytes(buffer[:len(_PNG_START)])
    if head.startswith(_JPEG_START):
        end = _JPEG_END
    elif head == _PNG_START:
        end = _PNG_END
    else:
        raise ImageError(f'{description} are neither a JPEG nor a PNG file; '
                         f'they begin with {head!r}')
    # Some cameras append zeros to the file.
    if not bytes(buffer[-4096:]).rstrip(b'\0').endswith(end):
        raise ImageError(f'truncated file: {description} do not end with {end!r}')


def _encodings_of(image: np.ndarray) -> tuple[str, ...]:
    names = _PUBLISHED_ENCODINGS.get((image.dtype.type, image.ndim), ())
    if not names or image.size == 0 or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f'cannot publish {_describe(image)}; allowed are (H, W) uint8, uint16, '
                         'float32, float64 and (H, W, 3) uint8, uint16')
    return names


def _describe(image: np.ndarray) -> str:
    return f'an array of shape {image.shape} and dtype {image.dtype}'
