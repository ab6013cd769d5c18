# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Image encodings of ``sensor_msgs`` to arrays and back, without ROS.

Gray images become ``(H, W)`` arrays in the type that they were sent in. Colour images become
``(H, W, 3)`` arrays in BGR order, uint8, or uint16 where 16 bits were sent (``bayer_*16``,
``rgb16``, ``bgr16``); an alpha channel is dropped. Where the bytes on the wire already are such an
array, nothing is copied: the result is a read-only view of the buffer that was given, also when
the rows are padded.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cv2
import numpy as np


class ImageError(ValueError):
    """An image that cannot be understood: unknown encoding, or sizes that do not add up."""


def check_8bit(image: np.ndarray, name: str, error: type[ValueError] = ImageError) -> None:
    """
    Refuse what is neither a BGR image ``(H, W, 3)`` nor a gray image ``(H, W)``, both uint8.

    Raises
    ------
    error
        The message says what was got and what is allowed; it calls the image ``name``.

    """
    if not isinstance(image, np.ndarray):
        raise error(f'{name} must be a numpy array, got {type(image).__name__}')
    if image.ndim < 2 or image.shape[2:] not in ((), (3,)) or image.dtype != np.uint8 \
            or image.size == 0:
        raise error(f'{name} must be (H, W, 3) BGR or (H, W) gray of uint8, '
                    f'got {image.shape} {image.dtype}')


class Encoded(NamedTuple):
    """What an ``Image`` message carries; ``is_bigendian`` is always False."""

    encoding: str
    data: memoryview  # bytes, contiguous, of the image itself where its layout allows
    step: int  # bytes in a row


class Compressed(NamedTuple):
    """What a ``CompressedImage`` message carries."""

    message_format: str
    data: memoryview  # bytes of the JPEG or PNG file


# Encoding -> type of a sample, samples in a pixel, conversion to BGR. None: it is what we want.
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
# ROS names the pattern by its first row, OpenCV by the second and third pixel of the second row.
_BAYER = {
    'bayer_rggb': cv2.COLOR_BayerBG2BGR,
    'bayer_bggr': cv2.COLOR_BayerRG2BGR,
    'bayer_gbrg': cv2.COLOR_BayerGR2BGR,
    'bayer_grbg': cv2.COLOR_BayerGB2BGR,
}
_PLAIN.update((name + '8', (np.uint8, 1, code)) for name, code in _BAYER.items())
_PLAIN.update((name + '16', (np.uint16, 1, code)) for name, code in _BAYER.items())

# Two bytes a pixel, colour shared by two neighbours in a row.
_YUV422 = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY,
    'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2,
    'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}
# A plane of luma, then half as many rows in which colour, shared by 2x2 pixels, is interleaved.
_YUV420 = {
    'nv12': cv2.COLOR_YUV2BGR_NV12,
    'nv21': cv2.COLOR_YUV2BGR_NV21,
}

ENCODINGS = tuple(_PLAIN) + tuple(_YUV422) + tuple(_YUV420)

