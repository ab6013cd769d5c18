# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Two networks on the same annotated pairs: scores for each class, and whether they differ.

Of networks that segment, too, it is measured how far their labels agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math
from pathlib import Path
from typing import Any

from ivf_ros import detection, fusion, perception
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.sample import IGNORED, Sample
from ivf_ros.detection import Detector
from ivf_ros.evaluation.metrics.detection import match_boxes
from ivf_ros.evaluation.metrics.segmentation import confusion_matrix, segmentation
from ivf_ros.evaluation.stages.detection import MIN_REPORTED_SCORE
from ivf_ros.network_inputs import AlignedPair, select_images
from ivf_ros.perception import JointPerception
from ivf_ros.thermal_on_rgb import find_coverage
from ivf_ros.types import Detection
import numpy as np

BETTER, WORSE, EQUAL = 'better', 'worse', 'no clear difference'
_RECALLS = np.linspace(0, 1, 101)  # at which COCO samples the precision
_RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class ClassOutcomes:
    """
    What a detector found of one class in each image.

    Attributes
    ----------
    scores, hits:
        Score of each counted box and whether it is a hit, by image.
    n_true:
        ``(images,)`` number of true boxes.

    """

    scores: tuple[np.ndarray, ...]
    hits: tuple[np.ndarray, ...]
    n_true: np.ndarray

    def average_precision(self, images: Sequence[int] | np.ndarray) -> float:
        """Return the average precision at IoU 0.5 over images, as COCO; NaN without true boxes."""
        total = int(self.n_true[images].sum())
        if not total:
            return math.nan
        scores, hits = (np.concatenate([values[index] for index in images])
                        for values in (self.scores, self.hits))
        hits = hits[np.argsort(-scores, kind='stable')]
        found = np.cumsum(hits)
        precision = found / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        positions = np.searchsorted(found / total, _RECALLS)
        return float(np.append(envelope, 0.0)[np.minimum(positions, len(hits))].mean())

    def precision_and_recall(self, min_score: float) -> tuple[float, float]:
        """Return both for the boxes with at least this score; NaN where there are none."""
        hits = np.concatenate([hits[scores >= min_score]
                               for scores, hits in zip(self.scores, self.hits, strict=True)])
        total = int(self.n_true.sum())
        return (float(hits.mean()) if len(hits) else math.nan,
                float(hits.sum() / total) if total else math.nan)


Outcomes = dict[str, ClassOutcomes]


def create_detector(network: str, weights: Path, threads: int) -> Any:
    """Return a detector, or 'perception', that also reports the boxes of low scores."""
    create: Any = {'detection': detection.create, 'perception': perception.create}[network]
    created = create(**{'network.weights': str(weights), 'network.threads': threads})
    created.parameters = replace(created.parameters, min_score=MIN_REPORTED_SCORE, min_scores=())
    return created


def measure_detector(detector: Detector, samples: Sequence[Sample], given: str) -> Outcomes:
    """
    Run a detector on annotated pairs and compare its boxes with the true ones.

    Parameters
    ----------
    detector:
        Reports boxes of low scores, too, for the average precision.
    samples:
        Aligned pairs with boxes.
    given:
        Input of the detector, see ``select_images``.

    Returns
    -------
    Outcomes
        By class; only classes that have a true box.

    """
    compared = []
    for sample in samples:
        assert sample.detections is not None
        compared.append((detector.detect(*_read_images(sample, given)),
                         map_class_names(sample.detections.read(), detector.class_names)))
    return compare_boxes(compared, detector.class_names)


def measure_kept_labels(before: JointPerception, after: JointPerception,
                        samples: Sequence[Sample], given: str) -> dict[str, float]:
    """
    Return how far the labels of two networks agree on pairs, by the metrics of segmentation.

    The labels of the first network count as true, so this is no accuracy.
    """
    counts: np.ndarray | int = 0
    for sample in samples:
        images = _read_images(sample, given)
        counts = counts + confusion_matrix(after.segment(*images), before.segment(*images))
    assert isinstance(counts, np.ndarray)  # there is a sample
    return segmentation(counts, before.label_names)


def _read_images(sample: Sample, given: str) -> tuple[np.ndarray, ...]:
    """Return the images of a pair for a network with this input."""
    pair = read_aligned(sample)
    pair = AlignedPair(pair.thermal, pair.rgb, find_coverage(pair.thermal))
    return select_images(pair, given, fusion.create)


def compare_boxes(images: Sequence[tuple[Sequence[Detection], Sequence[Detection]]],
                  class_names: Sequence[str]) -> Outcomes:
    """Return the outcomes of the predicted and the true boxes of images."""
    outcomes = {}
    for name in class_names:
        matched = [np.array(match_boxes(
            [box for box in predicted if box.class_name == name],
            [box for box in true if box.class_name == name],
            [box for box in true if box.class_name == IGNORED]), float).reshape(-1, 2)
            for predicted, true in images]
        n_true = np.array([sum(box.class_name == name for box in true) for _, true in images])
        if n_true.any():
            outcomes[name] = ClassOutcomes(tuple(rows[:, 0] for rows in matched),
                                           tuple(rows[:, 1] for rows in matched), n_true)
    return outcomes


def describe_outcomes(outcomes: Outcomes, min_score: float) -> dict[str, dict[str, Any]]:
    """Return the scores of each class, and of all under ``'all'``: means, sums and mAP50."""
    every = np.arange(len(next(iter(outcomes.values())).n_true))
    table: dict[str, dict[str, Any]] = {}
    for name, of_class in outcomes.items():
        precision, recall = of_class.precision_and_recall(min_score)
        table[name] = {'objects': int(of_class.n_true.sum()), 'recall': recall,
                       'precision': precision, 'AP50': of_class.average_precision(every)}
    pooled = ClassOutcomes(
        tuple(scores for one in outcomes.values() for scores in one.scores),
        tuple(hits for one in outcomes.values() for hits in one.hits),
        np.concatenate([one.n_true for one in outcomes.values()]))
    precision, recall = pooled.precision_and_recall(min_score)
    table['all'] = {'objects': int(pooled.n_true.sum()), 'recall': recall,
                    'precision': precision, 'AP50': _mean_average_precision(outcomes, every)}
    return table


def compare_outcomes(before: Outcomes, after: Outcomes, seed: int = 0
                     ) -> tuple[str, float, tuple[float, float]]:
    """
    Return whether the second detector is better, by the mean average precision at IoU 0.5.

    Returns
    -------
    verdict
        ``BETTER`` or ``WORSE`` if the interval does not contain 0, else ``EQUAL``.
    difference
        Of the mean average precision, after minus before.
    interval
        From the 2.5th to the 97.5th percentile of the difference over resampled images.

    """
    n_images = len(next(iter(before.values())).n_true)
    random = np.random.default_rng(seed)
    every = np.arange(n_images)
    differences = [_mean_average_precision(after, images) - _mean_average_precision(before, images)
                   for images in (random.choice(n_images, n_images) for _ in range(_RESAMPLES))]
    low, high = np.nanpercentile(differences, [2.5, 97.5])
    verdict = BETTER if low > 0 else WORSE if high < 0 else EQUAL
    return (verdict, _mean_average_precision(after, every)
            - _mean_average_precision(before, every), (float(low), float(high)))


def _mean_average_precision(outcomes: Outcomes, images: np.ndarray) -> float:
    values = [of_class.average_precision(images) for of_class in outcomes.values()]
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
