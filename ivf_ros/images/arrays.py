# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arrays that hold images: allowed types, conversion to them, and to 8-bit colour."""

from __future__ import annotations

import cv2
import numpy as np

# Sample types that the stages take.
SAMPLE_TYPES = (np.uint8, np.uint16, np.float32, np.float64)

# Counts of signed colour -> the unsigned type that holds them.
_UNSIGNED: dict[type, type] = {np.int8: np.uint8, np.int16: np.uint16, np.int32: np.uint16,
                               np.uint32: np.uint16}
_GREATEST_UNIT_FLOAT = 2.0


class ImageError(ValueError):
    """An image cannot be decoded or encoded: unknown encoding, or inconsistent sizes."""


class TruncatedFileError(ImageError):
    """The end of an image file is missing."""


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


def to_sample_type(image: np.ndarray) -> np.ndarray:
    """
    Convert an image to a sample type that the stages take: uint8, uint16, float32 or float64.

    Signed and 32-bit integers of a gray image ``(H, W)``, such as temperatures, become float32 of
    the same values. Those of a colour image ``(H, W, 3)`` are counts of light: they become
    unsigned, 8 bits as uint8, 16 and 32 bits as uint16; what is out of range saturates.
    """
    sample = image.dtype.type
    if sample in SAMPLE_TYPES:
        return image
    if image.ndim == 3 and sample in _UNSIGNED:
        greatest = min(np.iinfo(sample).max, np.iinfo(_UNSIGNED[sample]).max)
        return image.clip(0, greatest).astype(_UNSIGNED[sample])
    return image.astype(np.float32)


def as_bgr8(image: np.ndarray, white_level: float = 65535.0) -> np.ndarray:
    """
    Convert an image of an RGB camera to ``(H, W, 3)`` uint8 BGR, the input of the stages.

    ``image`` is ``(H, W)`` or ``(H, W, 3)``. An image that is already uint8 BGR is returned
    without a copy. What becomes 255 depends on the dtype:

    - uint16: ``white_level`` (4095 for a 12-bit camera that does not shift its counts up);
    - float: 1, or 255 if the image has a value above 2; NaN becomes black.

    Raises
    ------
    ImageError
        The shape or dtype is another one.

    """
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f'a colour image is (H, W) or (H, W, 3), got {describe(image)}')
    if image.dtype.type in (np.float32, np.float64):
        image = _float_to_8bit(image)
    elif image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=255.0 / white_level)
    elif image.dtype != np.uint8:
        raise ImageError('a colour image is uint8, uint16, float32 or float64, got '
                         f'{describe(image)}')
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image


def convert_color(image: np.ndarray, code: int) -> np.ndarray:
    """Convert an image by a code of ``cv2.cvtColor``; raise ImageError if OpenCV refuses it."""
    try:
        return cv2.cvtColor(image, code)
    except cv2.error as error:
        raise ImageError(f'cannot convert {describe(image)} to BGR: {error.err}') from error


def describe(image: np.ndarray) -> str:
    """Return the shape and the dtype of an array, for an error message."""
    return f'an array of shape {image.shape} and dtype {image.dtype}'


def _float_to_8bit(image: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0)
    if values.max(initial=0.0) <= _GREATEST_UNIT_FLOAT:
        values *= 255.0
    return np.rint(values.clip(0, 255, out=values)).astype(np.uint8)