# What an array may be published as, the default first.
_PUBLISHED: dict[tuple[type, int], tuple[str, ...]] = {
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
    Turn the fields of an ``Image`` message into an array.

    ``data`` is bytes, bytearray, memoryview, ``array.array('B')`` or a uint8 array. ``step`` is
    the number of bytes from one row to the next; 0 means that rows are not padded. ``height`` is
    that of the image also for ``nv12`` and ``nv21``, whose buffer has half as many rows again.

    Returns ``(H, W)`` or ``(H, W, 3)`` BGR in native byte order; a read-only view of ``data``
    wherever no conversion is needed.

    Raises
    ------
    ImageError
        The encoding is unknown, or width, height, step and length of the data contradict each
        other.

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
    wire = np.dtype(sample).newbyteorder('>' if is_bigendian else '<')
    image = _view(encoding, data, (rows, width, channels), wire, step)
    if not (wire.isnative and image.flags.aligned):
        image = image.astype(sample)
    return image if code is None else _to_bgr(image, code)


def encode(image: np.ndarray, encoding: str | None = None) -> Encoded:
    """
    Turn an array into the fields of an ``Image`` message.

    ``image`` is ``(H, W)`` uint8, uint16, float32 or float64, or ``(H, W, 3)`` BGR uint8 or
    uint16. The default encodings are mono8, mono16, 32FC1, 64FC1, bgr8 and bgr16; ``encoding``
    chooses another name for the same array (8UC1, 16UC1, 8UC3) or RGB order (rgb8, rgb16). The
    returned bytes are those of ``image`` itself unless they have to be reordered; fill a message
    by ``a = array('B'); a.frombytes(data)``.

    Raises
    ------
    ImageError
        The shape or type cannot be published, or not in this encoding.

    """
    names = _published_as(image)
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
    Turn the fields of a ``CompressedImage`` message, a JPEG or PNG file, into an array.

    ``message_format`` is what ``image_transport`` writes, such as ``'mono16; png compressed '``
    or ``'rgb8; jpeg compressed bgr8'``, or only the name of the codec. Which codec it is, the data
    itself tells. The first word is the encoding before compression, the last one the channel order
    in the file: the file of a colour image without ``bgr`` there holds red and blue exchanged. A
    mosaic (``bayer_*``) is converted to BGR.

    Returns ``(H, W)`` uint8 or uint16, or ``(H, W, 3)`` BGR uint8 or uint16.

    Raises
    ------
    ImageError
        The data is empty, truncated, not a JPEG or PNG file, or ``compressedDepth``.

    """
    original, _, codec = message_format.partition(';')
    if 'compresseddepth' in message_format.lower():
        raise ImageError(f"format '{message_format}' is a compressed depth image; use the "
                         "transport 'compressed' (PNG for 16 bit) instead of 'compressedDepth'")
    buffer = _bytes_of(data)
    what = f"{len(buffer)} bytes of format '{message_format}'"
    _check_file(what, buffer)
    try:
        image = cv2.imdecode(np.frombuffer(buffer, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f'cannot decode {what}: {error.err}') from error
    if image is None:
        raise ImageError(f'cannot decode {what}: damaged file')
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
    Turn an array into the fields of a ``CompressedImage`` message.

    ``image`` is ``(H, W)`` or ``(H, W, 3)`` BGR; uint8, or uint16 for PNG, which loses nothing.
    ``quality`` (0 to 100) is that of JPEG; ``png_level`` 0 (fast) to 9 (small).

    Raises
    ------
    ImageError
        The codec is unknown or cannot hold such an image.

    """
    name = _published_as(image)[0]
    allowed = {'png': (np.uint8, np.uint16), 'jpeg': (np.uint8,)}
    if codec not in allowed:
        raise ImageError(f"unknown codec '{codec}'; known: {', '.join(allowed)}")
    if image.dtype.type not in allowed[codec]:
        raise ImageError(f'{codec} cannot hold {_describe(image)}')
    options = {'png': [cv2.IMWRITE_PNG_COMPRESSION, png_level],
               'jpeg': [cv2.IMWRITE_JPEG_QUALITY, quality]}[codec]
    _, file = cv2.imencode('.' + codec, image, options)
    return Compressed(f"{name}; {codec} compressed {name if image.ndim == 3 else ''}",
                      file.reshape(-1).data)


def as_bgr8(image: np.ndarray, white_level: float = 65535.0) -> np.ndarray:
    """
    Return what an RGB camera sent as ``(H, W, 3)`` uint8 BGR, the form that the stages want.

    ``image`` is ``(H, W)`` or ``(H, W, 3)``, uint8 or uint16, and is returned itself where
    nothing has to change. Counts of a 16-bit image are scaled so that ``white_level`` becomes 255
    (4095 for a 12-bit camera that does not shift its counts up).

    Raises
    ------
    ImageError
        Any other shape or type.

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
        raise ImageError(f'{encoding} image of {width}x{height} pixels; at least 3x3 are needed')


def _bytes_of(data: Any) -> memoryview:
    try:
        view = memoryview(data)
        return view.toreadonly() if view.nbytes == 0 else view.cast('B').toreadonly()
    except TypeError as error:
        raise ImageError('image data must be a contiguous buffer of bytes, '
                         f'got {type(data).__name__}: {error}') from error


def _view(encoding: str, data: Any, shape: tuple[int, int, int], dtype: np.dtype,
          step: int) -> np.ndarray:
    """Return a read-only ``(rows, width[, channels])`` view of the bytes."""
    buffer = _bytes_of(data)
    rows, width, channels = shape
    row_bytes = width * channels * dtype.itemsize
    step = step or row_bytes
    size = f'{encoding} image of {width} pixels in {rows} rows'
    if step < row_bytes:
        raise ImageError(f'{size}: a row takes {row_bytes} bytes, but step is {step}')
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


def _check_file(what: str, buffer: memoryview) -> None:
    """Refuse what is not a whole JPEG or PNG file; OpenCV would make gray areas of the rest."""
    head = bytes(buffer[:len(_PNG_START)])
    if head.startswith(_JPEG_START):
        end = _JPEG_END
    elif head == _PNG_START:
        end = _PNG_END
    else:
        raise ImageError(f'{what} are neither a JPEG nor a PNG file; they begin with {head!r}')
    # Some cameras pad their files with zeros.
    if not bytes(buffer[-4096:]).rstrip(b'\0').endswith(end):
        raise ImageError(f'truncated file: {what} do not end with {end!r}')


def _published_as(image: np.ndarray) -> tuple[str, ...]:
    names = _PUBLISHED.get((image.dtype.type, image.ndim), ())
    if not names or image.size == 0 or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f'cannot publish {_describe(image)}; allowed are (H, W) uint8, uint16, '
                         'float32, float64 and (H, W, 3) uint8, uint16')
    return names


def _describe(image: np.ndarray) -> str:
    return f'an array of shape {image.shape} and type {image.dtype}'
