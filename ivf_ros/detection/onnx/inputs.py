# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From an image to the inputs of an ONNX model: size, channels, values and number format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from ivf_ros.detection.errors import DetectionError
from ivf_ros.nn.runtime import NetworkInput
import numpy as np

FITS = ('letterbox', 'corner', 'stretch')
VALUES = ('rgb_1', 'rgb_255', 'bgr_1', 'bgr_255', 'rgb_imagenet', 'bgr_imagenet')
MAX_SIDE_PX = 4096
PADDING_GRAY = 114  # as in the training of the YOLO family
# Mean and standard deviation of the photographs of ImageNet, red first, on a scale of 0 to 255.
_IMAGENET_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
_IMAGENET_DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
_DTYPES = {'tensor(float)': np.float32, 'tensor(float16)': np.float16,
           'tensor(double)': np.float64, 'tensor(uint8)': np.uint8, 'tensor(int32)': np.int32,
           'tensor(int64)': np.int64, 'tensor(bool)': np.bool_}
_IMAGE_DTYPES = (np.float32, np.float16, np.uint8)
_TARGET_SIZE_NAMES = ('orig_target_sizes', 'orig_target_size', 'orig_sizes', 'target_sizes')
_MASK_NAME = 'pixel_mask'
_SHAPE_NAME, _SCALE_NAME = 'im_shape', 'scale_factor'  # of PaddleDetection


@dataclass(frozen=True)
class InputFormat:
    """
    The format of the image and of the other inputs of a model.

    Attributes
    ----------
    size:
        Width and height of the image in pixels.
    channels:
        1 for gray, 3 for colour, 4 for colour and thermal.
    is_channels_last:
        Whether the image is ``(H, W, C)`` and not ``(C, H, W)``.
    has_batch_axis:
        Whether an axis of one image comes first.
    dtype:
        Of the image: float32, float16 or uint8.
    others:
        For each input the array that it gets for every image; None for the image.

    """

    size: tuple[int, int]
    channels: int
    is_channels_last: bool
    has_batch_axis: bool
    dtype: type
    others: tuple[np.ndarray | None, ...]

    @property
    def takes_target_size(self) -> bool:
        """Whether the model is told the size of the image to which its boxes refer."""
        return any(array is not None and array.shape == (1, 2) for array in self.others)


def read_format(inputs: Sequence[NetworkInput], free_size: tuple[int, int]) -> InputFormat:
    """
    Return the format of the inputs of a model.

    Parameters
    ----------
    inputs:
        The inputs of the model.
    free_size:
        Width and height of the image where the model leaves them open.

    Raises
    ------
    DetectionError
        No input is an image, or the purpose of another input is not known.

    """
    position, image = _find_image(inputs)
    shape = image.shape
    sides = shape[-3:]
    is_channels_last = sides[0] not in (1, 3, 4) and sides[2] in (1, 3, 4)
    channels, rows, columns = ((sides[2], *sides[:2]) if is_channels_last else sides)
    if (isinstance(channels, int) and channels not in (1, 3, 4)) \
            or (len(shape) == 4 and isinstance(shape[0], int) and shape[0] != 1):
        raise DetectionError(
            'the input must be (1, 1 or 3 or 4, height, width) or the same with the channels '
            f"last, got '{image.name}' {_show(shape)}; export the model for a batch of 1")
    dtype = _DTYPES.get(image.element_type)
    if dtype not in _IMAGE_DTYPES:
        raise DetectionError(f"the image must be float, float16 or uint8, got '{image.name}' "
                             f'{image.element_type}')
    size = (columns if isinstance(columns, int) and columns > 0 else free_size[0],
            rows if isinstance(rows, int) and rows > 0 else free_size[1])
    if max(size) > MAX_SIDE_PX:
        raise DetectionError(f'the input must have at most {MAX_SIDE_PX} pixels a side, got '
                             f'{size[0]}x{size[1]}; export the model for smaller images')
    return InputFormat(
        size, channels if isinstance(channels, int) else 3, is_channels_last, len(shape) == 4,
        dtype, tuple(None if index == position else _make_other(node, size)
                     for index, node in enumerate(inputs)))


def check_values(values: str, input_format: InputFormat) -> None:
    """
    Raise DetectionError where the model cannot take these values.

    ``values`` is one of ``VALUES``.
    """
    if input_format.dtype == np.uint8 and not values.endswith('255'):
        raise DetectionError('onnx.input_values must be rgb_255 or bgr_255 for a uint8 input, '
                             f"got '{values}'")
    if values.endswith('imagenet') and input_format.channels != 3:
        raise DetectionError(f"onnx.input_values '{values}' is for 3 channels, and the model has "
                             f'{input_format.channels}; set rgb_1 or rgb_255')


