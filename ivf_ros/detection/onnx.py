# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Detectors of others, exported to ONNX: the YOLO family and NanoDet, through ONNX Runtime.

What the single output of a model of K classes looks like tells the families apart:

    yolov5    (1, N, 5 + K)   x, y, w, h, object, classes; also YOLOv7
    yolov8    (1, 4 + K, N)   x, y, w, h, classes; also YOLOv9, v11, v12
    nanodet   (1, N, K + 32)  classes, four distributions of a distance over 8 bins

Boxes are in pixels of the input, x and y the middle; classes are shares from 0 to 1.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import images
from ivf_ros.detection.inputs import DetectionError
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.network_inputs import stack_channels
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

LAYOUTS = ('auto', 'yolov5', 'yolov8', 'nanodet')
_GRAY = 114  # around a letterboxed image, as the YOLO family is trained with
_NANODET_BINS, _NANODET_STRIDES_PX = 8, (8, 16, 32, 64)
_NANODET_MEAN_BGR, _NANODET_DEVIATION_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
_PROVIDERS = {'cpu': ['CPUExecutionProvider'],
              'cuda': ['CUDAExecutionProvider', 'CPUExecutionProvider'],
              'tensorrt': ['TensorrtExecutionProvider', 'CUDAExecutionProvider',
                           'CPUExecutionProvider']}


@dataclass(frozen=True)
class OnnxParameters:
    """Which exported model is run, and how."""

    model: str = parameter('', 'The ONNX file.', live=False)
    classes: str = parameter(
        '', 'Text file with the name of a class on each line; those in the metadata of the model '
        'where empty.', live=False)
    layout: str = parameter(
        'auto', 'Layout of the output; auto tells it from the shape.', choices=LAYOUTS, live=False)
    provider: str = parameter(
        'cpu', 'What computes; cuda and tensorrt need onnxruntime-gpu.', choices=tuple(_PROVIDERS),
        live=False)
    input_px: int = parameter(
        640, 'Side of the input of a model that takes any size.', minimum=32, maximum=4096,
        live=False)
    min_score: float = parameter(
        0.35, 'Boxes with a lower score are dropped.', minimum=0.01, maximum=1.0)
    nms_iou: float = parameter(
        0.5, 'Of two boxes of one class that overlap by more than this the better one stays.',
        minimum=0.0, maximum=1.0)


class OnnxDetector:
    """
    An exported model; ``parameters`` may be replaced between two images, the model stays.

    Attributes
    ----------
    class_names:
        From the file of classes or the metadata of the model.
    weight_files:
        The model.
    device:
        What computes.
    takes_thermal:
        Whether it looks at RGB and thermal together: a model of four channels, as ``ivf export
        --both`` writes it.

    """

    def __init__(self, parameters: OnnxParameters) -> None:
        """
        Load the model.

        Raises
        ------
        DetectionError
            ONNX Runtime, the model, its classes or the provider is missing, or its input or
            output is of no known layout.

        """
        self.parameters = parameters
        self.weight_files, self.device = (parameters.model,), parameters.provider
        self._session = _session(parameters)
        model_input, = self._session.get_inputs()[:1]
        self._input_name, self._input_type = model_input.name, model_input.type
        self._size = _input_size(model_input.shape, parameters.input_px)
        self.takes_thermal = model_input.shape[1] == 4
        self.class_names = _class_names(parameters, self._session)
        self._layout = ''  # told from the first output

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find objects, best first.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            ``(H, W)`` uint8 on the same grid, where ``image`` is RGB and the model takes both.

        Returns
        -------
        list[Detection]
            Boxes in pixels of ``image``, clipped to it.

        Raises
        ------
        DetectionError
            No such image, thermal is missing, or the output of the model is of another layout.

        """
        images.check_8bit(image, 'image', DetectionError)
        stacked = stack_channels(image, thermal, 4 if self.takes_thermal else 3, DetectionError)
        letterboxed_image, scale, (left, top) = letterbox(stacked, self._size)
        width, height = self._size
        output = np.asarray(self._run(letterboxed_image), np.float32)
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

    def _run(self, letterboxed_image: np.ndarray) -> Any:
        as_nanodet = 'nanodet' in (self._layout, self.parameters.layout)
        batch = to_input_batch(letterboxed_image, as_nanodet)
        if self._input_type == 'tensor(float16)':
            batch = batch.astype(np.float16)
        output = self._session.run(None, {self._input_name: batch})[0]
        if not as_nanodet and not self._layout and self.parameters.layout == 'auto' and _detect_layout(
                output.shape, len(self.class_names), 'auto') == 'nanodet':
            self._layout = 'nanodet'
            return self._run(letterboxed_image)  # it wants another range of values
        return output


def letterbox(image: np.ndarray, size: tuple[int, int]
              ) -> tuple[np.ndarray, float, tuple[int, int]]:
    """
    Fit an image into a size without distortion, gray around it.

    Returns
    -------
    image
        ``(H, W, channels)`` uint8.
    scale, (left, top)
        Pixel (x, y) of the original lies at (scale x + left, scale y + top), edges counted.

    """
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, round(scale * width)), max(1, round(scale * height))
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    letterboxed_image = np.full((size[1], size[0], image.shape[2]), _GRAY, np.uint8)
    letterboxed_image[top:top + inner[1], left:left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return letterboxed_image, scale, (left, top)


def to_input_batch(bgr: np.ndarray, as_nanodet: bool) -> np.ndarray:
    """
    Return ``(1, 3, H, W)`` float32: RGB from 0 to 1, or standardised BGR for NanoDet.

    Thermal, as a fourth channel of ``bgr``, comes last, too.
    """
    if as_nanodet:
        image: np.ndarray = (bgr.astype(np.float32) - np.array(_NANODET_MEAN_BGR, np.float32)) \
            / np.array(_NANODET_DEVIATION_BGR, np.float32)
    else:
        image = np.dstack([bgr[..., 2::-1], bgr[..., 3:]]).astype(np.float32) / 255
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def decode_yolo(output: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scores ``(N, K)`` and boxes ``(N, 4)``, edges in pixels of the input."""
    if layout == 'yolov8':
        rows = output.T
        scores = rows[:, 4:]
    else:
        rows = output
        scores = rows[:, 5:] * rows[:, 4:5]
    middle, half = rows[:, :2], rows[:, 2:4] / 2
    return scores, np.concatenate([middle - half, middle + half], axis=1)


