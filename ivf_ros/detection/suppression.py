# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Selection of the boxes of a detector: by score, and by non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from ivf_ros.types import Detection
import numpy as np


def non_maximum_suppression(scores: np.ndarray, boxes_xyxy_px: np.ndarray,
                            class_names: Sequence[str], size: tuple[int, int],
                            min_score: float, nms_iou: float) -> list[Detection]:
    """
    Return the boxes that no box of the same class with a higher score overlaps, best first.

    Parameters
    ----------
    scores:
        ``(N, classes)`` from 0 to 1; each box gets the class with the highest score.
    boxes_xyxy_px:
        ``(N, 4)`` left, top, right, bottom edges.
    class_names:
        In the order of the columns of ``scores``.
    size:
        Width and height of the image in pixels; boxes are clipped to it first.
    min_score:
        Boxes with a lower score are dropped.
    nms_iou:
        If two boxes of one class have a larger IoU, the one with the lower score is dropped.

    """
    return select_detections(scores.max(axis=1), scores.argmax(axis=1),
                             _clip(boxes_xyxy_px, size), class_names, size, min_score, nms_iou)


def select_detections(scores: np.ndarray, class_ids: np.ndarray, boxes_xyxy_px: np.ndarray,
                      class_names: Sequence[str], size: tuple[int, int], min_score: float,
                      nms_iou: float | None) -> list[Detection]:
    """
    Return the boxes with a high score, best first; see ``non_maximum_suppression``.

    Boxes are clipped to the image last, so that those of objects at its border keep their IoU.

    Parameters
    ----------
    scores:
        ``(N,)`` from 0 to 1.
    class_ids:
        ``(N,)`` indices in ``class_names``.
    nms_iou:
        None for boxes that were selected already; then overlapping boxes are kept.

    """
    likely = np.flatnonzero(scores >= min_score)
    if not likely.size:
        return []
    scores, class_ids = scores[likely], class_ids[likely]
    boxes = boxes_xyxy_px[likely]
    kept = np.arange(likely.size)
    if nms_iou is not None:
        boxes_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = np.ravel(cv2.dnn.NMSBoxesBatched(boxes_xywh.tolist(), scores.tolist(),
                                                class_ids.tolist(), min_score, nms_iou))
    boxes = _clip(boxes, size)
    order = sorted(kept.astype(int), key=lambda index: -scores[index])
    return [Detection((float(boxes[index, 0]), float(boxes[index, 1]), float(boxes[index, 2]),
                       float(boxes[index, 3])), class_names[class_ids[index]],
                      float(scores[index]))
            for index in order if (boxes[index, 2:] > boxes[index, :2]).all()]


def _clip(boxes_xyxy_px: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.clip(boxes_xyxy_px, 0, np.array([*size, *size], np.float32))
