# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Benefit of fusion for segmentation and detection, by networks trained on each input.

SeAFusion (Tang, Yuan and Ma 2022) evaluates fusion by the accuracy of segmentation and detection
networks that were trained on its output. Here the networks of ``segmentation`` and ``detection``
were trained on RGB, on thermal, and on each fused image, by ``ivf train segmentation|detection
--set given=INPUT``, on the same scenes, for the same number of steps, once or several times.
Intervals come from a bootstrap over scenes, because neighbouring images are correlated, and over
trainings. With a single training, they do not include the variance between trainings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros import detection
from ivf_ros.data.sample import IGNORED
from ivf_ros.evaluation.metrics.detection import match_boxes
from ivf_ros.evaluation.results import EvaluationError, json_bytes, Row
from ivf_ros.evaluation.row_store import read_rows
from ivf_ros.evaluation.stages.detection import boxes_from_json
from ivf_ros.network_inputs import SENSORS
from ivf_ros.output import write_atomically
import numpy as np

_N_BOOTSTRAP = 1000
_TAIL_PERCENT = 2.5  # percent outside each end of an interval
_MIN_PRECISION = 0.8
_MAX_PERCENT = 999
_RECALL_POINTS = np.linspace(0, 1, 101)  # as COCO samples the curve

# Class to number of true boxes, and score and hit of each predicted box.
Hits = dict[str, tuple[int, list[tuple[float, bool]]]]
# Scene to extracted evidence of its images.
Evidence = dict[str, list[Any]]


def add_study(folder: Path) -> dict[str, Any]:
    """
    Add the study of an evaluation to its ``summary.json``, and return that.

    Raises
    ------
    EvaluationError
        One of the two sensors was not measured.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    rows = read_rows(folder)
    tables, sentences = [], [(
        'The same network was trained in the same way on each input. If it was trained several '
        'times, the value is the mean. Intervals contain 95 % of '
        f'{_N_BOOTSTRAP} resamplings of the scenes, the same for all inputs, and of the '
        'trainings. With a single training they do not include the variance between trainings. '
        'Gains are relative to RGB and to the better of the two sensors.')]
    for name, metric in _METRICS.items():
        stage_rows = [row for row in rows if row.stage == metric.stage and row.evidence]
        for group, members in _group_rows(stage_rows).items():
            table, summary_sentences = compare_inputs(f'{name}, {group}', metric, members)
            tables.append(table)
            sentences += summary_sentences
    summary.setdefault('studies', {})['task'] = {
        'title': 'Benefit of fusion', 'paragraphs': sentences, 'tables': tables,
        'figures': []}
    write_atomically(path, json_bytes(summary))
    return summary


def compare_inputs(caption: str, metric: TaskMetric, rows: Sequence[Row]
                   ) -> tuple[dict[str, Any], list[str]]:
    """
    Return the table of one metric on one group, and its gains in words.

    Raises
    ------
    EvaluationError
        One of the two sensors was not measured.

    """
    evidence_of: dict[str, dict[str, Evidence]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        modality, _, training = row.method.partition('@')[2].partition('.')
        scene = f'{row.dataset}/{row.evidence["scene"]}'
        evidence_of[modality][training][scene].append(metric.extract(row.evidence))
    missing = [name for name in SENSORS if name not in evidence_of]
    if missing:
        raise EvaluationError(f"--study task needs the input '{missing[0]}' for comparison; add "
                              'it to --inputs')
    sensor_scenes = next(iter(evidence_of[SENSORS[0]].values()))
    scenes = sorted(sensor_scenes)
    random = np.random.default_rng(0)
    draws = [scenes, *([scenes[index] for index in random.integers(len(scenes), size=len(scenes))]
                       for _ in range(_N_BOOTSTRAP))]
    single = {name: np.array([[metric.compute([image for scene in draw
                                               for image in evidence[scene]])
                               for draw in draws] for evidence in trainings.values()])
              for name, trainings in evidence_of.items()}  # (trainings, draws)
    values = {name: _resampled_mean(drawn, random) for name, drawn in single.items()}
    better = max(SENSORS, key=lambda name: values[name][0])
    images = sum(map(len, sensor_scenes.values()))
    table = {'caption': f'{caption}: {images} images of {len(scenes)} scenes',
             'columns': ['input', 'value', '95 %', 'against rgb', '95 % ',
                         f'against the better sensor, {better}', '95 %  ', 'each training'],
             'rows': [[name, round(float(value[0]), 3), _format_interval(value),
                       *_format_gain(value, values['rgb']), *_format_gain(value, values[better]),
                       ', '.join(f'{trained:.3f}' for trained in single[name][:, 0])]
                      for name, value in values.items()]}
    fused = [name for name in values if name not in SENSORS]
    sentences = []
    if fused:
        best = max(fused, key=lambda name: values[name][0])
        scores = ', '.join(f'{name} {values[name][0]:.3f}' for name in (best, *SENSORS))
        sentences.append(f'{caption}: {scores}; against {better} '
                         f'{_format_gain(values[best], values[better])[0]}.')
    return table, sentences


def _resampled_mean(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """
    Return the mean over trainings, which are resampled for each draw of scenes except the first.

    ``values`` is ``(trainings, draws)``; the first draw is the complete set of scenes.
    """
    trainings, draws = values.shape
    indices = random.integers(trainings, size=(trainings, draws))
    indices[:, 0] = np.arange(trainings)
    return np.take_along_axis(values, indices, 0).mean(0)


def average_precision(hits: Sequence[tuple[float, bool]], n_true: int) -> float:
    """
    Return the area under the precision-recall curve, sampled at 101 points as in COCO.

    Parameters
    ----------
    hits:
        Score and hit of each predicted box.
    n_true:
        Number of true boxes; with 0 the result is NaN.

    """
    if not n_true:
        return math.nan
    if not hits:
        return 0.0
    order = np.argsort([-score for score, _ in hits], kind='stable')
    n_hits = np.cumsum(np.array([hit for _, hit in hits])[order])
    recall, precision = n_hits / n_true, n_hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    indices = np.searchsorted(recall, _RECALL_POINTS - 1e-9)
    return float(np.append(precision, 0.0)[indices].mean())


def _group_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return all rows, and those of each light and each data set with more than one scene."""
    groups: dict[str, list[Row]] = {'all': list(rows)} if rows else {}
    for row in rows:
        for name in filter(None, (row.light, row.dataset)):
            groups.setdefault(name, []).append(row)
    return {name: members for name, members in groups.items() if name == 'all' or (
        len(members) < len(rows) and len({row.evidence['scene'] for row in members}) > 1)}


