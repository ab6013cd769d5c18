# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
External detectors in ONNX format, run with ONNX Runtime: the YOLO family and NanoDet.

The shape of the single output of a model with K classes identifies its layout:

    yolov5    (1, N, 5 + K)   x, y, w, h, objectness, classes; also YOLOv7
    yolov8    (1, 4 + K, N)   x, y, w, h, classes; also YOLOv9, v11, v12
    nanodet   (1, N, K + 32)  classes, four distributions of a distance over 8 bins

Boxes are in pixels of the input, where x and y are the centre. Classes are scores from 0 to 1.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import images
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.runtime import load_file
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

LAYOUTS = ('auto', 'yolov5', 'yolov8', 'nanodet')
_PADDING_GRAY = 114  # of a letterboxed image, as in the training of the YOLO family
_NANODET_BINS, _NANODET_STRIDES_PX = 8, (8, 16, 32, 64)
_NANODET_MEAN_BGR, _NANODET_DEVIATION_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


@dataclass(frozen=True)
class OnnxParameters:
    """The ONNX model and the interpretation of its output."""

    model: str = parameter('', 'The ONNX file.', live=False)
    classes: str = parameter(
        '', 'Text file with the name of one class in each line; empty for the names in the '
        'metadata of the model.', live=False)
    layout: str = parameter(
        'auto', 'Layout of the output; auto derives it from the shape.', choices=LAYOUTS,
        live=False)
    input_px: int = parameter(
        640, 'Width and height of the input, if the model accepts any size.', minimum=32,
        maximum=4096, live=False)
    min_score: float = parameter(
        0.35, 'Boxes with a lower score are dropped.', minimum=0.01, maximum=1.0)
    nms_iou: float = parameter(
        0.5, 'If two boxes of one class have a larger IoU than this, the one with the lower score '
        'is dropped.', minimum=0.0, maximum=1.0)


