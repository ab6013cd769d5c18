# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of detection methods against boxes, for each input."""

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
from ivf_ros.evaluation.stages.inputs import create_method, time_call
from ivf_ros.evaluation.stages.per_input import (
    check_accepts,
    ModelResult,
    PerInputEvaluation,
    select_create,
)
from ivf_ros.types import Detection
import numpy as np

IMAGE_DETECTION_METRICS = (
    MetricInfo('precision', 'higher', '', 'fraction of the predicted boxes that match a true box '
               'of the same class with IoU 0.5'),
    MetricInfo('recall', 'higher', '', 'fraction of the true boxes that are matched'),
    MetricInfo('F1', 'higher', '', 'harmonic mean of precision and recall; 1 if there are neither '
               'true nor predicted boxes'),
)
MIN_REPORTED_SCORE = 0.02  # of the boxes that mAP is computed from
_PRECISION = MetricInfo('precision50', 'higher', '', 'fraction of all predicted boxes that match '
                        'a true box at IoU 0.5')
_RECALL = MetricInfo('recall50', 'higher', '', 'fraction of all true boxes that are matched')


@dataclass(frozen=True)
class DetectionEvaluation(PerInputEvaluation):
    """Detectors, scored for each image and for the boxes of all images together."""

    name = 'detection'
    metrics = IMAGE_DETECTION_METRICS

    def get_labels(self, sample: Sample) -> Annotation[tuple[Detection, ...]] | None:
        """Return the true boxes."""
        return sample.detections

    def run_model(self, model: str, weights: str, images: tuple[np.ndarray, ...],
                  true: tuple[Detection, ...]) -> ModelResult:
        """Detect objects and count matches among the classes of the model."""
        detector, min_score = _load_detector(model, weights)
        check_accepts(model, detector, images)
        predicted, cpu_s = time_call(detector.detect, *images)
        values, evidence = score_detections(predicted, true, detector.class_names, min_score)
        evidence['width_px'] = images[0].shape[1]
        confident = [box for box in predicted if box.score >= min_score]
        return ModelResult(values, evidence, cpu_s, detection.draw(images[0], confident))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the COCO metrics over all images, and precision and recall of all boxes."""
        return score_all_detections([row.evidence for row in rows if row.evidence])


def score_detections(predicted: Sequence[Detection], true: Iterable[Detection],
                     class_names: Sequence[str], min_score: float
                     ) -> tuple[dict[str, float], dict[str, Any]]:
    """
    Compare the predicted boxes of one image with the true ones.

    Parameters
    ----------
    predicted:
        All boxes that the detector reports.
    true:
        The true boxes, with class names of the data set.
    class_names:
        Classes of the detector.
    min_score:
        Lowest score of the boxes that count for the values of this image.

    Returns
    -------
    values
        ``IMAGE_DETECTION_METRICS`` of the boxes with at least this score.
    evidence
        Input of ``score_all_detections``.

    """
    mapped = map_class_names(true, class_names)
    hits = metrics.count_hits([box for box in predicted if box.score >= min_score], mapped)
    return ({info.name: hits[info.name] for info in IMAGE_DETECTION_METRICS},
            {'found': boxes_to_json(predicted), 'true': boxes_to_json(mapped),
             'counts': [hits['hits'], hits['found'], hits['true']]})


def score_all_detections(evidence: Sequence[dict[str, Any]]
                         ) -> dict[str, tuple[MetricInfo, float]]:
    """Return the COCO metrics over all images, and precision and recall of all boxes."""
    if not evidence:
        return {}
    values = metrics.detection([(boxes_from_json(image['found']), boxes_from_json(image['true']))
                                for image in evidence])
    infos = {info.name: info for info in metrics.DETECTION_METRICS}
    overall = {name: (infos.get(name, MetricInfo(name, 'higher', '', 'of one class')), value)
               for name, value in values.items()}
    hits, n_predicted, n_true = (sum(image['counts'][i] for image in evidence) for i in range(3))
    for info, n_boxes in ((_PRECISION, n_predicted), (_RECALL, n_true)):
        overall[info.name] = info, hits / n_boxes if n_boxes else math.nan
    return overall


@lru_cache(maxsize=32)
def _load_detector(model: str, weights: str) -> tuple[Any, float]:
    """Return a detector that reports all boxes for mAP, and its default minimum score."""
    create: Any = select_create(model, detection.create)
    detector = create_method(create, model, **({'network.weights': weights} if weights else {}))
    if not isinstance(detector.parameters, detection.AnchorFreeParameters):
        return detector, 0.0
    default_min_score = detector.parameters.min_score
    detector.parameters = replace(detector.parameters, min_score=MIN_REPORTED_SCORE, min_scores=())
    return detector, default_min_score


def boxes_to_json(boxes: Iterable[Detection]) -> list[list[Any]]:
    """Return boxes without tracks as the evidence of an image."""
    return [[*map(float, box.box_xyxy_px), box.class_name, float(box.score)] for box in boxes]


def boxes_from_json(records: Iterable[Sequence[Any]]) -> list[Detection]:
    """Return the boxes of the evidence of an image."""
    return [Detection((left, top, right, bottom), class_name, score)
            for left, top, right, bottom, class_name, score in records]
