# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of the scores of a detector: calibration, and what each threshold costs."""

from __future__ import annotations

import json

from ivf_ros.evaluation.results import EvaluationError, Row
from ivf_ros.evaluation.studies import detection_scores
import pytest

SCORES, HITS = (0.9, 0.8, 0.3, 0.05), (True, True, False, False)


def make_row(case, light, shift_px=0.0):
    """Return a row with four found people, two of them where there are some, and a third one."""
    found = [[100.0 * index + (0 if hit else 50), 0.0, 100.0 * index + 40, 80.0, 'person', score]
             for index, (score, hit) in enumerate(zip(SCORES, HITS))]
    found = [[left, top, left + 40, bottom, name, score]
             for left, top, _, bottom, name, score in found]
    true = [[0.0 + shift_px, 0.0, 40.0 + shift_px, 80.0, 'person', 1.0],
            [100.0, 0.0, 140.0, 80.0, 'person', 1.0], [600.0, 0.0, 640.0, 80.0, 'person', 1.0]]
    return Row('detection', 'joint@rgb', 'park', case, light,
               evidence={'found': found, 'true': true, 'width_px': 640})


@pytest.fixture
def folder(tmp_path):
    """Write the results of an evaluation of two images."""
    (tmp_path / 'summary.json').write_text('{"stages": {}}')
    rows = [make_row('a', 'day'), make_row('b', 'night', shift_px=200.0)]
    (tmp_path / 'rows.jsonl').write_text(''.join(
        json.dumps({'task': row.case, 'rows': [row.to_json()]}) + '\n' for row in rows))
    return tmp_path


def test_precision_and_recall_at_each_threshold(folder):
    summary = detection_scores.add_study(folder)
    study = json.loads((folder / 'summary.json').read_text())['studies']['scores']
    assert study == summary['studies']['scores']
    table, _ = study['tables']
    assert table['columns'] == ['threshold', 'person precision', 'person recall']
    rows = {row[0]: row[1:] for row in table['rows']}
    assert rows[0.1] == [0.5, 0.5]  # 3 hits of 6 boxes, and of 6 people
    assert rows[0.7] == [0.75, 0.5]  # 3 of 4
    for figure in study['figures']:
        assert (folder / figure['png']).read_bytes().startswith(b'\x89PNG')


def test_recall_of_people_by_height(tmp_path):
    boxes = [[0.0, 0.0, 20.0, 30.0, 'person', 0.9], [50.0, 0.0, 70.0, 34.0, 'person', 0.9],
             [100.0, 0.0, 140.0, 79.0, 'person', 0.9], [200.0, 0.0, 300.0, 200.0, 'person', 0.9]]
    found = [boxes[0], [*boxes[1][:5], 0.2], boxes[3], [400.0, 0.0, 500.0, 50.0, 'person', 0.9]]
    row = Row('detection', 'joint@rgb', 'park', 'a',
              evidence={'found': found, 'true': boxes, 'width_px': 1280})
    table = detection_scores.make_height_table('joint@rgb', [row])
    assert table['columns'] == ['height, px', 'people', 'recall']
    assert table['rows'] == [['12 to 20', 2, 0.5], ['20 to 40', 1, 0.0], ['80 and more', 1, 1.0]]


def test_the_calibration_error_of_each_light(folder):
    _, sentence = detection_scores.add_study(folder)['studies']['scores']['paragraphs']
    day = (abs(0.9 - 1) + abs(0.8 - 1) + abs(0.3 - 0)) / 3
    night = (abs(0.9 - 0) + abs(0.8 - 1) + abs(0.3 - 0)) / 3
    both = (2 * abs(0.9 - 0.5) + 2 * abs(0.8 - 1) + 2 * abs(0.3 - 0)) / 6
    assert sentence == (f'joint@rgb: expected calibration error {both:.3f} (all), {day:.3f} '
                        f'(day), {night:.3f} (night).')


def test_weak_boxes_do_not_count_and_without_others_there_is_no_study(folder):
    scores, hits = detection_scores.pool_boxes(detection_scores.read_outcomes(
        [make_row('a', 'day')]))
    assert sorted(scores) == [0.3, 0.8, 0.9] and hits.sum() == 2
    (folder / 'rows.jsonl').write_text('')
    with pytest.raises(EvaluationError, match='no detector has found a box'):
        detection_scores.add_study(folder)
