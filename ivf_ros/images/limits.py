# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How large an image may be, checked before it is decoded.

A compressed image of a few hundred kilobytes can hold gigabytes of pixels. The greatest cameras of
robots have about 100 megapixels.
"""

from __future__ import annotations

from ivf_ros.images.arrays import ImageError

MAX_PIXELS = 100_000_000  # 10000x10000
MAX_SIDE_PX = 32_766  # OpenCV warps no greater image
MAX_IMAGE_BYTES = 6 * MAX_PIXELS  # of decoded pixels: the greatest image in 16-bit colour
MAX_FILE_BYTES = 1 << 30  # of an image file


def check_size(width: int, height: int, name: str, error: type[ValueError] = ImageError,
               pixel_bytes: int = 1) -> None:
    """
    Check that an image is not empty and not too large.

    Parameters
    ----------
    width, height:
        Size in pixels.
    name:
        What has this size, for the error message.
    error:
        Type of the error.
    pixel_bytes:
        Bytes that the decoder needs for a pixel.

    Raises
    ------
    error
        A side is less than 1 or more than ``MAX_SIDE_PX``, or the image has more than
        ``MAX_PIXELS`` pixels or ``MAX_IMAGE_BYTES`` bytes.

    """
    name = f'{name} of {width}x{height} pixels'
    if width < 1 or height < 1:
        raise error(f'{name}; width and height must be at least 1')
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise error(f'{name} is too large; allowed are sides of {MAX_SIDE_PX} and '
                    f'{MAX_PIXELS // 10 ** 6} megapixels')
    check_bytes(width * height * pixel_bytes, name, error)


def check_bytes(n_bytes: int, name: str, error: type[ValueError] = ImageError) -> None:
    """Check the number of bytes of the decoded pixels; raise ``error`` if it is too great."""
    if n_bytes > MAX_IMAGE_BYTES:
        raise error(f'{name} is too large: it takes {n_bytes / 1e6:.0f} MB decoded; allowed are '
                    f'{MAX_IMAGE_BYTES // 10 ** 6} MB')
