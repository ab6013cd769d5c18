# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An evaluation gives the same files after any interruption, and does not mix two evaluations."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
from ivf_ros import cli, geometry
from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.recording import SourceError
from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.evaluation.run import evaluate, EvaluationSettings
from ivf_ros.evaluation.stages import (
    DetectionEvaluation,
    FusionEvaluation,
    RegistrationEvaluation,
    SegmentationEvaluation,
)
from ivf_ros.evaluation.stages.fusion import inner_rectangle
from ivf_ros.output import OutputError
from ivf_ros.palettes import palette_colors
from ivf_ros.thermal_input import ThermalCameraParameters
import numpy as np
import pytest

pytest.importorskip('tqdm', reason='ivf evaluate needs tqdm')

FUSION = FusionEvaluation(('average', 'laplacian'), ('EN', 'SD', 'MSE'))
DETERMINISTIC = ('frames.csv', 'summary.json')


def make_image(seed, size=(160, 120), sigma=4):
    noise = np.random.default_rng(seed).uniform(0, 1, (size[1], size[0])).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), sigma), None, 0, 255,
                         cv2.NORM_MINMAX).astype(np.uint8)


def write_pairs(folder, count=6, size=(160, 120)):
    """Write pairs in the layout of MSRS, whose alignment is known."""
    for name in ('ir', 'vi'):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        name = f'{index:05d}{"DN"[index % 2]}.png'
        cv2.imwrite(str(folder / 'ir' / name), make_image(index, size))
        cv2.imwrite(str(folder / 'vi' / name), cv2.merge([make_image(100 + index, size)] * 3))
    return folder


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp('msrs') / 'test')


def settings(pairs, out, **changes):
    return EvaluationSettings(**{'sources': (str(pairs),), 'stages': (FUSION,), 'out': out,
                                 **changes})


