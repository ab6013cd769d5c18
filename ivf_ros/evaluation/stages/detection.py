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
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.sample import Annotation, Sample
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row
from ivf_ros.evaluation.stages.inputs import time_call
from ivf_ros.evaluation.stages.per_input import check_accepts, ModelResult, PerInputEvaluation
from ivf_ros.types import Detection
import numpy as np

DETECTION_METRICS_OF_IMAGE = (
    MetricInfo('precision', 'higher', '', 'share of the found boxes that hit one of the same '
               'class with IoU 0.5'),
    MetricInfo('recall', 'higher', '', 'share of the true boxes that were hit'),
    MetricInfo('F1', 'higher', '', 'harmonic mean of the two; 1 where nothing is there and '
               'nothing was found'),
)
MIN_REPORTED_SCORE = 0.02  # of the boxes that mAP looks at
_PRECISION = MetricInfo('precision50', 'higher', '', 'share of all boxes that are reported '
                        'and are hits at IoU 0.5')
_RECALL = MetricInfo('recall50', 'higher', '', 'share of all true boxes that were hit')


@dataclass(frozen=True)
class DetectionEvaluation(PerInputEvaluation):
    """Detectors, scored for each image and for the boxes of all of them together."""

    name = 'detection'
    metrics = DETECTION_METRICS_OF_IMAGE

    def labels_of(self, sample: Sample) -> Annotation[tuple[Detection, ...]] | None:
        """Return the true boxes."""
        return sample.detections

    def run_model(self, model: str, weights: str, seen: tuple[np.ndarray, ...],
                  true: tuple[Detection, ...]) -> ModelResult:
        """Search the image and count hits among the classes that the model knows."""
        detector, least_score = _detector(model, weights)
        check_accepts(model, detector, seen)
        found, cpu_s = time_call(detector.detect, *seen)
        values, evidence = score_detections(found, true, detector.class_names, least_score)
        confident = [box for box in found if box.score >= least_score]
        return ModelResult(values, evidence, cpu_s, detection.draw(seen[0], confident))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return COCO's measures over all images, and precision and recall of all boxes."""
        return score_all_detections([row.evidence for row in rows if row.evidence])


def score_detections(found: Sequence[Detection], true: Iterable[Detection],
                     class_names: Sequence[str], min_score: float
                     ) -> tuple[dict[str, float], dict[str, Any]]:
    """
    Compare the boxes of one image with the true ones.

    Parameters
    ----------
    found:
        All boxes that the detector reports.
    true:
        Those that are there, by any names.
    class_names:
        What the detector can find.
    min_score:
        Score from which on a box counts for the values of this image.

    Returns
    -------
    values
        ``DETECTION_METRICS_OF_IMAGE`` of the boxes with this score.
    evidence
        What ``score_all_detections`` needs.

    """
    known = map_class_names(true, class_names)
    hits = metrics.count_hits([box for box in found if box.score >= min_score], known)
    return ({info.name: hits[info.name] for info in DETECTION_METRICS_OF_IMAGE},
            {'found': _boxes_to_json(found), 'true': _boxes_to_json(known),
             'counts': [hits['hits'], hits['found'], hits['true']]})


def score_all_detections(evidence: Sequence[dict[str, Any]]
                         ) -> dict[str, tuple[MetricInfo, float]]:
    """Return COCO's measures over all images, and precision and recall of all boxes."""
    if not evidence:
        return {}
    values = metrics.detection([(boxes_from_json(one['found']), boxes_from_json(one['true']))
                                for one in evidence])
    known = {info.name: info for info in metrics.DETECTION_METRICS}
    found = {name: (known.get(name, MetricInfo(name, 'higher', '', 'of one class')), value)
             for name, value in values.items()}
    hits, boxes_found, boxes_true = (sum(one['counts'][i] for one in evidence) for i in range(3))
    for info, boxes in ((_PRECISION, boxes_found), (_RECALL, boxes_true)):
        found[info.name] = info, hits / boxes if boxes else math.nan
    return found


@lru_cache(maxsize=32)
def _detector(model: str, weights: str) -> tuple[Any, float]:
    """Return a detector that reports all mAP looks at, and from which score on it does at work."""
    detector = detection.create(model, **{'network.weights': weights})
    if not isinstance(detector, detection.AnchorFreeDetector):
        return detector, 0.0
    default_min_score = detector.parameters.min_score
    detector.parameters = replace(detector.parameters, min_score=MIN_REPORTED_SCORE)
    return detector, default_min_score


def _boxes_to_json(boxes: Iterable[Detection]) -> list[list[Any]]:
    return [[*map(float, box.box_xyxy_px), box.class_name, float(box.score)] for box in boxes]


def boxes_from_json(listed: Iterable[Sequence[Any]]) -> list[Detection]:
    """Return the boxes that the evidence of an image lists."""
    return [Detection((one[0], one[1], one[2], one[3]), one[4], one[5]) for one in listed]
