# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What fusion is good for: the same networks, trained alike on each input, and what they then find.

SeAFusion (Tang, Yuan and Ma 2022) measures fusion by how well a network segments and detects that
was trained on its output. Here the networks of ``segmentation`` and ``detection`` were trained
on RGB, on thermal, and on each fused image, by ``ivf train segmentation|detection --set
modality=INPUT``, on the same scenes, for as long, once or several times. Intervals are those of a
bootstrap over scenes, as neighbouring images say the same, and over trainings; of a single one
they do not contain the chance of another.
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
from ivf_ros.evaluation.metrics.detection import hits_among
from ivf_ros.evaluation.results import EvaluationError, json_bytes, Row, write_atomically
from ivf_ros.evaluation.stages.detection import boxes_from_json
from ivf_ros.network_inputs import SENSORS
import numpy as np

_N_BOOTSTRAP = 1000
_TAIL_PERCENT = 2.5  # percent beyond either end of an interval
_AT_PRECISION = 0.8
_MOST_PERCENT = 999
_RECALL_POINTS = np.linspace(0, 1, 101)  # as COCO samples the curve

# Class to how many boxes there are, and score of each found one and whether it hit.
Hits = dict[str, tuple[int, list[tuple[float, bool]]]]
# scene -> what is added up over its images
Evidence = dict[str, list[Any]]


def add_to(folder: Path) -> dict[str, Any]:
    """
    Put the study of an evaluation into its ``summary.json``, and return that.

    Raises
    ------
    EvaluationError
        One of the sensors alone was not measured.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    rows = [Row.from_json(record) for line in (folder / 'rows.jsonl').read_text().splitlines()
            for record in json.loads(line)['rows']]
    tables, sentences = [], [(
        'The same network, trained in the same way on each input; where it was trained several '
        'times, the value is the mean. Intervals hold 95 % of '
        f'{_N_BOOTSTRAP} resamplings of the scenes, the same for all inputs, and of the trainings; '
        'those of a single training do not contain the chance of another. Gains are relative, '
        'against RGB and against the better of the two sensors.')]
    for name, measure in _MEASURES.items():
        own = [row for row in rows if row.stage == measure.stage and row.evidence]
        for group, members in _groups(own).items():
            table, said = compare_inputs(f'{name}, {group}', measure, members)
            tables.append(table)
            sentences += said
    summary.setdefault('studies', {})['task'] = {
        'title': 'What fusion is good for', 'paragraphs': sentences, 'tables': tables,
        'figures': []}
    write_atomically(path, json_bytes(summary))
    return summary


def compare_inputs(caption: str, measure: Measure, rows: Sequence[Row]
                   ) -> tuple[dict[str, Any], list[str]]:
    """
    Return the table of one measure on one group, and its gains in words.

    Raises
    ------
    EvaluationError
        One of the sensors alone was not measured.

    """
    of_input: dict[str, dict[str, Evidence]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        modality, _, training = row.method.partition('@')[2].partition('.')
        scene = f'{row.dataset}/{row.evidence["scene"]}'
        of_input[modality][training][scene].append(measure.extract(row.evidence))
    missing = [name for name in SENSORS if name not in of_input]
    if missing:
        raise EvaluationError(f"--study task needs the input '{missing[0]}', to compare with")
    images_of = next(iter(of_input[SENSORS[0]].values()))
    scenes = sorted(images_of)
    random = np.random.default_rng(0)
    draws = [scenes, *([scenes[index] for index in random.integers(len(scenes), size=len(scenes))]
                       for _ in range(_N_BOOTSTRAP))]
    single = {name: np.array([[measure.of([one for scene in draw for one in evidence[scene]])
                               for draw in draws] for evidence in trainings.values()])
              for name, trainings in of_input.items()}  # (trainings, draws)
    values = {name: _mean_of_drawn(of_training, random) for name, of_training in single.items()}
    better = max(SENSORS, key=lambda name: values[name][0])
    images = sum(map(len, images_of.values()))
    table = {'caption': f'{caption}: {images} images of {len(scenes)} scenes',
             'columns': ['input', 'value', '95 %', 'against rgb', '95 % ',
                         f'against the better sensor, {better}', '95 %  ', 'each training'],
             'rows': [[name, round(float(value[0]), 3), _interval(value),
                       *_gain(value, values['rgb']), *_gain(value, values[better]),
                       ', '.join(f'{one:.3f}' for one in single[name][:, 0])]
                      for name, value in values.items()]}
    fused = [name for name in values if name not in SENSORS]
    said = []
    if fused:
        best = max(fused, key=lambda name: values[name][0])
        named = ', '.join(f'{name} {values[name][0]:.3f}' for name in (best, *SENSORS))
        said.append(f'{caption}: {named}; against {better} '
                    f'{_gain(values[best], values[better])[0]}.')
    return table, said


def _mean_of_drawn(of_training: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """
    Return the mean over trainings, drawn anew for each draw of scenes but the first.

    ``of_training`` is ``(trainings, draws)``; the first draw is all there is.
    """
    trainings, draws = of_training.shape
    drawn = random.integers(trainings, size=(trainings, draws))
    drawn[:, 0] = np.arange(trainings)
    return np.take_along_axis(of_training, drawn, 0).mean(0)


def average_precision(hits: Sequence[tuple[float, bool]], true: int) -> float:
    """
    Return the area under the curve of precision over recall, sampled at 101 points as COCO does.

    Parameters
    ----------
    hits:
        Score of each found box, and whether it hit.
    true:
        How many boxes there are; NaN where there are none.

    """
    if not true:
        return math.nan
    if not hits:
        return 0.0
    order = np.argsort([-score for score, _ in hits], kind='stable')
    right = np.cumsum(np.array([hit for _, hit in hits])[order])
    recall, precision = right / true, right / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALL_POINTS - 1e-9)
    return float(np.append(precision, 0.0)[places].mean())


def _groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return all rows, those by day, by night and of each data set, of more than one scene."""
    groups: dict[str, list[Row]] = {'all': list(rows)} if rows else {}
    for row in rows:
        for name in filter(None, (row.light, row.dataset)):
            groups.setdefault(name, []).append(row)
    return {name: members for name, members in groups.items() if name == 'all' or (
        len(members) < len(rows) and len({row.evidence['scene'] for row in members}) > 1)}


