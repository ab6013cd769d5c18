# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression of overlapping boxes."""

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
        Width and height of the image in pixels; boxes are clipped to it.
    min_score:
        Boxes with a lower score are dropped.
    nms_iou:
        If two boxes of one class have a larger IoU, the one with the lower score is dropped.

    """
    best = scores.max(axis=1)
    likely = np.flatnonzero(best >= min_score)
    if not likely.size:
        return []
    limits = np.array([*size, *size], np.float32)
    boxes = np.clip(boxes_xyxy_px[likely], 0, limits)
    class_ids = scores[likely].argmax(axis=1)
    boxes_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(boxes_xywh.tolist(), best[likely].tolist(), class_ids.tolist(),
                                   min_score, nms_iou)
    order = sorted(np.ravel(kept).astype(int), key=lambda index: -best[likely[index]])
    return [Detection((float(boxes[index, 0]), float(boxes[index, 1]), float(boxes[index, 2]),
                       float(boxes[index, 3])), class_names[class_ids[index]],
                      float(best[likely[index]]))
            for index in order if (boxes_xywh[index, 2:] > 0).all()]
