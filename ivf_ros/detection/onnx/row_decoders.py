# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From outputs with a row for each box to boxes in pixels; see ``single_output``."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection.onnx import nanodet
from ivf_ros.detection.onnx.layout import (
    Candidates,
    corners_of,
    count_cells,
    GRIDS_PX,
    Outputs,
)
import numpy as np


@dataclass(frozen=True)
class RowDecoder:
    """
    Reads the boxes from an output with one row for each box.

    Attributes
    ----------
    output:
        The name of the output.
    columns:
        What the columns are: 'yolov5', 'yolov8', 'yolox_grid', 'end2end' or 'nanodet'.
    classes:
        The number of classes.
    size:
        Width and height of the input in pixels.
    has_boxes_as_columns:
        Whether rows and columns are exchanged.
    has_edges:
        Whether a box is given by its edges, and not by its centre and sides.
    has_angle:
        Whether the last column is the angle of the box in radians.
    is_normalised:
        Whether boxes are in fractions of the image.

    """

    output: str
    columns: str
    classes: int
    size: tuple[int, int]
    has_boxes_as_columns: bool = False
    has_edges: bool = False
    has_angle: bool = False
    is_normalised: bool = False

    def __call__(self, outputs: Outputs) -> Candidates:
        """Return the boxes of an image."""
        array = outputs[self.output][0]
        rows = np.asarray(array.T if self.has_boxes_as_columns else array, np.float32)
        if self.columns == 'end2end':
            boxes = rows[:, :4] if self.has_edges else self._upright(rows)
            return Candidates(rows[:, 4], np.rint(rows[:, 5]).astype(np.int64),
                              self._to_pixels(boxes))
        if self.columns == 'nanodet':
            scores, boxes = nanodet.decode_nanodet(rows, self.classes, self.size)
        elif self.columns == 'yolov8':
            scores = rows[:, 4:4 + self.classes]
            boxes = self._upright(rows)
        else:
            scores = rows[:, 5:5 + self.classes] * rows[:, 4:5]
            boxes = self._upright(self._from_grid(rows) if self.columns == 'yolox_grid' else rows)
        return Candidates(scores.max(axis=1), scores.argmax(axis=1), self._to_pixels(boxes))

    def _to_pixels(self, boxes: np.ndarray) -> np.ndarray:
        return boxes * np.array([*self.size] * 2, np.float32) if self.is_normalised else boxes

    def _upright(self, rows: np.ndarray) -> np.ndarray:
        """Return the edges of the smallest upright boxes around boxes with centre and sides."""
        if not self.has_angle:
            return corners_of(rows)
        cosines, sines = np.abs(np.cos(rows[:, -1])), np.abs(np.sin(rows[:, -1]))
        widths, heights = rows[:, 2], rows[:, 3]
        return corners_of(np.stack([rows[:, 0], rows[:, 1], widths * cosines + heights * sines,
                                    widths * sines + heights * cosines], axis=1))

    def _from_grid(self, rows: np.ndarray) -> np.ndarray:
        """
        Return the centre and the sides in pixels of boxes that refer to the cells of grids.

        In units of cells, the centre is relative to the left top of the cell, and the sides are
        logarithms (Ge et al., YOLOX, 2021).
        """
        strides_px = next(strides for strides in GRIDS_PX
                          if count_cells(self.size, strides) == len(rows))
        cells, cell_sizes = [], []
        for stride_px in strides_px:
            x, y = np.meshgrid(np.arange(-(-self.size[0] // stride_px)),
                               np.arange(-(-self.size[1] // stride_px)))
            cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
            cell_sizes.append(np.full((x.size, 1), stride_px, np.float32))
        cell_sizes_px = np.concatenate(cell_sizes)
        centres_px = (rows[:, :2] + np.concatenate(cells)) * cell_sizes_px
        return np.concatenate([centres_px, np.exp(rows[:, 2:4]) * cell_sizes_px], axis=1)


@dataclass(frozen=True)
class SelectedRowDecoder:
    """
    Reads the boxes from an output ``(N, F)`` of selected boxes in pixels.

    Attributes
    ----------
    output:
        The name of the output.
    edges:
        The first of the four columns of the edges.
    class_id, score:
        The columns of these.

    """

    output: str
    edges: int
    class_id: int
    score: int

    def __call__(self, outputs: Outputs) -> Candidates:
        """Return the boxes of an image."""
        rows = np.asarray(outputs[self.output], np.float32)
        return Candidates(rows[:, self.score], np.rint(rows[:, self.class_id]).astype(np.int64),
                          rows[:, self.edges:self.edges + 4])
