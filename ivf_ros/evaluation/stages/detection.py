# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection methods measured against boxes, on each kind of input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
import math
from typing import Any

from ivf_ros import detection
from ivf_ros.data.known_classes import as_known
from ivf_ros.data.sample import Annotation, Sample
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row
from ivf_ros.evaluation.stages.inputs import timed
from ivf_ros.evaluation.stages.per_input import check_takes, Judged, PerInputEvaluation
from ivf_ros.types import Detection
import numpy as np

_METRICS = (
    MetricInfo('precision', 'higher', '', 'share of the found boxes that hit one of the same '
               'class with IoU 0.5'),
    MetricInfo('recall', 'higher', '', 'share of the true boxes that were hit'),
    MetricInfo('F1', 'higher', '', 'harmonic mean of the two; 1 where nothing is there and '
               'nothing was found'),
)
_LEAST_SCORE = 0.02  # of the boxes that mAP looks at
_PRECISION = MetricInfo('precision50', 'higher', '', 'share of all boxes that are reported '
                        'and are hits at IoU 0.5')
_RECALL = MetricInfo('recall50', 'higher', '', 'share of all true boxes that were hit')


@dataclass(frozen=True)
class DetectionEvaluation(PerInputEvaluation):
    """Detectors, scored for each image and for the boxes of all of them together."""

    name = 'detection'
    metrics = _METRICS

    def labels_of(self, sample: Sample) -> Annotation[tuple[Detection, ...]] | None:
        """Return the true boxes."""
        return sample.detections

    def judge(self, model: str, weights: str, seen: tuple[np.ndarray, ...],
              true: tuple[Detection, ...]) -> Judged:
        """Search the image and count hits among the classes that the model knows."""
        detector, least_score = _detector(model, weights)
        check_takes(model, detector, seen)
        found, cpu_s = timed(detector.detect, *seen)
        true = as_known(true, detector.class_names)
        sure = [box for box in found if box.score >= least_score]
        hits = metrics.matched(sure, true)
        return Judged({info.name: hits[info.name] for info in self.metrics},
                      {'found': _listed(found), 'true': _listed(true),
                       'counts': [hits['hits'], hits['found'], hits['true']]}, cpu_s,
                      detection.draw(seen[0], sure))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return COCO's measures over all images, and precision and recall of all boxes."""
        counted = [row.evidence for row in rows if row.evidence]
        if not counted:
            return {}
        values = metrics.detection([(boxes_of(one['found']), boxes_of(one['true']))
                                    for one in counted])
        known = {info.name: info for info in metrics.DETECTION_METRICS}
        found = {name: (known.get(name, MetricInfo(name, 'higher', '', 'of one class')), value)
                 for name, value in values.items()}
        hits, boxes_found, boxes_true = (sum(one['counts'][i] for one in counted)
                                         for i in range(3))
        for info, boxes in ((_PRECISION, boxes_found), (_RECALL, boxes_true)):
            found[info.name] = info, hits / boxes if boxes else math.nan
        return found


@lru_cache(maxsize=32)
def _detector(model: str, weights: str) -> tuple[Any, float]:
    """Return a detector that reports all mAP looks at, and from which score on it does at work."""
    detector = detection.create(model, **({f'{model}.weights': weights} if weights else {}))
    if not isinstance(detector, detection.AnchorFreeDetector):
        return detector, 0.0
    at_work = detector.parameters.min_score
    detector.parameters = replace(detector.parameters, min_score=_LEAST_SCORE)
    return detector, at_work


def _listed(boxes: Iterable[Detection]) -> list[list[Any]]:
    return [[*map(float, box.box_xyxy_px), box.class_name, float(box.score)] for box in boxes]


def boxes_of(listed: Iterable[Sequence[Any]]) -> list[Detection]:
    """Return the boxes that the evidence of an image lists."""
    return [Detection((one[0], one[1], one[2], one[3]), one[4], one[5]) for one in listed]