def decode_nanodet(output: np.ndarray, classes: int, size: tuple[int, int]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return scores ``(N, K)`` and boxes ``(N, 4)``, edges in pixels of the input.

    Each distance is the mean of a distribution over its bins, in cells of the grid.
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
    share = np.exp(bins - bins.max(-1, keepdims=True))
    cells = (share @ np.arange(_NANODET_BINS, dtype=np.float32)) / share.sum(-1)
    distance_px = cells * np.concatenate(strides)[:, None]
    corner_px = np.concatenate(corners)
    return output[:, :classes], np.concatenate([corner_px - distance_px[:, :2],
                                                corner_px + distance_px[:, 2:]],
                                               axis=1).astype(np.float32)


def _detect_layout(shape: tuple[int, ...], classes: int, requested: str) -> str:
    """Return the layout that an output of this shape has."""
    fits = {'yolov8': len(shape) == 3 and shape[1] == 4 + classes,
            'yolov5': len(shape) == 3 and shape[2] == 5 + classes,
            'nanodet': len(shape) == 3 and shape[2] == classes + 4 * _NANODET_BINS}
    found = [name for name, fit in fits.items() if fit and requested in ('auto', name)]
    if not found or shape[0] != 1:
        raise DetectionError(
            f'for {classes} classes the output must be (1, {4 + classes}, N), (1, N, '
            f'{5 + classes}) or (1, N, {classes + 4 * _NANODET_BINS}), got {tuple(shape)}'
            + ('' if requested == 'auto' else f' for {requested}'))
    return found[0]


def _session(parameters: OnnxParameters) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise DetectionError("onnx needs 'onnxruntime'; pip install onnxruntime") from None
    if not Path(parameters.model).is_file():
        raise DetectionError(f"onnx.model must be an ONNX file, got '{parameters.model}'")
    requested = _PROVIDERS[parameters.provider]
    if requested[0] not in onnxruntime.get_available_providers():
        raise DetectionError(f"onnx.provider '{parameters.provider}' is not in this ONNX Runtime; "
                             f'it has {", ".join(onnxruntime.get_available_providers())}')
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(parameters.model, options, providers=requested)
    except Exception as error:  # its own error types are no public part of ONNX Runtime
        raise DetectionError(f"'{parameters.model}' is no ONNX model: {error}") from None


def _input_size(shape: list[Any], any_px: int) -> tuple[int, int]:
    if len(shape) != 4 or shape[1] not in (3, 4, 'channels'):
        raise DetectionError(f'the input must be (1, 3 or 4, height, width), got {tuple(shape)}')
    height, width = (side if isinstance(side, int) else any_px for side in shape[2:])
    return width, height


def _class_names(parameters: OnnxParameters, session: Any) -> tuple[str, ...]:
    """Return the names in the file, or those that Ultralytics writes into the metadata."""
    if parameters.classes:
        try:
            lines = Path(parameters.classes).read_text(encoding='utf-8').splitlines()
        except OSError as error:
            raise DetectionError(f"cannot read '{parameters.classes}': {error.strerror}") from None
        return tuple(line.strip() for line in lines if line.strip())
    written = session.get_modelmeta().custom_metadata_map.get('names', '')
    try:
        names = ast.literal_eval(written)
        return tuple(str(names[index]) for index in range(len(names)))
    except (ValueError, SyntaxError, TypeError, LookupError):
        raise DetectionError('the model does not name its classes; set onnx.classes to a text '
                             'file with one name a line') from None
