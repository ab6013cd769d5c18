# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ablation of ``dfa`` uses the cases that all networks registered, and reports gains."""

from __future__ import annotations

import csv
import json

from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.evaluation.studies import dfa_ablation
import pytest

HEADER = ['stage', 'method', 'dataset', 'case', 'group', 'set', 'error', 'corner_error_px',
          'accepted', 'inliers', 'RMSE', 'SSIM', 'MI', 'NCC']


def write_evaluation(folder, rmse, cases=4, missing=()):
    """Write an evaluation with the given RMSE of each method, one level higher in each case."""
    with (folder / 'frames.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for method, value in rmse.items():
            for case in range(cases):
                if (method, case) not in missing:
                    writer.writerow(['registration', method, 'd', case, '',
                                     ('medium', 'rig')[case % 2], '' if case else 'refused',
                                     10 * case, int(case > 0), 100, value + case, 0.5, 1.0,
                                     0.9])
    (folder / 'summary.json').write_text(json.dumps({'stages': {}}))
    return folder


RMSE = dict(zip(dfa_ablation.METHODS, (30.0, 20.0, 18.0, 17.0, 16.0, 10.0, 9.0, 8.0, 7.0)))
AS_IN_PAPER, COMPLETE = dfa_ablation.VARIANTS.values()


def test_the_table_has_our_means_beside_those_of_the_paper(tmp_path):
    summary = dfa_ablation.add_study(write_evaluation(tmp_path, RMSE))
    study = summary['studies']['dfa-ablation']
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    everything, medium, rig, complete, _, _ = study['tables']
    rows = {row[0]: dict(zip(everything['columns'], row)) for row in everything['rows']}
    assert list(rows) == ['unregistered', 'baseline', '+SFM', '+FEM', 'both']
    assert rows['baseline']['RMSE'] == 21.5 and rows['both']['RMSE'] == 17.5
    assert rows['both']['accepted'] == 0.75 and rows['both']['error px'] == 20.0
    assert rows['both']['RMSE, paper on MSRS'] == 3.910
    assert rows['both']['RMSE, paper on RoadScene'] == 6.782
    assert rows['unregistered']['RMSE, paper on MSRS'] is None
    assert medium['rows'][1][4] == 21.0 and rig['rows'][1][4] == 22.0
    assert complete['rows'][1][4] == 11.5 and complete['caption'].startswith('complete dfa, all')


def test_the_gain_of_a_module_is_that_in_the_same_cases(tmp_path):
    study = dfa_ablation.add_study(write_evaluation(tmp_path, RMSE))['studies']['dfa-ablation']
    text = ' '.join(study['paragraphs'])
    assert 'as in the paper: SFM, baseline to +SFM: inliers +0.000 ' in text
    assert 'RMSE -2.000 (standard error 0.000, better in 100%)' in text
    assert '4 misaligned cases' in text
    assert 'SSIM +0.000 (standard error 0.000, better in 0%)' in text


def test_the_table_is_written_as_csv_and_markdown(tmp_path):
    dfa_ablation.add_study(write_evaluation(tmp_path, RMSE))
    folder = tmp_path / 'studies' / 'dfa-ablation'
    with (folder / 'ablation.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[4]['network'] == 'both' and float(rows[4]['RMSE']) == 17.5
    assert rows[4]['cases'] == 'as in the paper, all sets'
    assert '| both | 0.75 |' in (folder / 'ablation.md').read_text()


def test_cases_that_one_network_has_not_registered_count_for_none(tmp_path):
    method = AS_IN_PAPER['+FEM']
    write_evaluation(tmp_path, RMSE, missing={(method, 0), (method, 3)})
    cases = dfa_ablation.read_cases(tmp_path / 'frames.csv', AS_IN_PAPER)
    assert {len(variant_cases) for variant_cases in cases.values()} == {2}
    complete = dfa_ablation.read_cases(tmp_path / 'frames.csv', COMPLETE)
    assert {len(variant_cases) for variant_cases in complete.values()} == {4}
    write_evaluation(tmp_path, RMSE, missing={(method, case) for case in range(4)})
    with pytest.raises(EvaluationError, match='no aligned pair was registered by all four'):
        dfa_ablation.add_study(tmp_path)
