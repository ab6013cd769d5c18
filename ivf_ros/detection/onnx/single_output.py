# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Layouts in which one output has a row for each box: the YOLO family and NanoDet.

For K classes, a row has these columns. E more columns may follow: coefficients of a mask, the
keypoints or the angle of the object. Rows and columns may be exchanged.

    yolov8     4 + K       x, y, w, h, classes; also YOLOv9, v11, v12
    rtdetr     4 + K or 6  x, y, w, h in fractions, classes, or score and class; Ultralytics
    yolov5     5 + K       x, y, w, h, objectness, classes; also YOLOv6, v7
    yolox      5 + K       the same, as it is or relative to the cells of three or four grids
    end2end    6           left, top, right, bottom, score, class; also YOLOv10, YOLO26
    nanodet    K + 4 bins  classes, four distributions of a distance
    yolov7_nms 7           image, left, top, right, bottom, class, score; ``(N, 7)``
    paddle     6           class, score, left, top, right, bottom; ``(N, 6)``, PaddleDetection

x and y are the centre of a box in pixels of the input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ivf_ros.detection.onnx import nanodet
from ivf_ros.detection.onnx.layout import (
    are_normalised,
    count_cells,
    Evidence,
    GRIDS_PX,
    Layout,
    refuse,
    starts_with_class,
    starts_with_image,
)
from ivf_ros.detection.onnx.row_decoders import RowDecoder, SelectedRowDecoder
import numpy as np

_ANCHORS = 3  # of each cell in YOLOv5 and YOLOv7
_GRID_UNITS_LIMIT = 16.0  # offsets in cells and logarithms of sides are smaller, pixels are larger
_MASK_COEFFICIENTS, _KEYPOINT_VALUES = 32, 51  # of the usual models: 17 keypoints of 3 values
_ANGLE, _KEYPOINTS, _MASK = 'angle', 'values of keypoints', 'mask coefficients'
_SCORE_TOLERANCE = 0.01  # a quantised network may exceed the range from 0 to 1
# The columns of the layouts that share them with others.
_COLUMNS = {'yolox': ('yolov5',), 'rtdetr': ('yolov8', 'end2end')}


@dataclass(frozen=True)
class _Extra:
    """What follows the columns of a box; a guess has no support in the model."""

    count: int = 0
    meaning: str = ''
    is_guess: bool = False

    def __str__(self) -> str:
        if self.meaning == _ANGLE:
            return 'rotated boxes as upright ones'
        return f'{self.count} {self.meaning} ignored' if self.count else ''


@dataclass(frozen=True, eq=False)
class _Reading:
    """One way to read an output: ``rows`` of boxes with certain columns."""

    columns: str
    rows: np.ndarray
    has_boxes_as_columns: bool
    extra: _Extra

    def fits_grid(self, size: tuple[int, int]) -> bool:
        """Return whether there is a row for each cell of the usual grids."""
        return self.has_row_per_cell(size) or (
            self.columns == 'yolov5'
            and len(self.rows) in [_ANCHORS * count for count in _count_cells(size)])

    def has_row_per_cell(self, size: tuple[int, int]) -> bool:
        """Return whether there is one row for each cell."""
        return self.columns != 'end2end' and len(self.rows) in _count_cells(size)

    def has_boxes(self, evidence: Evidence) -> bool:
        """Return whether boxes have scores, and the best one has positive sides."""
        if self.columns == 'nanodet' or not len(self.rows):
            return self.columns == 'nanodet'
        count = 1 if self.columns == 'yolov5' else len(evidence.class_names)
        scores = self.rows[:, 4:4 + count].max(axis=1)
        best = self.rows[scores.argmax()]
        return bool(scores.max() > 0) and bool((best[2:4] > 0).all())


def _count_cells(size: tuple[int, int]) -> list[int]:
    return [count_cells(size, strides) for strides in GRIDS_PX]


def recognise(evidence: Evidence, requested: str) -> Layout | None:
    """
    Return the layout of a model with one row for each box; None if no output fits.

    Parameters
    ----------
    evidence:
        What is known of the model.
    requested:
        A layout, or 'auto'.

    Raises
    ------
    DetectionError
        Several layouts fit.

    """
    for name, array in evidence.outputs.items():
        layout = _recognise_selected_rows(name, evidence)
        if layout is not None and requested in ('auto', layout.name):
            return layout
        if array.ndim != 3 or array.shape[0] != 1:
            continue
        for extra in _possible_extras(evidence):
            readings = [reading for reading in _read(array[0], evidence, extra, requested)
                        if requested == 'auto'
                        or reading.columns in _COLUMNS.get(requested, (requested,))]
            reading = _choose(readings, evidence, requested)
            if reading is not None:
                return _make_layout(name, reading, evidence, requested)
    return None