class OnnxDetector:
    """
    A detector that runs an ONNX model.

    ``parameters`` may be replaced between two images; the model stays the same.

    Attributes
    ----------
    class_names:
        From the text file of the parameters, or from the metadata of the model.
    networks:
        The loaded model, in a tuple.
    takes_thermal:
        Whether the model has four input channels, RGB and thermal, as ``ivf export --both``
        writes it.

    """

    def __init__(self, parameters: OnnxParameters,
                 network: NetworkParameters = NetworkParameters()) -> None:
        """
        Load the model; only ``device`` and ``threads`` of ``network`` apply.

        Raises
        ------
        DetectionError
            The model or its class names are missing, or the shape of the input is not supported.
        WeightsError
            The file is no ONNX model.
        DeviceError
            ONNX Runtime is not installed, or the device is not available.

        """
        self.parameters = parameters
        if not Path(parameters.model).is_file():
            raise DetectionError(f"onnx.model must be an ONNX file, got '{parameters.model}'")
        self._network = load_file(Path(parameters.model), NetworkParameters(
            device=network.device, threads=network.threads))
        self.networks = (self._network,)
        shape = self._network.input_shape
        self._size = _input_size(shape, parameters.input_px)
        self.takes_thermal = shape[1] == 4
        self.class_names = _class_names(parameters, self._network.metadata)
        self._layout = ''  # derived from the first output

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find the objects of the model; see ``Detector``.

        DetectionError is also raised where the layout of the output is unknown.
        """
        images.check_8bit(image, 'image', DetectionError)
        stacked = stack_channels(image, thermal, 4 if self.takes_thermal else 3, DetectionError)
        network_input, scale, (left, top) = letterbox(stacked, self._size)
        width, height = self._size
        output = np.asarray(self._run(network_input), np.float32)
        p = self.parameters
        layout = self._layout = self._layout or _detect_layout(output.shape, len(self.class_names),
                                                               p.layout)
        if layout == 'nanodet':
            scores, boxes_px = decode_nanodet(output[0], len(self.class_names), (width, height))
        else:
            scores, boxes_px = decode_yolo(output[0], layout)
        boxes_px = (boxes_px - np.array([left, top] * 2, np.float32)) / np.float32(scale)
        return non_maximum_suppression(scores, boxes_px, self.class_names, image.shape[1::-1],
                                       p.min_score, p.nms_iou)

    def _run(self, letterboxed: np.ndarray) -> Any:
        as_nanodet = 'nanodet' in (self._layout, self.parameters.layout)
        batch = to_input_batch(letterboxed, as_nanodet)
        if self._network.input_type == 'tensor(float16)':
            batch = batch.astype(np.float16)
        output = self._network(batch)[0]
        layout_is_unknown = not self._layout and self.parameters.layout == 'auto'
        if not as_nanodet and layout_is_unknown \
                and _detect_layout(output.shape, len(self.class_names), 'auto') == 'nanodet':
            self._layout = 'nanodet'
            return self._run(letterboxed)  # NanoDet needs another range of input values
        return output


def letterbox(image: np.ndarray, size: tuple[int, int]
              ) -> tuple[np.ndarray, float, tuple[int, int]]:
    """
    Resize an image to fit into ``size`` without distortion, centre it and pad it with gray.

    Parameters
    ----------
    image:
        ``(H, W, channels)`` uint8.
    size:
        Width and height of the result in pixels.

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
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    letterboxed = np.full((size[1], size[0], image.shape[2]), _PADDING_GRAY, np.uint8)
    letterboxed[top:top + inner[1], left:left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return letterboxed, scale, (left, top)


def to_input_batch(bgr: np.ndarray, as_nanodet: bool) -> np.ndarray:
    """
    Return ``(1, channels, H, W)`` float32: RGB from 0 to 1, or standardised BGR for NanoDet.

    Thermal is the fourth channel of ``bgr``, if any, and stays the last one.
    """
    if as_nanodet:
        image: np.ndarray = (bgr.astype(np.float32) - np.array(_NANODET_MEAN_BGR, np.float32)) \
            / np.array(_NANODET_DEVIATION_BGR, np.float32)
    else:
        image = np.dstack([bgr[..., 2::-1], bgr[..., 3:]]).astype(np.float32) / 255
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def decode_yolo(output: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Return scores ``(N, K)`` and boxes ``(N, 4)`` of an output without its batch dimension.

    Boxes are left, top, right, bottom edges in pixels of the input; ``layout`` is 'yolov5' or
    'yolov8'.
    """
    if layout == 'yolov8':
        rows = output.T
        scores = rows[:, 4:]
    else:
        rows = output
        scores = rows[:, 5:] * rows[:, 4:5]
    centres, half_sizes = rows[:, :2], rows[:, 2:4] / 2
    return scores, np.concatenate([centres - half_sizes, centres + half_sizes], axis=1)


def decode_nanodet(output: np.ndarray, classes: int, size: tuple[int, int]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return scores ``(N, K)`` and boxes ``(N, 4)`` of an output ``(N, K + 32)``.

    Boxes are left, top, right, bottom edges in pixels of the input of width and height ``size``.
    The distance from the corner of a cell to an edge of its box is the mean of a distribution over
    8 bins, in units of cells.
    """
    width, height = size
    corners, strides = [], []
    for stride_px in _NANODET_STRIDES_PX:
        columns, rows = -(-width // stride_px), -(-height // stride_px)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        corners.append(np.stack([x.ravel(), y.ravel()], 1) * stride_px)
        strides.append(np.full(columns * rows, stride_px))
    if sum(map(len, strides)) != len(output):
        raise DetectionError(f'NanoDet has {sum(map(len, strides))} cells for {width}x{height}, '
                             f'got {len(output)}')
    bins = output[:, classes:].reshape(-1, 4, _NANODET_BINS)
    weights = np.exp(bins - bins.max(-1, keepdims=True))
    cells = (weights @ np.arange(_NANODET_BINS, dtype=np.float32)) / weights.sum(-1)
    distance_px = cells * np.concatenate(strides)[:, None]
    corner_px = np.concatenate(corners)
    return output[:, :classes], np.concatenate([corner_px - distance_px[:, :2],
                                                corner_px + distance_px[:, 2:]],
                                               axis=1).astype(np.float32)


def _detect_layout(shape: tuple[int, ...], classes: int, requested: str) -> str:
    """Return the layout of an output of this shape; ``requested`` is a layout or 'auto'."""
    fits = {'yolov8': len(shape) == 3 and shape[1] == 4 + classes,
            'yolov5': len(shape) == 3 and shape[2] == 5 + classes,
            'nanodet': len(shape) == 3 and shape[2] == classes + 4 * _NANODET_BINS}
    layouts = [name for name, fit in fits.items() if fit and requested in ('auto', name)]
    if not layouts or shape[0] != 1:
        raise DetectionError(
            f'for {classes} classes the output must be (1, {4 + classes}, N), (1, N, '
            f'{5 + classes}) or (1, N, {classes + 4 * _NANODET_BINS}), got {tuple(shape)}'
            + ('' if requested == 'auto' else f' for {requested}'))
    return layouts[0]


def _input_size(shape: tuple[Any, ...], free_side_px: int) -> tuple[int, int]:
    """Return width and height of the input; ``free_side_px`` where the model leaves them open."""
    if len(shape) != 4 or shape[1] not in (3, 4, 'channels'):
        raise DetectionError(f'the input must be (1, 3 or 4, height, width), got {shape}')
    height, width = (side if isinstance(side, int) else free_side_px for side in shape[2:])
    return width, height


def _class_names(parameters: OnnxParameters, metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return the names in the text file, or in the metadata, in the format of Ultralytics."""
    if parameters.classes:
        try:
            lines = Path(parameters.classes).read_text(encoding='utf-8').splitlines()
        except OSError as error:
            raise DetectionError(f"cannot read '{parameters.classes}': {error.strerror}") from None
        return tuple(line.strip() for line in lines if line.strip())
    names_text = metadata.get('names', '')
    try:
        names = ast.literal_eval(names_text)
        return tuple(str(names[index]) for index in range(len(names)))
    except (ValueError, SyntaxError, TypeError, LookupError):
        raise DetectionError('the model has no class names in its metadata; set onnx.classes to '
                             'a text file with one name in each line') from None
