# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of reliability computes calibration and errors of the confidence."""

from __future__ import annotations

import json

from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.evaluation.studies import reliability
from ivf_ros.evaluation.studies.reliability import Answers
import numpy as np
import pytest


def make_answers(number, confidence, repeat_fraction):
    repeats = np.arange(number) < round(repeat_fraction * number)
    return Answers(np.full(number, float(confidence)), np.where(repeats, 1.0, 50.0))


def join_answers(*parts):
    return Answers(np.concatenate([part.confidence for part in parts]),
                   np.concatenate([part.repeat_px for part in parts]))


def test_a_calibrated_confidence_lies_on_the_diagonal():
    found = join_answers(make_answers(100, 0.25, 0.25), make_answers(40, 0.85, 0.85))
    np.testing.assert_allclose(reliability.reliability_curve(found.confidence, found.repeats),
                               [(0.25, 0.25, 100), (0.85, 0.85, 40)])
    assert reliability.expected_calibration_error(
        found.confidence, found.repeats) == pytest.approx(0)
    assert reliability.brier_score(found.confidence, found.repeats) == pytest.approx(
        (100 * 0.25 * 0.75 + 40 * 0.85 * 0.15) / 140)


def test_overconfidence_gives_the_expected_errors():
    found = join_answers(make_answers(10, 1.0, 0.6), make_answers(30, 0.0, 0.0))
    assert reliability.expected_calibration_error(
        found.confidence, found.repeats) == pytest.approx(0.1)
    assert reliability.brier_score(found.confidence, found.repeats) == pytest.approx(0.1)


def test_an_answer_at_the_limit_repeats_and_one_beyond_does_not():
    found = Answers(np.ones(3), np.array([2.9, 3.0, 3.001]))
    assert found.repeats.tolist() == [True, True, False]


def test_the_study_reads_an_evaluation_and_writes_table_and_picture(tmp_path):
    (tmp_path / 'summary.json').write_text(json.dumps({'stages': {}}))
    lines = ['stage,method,set,repeat_px,repeat_confidence',
             'registration,none,medium,0.0,0.0',
             'registration,dense,medium-exact,,',
             'registration,dense,medium,0.5,0.97',
             'registration,dense,large,4.0,0.55',
             'registration,dense,rig,,0.0']  # refused
    (tmp_path / 'frames.csv').write_text('\n'.join(lines) + '\n')
    summary = reliability.add_study(tmp_path)
    study = json.loads((tmp_path / 'summary.json').read_text())['studies']['reliability']
    assert study == summary['studies']['reliability']
    curve, thresholds = study['tables']
    assert curve['rows'] == [[0.0, 0.0, 1], [0.55, 0.0, 1], [0.97, 1.0, 1]]
    assert [0.6, 0.333, 1.0, 0.5] in thresholds['rows']
    assert (tmp_path / study['figures'][0]['png']).read_bytes().startswith(b'\x89PNG')


def test_an_evaluation_without_answers_is_refused(tmp_path):
    (tmp_path / 'summary.json').write_text('{}')
    (tmp_path / 'frames.csv').write_text('stage,method,repeat_confidence\nfusion,max,\n')
    with pytest.raises(EvaluationError, match='no method has registered a misaligned pair'):
        reliability.add_study(tmp_path)
