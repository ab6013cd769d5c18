# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How far the confidence of a registration method can be trusted.

Nothing is refused for being uncertain. A pair is registered as it is and misaligned by a known
homography; the two answers repeat where they differ by no more than ``RIGHT_PX`` through that
homography, which needs no labels. Both must be right for that, so the lesser confidence counts.
A confidence is calibrated where of the answers at confidence c a share c repeats.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from ivf_ros.evaluation.results import EvaluationError, json_bytes, write_atomically
from ivf_ros.evaluation.studies.figures import blank_figure, png_bytes
import numpy as np

RIGHT_PX = 3.0  # of 640
THRESHOLDS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_BINS = np.linspace(0, 1, 11)
_FIGURE = 'studies/reliability/reliability.png'


@dataclass(frozen=True, eq=False)
class Answers:
    """
    What a method answered where nothing was refused for being uncertain.

    Attributes
    ----------
    confidence:
        ``(N,)`` from 0 to 1, the lesser of the two answers for a case; 0 where one was refused.
    repeat_px:
        ``(N,)`` how far they are apart, in pixels of 640; infinite where one was refused.

    """

    confidence: np.ndarray
    repeat_px: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Tell which repeat."""
        return self.repeat_px <= RIGHT_PX


def add_to(folder: Path) -> dict[str, Any]:
    """
    Put the reliability of each method into the ``summary.json`` of an evaluation; return that.

    Raises
    ------
    EvaluationError
        No method has answered a misaligned pair.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    answers = read_answers(folder / 'frames.csv')
    tables = [table for method, of_method in answers.items()
              for table in (_curve_table(method, of_method), _threshold_table(method, of_method))]
    summary.setdefault('studies', {})['reliability'] = {
        'title': 'How far the confidence can be trusted',
        'paragraphs': [_what_it_is(), *(_errors(*item) for item in answers.items())],
        'tables': tables,
        'figures': [{'png': _FIGURE, 'caption': 'Share of answers that repeat, by confidence; '
                     'bars span one standard error, and the dotted line is calibration.'}]}
    write_atomically(path, json_bytes(summary))
    write_atomically(folder / _FIGURE, curve_png(answers))
    return summary


def read_answers(frames_csv: Path) -> dict[str, Answers]:
    """
    Return method to its answers on the sets that have real thermal images.

    Raises
    ------
    EvaluationError
        There are none.

    """
    found: dict[str, list[tuple[float, float]]] = {}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] != 'registration' or row['method'] == 'none' \
                    or not row.get('repeat_confidence'):
                continue
            found.setdefault(row['method'], []).append(
                (float(row['repeat_confidence']), float(row.get('repeat_px') or 'inf')))
    if not found:
        raise EvaluationError('no misaligned pair that a method has registered')
    return {method: Answers(*np.array(answers).T) for method, answers in found.items()}


def reliability_curve(answers: Answers) -> np.ndarray:
    """Return mean confidence, share right and number ``(B, 3)`` of each tenth that has answers."""
    place = np.clip(np.digitize(answers.confidence, _BINS) - 1, 0, len(_BINS) - 2)
    return np.array([(answers.confidence[inside].mean(), answers.right[inside].mean(),
                      inside.sum())
                     for inside in (place == index for index in range(len(_BINS) - 1))
                     if inside.any()])


def expected_calibration_error(answers: Answers) -> float:
    """Return the mean of |share right - confidence| over the tenths, by their numbers."""
    confidence, right, number = reliability_curve(answers).T
    return float(np.average(np.abs(right - confidence), weights=number))


def brier_score(answers: Answers) -> float:
    """Return the mean of (right - confidence)^2: 0 is best, 0.25 says nothing."""
    return float(np.square(answers.right - answers.confidence).mean())


def curve_png(answers: dict[str, Answers]) -> bytes:
    """Return a PNG of the curves of all methods."""
    figure = blank_figure((6.2, 5.4))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ':', color='0.4')
    for method, of_method in answers.items():
        confidence, right, number = reliability_curve(of_method).T
        axes.errorbar(confidence, right, np.sqrt(right * (1 - right) / number), marker='o',
                      capsize=3, label=f'{method} ({len(of_method.right)} answers)')
    axes.set(xlabel='confidence', ylabel=f'share that repeats within {RIGHT_PX:g} px of 640',
             xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False)
    return png_bytes(figure)


def _curve_table(method: str, answers: Answers) -> dict[str, Any]:
    rows = [[round(float(confidence), 3), round(float(right), 3), int(number)]
            for confidence, right, number in reliability_curve(answers)]
    return {'caption': f'{method}: confidence, and the share of answers that repeat',
            'columns': ['mean confidence', 'share right', 'answers'], 'rows': rows}


def _threshold_table(method: str, answers: Answers) -> dict[str, Any]:
    rows = []
    for threshold in THRESHOLDS:
        accepted = answers.confidence >= threshold
        if accepted.any():
            rows.append([threshold, round(float(accepted.mean()), 3),
                         round(float(answers.right[accepted].mean()), 3),
                         round(float(np.median(answers.repeat_px[accepted])), 2)])
    return {'caption': f'{method}: what a threshold on the confidence would accept',
            'columns': ['threshold', 'share accepted', 'share right of these',
                        'median apart, px of 640'], 'rows': rows}


def _errors(method: str, answers: Answers) -> str:
    return (f'{method}: expected calibration error {expected_calibration_error(answers):.3f}, '
            f'Brier score {brier_score(answers):.3f}, {answers.right.mean():.0%} of '
            f'{len(answers.right)} answers repeat.')


def _what_it_is() -> str:
    return (f'Nothing was refused for being uncertain. An answer is right where it repeats: '
            f'where it lies within {RIGHT_PX:g} px of 640 of the answer for the same pair before '
            'it was misaligned. Both must be right for that, and the lesser confidence counts.')
