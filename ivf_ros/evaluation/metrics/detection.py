# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection metrics, by the COCO evaluation of pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
import io
from typing import Any

from ivf_ros.boxes import area_px2, intersection_px2, iou
from ivf_ros.data.sample import IGNORED
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.optional_imports import explain_missing
from ivf_ros.types import Detection
import numpy as np

DETECTION_METRICS = (
    MetricInfo('mAP', 'higher', '', 'average precision, mean over the classes and over IoU 0.50 '
               'to 0.95 (COCO, Lin et al. 2014)'),
    MetricInfo('mAP50', 'higher', '', 'the same at IoU 0.50, the threshold of PASCAL VOC'),
    MetricInfo('mAP75', 'higher', '', 'the same at IoU 0.75'),
    MetricInfo('AR', 'higher', '', 'recall of up to 100 boxes per image, mean over the classes '
               'and over IoU 0.50 to 0.95'),
)

# Indices of the metrics in COCOeval.stats.
_COCO_STAT_INDEX = {'mAP': 0, 'mAP50': 1, 'mAP75': 2, 'AR': 8}

ImageDetections = tuple[Sequence[Detection], Sequence[Detection]]


def detection(images: Sequence[ImageDetections]) -> dict[str, float]:
    """
    Compute the detection metrics over many images together.

    Parameters
    ----------
    images:
        For each image the predicted and the true boxes; the score of true boxes is not used.
        Predicted classes that no image has as a true class are left out, because they are not
        annotated. A predicted box that lies mostly inside a true box of class ``IGNORED`` is
        neither correct nor wrong, as COCO treats crowds.

    Returns
    -------
    dict
        ``mAP``, ``mAP50``, ``mAP75``, ``AR``, and ``AP50 <class>`` for each true class; NaN
        if there is no true box.

    Raises
    ------
    MetricError
        pycocotools is missing, or there are no images.

    """
    if not images:
        raise MetricError('detection metrics need at least one image')
    classes = sorted({box.class_name for _, true in images for box in true} - {IGNORED})
    if not classes:
        return {name: float('nan') for name in _COCO_STAT_INDEX}
    evaluated = _run_coco_eval(images, {name: index + 1 for index, name in enumerate(classes)})
    # precision has axes IoU threshold, recall, class, area, detections an image; -1: undefined
    precision = evaluated.eval['precision'][0, :, :, 0, -1]
    return {
        **{name: float(evaluated.stats[index]) for name, index in _COCO_STAT_INDEX.items()},
        **{f'AP50 {name}': float(precision[:, index].mean())
           for index, name in enumerate(classes)},
    }


def count_hits(predicted: Sequence[Detection], true: Sequence[Detection], *, min_iou: float = 0.5
               ) -> dict[str, float]:
    """
    Count the hits in one image.

    Predicted boxes are processed by falling score. A box is a hit if its highest IoU with the
    remaining true boxes of its class is at least ``min_iou``; that true box is then removed. True
    boxes of class ``IGNORED`` do not count, and predicted boxes that are no hit and lie mostly
    inside one do not count either.

    Returns
    -------
    dict
        ``true``, ``found`` (number of predicted boxes) and ``hits``; ``precision`` and ``recall``,
        NaN without any predicted or any true box; ``F1``, 1 if there are neither.

    """
    ignored = [box for box in true if box.class_name == IGNORED]
    total, outcomes = 0, []
    for name in {box.class_name for box in (*predicted, *true)} - {IGNORED}:
        of_class = [box for box in true if box.class_name == name]
        total += len(of_class)
        outcomes += match_boxes([box for box in predicted if box.class_name == name], of_class,
                                ignored, min_iou=min_iou)
    counted, hits = len(outcomes), sum(hit for _, hit in outcomes)
    return {'true': float(total), 'found': float(counted), 'hits': float(hits),
            'precision': hits / counted if counted else float('nan'),
            'recall': hits / total if total else float('nan'),
            'F1': 2 * hits / (counted + total) if counted + total else 1.0}


def match_boxes(predicted: Sequence[Detection], true: Sequence[Detection],
                ignored: Sequence[Detection], *, min_iou: float = 0.5) -> list[tuple[float, bool]]:
    """
    Match the predicted boxes of one class with the true boxes of this class, by falling score.

    Returns score and hit of each predicted box. Boxes that are no hit and lie mostly inside an
    ignored box are left out, as in COCO.
    """
    return [(box.score, match is not None)
            for box, match in assign_boxes(predicted, true, min_iou=min_iou)
            if match is not None or not any(
                intersection_px2(box, other) >= min_iou * area_px2(box) for other in ignored)]


def assign_boxes(predicted: Sequence[Detection], true: Sequence[Detection], *,
                 min_iou: float = 0.5) -> list[tuple[Detection, Detection | None]]:
    """
    Return each predicted box of one class, by falling score, with the true box that it hits.

    That is the one of the remaining true boxes with the highest IoU, if it is at least
    ``min_iou``; else None.
    """
    remaining, assigned = list(true), []
    for box in sorted(predicted, key=lambda item: -item.score):
        overlaps = [iou(box, other) for other in remaining]
        is_hit = bool(overlaps) and max(overlaps) >= min_iou
        assigned.append((box, remaining.pop(int(np.argmax(overlaps))) if is_hit else None))
    return assigned


def _run_coco_eval(images: Sequence[ImageDetections], class_ids: dict[str, int]) -> Any:
    with explain_missing('mAP', MetricError):
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

    true_boxes: list[dict[str, Any]] = []
    predicted_boxes: list[dict[str, Any]] = []
    for image_id, (predicted, true) in enumerate(images, start=1):
        for boxes, records in ((true, true_boxes), (predicted, predicted_boxes)):
            for box in boxes:
                # An ignored box applies to all classes.
                names = class_ids if box.class_name == IGNORED else (box.class_name,)
                records.extend(_coco_box(box, image_id, class_ids[name], len(records) + 1)
                               for name in names if name in class_ids)
    with redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        true_set, predicted_set = COCO(), COCO()
        for coco, records in ((true_set, true_boxes), (predicted_set, predicted_boxes)):
            coco.dataset = {'images': [{'id': i + 1} for i in range(len(images))],
                            'categories': [{'id': i} for i in class_ids.values()],
                            'annotations': records}
            coco.createIndex()
        evaluated = COCOeval(true_set, predicted_set, 'bbox')
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


def _coco_box(box: Detection, image_id: int, class_id: int, box_id: int) -> dict[str, Any]:
    left, top, right, bottom = box.box_xyxy_px
    return {'id': box_id, 'image_id': image_id, 'category_id': class_id,
            'bbox': [left, top, right - left, bottom - top], 'area': area_px2(box),
            'iscrowd': int(box.class_name == IGNORED), 'score': box.score}
