# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of detections, by the COCO evaluation of pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
import io
from typing import Any

from ivf_ros.data.sample import IGNORED
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.types import Detection
import numpy as np

DETECTION_METRICS = (
    MetricInfo('mAP', 'higher', '', 'mean over the classes of the average precision, itself the '
               'mean over IoU 0.50 to 0.95 (COCO, Lin et al. 2014)'),
    MetricInfo('mAP50', 'higher', '', 'the same at IoU 0.50, as PASCAL VOC counts a hit'),
    MetricInfo('mAP75', 'higher', '', 'the same at IoU 0.75'),
    MetricInfo('AR', 'higher', '', 'mean over the classes of the recall of up to 100 boxes an '
               'image, itself the mean over IoU 0.50 to 0.95'),
)

# pycocotools calls overall precision and recall by these places in its table.
_COCO_STAT_INDEX = {'mAP': 0, 'mAP50': 1, 'mAP75': 2, 'AR': 8}

Image = tuple[Sequence[Detection], Sequence[Detection]]


def detection(images: Sequence[Image]) -> dict[str, float]:
    """
    Measure the detections of many images together.

    Parameters
    ----------
    images:
        For each image the detections that were found and the true ones, whose score is not
        looked at. Found classes that occur in no truth are left out, as nobody annotated them. A
        found box that lies mostly in a true one of class ``IGNORED`` counts as neither right nor
        wrong, as COCO treats crowds.

    Returns
    -------
    dict
        ``mAP``, ``mAP50``, ``mAP75``, ``AR``, and ``AP50 <class>`` of each true class; NaN
        where there is not one true box.

    Raises
    ------
    MetricError
        pycocotools is missing, or there are no images.

    """
    if not images:
        raise MetricError('there must be at least one image')
    classes = sorted({box.class_name for _, true in images for box in true} - {IGNORED})
    if not classes:
        return {name: float('nan') for name in _COCO_STAT_INDEX}
    evaluated = _run_coco_eval(images, {name: index + 1 for index, name in enumerate(classes)})
    # precision has axes IoU threshold, recall, class, area, detections an image; -1: undefined
    precision = evaluated.eval['precision'][0, :, :, 0, -1]
    return {
        **{name: float(evaluated.stats[place]) for name, place in _COCO_STAT_INDEX.items()},
        **{f'AP50 {name}': float(precision[:, index].mean())
           for index, name in enumerate(classes)},
    }


def count_hits(predicted: Sequence[Detection], true: Sequence[Detection], *, min_iou: float = 0.5
               ) -> dict[str, float]:
    """
    Count hits in one image: by falling score, each found box takes the best true box left.

    Returns ``true``, ``predicted`` and ``hits``, the predicted boxes of the right class that overlap a
    true one by an IoU of at least ``min_iou``, and from them ``precision``, ``recall`` (NaN
    without any predicted or any true box) and ``F1``, 1 where there is nothing and nothing was predicted.
    True boxes of class ``IGNORED``, and found ones that hit nothing and lie mostly in them, do
    not count.
    """
    ignored = [box for box in true if box.class_name == IGNORED]
    total, outcomes = 0, []
    for name in {box.class_name for box in (*predicted, *true)} - {IGNORED}:
        of_class = [box for box in true if box.class_name == name]
        total += len(of_class)
        outcomes += hits_among([box for box in predicted if box.class_name == name], of_class,
                               ignored, min_iou=min_iou)
    counted, hits = len(outcomes), sum(hit for _, hit in outcomes)
    return {'true': float(total), 'found': float(counted), 'hits': float(hits),
            'precision': hits / counted if counted else float('nan'),
            'recall': hits / total if total else float('nan'),
            'F1': 2 * hits / (counted + total) if counted + total else 1.0}


def hits_among(predicted: Sequence[Detection], true: Sequence[Detection],
               ignored: Sequence[Detection], *, min_iou: float = 0.5) -> list[tuple[float, bool]]:
    """
    Tell of found boxes of one class, by falling score, which hit one of the true boxes of it.

    Returns score and hit of each, without those that hit nothing and lie mostly in what is
    ignored, as COCO counts them.
    """
    left, outcomes = list(true), []
    for box in sorted(predicted, key=lambda one: -one.score):
        overlaps = [iou(box, other) for other in left]
        hit = bool(overlaps) and max(overlaps) >= min_iou
        if hit:
            del left[int(np.argmax(overlaps))]
        if hit or not any(_shared_px2(box, other) >= min_iou * _area_px2(box)
                          for other in ignored):
            outcomes.append((box.score, hit))
    return outcomes


def iou(a: Detection, b: Detection) -> float:
    """Return the intersection of two boxes over their union."""
    shared = _shared_px2(a, b)
    return shared / (_area_px2(a) + _area_px2(b) - shared) if shared else 0.0


def _shared_px2(a: Detection, b: Detection) -> float:
    (a_left, a_top, a_right, a_bottom), (b_left, b_top, b_right, b_bottom) = \
        a.box_xyxy_px, b.box_xyxy_px
    width = min(a_right, b_right) - max(a_left, b_left)
    height = min(a_bottom, b_bottom) - max(a_top, b_top)
    return max(width, 0.0) * max(height, 0.0)


def _area_px2(box: Detection) -> float:
    left, top, right, bottom = box.box_xyxy_px
    return (right - left) * (bottom - top)


def _run_coco_eval(images: Sequence[Image], class_ids: dict[str, int]) -> Any:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError:
        raise MetricError("mAP needs 'pycocotools'; pip install pycocotools") from None

    true_boxes: list[dict[str, Any]] = []
    found_boxes: list[dict[str, Any]] = []
    for image_id, (predicted, true) in enumerate(images, start=1):
        for boxes, listed in ((true, true_boxes), (predicted, found_boxes)):
            for box in boxes:
                # An ignored box is ignored for each class.
                names = class_ids if box.class_name == IGNORED else (box.class_name,)
                listed.extend(_coco_box(box, image_id, class_ids[name], len(listed) + 1)
                              for name in names if name in class_ids)
    with redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        true_set, found_set = COCO(), COCO()
        for coco, listed in ((true_set, true_boxes), (found_set, found_boxes)):
            coco.dataset = {'images': [{'id': i + 1} for i in range(len(images))],
                            'categories': [{'id': i} for i in class_ids.values()],
                            'annotations': listed}
            coco.createIndex()
        evaluated = COCOeval(true_set, found_set, 'bbox')
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


def _coco_box(box: Detection, image_id: int, class_id: int, box_id: int) -> dict[str, Any]:
    left, top, right, bottom = box.box_xyxy_px
    return {'id': box_id, 'image_id': image_id, 'category_id': class_id,
            'bbox': [left, top, right - left, bottom - top], 'area': _area_px2(box),
            'iscrowd': int(box.class_name == IGNORED), 'score': box.score}
