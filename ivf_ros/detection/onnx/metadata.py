# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the metadata of an ONNX model says, in the format of Ultralytics."""

from __future__ import annotations

import ast
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from ivf_ros.detection.errors import DetectionError
from ivf_ros.regular_files import read_text

MAX_CLASSES = 10_000
MAX_NAME_CHARACTERS = 200
_MAX_NAMES_BYTES = 1 << 23
_MAX_SIDES = 4  # of a shape or a size
_TASKS_WITH_BOXES = ('', 'detect', 'segment', 'pose', 'obb')


@dataclass(frozen=True)
class ModelMetadata:
    """
    What an exporter wrote into a model; a value that it did not write is empty or None.

    Attributes
    ----------
    class_names:
        In the order of the classes.
    task:
        For example 'detect', 'segment', 'pose', 'obb' or 'classify'.
    is_end2end:
        Whether overlapping boxes are suppressed in the model.
    keypoint_values:
        Values of the keypoints of one object.
    size:
        Width and height of the images in the training, in pixels.
    is_rtdetr:
        Whether it is an RT-DETR; False where that is not known.

    """

    class_names: tuple[str, ...] = ()
    task: str = ''
    is_end2end: bool | None = None
    keypoint_values: int | None = None
    size: tuple[int, int] | None = None
    is_rtdetr: bool = False

    @property
    def has_boxes(self) -> bool:
        """Whether a model of this task finds boxes."""
        return self.task in _TASKS_WITH_BOXES


def read_metadata(properties: dict[str, Any]) -> ModelMetadata:
    """Return the metadata of a model from the properties of its file."""
    values = {name: _parse(value) for name, value in properties.items()}
    arguments = values.get('args')
    has_suppression = values.get('nms') is True \
        or (isinstance(arguments, dict) and arguments.get('nms') is True)
    # A model without suppression may still be end to end; older exporters do not say so.
    is_end2end = True if has_suppression else values.get('end2end')
    return ModelMetadata(
        _class_names(values.get('names')), _text(values.get('task')),
        is_end2end if isinstance(is_end2end, bool) else None, _product(values.get('kpt_shape')),
        _size(values.get('imgsz')), _names_rtdetr(values))


def read_class_names(path: str) -> tuple[str, ...]:
    """
    Return the names in a text file, one a line.

    Raises
    ------
    DetectionError
        The file cannot be read, or has no name.

    """
    try:
        lines = read_text(Path(path), max_bytes=_MAX_NAMES_BYTES).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else 'it is no text in UTF-8'
        raise DetectionError(f"cannot read '{path}': {reason}") from None
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DetectionError(f"onnx.classes must have one name in each line, '{path}' has none")
    return names


def check_class_names(names: tuple[str, ...], source: str) -> None:
    """
    Check the number and the lengths of class names, which go into messages.

    Raises
    ------
    DetectionError
        There are more than ``MAX_CLASSES``, or one has more than ``MAX_NAME_CHARACTERS``.

    """
    if len(names) > MAX_CLASSES:
        raise DetectionError(f'{source} has {len(names)} class names, and at most {MAX_CLASSES} '
                             'are allowed')
    longest = max(map(len, names), default=0)
    if longest > MAX_NAME_CHARACTERS:
        raise DetectionError(f'{source} has a class name of {longest} characters, and at most '
                             f'{MAX_NAME_CHARACTERS} are allowed; set onnx.classes to a text file '
                             'with one name in each line')


def _parse(value: Any) -> Any:
    """Return the value of a Python literal, or the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {'true': True, 'false': False}.get(value.lower(), value)


def _class_names(names: Any) -> tuple[str, ...]:
    """Return the names of a list, or of a dict with the keys 0, 1, 2 ...; empty for others."""
    if isinstance(names, dict):
        try:
            by_index = {int(index): name for index, name in names.items()}
            names = [by_index[index] for index in range(len(by_index))]
        except (ValueError, TypeError, KeyError, OverflowError):
            return ()
    if not isinstance(names, (list, tuple)) \
            or not all(isinstance(name, (str, int, float)) for name in names):
        return ()
    return tuple(map(str, names))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ''


def _names_rtdetr(values: dict[str, Any]) -> bool:
    texts = ' '.join(_text(values.get(name)) for name in ('head', 'description'))
    return 'rtdetr' in texts.lower().replace('-', '')


def _integers(values: Any) -> tuple[int, ...]:
    values = (values,) if isinstance(values, int) else values
    if not isinstance(values, (list, tuple)) or len(values) > _MAX_SIDES:
        return ()
    return tuple(value for value in values if isinstance(value, int) and value > 0)


def _product(shape: Any) -> int | None:
    sides = _integers(shape)
    return math.prod(sides) if sides else None


def _size(image_size: Any) -> tuple[int, int] | None:
    """Return width and height of ``imgsz``, which is one side, or height and width."""
    sides = _integers(image_size)
    return (sides[-1], sides[0]) if sides else None