def read_counts(evidence: dict[str, Any]) -> np.ndarray:
    """Return the pixel counts of one image."""
    return np.array(evidence['counts'], np.int64)


def read_hits(evidence: dict[str, Any]) -> Hits:
    """Return the number of true boxes and the hits of one image, for each class."""
    predicted, true = boxes_from_json(evidence['found']), boxes_from_json(evidence['true'])
    ignored = [box for box in true if box.class_name == IGNORED]
    hits: Hits = {}
    for name in detection.CLASS_NAMES:
        class_true = [box for box in true if box.class_name == name]
        class_predicted = [box for box in predicted if box.class_name == name]
        hits[name] = len(class_true), match_boxes(class_predicted, class_true, ignored)
    return hits


def mean_iou(images: Sequence[np.ndarray]) -> float:
    """Return the mean over the classes that occur; other predicted classes count as misses."""
    counts = np.sum(images, axis=0)
    classes = len(counts)
    hits, true = np.diag(counts), counts.sum(axis=1)
    union = true + counts[:, :classes].sum(axis=0) - hits
    return float((hits[true > 0] / union[true > 0]).mean())


def mean_average_precision(images: Sequence[Hits]) -> float:
    """Return the mean over the classes that occur."""
    values = [average_precision(*_pool_hits(images, name)) for name in detection.CLASS_NAMES]
    defined = [value for value in values if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def person_recall(images: Sequence[Hits]) -> float:
    """Return the largest recall of persons at a precision of at least 0.8."""
    hits, n_true = _pool_hits(images, 'person')
    if not n_true:
        return math.nan
    n_hits = np.cumsum([hit for _, hit in sorted(hits, key=lambda box: -box[0])])
    is_precise = n_hits >= _MIN_PRECISION * np.arange(1, len(n_hits) + 1)
    return float(n_hits[is_precise].max() / n_true) if is_precise.any() else 0.0


def _pool_hits(images: Sequence[Hits], class_name: str) -> tuple[list[tuple[float, bool]], int]:
    return ([hit for image in images for hit in image[class_name][1]],
            sum(image[class_name][0] for image in images))


@dataclass(frozen=True)
class TaskMetric:
    """
    A metric over many images.

    Attributes
    ----------
    stage:
        Stage whose rows it uses.
    extract:
        Extracts its input from the evidence of one image.
    compute:
        Computes the value from the extracted inputs of many images.

    """

    stage: str
    extract: Callable[[dict[str, Any]], Any]
    compute: Callable[[Sequence[Any]], float]


_METRICS = {'mIoU': TaskMetric('segmentation', read_counts, mean_iou),
            'mAP50': TaskMetric('detection', read_hits, mean_average_precision),
            'people found at precision 0.8': TaskMetric('detection', read_hits, person_recall)}


def _format_gain(values: np.ndarray, others: np.ndarray) -> tuple[str, str]:
    relative = 100 * (values / np.maximum(others, 1e-9) - 1)
    low, high = np.nanpercentile(relative[1:], (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    return (f'{_format_percent(relative[0])} %',
            f'{_format_percent(low)} to {_format_percent(high)} %')


def _format_percent(value: float) -> str:
    """Return a gain; very large gains, over a value close to 0, are cut off."""
    return f'{value:+.0f}' if value < _MAX_PERCENT else f'over +{_MAX_PERCENT}'


def _format_interval(values: np.ndarray) -> str:
    low, high = np.nanpercentile(values[1:], (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    return f'{low:.3f} to {high:.3f}'