def _possible_extras(evidence: Evidence) -> list[_Extra]:
    """Return what may follow the columns of a box, the likeliest first."""
    metadata, extras = evidence.metadata, []
    if metadata.task == 'obb':
        extras.append(_Extra(1, _ANGLE))
    if metadata.keypoint_values:
        extras.append(_Extra(metadata.keypoint_values, _KEYPOINTS))
    extras += [_Extra(array.shape[1], _MASK) for array in evidence.outputs.values()
               if array.ndim == 4]
    extras.append(_Extra())
    if not metadata.task:
        extras += [_Extra(_KEYPOINT_VALUES, _KEYPOINTS, is_guess=True),
                   _Extra(_MASK_COEFFICIENTS, _MASK, is_guess=True),
                   _Extra(1, _ANGLE, is_guess=True)]
    return extras


def _read(array: np.ndarray, evidence: Evidence, extra: _Extra, requested: str
          ) -> list[_Reading]:
    """Return all ways to read an output ``(A, B)`` with these extra columns."""
    classes, readings = len(evidence.class_names), []
    for has_boxes_as_columns, rows in ((True, array.T), (False, array)):
        count = rows.shape[1]
        following = rows[:, count - extra.count:]
        if extra.is_guess and requested == 'auto' and following.any() and _are_scores(following):
            continue  # the scores of more classes than there are names
        widths = {}
        if _are_scores(rows[:, 4:4 + classes]):
            widths['yolov8'] = 4 + classes + extra.count
        if _are_scores(rows[:, 4:5 + classes]):
            widths['yolov5'] = 5 + classes + extra.count
        if not has_boxes_as_columns:
            widths['end2end'] = 6 + extra.count
            if not extra.count and nanodet.find_strides(len(rows), evidence.size) \
                    and nanodet.count_bins(count, classes):
                widths['nanodet'] = count
        readings += [_Reading(columns, np.asarray(rows, np.float32), has_boxes_as_columns, extra)
                     for columns, width in widths.items() if width == count]
    return readings


def _are_scores(values: np.ndarray) -> bool:
    return bool((np.abs(np.asarray(values, np.float32) - 0.5) <= 0.5 + _SCORE_TOLERANCE).all())


def _choose(readings: list[_Reading], evidence: Evidence, requested: str) -> _Reading | None:
    """Return the reading that the metadata, the number of rows and the values speak for."""
    is_end2end = None if evidence.metadata.is_rtdetr else evidence.metadata.is_end2end
    if is_end2end is not None:
        readings = [reading for reading in readings
                    if (reading.columns == 'end2end') == is_end2end] or readings
    on_grid = [reading for reading in readings if reading.fits_grid(evidence.size)]
    readings = on_grid or readings
    if len(readings) > 1 or requested == 'auto':
        selected = [reading for reading in readings if reading.columns == 'end2end']
        if selected and (is_end2end or _are_selected_boxes(selected[0], evidence)):
            return selected[0]
        readings = [reading for reading in readings if reading not in selected]
    readings = [reading for reading in readings if reading.has_boxes(evidence)] or readings
    if len({reading.columns for reading in readings}) > 1:
        names = ' and '.join(sorted({reading.columns for reading in readings}))
        refuse(evidence, requested, f'the layouts {names} fit; set onnx.layout to one of them')
    if requested == 'auto' and readings:
        _check_certainty(readings[0], evidence)
    return readings[0] if readings else None


def _check_certainty(reading: _Reading, evidence: Evidence) -> None:
    """Raise DetectionError where the shape and the values allow another layout, too."""
    if not (reading.has_boxes_as_columns or reading.columns == 'end2end'
            or reading.fits_grid(evidence.size) or reading.has_boxes(evidence)):
        refuse(evidence, 'auto', 'no box in a gray image has a score, and so several layouts fit; '
               f'set onnx.layout, for example to {reading.columns} or end2end')
    if reading.has_boxes_as_columns and reading.columns == 'yolov5' and not reading.extra.count \
            and not evidence.metadata.task and reading.has_row_per_cell(evidence.size):
        refuse(evidence, 'auto', 'the last row may be an angle or a class; set onnx.layout to '
               'yolov8 for rotated boxes, or to yolov5 or yolox')


