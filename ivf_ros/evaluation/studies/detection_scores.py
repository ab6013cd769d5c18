# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the score of a detected box means: calibration, and what each threshold costs.

A score is calibrated if a fraction s of the boxes with score s are hits at IoU 0.5. Then one
threshold means the same by day and by night, and for each class. Boxes that lie mostly inside an
ignored region are left out, as in COCO.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.detection import AnchorFreeParameters, CLASS_NAMES
from ivf_ros.evaluation.detector_comparison import ClassOutcomes, compare_boxes, Outcomes
from ivf_ros.evaluation.metrics.detection import assign_boxes
from ivf_ros.evaluation.results import EvaluationError, json_bytes, Row
from ivf_ros.evaluation.row_store import read_rows
from ivf_ros.evaluation.stages.detection import boxes_from_json
from ivf_ros.evaluation.studies.figures import blank_figure, png_bytes
from ivf_ros.evaluation.studies.reliability import (
    expected_calibration_error,
    reliability_curve,
)
from ivf_ros.output import write_atomically
import numpy as np

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
MIN_SCORE = 0.1  # of the boxes that count for the calibration; the many weaker ones are all wrong
HEIGHTS_PX = (12, 20, 40, 80)  # limits between the groups of people
_HEIGHT_NAMES = ('below 12', '12 to 20', '20 to 40', '40 to 80', '80 and more')
_WIDTH_PX, _PERSON = 640, 'person'
_FIGURES = 'studies/scores'


def add_study(folder: Path) -> dict[str, Any]:
    """
    Add what the scores mean to the ``summary.json`` of an evaluation, and return that.

    Raises
    ------
    EvaluationError
        No detector has found a box.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    rows = read_rows(folder)
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        if row.stage == 'detection' and row.evidence:
            by_method.setdefault(row.method, []).append(row)
    outcomes = {method: read_outcomes(members) for method, members in by_method.items()}
    pooled = {method: pool_boxes(found) for method, found in outcomes.items()}
    pooled = {method: boxes for method, boxes in pooled.items() if len(boxes[0])}
    if not pooled:
        raise EvaluationError(f'no detector has found a box with a score of {MIN_SCORE:g} or more')
    sentences = [f'Boxes with a score of at least {MIN_SCORE:g} count. A box is right if it is a '
                 'hit at IoU 0.5.']
    tables = []
    for method, boxes in pooled.items():
        errors = {'all': expected_calibration_error(*boxes)}
        for light in sorted({row.light for row in by_method[method]} - {''}):
            of_light = pool_boxes(read_outcomes(
                [row for row in by_method[method] if row.light == light]))
            if len(of_light[0]):
                errors[light] = expected_calibration_error(*of_light)
        sentences.append(f'{method}: expected calibration error ' + ', '.join(
            f'{error:.3f} ({name})' for name, error in errors.items()) + '.')
        tables.append(make_threshold_table(method, outcomes[method]))
        tables.append(make_height_table(method, by_method[method]))
    summary.setdefault('studies', {})['scores'] = {
        'title': 'Meaning of the scores', 'paragraphs': sentences, 'tables': tables,
        'figures': [
            {'png': f'{_FIGURES}/reliability.png', 'caption': 'Fraction of boxes that are right, '
             'by score; the dotted line shows perfect calibration.'},
            {'png': f'{_FIGURES}/trade_off.png', 'caption': 'Precision and recall of each class '
             f'at the scores {", ".join(f"{each:g}" for each in THRESHOLDS)}.'}]}
    write_atomically(path, json_bytes(summary))
    write_atomically(folder / _FIGURES / 'reliability.png', draw_reliability(pooled))
    write_atomically(folder / _FIGURES / 'trade_off.png', draw_trade_off(outcomes))
    return summary


def read_outcomes(rows: Sequence[Row]) -> Outcomes:
    """Return what a detector found of each class, from the rows of its images."""
    return compare_boxes([(boxes_from_json(row.evidence['found']),
                           boxes_from_json(row.evidence['true'])) for row in rows], CLASS_NAMES)


def pool_boxes(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Return score and hit, ``(N,)`` float and bool, of all boxes of at least ``MIN_SCORE``."""
    scores, hits = (np.concatenate([np.empty(0), *(values for one in outcomes.values()
                                                   for values in getattr(one, name))])
                    for name in ('scores', 'hits'))
    likely = scores >= MIN_SCORE
    return scores[likely], hits[likely] > 0


def make_threshold_table(method: str, outcomes: Outcomes) -> dict[str, Any]:
    """Return precision and recall of each class for each threshold."""
    rows = [[threshold, *(_round(value) for one in outcomes.values()
                          for value in one.precision_and_recall(threshold))]
            for threshold in THRESHOLDS]
    return {'caption': f'{method}: boxes that a threshold on the score would accept',
            'columns': ['threshold', *(f'{name} {what}' for name in outcomes
                                       for what in ('precision', 'recall'))], 'rows': rows}


def make_height_table(method: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the fraction of the people of each height that the default threshold finds."""
    min_score = AnchorFreeParameters().min_score_by_class[_PERSON]
    heights, is_found = [], []
    for row in rows:
        predicted, true = ([box for box in boxes_from_json(row.evidence[name])
                            if box.class_name == _PERSON] for name in ('found', 'true'))
        hit = [match for _, match in assign_boxes(
            [box for box in predicted if box.score >= min_score], true) if match is not None]
        scale = _WIDTH_PX / row.evidence['width_px']
        for box in true:
            heights.append(scale * (box.box_xyxy_px[3] - box.box_xyxy_px[1]))
            is_found.append(any(box is match for match in hit))
    bins = np.digitize(heights, HEIGHTS_PX)
    return {'caption': f'{method}: people by height in images {_WIDTH_PX} px wide, threshold '
            f'{min_score:g}', 'columns': ['height, px', 'people', 'recall'],
            'rows': [[name, int((bins == index).sum()),
                      _round(float(np.mean(np.array(is_found)[bins == index])))]
                     for index, name in enumerate(_HEIGHT_NAMES) if (bins == index).any()]}


def draw_reliability(pooled: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Return a PNG of the reliability curves of all methods."""
    figure = blank_figure((6.2, 5.4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ':', color='0.4')
    for method, (scores, hits) in pooled.items():
        score, fraction, count = reliability_curve(scores, hits).T
        axes.errorbar(score, fraction, np.sqrt(fraction * (1 - fraction) / count), marker='o',
                      capsize=3, label=f'{method} ({len(scores)} boxes)')
    axes.set(xlabel='score', ylabel='fraction that is right', xlim=(-0.02, 1.02),
             ylim=(-0.02, 1.02))
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    return png_bytes(figure)


def draw_trade_off(outcomes: dict[str, Outcomes]) -> bytes:
    """Return a PNG of precision against recall, a panel for each class."""
    figure = blank_figure((3.4 * len(CLASS_NAMES), 3.6))
    for axis, name in zip(figure.subplots(1, len(CLASS_NAMES), sharey=True), CLASS_NAMES):
        for method, found in outcomes.items():
            if name in found:
                axis.plot(*_trade_off(found[name]), marker='.', label=method)
        axis.set(title=name, xlabel='recall', xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel('precision')
    figure.axes[0].legend(frameon=False, fontsize='small')
    return png_bytes(figure)


def _trade_off(outcomes: ClassOutcomes) -> tuple[list[float], list[float]]:
    """Return recall and precision at the thresholds."""
    points = [outcomes.precision_and_recall(threshold) for threshold in THRESHOLDS]
    return [recall for _, recall in points], [precision for precision, _ in points]


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
