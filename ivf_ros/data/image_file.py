# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files as they are stored, as the image of a thermal camera, and of an RGB camera."""

from __future__ import annotations

from functools import cache
import logging
from pathlib import Path

from ivf_ros import images, regular_files
from ivf_ros.data import radiometric
from ivf_ros.data.recording import drop_equal_channels, SourceError
from ivf_ros.images.limits import MAX_FILE_BYTES
import numpy as np


def read_image(path: Path) -> np.ndarray:
    """
    Read the picture in an image file: ``(H, W)`` or ``(H, W, 3)`` BGR, without transparency.

    The depth is that of the file: uint8, uint16, float32 or float64; ``images.to_sample_type``
    says what becomes of signed and 32-bit integers.

    Raises
    ------
    SourceError
        The file cannot be read, is truncated or is not an image, or it is no regular file or too
        large: see ``images.limits``.

    """
    return _decode(path, _read_bytes(path))


def read_thermal(path: Path) -> np.ndarray:
    """
    Read a thermal image ``(H, W)`` with the depth of the file.

    An image in false colours is returned as it is, ``(H, W, 3)`` BGR; see ``to_thermal``. A
    radiometric JPEG file of FLIR becomes its temperatures, float32 in degrees Celsius. Of one of
    DJI only the picture is read, and the log says so once for each folder.

    Raises
    ------
    SourceError
        As ``read_image``, or the file is radiometric and flyr is not installed.

    """
    data = _read_bytes(path)
    if radiometric.is_flir(data):
        return radiometric.FlirImage(str(path), data).read_celsius()
    if radiometric.is_dji(data):
        _warn_of_dji(path.parent)
    return drop_equal_channels(_decode(path, data))


def read_visible(path: Path) -> np.ndarray:
    """
    Read a visible image ``(H, W)`` or ``(H, W, 3)`` BGR with the depth of the file.

    A radiometric JPEG file of FLIR becomes the image of its visible camera.

    Raises
    ------
    SourceError
        As ``read_thermal``, or a radiometric file holds no visible image.

    """
    data = _read_bytes(path)
    if radiometric.is_flir(data):
        return radiometric.FlirImage(str(path), data).read_visible()
    return _decode(path, data)


def read_rgb(path: Path) -> np.ndarray:
    """Read a visible image as ``(H, W, 3)`` uint8 BGR; raise SourceError as ``read_visible``."""
    try:
        return images.as_bgr8(read_visible(path))
    except images.ImageError as error:
        raise SourceError(f'{path}: {error}') from None


def read_prior(thermal: Path, rgb: Path) -> np.ndarray | None:
    """
    Return H_thermal_to_rgb ``(3, 3)`` that a radiometric file states for its own two images.

    None if the two paths are different files, or the file does not state it. Raises SourceError as
    ``read_thermal``.
    """
    if thermal != rgb:
        return None
    data = _read_bytes(thermal)
    return radiometric.FlirImage(str(thermal), data).read_prior() if radiometric.is_flir(data) \
        else None


def _read_bytes(path: Path) -> bytes:
    try:
        return regular_files.read_bytes(path, MAX_FILE_BYTES)
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None


def _decode(path: Path, data: bytes) -> np.ndarray:
    try:
        return images.decode_file(data)
    except images.TruncatedFileError:
        raise SourceError(f'{path} is truncated at {len(data)} bytes') from None
    except images.ImageError as error:
        raise SourceError(f'{path} ({len(data)} bytes): {error}') from None


@cache
def _warn_of_dji(folder: Path) -> None:
    logging.getLogger(__name__).warning(
        '%s: radiometric JPEG files of DJI; their picture is read, not the temperatures. Convert '
        'them to TIFF with the SDK of DJI to have temperatures', folder)
