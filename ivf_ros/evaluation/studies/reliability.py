# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Reliability of the confidence of a registration method.

No answer is rejected for a low confidence. A pair is registered as it is, and misaligned by a
known homography. The two answers repeat if they differ by at most ``REPEATABILITY_PX`` through
that homography, which needs no labels. Both answers must be correct for that, so the lower
confidence counts. The confidence is calibrated if a fraction c of the answers with confidence c
repeats.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from ivf_ros.evaluation.results import EvaluationError, json_bytes
from ivf_ros.evaluation.studies.figures import blank_figure, png_bytes
from ivf_ros.output import write_atomically
import numpy as np

REPEATABILITY_PX = 3.0  # of 640
THRESHOLDS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_BINS = np.linspace(0, 1, 11)
_FIGURE = 'studies/reliability/reliability.png'


@dataclass(frozen=True, eq=False)
class Answers:
    """
    Answers of a method without rejection by confidence.

    Attributes
    ----------
    confidence:
        ``(N,)`` from 0 to 1, the lower confidence of the two answers of a case; 0 if one was
        rejected.
    repeat_px:
        ``(N,)`` distance of the two answers in pixels of 640; infinite if one was rejected.

    """

    confidence: np.ndarray
    repeat_px: np.ndarray

    @property
    def repeats(self) -> np.ndarray:
        """Return ``(N,)`` bool, the answers that repeat."""
        return self.repeat_px <= REPEATABILITY_PX


def add_study(folder: Path) -> dict[str, Any]:
    """
    Add the reliability of each method to the ``summary.json`` of an evaluation, and return that.

    Raises
    ------
    EvaluationError
        No method has registered a misaligned pair.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    answers = read_answers(folder / 'frames.csv')
    tables = [table for method, method_answers in answers.items()
              for table in (_curve_table(method, method_answers),
                            _threshold_table(method, method_answers))]
    summary.setdefault('studies', {})['reliability'] = {
        'title': 'Reliability of the confidence',
        'paragraphs': [_describe(), *(_describe_errors(*item) for item in answers.items())],
        'tables': tables,
        'figures': [{'png': _FIGURE, 'caption': 'Fraction of answers that repeat, by confidence; '
                     'bars show one standard error, the dotted line shows perfect '
                     'calibration.'}]}
    write_atomically(path, json_bytes(summary))
    write_atomically(folder / _FIGURE, draw_curves(answers))
    return summary


def read_answers(frames_csv: Path) -> dict[str, Answers]:
    """
    Return method to its answers on the sets with real thermal images.

    Raises
    ------
    EvaluationError
        There are none.

    """
    answers: dict[str, list[tuple[float, float]]] = {}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] != 'registration' or row['method'] == 'none' \
                    or not row.get('repeat_confidence'):
                continue
            answers.setdefault(row['method'], []).append(
                (float(row['repeat_confidence']), float(row.get('repeat_px') or 'inf')))
    if not answers:
        raise EvaluationError('no method has registered a misaligned pair')
    return {method: Answers(*np.array(pairs).T) for method, pairs in answers.items()}


def reliability_curve(confidence: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """
    Return mean confidence, fraction that is right, and count of each non-empty bin: ``(B, 3)``.

    ``confidence`` is ``(N,)`` from 0 to 1, ``is_right`` ``(N,)`` bool. The bins divide the
    confidence into tenths.
    """
    bins = np.clip(np.digitize(confidence, _BINS) - 1, 0, len(_BINS) - 2)
    return np.array([(confidence[inside].mean(), is_right[inside].mean(), inside.sum())
                     for inside in (bins == index for index in range(len(_BINS) - 1))
                     if inside.any()]).reshape(-1, 3)


def expected_calibration_error(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Return the mean of |fraction that is right - confidence| over the bins, by count."""
    mean, fraction, count = reliability_curve(confidence, is_right).T
    return float(np.average(np.abs(fraction - mean), weights=count))


def brier_score(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Return the mean of (right - confidence)^2: 0 is best, 0.25 is uninformative."""
    return float(np.square(is_right - confidence).mean())


def draw_curves(answers: dict[str, Answers]) -> bytes:
    """Return a PNG of the curves of all methods."""
    figure = blank_figure((6.2, 5.4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ':', color='0.4')
    for method, method_answers in answers.items():
        confidence, fraction, count = reliability_curve(method_answers.confidence,
                                                        method_answers.repeats).T
        axes.errorbar(confidence, fraction, np.sqrt(fraction * (1 - fraction) / count),
                      marker='o', capsize=3,
                      label=f'{method} ({len(method_answers.repeats)} answers)')
    axes.set(xlabel='confidence',
             ylabel=f'fraction that repeats within {REPEATABILITY_PX:g} px of 640',
             xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    return png_bytes(figure)


def _curve_table(method: str, answers: Answers) -> dict[str, Any]:
    rows = [[round(float(confidence), 3), round(float(fraction), 3), int(count)]
            for confidence, fraction, count in reliability_curve(answers.confidence,
                                                                 answers.repeats)]
    return {'caption': f'{method}: confidence, and the fraction of answers that repeat',
            'columns': ['mean confidence', 'fraction that repeats', 'answers'], 'rows': rows}


def _threshold_table(method: str, answers: Answers) -> dict[str, Any]:
    rows = []
    for threshold in THRESHOLDS:
        accepted = answers.confidence >= threshold
        if accepted.any():
            rows.append([threshold, round(float(accepted.mean()), 3),
                         round(float(answers.repeats[accepted].mean()), 3),
                         round(float(np.median(answers.repeat_px[accepted])), 2)])
    return {'caption': f'{method}: answers that a threshold on the confidence would accept',
            'columns': ['threshold', 'fraction accepted', 'fraction of these that repeats',
                        'median distance, px of 640'], 'rows': rows}


def _describe_errors(method: str, answers: Answers) -> str:
    pair = answers.confidence, answers.repeats
    return (f'{method}: expected calibration error {expected_calibration_error(*pair):.3f}, '
            f'Brier score {brier_score(*pair):.3f}, {answers.repeats.mean():.0%} of '
            f'{len(answers.repeats)} answers repeat.')


def _describe() -> str:
    return (f'No answer was rejected for a low confidence. An answer repeats if it lies within '
            f'{REPEATABILITY_PX:g} px of 640 of the answer for the same pair before the '
            'misalignment. Both answers must be correct for that, and the lower confidence '
            'counts.')