def _are_selected_boxes(reading: _Reading, evidence: Evidence) -> bool:
    """Return whether the rows can be a box, a score and the number of a class."""
    rows = reading.rows
    if not len(rows):
        return True
    best = rows[rows[:, 4].argmax()]
    sides = best[2:4] if reading.extra.meaning == _ANGLE or are_normalised(rows[:, :4]) \
        else best[2:4] - best[:2]
    return _are_scores(rows[:, 4]) and bool((sides >= 0).all()) \
        and _are_class_ids(rows[:, 5], rows[rows[:, 4] > 0, 5], evidence)


def _are_class_ids(values: np.ndarray, found: np.ndarray, evidence: Evidence) -> bool:
    """Return whether all values are integers, and those of found objects have a name."""
    return bool((values == np.rint(values)).all()) \
        and bool(((found >= 0) & (found < len(evidence.class_names))).all())


def _recognise_selected_rows(name: str, evidence: Evidence) -> Layout | None:
    """Return the layout of an output ``(N, F)`` of edges, classes and scores; None for others."""
    array = evidence.outputs[name]
    if starts_with_image(array):
        decoder = SelectedRowDecoder(name, edges=1, class_id=5, score=6)
        layout = Layout('yolov7_nms', decoder)
    elif starts_with_class(array, evidence.outputs):
        decoder = SelectedRowDecoder(name, edges=2, class_id=0, score=1)
        layout = Layout('paddle', decoder, fit='stretch')
    else:
        return None
    found = decoder(evidence.outputs)
    valid = found.class_ids >= 0  # PaddleDetection fills up with class -1
    sides = found.boxes_xyxy_px[valid, 2:] - found.boxes_xyxy_px[valid, :2]
    are_boxes = _are_scores(found.scores) and bool((sides > 0).all()) \
        and _are_class_ids(array[:, decoder.class_id], found.class_ids[valid], evidence)
    return layout if are_boxes else None


def _make_layout(output: str, reading: _Reading, evidence: Evidence, requested: str) -> Layout:
    has_angle = reading.extra.meaning == _ANGLE
    is_normalised = reading.columns != 'nanodet' and are_normalised(reading.rows[:, :4])
    decoder = RowDecoder(
        output, reading.columns, len(evidence.class_names), evidence.size,
        reading.has_boxes_as_columns, reading.columns == 'end2end' and not has_angle, has_angle,
        is_normalised)
    suppressed = Layout(reading.columns, decoder, needs_suppression=True,
                        remark=str(reading.extra))
    if _is_rtdetr(reading, evidence, requested, is_normalised):
        return replace(suppressed, name='rtdetr', fit='stretch', needs_suppression=False,
                       decode=replace(decoder, is_normalised=True, has_edges=False))
    if reading.columns == 'end2end':
        return replace(suppressed, needs_suppression=False)
    if reading.columns == 'nanodet':
        return replace(suppressed, values='bgr_imagenet')
    if requested == 'yolox' or (requested == 'auto' and _is_yolox(reading, evidence)):
        return _yolox(suppressed, decoder, reading, evidence, requested)
    return suppressed


def _is_rtdetr(reading: _Reading, evidence: Evidence, requested: str, is_normalised: bool) -> bool:
    """Return whether there is a row for each query, with fractions of the image."""
    if requested != 'auto':
        return requested == 'rtdetr'
    return reading.columns in _COLUMNS['rtdetr'] and not reading.has_boxes_as_columns and (
        evidence.metadata.is_rtdetr or (is_normalised and not reading.fits_grid(evidence.size)))


def _is_yolox(reading: _Reading, evidence: Evidence) -> bool:
    """Return whether there is one row for each cell; YOLOv6 has these, too, all objects sure."""
    return reading.columns == 'yolov5' and reading.has_row_per_cell(evidence.size) \
        and not (reading.rows[:, 4] == 1).all()


def _yolox(layout: Layout, decoder: RowDecoder, reading: _Reading, evidence: Evidence,
           requested: str) -> Layout:
    """Return the layout yolox, with boxes in pixels or relative to the cells."""
    is_relative = float(np.abs(reading.rows[:, :4]).max(initial=0)) < _GRID_UNITS_LIMIT
    if is_relative and not reading.has_row_per_cell(evidence.size):
        refuse(evidence, requested, f'YOLOX has one row for each cell, and an input of '
               f'{evidence.size[0]}x{evidence.size[1]} has '
               + ' or '.join(map(str, _count_cells(evidence.size))))
    columns = 'yolox_grid' if is_relative else 'yolov5'
    return replace(layout, name='yolox', fit='corner', values='bgr_255',
                   decode=replace(decoder, columns=columns, is_normalised=False))