def read_rows(out):
    with (out / 'frames.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def test_every_method_is_measured_on_every_pair_and_summed_up(pairs, tmp_path):
    summary = evaluate(settings(pairs, tmp_path))
    rows = read_rows(tmp_path)
    assert [(row['method'], row['case']) for row in rows] == [
        (method, f'{index:05d}{"DN"[index % 2]}')
        for method in ('average', 'laplacian') for index in range(6)]
    fusion = summary['stages']['fusion']
    assert fusion['groups'] == {'all': 6, 'day': 3, 'night': 3}
    night = [float(row['SD']) for row in rows if row['group'] == 'night'
             and row['method'] == 'laplacian']
    entry = fusion['table']['night']['laplacian']
    assert entry['values']['SD']['mean'] == pytest.approx(np.mean(night))
    assert entry['values']['SD']['sd'] == pytest.approx(np.std(night))
    assert entry['values']['SD']['median'] == pytest.approx(np.median(night))
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    assert {path.name for path in (tmp_path / 'pictures' / 'fusion').iterdir()} == {
        'average', 'laplacian', 'rgb', 'thermal'}


def test_rank_1_is_the_best_mean(pairs, tmp_path):
    table = evaluate(settings(pairs, tmp_path))['stages']['fusion']['table']['all']
    for metric, best in (('SD', max), ('MSE', min)):
        means = {method: entry['values'][metric]['mean'] for method, entry in table.items()}
        winner = best(means, key=means.__getitem__)
        assert table[winner]['values'][metric]['rank'] == 1
    for entry in table.values():
        ranks = [value['rank'] for value in entry['values'].values()]
        assert entry['mean_rank'] == pytest.approx(np.mean(ranks))


def test_the_number_of_processes_changes_nothing(pairs, tmp_path):
    for jobs in (1, 2):
        evaluate(settings(pairs, tmp_path / str(jobs), jobs=jobs))
    for name in DETERMINISTIC:
        assert (tmp_path / '1' / name).read_bytes() == (tmp_path / '2' / name).read_bytes()


def test_completed_tasks_survive_a_kill(tmp_path):
    pairs = write_pairs(tmp_path / 'msrs' / 'test', count=24, size=(480, 360))
    command = [sys.executable, '-m', 'ivf_ros.cli', 'evaluate', str(pairs), '--jobs', '2',
               '--metrics', 'EN,VIF', '--methods', 'average,laplacian']
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    running = subprocess.Popen([*command, '--out', str(cut)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    rows = cut / 'rows.jsonl'
    deadline_s = time.monotonic() + 60
    while not (rows.is_file() and rows.read_bytes().count(b'\n') >= 3):
        assert time.monotonic() < deadline_s and running.poll() is None
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait(60.0)
    done = rows.read_bytes()
    done = done[:done.rindex(b'\n') + 1]
    assert 3 <= done.count(b'\n') < 24
    assert wait_for_workers(running.pid)

    evaluated = [evaluate(settings(pairs, out, stages=(FusionEvaluation(
        ('average', 'laplacian'), ('EN', 'VIF')),), jobs=1)) for out in (whole, cut)]
    assert evaluated[0] == evaluated[1]
    assert rows.read_bytes().startswith(done)
    assert (whole / 'frames.csv').read_bytes() == (cut / 'frames.csv').read_bytes()


def wait_for_workers(parent_pid, timeout_s=10.0):
    """Wait until all processes of the session of the killed process have ended."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        left = [stat for stat in Path('/proc').glob('[0-9]*/stat')
                if read_session(stat) == parent_pid]
        if not left:
            return True
        time.sleep(0.05)
    return False


def read_session(stat):
    try:
        after_name = stat.read_text().rpartition(')')[2].split()
    except OSError:  # the process has ended
        return None
    return None if after_name[0] == 'Z' else int(after_name[3])


def test_an_incomplete_line_is_computed_again(pairs, tmp_path):
    evaluate(settings(pairs, tmp_path))
    before = (tmp_path / 'frames.csv').read_bytes()
    rows = tmp_path / 'rows.jsonl'
    rows.write_bytes(rows.read_bytes()[:-7])
    (tmp_path / 'frames.csv').unlink()
    evaluate(settings(pairs, tmp_path))
    assert (tmp_path / 'frames.csv').read_bytes() == before
    assert rows.read_bytes().count(b'\n') == 6


def test_completed_tasks_are_not_run_again(pairs, tmp_path, monkeypatch):
    evaluate(settings(pairs, tmp_path))
    monkeypatch.setattr(FusionEvaluation, 'measure', None)  # would fail if it were called
    evaluate(settings(pairs, tmp_path))


@pytest.mark.parametrize('changes, message', [
    ({'limit': 2}, 'limit changed'),
    ({'stages': (FusionEvaluation(('average',), ('EN',)),)}, 'stages changed'),
])
def test_another_evaluation_is_not_mixed_in(changes, message, pairs, tmp_path):
    evaluate(settings(pairs, tmp_path))
    with pytest.raises(EvaluationError, match=f'{message}; use another --out, or --restart'):
        evaluate(settings(pairs, tmp_path, **changes))
    evaluate(settings(pairs, tmp_path, restart=True, **changes))


def test_a_folder_of_something_else_is_left_alone(pairs, tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(OutputError, match='holds something else'):
        evaluate(settings(pairs, tmp_path))


def test_an_unreadable_image_counts_as_failure_of_all_methods(tmp_path):
    pairs = write_pairs(tmp_path / 'msrs' / 'test', count=3)
    broken = pairs / 'vi' / '00001N.png'
    broken.write_bytes(broken.read_bytes()[:50])
    summary = evaluate(settings(pairs, tmp_path / 'out'))
    for entry in summary['stages']['fusion']['table']['all'].values():
        assert entry['failed'] == 1 and entry['cases'] == 3
    errors = [row['error'] for row in read_rows(tmp_path / 'out')]
    assert sum('truncated at 50 bytes' in error for error in errors) == 2


def test_shifted_thermal_is_compared_with_the_original(pairs, tmp_path):
    values = {}
    for shift_px in (0.0, 3.0):
        stage = FusionEvaluation(('average',), ('SSIM', 'EN'), shift_px)
        summary = evaluate(settings(pairs, tmp_path / str(shift_px), stages=(stage,), jobs=1))
        entry = summary['stages']['fusion']['table']['all']['average']['values']
        values[shift_px] = entry['SSIM']['mean']
    assert values[3.0] < values[0.0] - 0.01


def test_registration_is_the_same_misalignment_for_all_methods(pairs, tmp_path):
    stage = RegistrationEvaluation(('none', 'dense'), ('medium', 'rig-exact'))
    summary = evaluate(settings(pairs, tmp_path, stages=(stage,), limit=2))
    rows = read_rows(tmp_path)
    assert len(rows) == 2 * 2 * 2
    none_rows = [row for row in rows if row['method'] == 'none']
    assert all(row['accepted'] == '0.0' and row['error'] == 'not registered' for row in none_rows)
    for row in none_rows:
        min_error_px = {'medium': 2.0, 'rig-exact': 5.0}[row['set']]
        assert float(row['corner_error_px']) > min_error_px
    assert not any(row.get('repeat_px') for row in rows if row['set'] == 'rig-exact')
    groups = summary['stages']['registration']['groups']
    assert groups['all'] == 4 and groups['medium'] == 2 and groups['medium day'] == 1


def test_registering_a_shifted_copy_is_exact(tmp_path):
    """In the pseudo-thermal sets the alignment is exact, so the error is that of the method."""
    for name in ('ir', 'vi'):
        (tmp_path / 'msrs' / 'test' / name).mkdir(parents=True)
    image = make_image(3, (640, 480), 3)
    for name in ('ir', 'vi'):
        cv2.imwrite(str(tmp_path / 'msrs' / 'test' / name / '00000D.png'), image)
    stage = RegistrationEvaluation(('dense',), ('medium-exact',))
    entry = evaluate(settings(tmp_path / 'msrs', tmp_path / 'out', stages=(stage,)))
    overall = entry['stages']['registration']['table']['all']['dense']['overall']
    assert overall['median px'] < 2.0 and overall['under 5 px'] == 1.0
    assert overall['AUC@10'] == pytest.approx(1 - overall['median px'] / 10)


def test_a_stream_of_the_simulator_is_measured_in_all_stages(tmp_path):
    stages = (RegistrationEvaluation(('dense',)), FUSION,
              SegmentationEvaluation(('thermal_saliency',), ('rgb', 'laplacian')),
              DetectionEvaluation(('hog',), ('thermal',)))
    summary = evaluate(settings('simulator:duration_s=0.2,seed=3', tmp_path, stages=stages,
                                limit=2, pictures=False))
    stages_summary = summary['stages']
    assert stages_summary['registration']['table']['all']['dense']['overall']['median px'] < 3
    assert stages_summary['fusion']['table']['all']['average']['values']['EN']['mean'] > 4
    table = stages_summary['segmentation']['table']['all']
    overall = table['thermal_saliency@laplacian']['overall']
    assert 0.5 < overall['total accuracy'] < 1
    assert 'recall50' in stages_summary['detection']['table']['all']['hog@thermal']['overall']
    assert not (tmp_path / 'pictures').exists()


def test_unaligned_pairs_are_left_out_of_fusion_and_reported(pairs, tmp_path):
    unknown = tmp_path / 'mine'
    for name in ('thermal', 'visible'):
        (unknown / name).mkdir(parents=True)
        cv2.imwrite(str(unknown / name / '1.png'), make_image(1))
    summary = evaluate(settings(pairs, tmp_path / 'a', sources=(str(pairs), str(unknown))))
    assert any('1 samples left out: thermal and RGB are not aligned' in note
               for note in summary['stages']['fusion']['notes'])
    with pytest.raises(EvaluationError, match='no sample for fusion: thermal and RGB are not'):
        evaluate(settings(unknown, tmp_path / 'b'))
    evaluate(settings(unknown, tmp_path / 'c', aligned=True))


def test_a_stage_without_labels_is_reported(pairs, tmp_path):
    stages = (FUSION, DetectionEvaluation(('hog',)))
    summary = evaluate(settings(pairs, tmp_path, stages=stages, limit=2))
    assert list(summary['stages']) == ['fusion']
    assert 'no sample for detection: no labels (2).' in summary['stages']['fusion']['notes']


@pytest.mark.parametrize('angle_deg', [0, 3, 20])
def test_the_inner_rectangle_is_covered_and_not_small(angle_deg):
    H = geometry.rotation(np.deg2rad(angle_deg), (60, 40)) @ geometry.translation(7, -4)
    coverage = geometry.coverage(H, (120, 80), (120, 80))
    window = inner_rectangle(coverage)
    assert coverage[window].all() and coverage[window].size > 0.5 * coverage.sum()


def test_the_command_writes_a_report_and_prints_a_table(pairs, capsys, tmp_path):
    pytest.importorskip('plotly', reason='the report needs plotly')
    out = tmp_path / 'out'
    code = cli.main(['evaluate', str(pairs), '--methods', 'average,laplacian', '--metrics',
                     'EN,SD', '--limit', '2', '--jobs', '1', '--out', str(out)])
    printed = capsys.readouterr().out
    assert code == 0 and (out / 'report.html').is_file()
    assert 'laplacian' in printed and 'report.html' in printed


@pytest.mark.parametrize('arguments, message', [
    (['--methods', 'magic'], "unknown method 'magic'; known: "),
    (['--metrics', 'EN,XY'], "unknown metric 'XY'; known: EN, "),
    (['--stage', 'registration', '--sets', 'tiny'], "unknown set 'tiny'; known: medium"),
    (['--stage', 'detection', '--inputs', 'sonar'], "unknown input 'sonar'; known: rgb"),
    (['--study', 'metrics', '--stage', 'detection'], '--study metrics needs --stage fusion'),
])
def test_unknown_names_are_one_line(arguments, message, pairs, capsys, tmp_path):
    code = cli.main(['evaluate', str(pairs), '--out', str(tmp_path / 'out'), *arguments])
    error = capsys.readouterr().err
    assert code == 1 and message in error and len(error.splitlines()) == 1


def test_a_method_for_one_image_has_no_result_for_two_cameras(tmp_path):
    stages = (DetectionEvaluation(('hog', 'anchor_free'), ('rgb+thermal',)),)
    summary = evaluate(settings('simulator:duration_s=0.1,seed=3', tmp_path, stages=stages,
                                limit=1))
    table = summary['stages']['detection']['table']['all']
    assert [table[f'{name}@rgb+thermal']['failed'] for name in ('hog', 'anchor_free')] == [1, 0]


def test_false_colours_are_an_error_and_a_palette_converts_them(tmp_path):
    folder = write_pairs(tmp_path / 'msrs' / 'test', count=2)
    for path in (folder / 'ir').iterdir():
        cv2.imwrite(str(path), palette_colors('jet')[cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)])
    with pytest.raises(EvaluationError, match=r'all 4 results failed, the first.*false colours'):
        evaluate(settings(folder, tmp_path / 'refused'))
    evaluate(settings(folder, tmp_path / 'out',
                      thermal_camera=ThermalCameraParameters(palette='auto')))
    assert all(row['error'] == '' for row in read_rows(tmp_path / 'out'))


def test_corrections_that_move_pixels_are_refused_for_annotated_samples(pairs, tmp_path):
    with pytest.raises(SourceError, match='move the pixels'):
        evaluate(settings(pairs, tmp_path / 'out', rgb_camera=CameraParameters(rotate=180)))
