# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the layouts of the outputs of ONNX models have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.onnx.metadata import ModelMetadata
import numpy as np

GRIDS_PX = ((8, 16, 32), (8, 16, 32, 64))  # strides of the grids of the YOLO family
NORMALISED_LIMIT = 2.0  # boxes in fractions of the image are smaller, boxes in pixels are larger
_MIN_MAP_PX = 16
# The COCO data set numbers its 80 classes from 1 to 90; these numbers are not in use.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = np.array([number for number in range(1, 91) if number not in _COCO_GAPS])


@dataclass(frozen=True, eq=False)
class Candidates:
    """
    The boxes that a model proposes for an image.

    Attributes
    ----------
    scores:
        ``(N,)`` float32 from 0 to 1.
    class_ids:
        ``(N,)`` int64, indices of the names of the classes; -1 for a box of no class.
    boxes_xyxy_px:
        ``(N, 4)`` float32, left, top, right and bottom edges in pixels of the input.

    """

    scores: np.ndarray
    class_ids: np.ndarray
    boxes_xyxy_px: np.ndarray


Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Evidence:
    """
    What is known of a model before its layout is.

    Attributes
    ----------
    outputs:
        Its outputs for a gray image, by name.
    metadata:
        What its exporter wrote.
    class_names:
        The names of its classes.
    size:
        Width and height of its input in pixels.
    takes_target_size:
        See ``InputFormat``.

    """

    outputs: Outputs
    metadata: ModelMetadata
    class_names: tuple[str, ...]
    size: tuple[int, int]
    takes_target_size: bool = False


@dataclass(frozen=True, eq=False)
class Layout:
    """
    How to feed a model, and how to read its outputs.

    Attributes
    ----------
    name:
        One of the choices of ``onnx.layout``.
    decode:
        Returns the boxes from the outputs by name.
    fit, values:
        See ``inputs``.
    needs_suppression:
        Whether overlapping boxes are still to be suppressed.
    remark:
        What happens to the rest of the outputs, for example '32 mask coefficients ignored'.

    """

    name: str
    decode: Callable[[Outputs], Candidates]
    fit: str = 'letterbox'
    values: str = 'rgb_1'
    needs_suppression: bool = False
    remark: str = ''


def count_cells(size: tuple[int, int], strides_px: tuple[int, ...]) -> int:
    """Return the number of cells of the grids of these strides on an image of this size."""
    width, height = size
    return sum(-(-width // stride) * -(-height // stride) for stride in strides_px)


def are_probabilities(values: np.ndarray) -> bool:
    """Return whether all values are from 0 to 1."""
    return bool(((values >= 0) & (values <= 1)).all())


def are_normalised(boxes: np.ndarray) -> bool:
    """Return whether boxes are in fractions of the image; False if all of them are zero."""
    return bool(boxes.size) and 0 < float(np.abs(boxes).max()) <= NORMALISED_LIMIT


def may_hold_boxes(outputs: Outputs) -> bool:
    """Return whether the shape of an output is that of boxes, whatever the classes are."""
    return any(array.ndim == 3 or (array.ndim == 2 and array.shape[1] in (4, 5))
               or starts_with_image(array) or starts_with_class(array, outputs)
               for array in outputs.values())


def starts_with_image(array: np.ndarray) -> bool:
    """Return whether rows can be image, left, top, right, bottom, class, score."""
    return array.ndim == 2 and array.shape[1] == 7 and not array[:, 0].any() \
        and bool(array.any(axis=1).all())


def starts_with_class(array: np.ndarray, outputs: Outputs) -> bool:
    """Return whether rows can be class, score, left, top, right, bottom; others count them."""
    counts = [other for other in outputs.values()
              if other.shape == (1,) and np.issubdtype(other.dtype, np.integer)]
    return array.ndim == 2 and array.shape[1] == 6 and bool(counts)


def corners_of(boxes_xywh: np.ndarray) -> np.ndarray:
    """Return the edges ``(N, 4)`` of boxes that are given by centre, width and height."""
    centres, half_sizes = boxes_xywh[:, :2], boxes_xywh[:, 2:4] / 2
    return np.concatenate([centres - half_sizes, centres + half_sizes], axis=1)


def refuse(evidence: Evidence, requested: str, hint: str = '') -> NoReturn:
    """Raise ``DetectionError`` for a model whose outputs are not those of a known detector."""
    classes = len(evidence.class_names)
    count = {0: 'K classes', 1: '1 class'}.get(classes, f'{classes} classes')
    columns = [str(number + classes) if classes else f'{number} + K' for number in (4, 5)]
    got = ', '.join(f'{name} {tuple(array.shape)}' for name, array in evidence.outputs.items())
    wanted = '' if requested == 'auto' else f" for onnx.layout '{requested}'"
    raise DetectionError(
        f'for {count} the output must be (1, {columns[0]}, N), (1, N, {columns[1]}), (1, N, 6), '
        f'or boxes (1, N, 4) with their scores; got {got}{wanted}'
        + f'; {hint or _guess(evidence)}')


def _guess(evidence: Evidence) -> str:
    """Return what the model may be, and what to do."""
    arrays, task = list(evidence.outputs.values()), evidence.metadata.task
    if not evidence.metadata.has_boxes:
        return f"its metadata says that it is for the task '{task[:80]}'; use a model that detects"
    if 'boxes_px' in evidence.outputs:
        return ('this is a network of this package; use the method anchor_free with '
                'network.weights, or export it with --layout common')
    ranks = {array.ndim for array in arrays}
    if max(ranks) <= 2 and not may_hold_boxes(evidence.outputs):
        return 'this looks like a classifier or a feature extractor; use a model that detects'
    if 5 in ranks:
        return 'the boxes are not decoded; export the model with its detection layer'
    if ranks == {4} or any(_is_map(array, evidence.size) for array in arrays):
        return ('this looks like a segmentation model, a feature extractor, or a detector without '
                'its detection layer; use a detector with decoded boxes')
    shapes = [array.shape for array in arrays if array.ndim == 3]
    fitting = [min(shape[1:]) - 4 for shape in shapes if 5 <= min(shape[1:]) <= 1004]
    classes = len(evidence.class_names)
    if classes and classes in (number - offset for number in fitting for offset in (0, 1)):
        return ('the number of classes fits, and the scores are not from 0 to 1 or there is no '
                'class of this number; export the model with decoded boxes and scores')
    if classes and fitting:
        return (f'that would fit {fitting[0]} classes in the layout yolov8 or {fitting[0] - 1} in '
                'yolov5; check onnx.classes and onnx.layout')
    return 'check onnx.classes and onnx.layout, or export the model in one of these layouts'


def _is_map(array: np.ndarray, size: tuple[int, int]) -> bool:
    """Return whether an output ``(1, h, w)`` has the aspect ratio of the input."""
    width, height = size
    return array.ndim == 3 and min(array.shape[1:]) >= _MIN_MAP_PX \
        and array.shape[1] * width == array.shape[2] * height