def fit_image(image: np.ndarray, size: tuple[int, int], fit: str
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Resize an image to ``size``.

    Parameters
    ----------
    image:
        ``(H, W, channels)`` uint8.
    size:
        Width and height of the result in pixels.
    fit:
        'letterbox' keeps the aspect ratio and centres the image on gray; 'corner' does the same
        with the image at the left top; 'stretch' changes the aspect ratio.

    Returns
    -------
    image
        ``(height, width, channels)`` uint8.
    scale, offset_px
        ``(2,)`` each: point (x, y) of the original is at ``scale * (x, y) + offset_px``. Both
        points count from the outer edge of the first pixel.

    """
    if fit == 'stretch':
        scale = np.array(size) / image.shape[1::-1]
        return _resize(image, size), scale, np.zeros(2)
    fitted, factor, offset_px = letterbox(image, size, is_centred=fit == 'letterbox')
    return fitted, np.array([factor, factor]), np.array(offset_px)


def letterbox(image: np.ndarray, size: tuple[int, int], *, is_centred: bool = True
              ) -> tuple[np.ndarray, float, tuple[int, int]]:
    """
    Resize an image to fit into ``size`` without distortion, and pad it with gray.

    Parameters
    ----------
    image:
        ``(H, W, channels)`` uint8.
    size:
        Width and height of the result in pixels.
    is_centred:
        Whether the padding is on both sides, or on the right and at the bottom.

    Returns
    -------
    image
        ``(height, width, channels)`` uint8.
    scale, (left, top)
        Point (x, y) of the original is at (scale x + left, scale y + top); both count from the
        outer edge of the first pixel.

    """
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(scale * width)), max(1, round(scale * height))
    left, top = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2) if is_centred else (0, 0)
    letterboxed = np.full((size[1], size[0], image.shape[2]), PADDING_GRAY, np.uint8)
    letterboxed[top:top + inner[1], left:left + inner[0]] = _resize(image, inner)
    return letterboxed, scale, (left, top)


def to_network_inputs(image: np.ndarray, values: str, input_format: InputFormat
                      ) -> list[np.ndarray]:
    """
    Return the inputs of a model for one image.

    Parameters
    ----------
    image:
        ``(height, width, channels)`` uint8 of the size of the input: BGR, or BGR and thermal.
    values:
        One of ``VALUES``: the order of the colours, and 0 to 1, 0 to 255, or standardised with
        the statistics of ImageNet. Thermal stays the last channel, on the same scale.
    input_format:
        The format of the inputs.

    """
    is_rgb = values.startswith('rgb')
    if input_format.channels == 1:
        array = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY)[..., None]
    else:
        array = np.dstack([image[..., 2::-1], image[..., 3:]]) if is_rgb else image
    if input_format.dtype != np.uint8:
        array = array.astype(np.float32)
        if values.endswith('imagenet'):
            order = slice(None, None, 1 if is_rgb else -1)
            array = (array - _IMAGENET_MEAN[order]) / _IMAGENET_DEVIATION[order]
        elif values.endswith('_1'):
            array = array / np.float32(255)
    if not input_format.is_channels_last:
        array = array.transpose(2, 0, 1)
    if input_format.has_batch_axis:
        array = array[None]
    array = np.ascontiguousarray(array, input_format.dtype)
    return [array if other is None else other for other in input_format.others]


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    resized = cv2.resize(image, size,
                         interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized.reshape(size[1], size[0], image.shape[2])


def _find_image(inputs: Sequence[NetworkInput]) -> tuple[int, NetworkInput]:
    """Return the image among the inputs and its position; a batch comes before a single image."""
    for rank in (4, 3):
        for position, node in enumerate(inputs):
            if len(node.shape) == rank and node.name != _MASK_NAME:
                return position, node
    raise DetectionError('a detector has an image (1, 3, height, width) as input, got '
                         + ', '.join(f"'{node.name}' {_show(node.shape)}" for node in inputs))


def _make_other(node: NetworkInput, size: tuple[int, int]) -> np.ndarray:
    """Return the array of an input that is not the image; boxes then refer to the input image."""
    dtype = _DTYPES.get(node.element_type, np.int64)
    if node.name in _TARGET_SIZE_NAMES:
        return np.array([size], dtype)
    if node.name == _SHAPE_NAME:
        return np.array([size[::-1]], dtype)
    if node.name == _SCALE_NAME:
        return np.ones((1, 2), dtype)
    if node.name == _MASK_NAME:
        return np.ones((1, size[1], size[0]), dtype)
    raise DetectionError(f"the model needs an input '{node.name}' {_show(node.shape)}; known "
                         f"beside the image are {', '.join(_TARGET_SIZE_NAMES)}, {_MASK_NAME}, "
                         f'{_SHAPE_NAME} and {_SCALE_NAME}; export the model without this input')


def _show(shape: tuple[object, ...]) -> str:
    return '(' + ', '.join(map(str, shape)) + ')'
