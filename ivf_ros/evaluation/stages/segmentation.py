# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of segmentation methods against labels, for each input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
import math
from typing import Any

from ivf_ros import segmentation
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
from ivf_ros.types import Segmentation
import numpy as np


@dataclass(frozen=True)
class SegmentationEvaluation(PerInputEvaluation):
    """Segmenters, scored for each image and for the pixels of all images together."""

    name = 'segmentation'
    metrics = metrics.SEGMENTATION_METRICS

    def get_labels(self, sample: Sample) -> Annotation[Segmentation] | None:
        """Return the true label of each pixel."""
        return sample.segmentation

    def run_model(self, model: str, weights: str, images: tuple[np.ndarray, ...],
                  true: Segmentation) -> ModelResult:
        """Segment the image and count the pixels of each class."""
        segmenter = _load_segmenter(model, weights)
        check_accepts(model, segmenter, images)
        predicted, cpu_s = time_call(segmenter.segment, *images)
        return ModelResult(*score_labels(predicted, true), cpu_s,
                           segmentation.overlay(images[0], predicted))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the metrics of the summed counts, including the IoU of each class."""
        return score_all_labels([row.evidence for row in rows if row.evidence])


def score_labels(predicted: Segmentation, true: Segmentation
                 ) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics of one label image, and the input of ``score_all_labels``."""
    counts = metrics.confusion_matrix(predicted, true)
    values = metrics.segmentation(counts, true.class_names)
    return ({info.name: values[info.name] for info in metrics.SEGMENTATION_METRICS},
            {'counts': counts.tolist(), 'class_names': list(true.class_names)})


def score_all_labels(evidence: Sequence[dict[str, Any]]) -> dict[str, tuple[MetricInfo, float]]:
    """Return the metrics of the summed counts, including the IoU of each class."""
    schemes = {tuple(image['class_names']) for image in evidence}
    if len(schemes) != 1:  # no image, or data sets with different classes
        return {}
    class_names, = schemes
    values = metrics.segmentation(np.sum([image['counts'] for image in evidence], axis=0),
                                  class_names)
    about = {info.name: info.about for info in metrics.SEGMENTATION_METRICS}
    return {f'total {name}': (MetricInfo(f'total {name}', 'higher', '', 'all pixels together: '
                                         + about.get(name, 'of one class')), value)
            for name, value in values.items()
            if not (math.isnan(value) or name.startswith('Acc '))}


@lru_cache(maxsize=32)
def _load_segmenter(model: str, weights: str) -> Any:
    return create_method(select_create(model, segmentation.create), model,
                         **({'network.weights': weights} if weights else {}))