def counts_of(evidence: dict[str, Any]) -> np.ndarray:
    """Return the counts of pixels of one image."""
    return np.array(evidence['counts'], np.int64)


def hits_of(evidence: dict[str, Any]) -> Hits:
    """Return of one image, for each class, how many boxes there are, and what was found."""
    found, true = boxes_from_json(evidence['found']), boxes_from_json(evidence['true'])
    ignored = [box for box in true if box.class_name == IGNORED]
    of_class: Hits = {}
    for name in detection.CLASS_NAMES:
        there = [box for box in true if box.class_name == name]
        of_class[name] = len(there), hits_among([box for box in found if box.class_name == name],
                                                there, ignored)
    return of_class


def mean_iou(images: Sequence[np.ndarray]) -> float:
    """Return the mean over the classes that are there: nobody is blamed twice for the others."""
    counts = np.sum(images, axis=0)
    classes = len(counts)
    hits, true = np.diag(counts), counts.sum(axis=1)
    union = true + counts[:, :classes].sum(axis=0) - hits
    return float((hits[true > 0] / union[true > 0]).mean())


def mean_average_precision(images: Sequence[Hits]) -> float:
    """Return the mean over the classes that are there."""
    values = [average_precision(*_pool_hits(images, name)) for name in detection.CLASS_NAMES]
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def person_recall(images: Sequence[Hits]) -> float:
    """Return the largest share of the people that is found at a precision of 0.8."""
    hits, true = _pool_hits(images, 'person')
    if not true:
        return math.nan
    right = np.cumsum([hit for _, hit in sorted(hits, key=lambda one: -one[0])])
    precise = right >= _AT_PRECISION * np.arange(1, len(right) + 1)
    return float(right[precise].max() / true) if precise.any() else 0.0


def _pool_hits(images: Sequence[Hits], name: str) -> tuple[list[tuple[float, bool]], int]:
    return [hit for one in images for hit in one[name][1]], sum(one[name][0] for one in images)


@dataclass(frozen=True)
class Measure:
    """
    One number over many images.

    Attributes
    ----------
    stage:
        Whose rows it looks at.
    added_up:
        What of the evidence of an image it needs.
    of:
        The number, of such of many images.

    """

    stage: str
    extract: Callable[[dict[str, Any]], Any]
    of: Callable[[Sequence[Any]], float]


_MEASURES = {'mIoU': Measure('segmentation', counts_of, mean_iou),
             'mAP50': Measure('detection', hits_of, mean_average_precision),
             'people found at precision 0.8': Measure('detection', hits_of, person_recall)}


def _gain(values: np.ndarray, others: np.ndarray) -> tuple[str, str]:
    relative = 100 * (values / np.maximum(others, 1e-9) - 1)
    low, high = np.nanpercentile(relative[1:], (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    return f'{_percent(relative[0])} %', f'{_percent(low)} to {_percent(high)} %'


def _percent(value: float) -> str:
    """Return a gain; against next to nothing any number is as good as another."""
    return f'{value:+.0f}' if value < _MOST_PERCENT else f'over +{_MOST_PERCENT}'


def _interval(values: np.ndarray) -> str:
    low, high = np.nanpercentile(values[1:], (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    return f'{low:.3f} to {high:.3f}'
