# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images: files of a codec, and the messages of ``image_transport`` that hold them."""

from __future__ import annotations

import struct
import sys
from typing import Any, NamedTuple
import zlib

import cv2
from ivf_ros.images.arrays import (
    convert_color,
    describe,
    ImageError,
    to_sample_type,
    TruncatedFileError,
)
from ivf_ros.images.depth_codec import decode_depth, has_header
from ivf_ros.images.encodings import (
    as_bytes,
    BAYER_CODES,
    count_bytes,
    decode,
    encodings_of,
)
from ivf_ros.images.file_ends import find_end
from ivf_ros.images.file_headers import check_header
from ivf_ros.images.limits import check_bytes
from ivf_ros.images.tiff import call_signed
from ivf_ros.optional_imports import explain_missing
import numpy as np


class Compressed(NamedTuple):
    """Fields of a ``CompressedImage`` message."""

    message_format: str
    data: memoryview  # bytes of the JPEG or PNG file


_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
_ZSTD_START = b'\x28\xb5\x2f\xfd'


def decode_compressed(message_format: str, data: Any) -> np.ndarray:
    """
    Decode the fields of a ``CompressedImage`` message to an array.

    ``message_format`` is what ``image_transport`` writes, such as ``'mono16; png compressed '``,
    ``'rgb8; jpeg compressed bgr8'`` or ``'16UC1; compressedDepth rvl'``, or only the codec name.
    Known are the files of ``decode_file``, ``compressedDepth`` and ``zstd``; the codec of a file
    is detected from the data. The first word is the encoding before compression. The last word is
    the channel order in the file: if it is not ``bgr*``, red and blue are exchanged in the file of
    a colour image. A TIFF file has the order of the first word. A Bayer mosaic (``bayer_*``) is
    converted to BGR.

    Returns ``(H, W)`` or ``(H, W, 3)`` BGR, with the depth of the file: uint8, uint16, float32 or
    float64, see ``to_sample_type``. Depth images of 32FC1 are float32, NaN where there is none.

    Raises
    ------
    ImageError
        The data is empty, truncated, damaged, or of none of these codecs, or the image is larger
        than ``limits`` allows.

    """
    buffer = as_bytes(data)
    original, _, codec = (part.strip() for part in message_format.partition(';'))
    if original == 'zstd':
        return _decode_zstd(buffer)
    if 'compresseddepth' in codec.lower() or has_header(buffer):
        return decode_depth(original, buffer, decode_file)
    image = decode_file(buffer, ignore_orientation=True)
    if image.ndim == 2:
        pattern = original.rstrip('0123456789')
        return convert_color(image, BAYER_CODES[pattern]) if pattern in BAYER_CODES else image
    swapped = codec != '' and 'compressed bgr' not in codec and (
        original.startswith('rgb') or (original.startswith('bgr') and 'tiff' not in codec))
    return convert_color(image, cv2.COLOR_RGB2BGR) if swapped else image


def decode_file(data: Any, *, ignore_orientation: bool = False) -> np.ndarray:
    """
    Decode an image file: JPEG, PNG, TIFF, WebP, JPEG 2000, BMP, PGM or PPM.

    What follows the end of a JPEG or PNG file is ignored. ``ignore_orientation`` leaves the pixels
    as they are stored, also if EXIF says that the camera was turned. The size of the image is read
    and checked before anything is decoded.

    Returns ``(H, W)`` or ``(H, W, 3)`` BGR of uint8, uint16, float32 or float64, without alpha.

    Raises
    ------
    ImageError
        The data is empty, truncated or damaged, or of none of these formats, or the image is
        larger than ``limits`` allows.

    """
    buffer = as_bytes(data)
    if not buffer:
        raise ImageError('the image file is empty')
    end = find_end(buffer)
    if end is None:
        raise TruncatedFileError('truncated image file: its end marker is missing')
    check_header(buffer)
    flags = _AS_STORED | (cv2.IMREAD_IGNORE_ORIENTATION if ignore_orientation else 0)
    image = _decode_by_opencv(buffer[:end], flags)
    if image is None and (signed := call_signed(buffer)):
        image = _decode_by_opencv(signed, flags)
        if image is not None and image.dtype == np.int32:
            image = image.view(np.uint32)
    if image is None:
        raise ImageError('cannot decode the image file: it is damaged or truncated')
    return to_sample_type(image)


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
    name = encodings_of(image)[0]
    allowed = {'png': (np.uint8, np.uint16), 'jpeg': (np.uint8,)}
    if codec not in allowed:
        raise ImageError(f"unknown codec '{codec}'; known: {', '.join(allowed)}")
    if image.dtype.type not in allowed[codec]:
        raise ImageError(f'{codec} does not support {describe(image)}')
    options = {'png': [cv2.IMWRITE_PNG_COMPRESSION, png_level],
               'jpeg': [cv2.IMWRITE_JPEG_QUALITY, quality]}[codec]
    _, file = cv2.imencode('.' + codec, image, options)
    return Compressed(f"{name}; {codec} compressed {name if image.ndim == 3 else ''}",
                      file.reshape(-1).data)


def _decode_by_opencv(data: memoryview | bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError('cannot decode the image file: '
                         + ' '.join(str(error.err).split())) from error


def _decode_zstd(data: memoryview) -> np.ndarray:
    """
    Decode the data of ``zstd_image_transport``: the fields of an Image with compressed pixels.

    The header is height, width (uint32), is_bigendian (uint8), step and the length of the encoding
    (uint32), little-endian, then the encoding. Versions before 2026 compress with zlib.
    """
    header = struct.Struct('<IIBII')
    if len(data) < header.size:
        raise ImageError('truncated zstd image: its header is incomplete')
    height, width, is_bigendian, step, length = header.unpack(data[:header.size])
    start = header.size + length
    encoding = bytes(data[header.size:start]).decode('ascii', 'replace')
    n_bytes = count_bytes(encoding, width, height, step)
    check_bytes(n_bytes, f'{encoding} image of {width}x{height} pixels with a step of {step}')
    pixels = _decompress(data[start:], n_bytes + 1)
    return decode(encoding, pixels, width, height, step, is_bigendian)


def _decompress(data: memoryview, max_length: int) -> bytes:
    """Decompress zlib, gzip or zstd data; what is longer than the limit is left out."""
    decompressor: Any = zlib.decompressobj(wbits=zlib.MAX_WBITS + 32)
    errors: tuple[type[Exception], ...] = (zlib.error,)
    if data[:4] == _ZSTD_START:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            with explain_missing('decoding a zstd image', ImageError, 'backports.zstd'):
                from backports import zstd
        decompressor, errors = zstd.ZstdDecompressor(), (zstd.ZstdError, EOFError)
    try:
        return decompressor.decompress(data, max_length)
    except errors as error:
        raise ImageError(f'damaged zstd image: {error}') from None
