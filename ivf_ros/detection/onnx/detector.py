# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detector that runs an ONNX model of any origin with ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivf_ros import images
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.onnx import separate_outputs, single_output
from ivf_ros.detection.onnx.inputs import (
    check_values,
    fit_image,
    FITS,
    InputFormat,
    MAX_SIDE_PX,
    PADDING_GRAY,
    read_format,
    to_network_inputs,
    VALUES,
)
from ivf_ros.detection.onnx.layout import Evidence, Layout, may_hold_boxes, Outputs, refuse
from ivf_ros.detection.onnx.metadata import (
    check_class_names,
    ModelMetadata,
    read_class_names,
    read_metadata,
)
from ivf_ros.detection.suppression import select_detections
from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.errors import InferenceError
from ivf_ros.nn.runtime import load_file
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

LAYOUTS = ('auto', 'yolov5', 'yolov8', 'yolox', 'nanodet', 'end2end', 'yolov7_nms', 'paddle',
           'rtdetr', 'rfdetr', 'detr', 'yolonas', 'labelled', 'mmdeploy', 'torchvision',
           'tensorflow')
_USUAL_SIDE_PX, _MIN_SIDE_PX = 640, 32


@dataclass(frozen=True)
class OnnxParameters:
    """The ONNX model, its input and the interpretation of its output."""

    model: str = parameter('', 'The ONNX file.', live=False)
    classes: str = parameter(
        '', 'Text file with the name of one class in each line; empty for the names in the '
        'metadata of the model.', live=False)
    layout: str = parameter(
        'auto', 'Layout of the outputs; auto derives it from the shapes, the metadata and the '
        'outputs for a gray image.', choices=LAYOUTS, live=False)
    input_px: int = parameter(
        0, 'Width and height of the input, if the model accepts any size: at least 32; 0 for the '
        'size in the metadata of the model, or 640.', minimum=0, maximum=MAX_SIDE_PX,
        live=False)
    input_values: str = parameter(
        'auto', 'Values of the input: order of the colours, and 0 to 1, 0 to 255, or standardised '
        'with the statistics of ImageNet; auto takes those of the layout.',
        choices=('auto', *VALUES), live=False)
    input_fit: str = parameter(
        'auto', 'How an image gets the size of the input: letterbox pads it on both sides, corner '
        'on the right and at the bottom, stretch changes its aspect ratio; auto takes that of the '
        'layout.', choices=('auto', *FITS), live=False)
    min_score: float = parameter(
        0.35, 'Boxes with a lower score are dropped.', minimum=0.01, maximum=1.0)
    nms_iou: float = parameter(
        0.5, 'If two boxes of one class have a larger IoU than this, the one with the lower score '
        'is dropped. Not used for models that select their boxes themselves.', minimum=0.0,
        maximum=1.0)


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
    summary:
        What was recognised, in a line.

    """

    def __init__(self, parameters: OnnxParameters,
                 network: NetworkParameters = NetworkParameters()) -> None:
        """
        Load the model and run it on a gray image; only ``device`` and ``threads`` apply.

        Raises
        ------
        DetectionError
            The model or its class names are missing, its input is not supported, or its outputs
            are not those of a known detector.
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
        metadata = read_metadata(self._network.metadata)
        self._format = read_format(self._network.inputs, _free_size(parameters, metadata))
        self.takes_thermal = self._format.channels == 4
        self.class_names = read_class_names(parameters.classes) if parameters.classes \
            else metadata.class_names
        check_class_names(self.class_names, parameters.classes or parameters.model)
        layout = self._recognise(metadata)
        self._decode, self._needs_suppression = layout.decode, layout.needs_suppression
        self._fit = layout.fit if parameters.input_fit == 'auto' else parameters.input_fit
        self._values = _choose_values(layout, parameters, self._format)
        self.summary = self._summarise(layout)

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find the objects of the model; see ``Detector``.

        Raises
        ------
        DetectionError
            Also where the model finds a class that has no name.
        InferenceError
            The model cannot run on the image.

        """
        images.check_8bit(image, 'image', DetectionError)
        stacked = stack_channels(image, thermal, 4 if self.takes_thermal else 3, DetectionError)
        fitted, scale, offset_px = fit_image(stacked, self._format.size, self._fit)
        found = self._decode(self._run(fitted, self._values))
        p = self.parameters
        scores = np.where(found.class_ids < 0, np.float32(0), found.scores)
        unnamed = (scores >= p.min_score) & (found.class_ids >= len(self.class_names))
        if unnamed.any():
            raise DetectionError(f'the model found class {found.class_ids[unnamed].max()}, and '
                                 f'there are {len(self.class_names)} names, which count from 0; '
                                 'check onnx.classes')
        boxes_px = (found.boxes_xyxy_px - np.tile(offset_px, 2)) / np.tile(scale, 2)
        return select_detections(scores, found.class_ids, boxes_px.astype(np.float32),
                                 self.class_names, image.shape[1::-1], p.min_score,
                                 p.nms_iou if self._needs_suppression else None)

    def _run(self, fitted: np.ndarray, values: str) -> Outputs:
        arrays = self._network(*to_network_inputs(fitted, values, self._format))
        return dict(zip(self._network.output_names, arrays, strict=True))

    def _recognise(self, metadata: ModelMetadata) -> Layout:
        """Return the layout; the outputs for a gray image are a part of the evidence."""
        size, channels = self._format.size, max(3, self._format.channels)
        gray = np.full((size[1], size[0], channels), PADDING_GRAY, np.uint8)
        try:
            outputs = self._run(gray, 'rgb_1')
        except InferenceError as error:
            raise DetectionError(f'{error}; check the model and onnx.input_px') from error
        evidence = Evidence(outputs, metadata, self.class_names, size,
                            self._format.takes_target_size)
        requested = self.parameters.layout
        if not metadata.has_boxes or not may_hold_boxes(outputs):
            refuse(evidence, requested)
        if not self.class_names:
            raise DetectionError('the model has no class names in its metadata; set onnx.classes '
                                 'to a text file with one name in each line')
        layout = separate_outputs.recognise(evidence, requested) \
            or single_output.recognise(evidence, requested)
        if layout is None:
            refuse(evidence, requested)
        return layout

    def _summarise(self, layout: Layout) -> str:
        """Return for example 'layout yolov8, 2 classes, input 640x640 letterbox rgb_1'."""
        count = len(self.class_names)
        width, height = self._format.size
        return (f'layout {layout.name}, {count} {"class" if count == 1 else "classes"}, '
                f'input {width}x{height} {self._fit} {self._values}'
                + (f', {layout.remark}' if layout.remark else ''))


def _free_size(parameters: OnnxParameters, metadata: ModelMetadata) -> tuple[int, int]:
    """Return width and height of the input where the model leaves them open."""
    if 0 < parameters.input_px < _MIN_SIDE_PX:
        raise DetectionError(f'onnx.input_px must be 0, or at least {_MIN_SIDE_PX}, '
                             f'got {parameters.input_px}')
    if parameters.input_px:
        return parameters.input_px, parameters.input_px
    return metadata.size or (_USUAL_SIDE_PX, _USUAL_SIDE_PX)


def _choose_values(layout: Layout, parameters: OnnxParameters, input_format: InputFormat) -> str:
    """Return the values of the input: those of the parameters, the format or the layout."""
    values = parameters.input_values
    if values == 'auto':
        scale_is_free = input_format.dtype != np.uint8
        values = layout.values if scale_is_free else f'{layout.values[:3]}_255'
    check_values(values, input_format)
    return values
