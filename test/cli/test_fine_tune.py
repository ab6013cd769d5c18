# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``ivf train --init``: a report before and after, weights, clear refusals."""

from __future__ import annotations

import json

from ivf_ros import cli, detection, perception
from labelled_pairs import write_labelled_pairs
import numpy as np
import pytest

for needed in ('torch', 'safetensors'):
    pytest.importorskip(needed, reason='training needs it')

from ivf_ros.evaluation import detector_comparison  # noqa: E402, I100
from ivf_ros.nn import weights  # noqa: E402

TINY = [f'--set={setting}' for setting in (
    'simulated=0', 'off_road=0', 'variants=1', 'batch=2', 'side_px=64', 'threads=1', 'steps=2')]


@pytest.fixture
def no_onnx(monkeypatch):
    """Leave out the ONNX file, which takes most of the time."""
    monkeypatch.setattr('ivf_ros.cli.fine_tune._export', lambda *_arguments: '')


@pytest.fixture
def data(tmp_path):
    return write_labelled_pairs(tmp_path / 'mine', 40)


def train(*arguments, network='detection', init='default') -> int:
    return cli.main(['train', network, '--init', init, *map(str, arguments), *TINY])


@pytest.mark.parametrize('network', ['detection', 'perception'])
def test_the_weights_and_a_report_before_and_after_are_written(network, data, tmp_path, capsys,
                                                               request):
    if network == 'perception':
        request.getfixturevalue('no_onnx')
    out = tmp_path / 'out'
    assert train('--data', data, '--out', out, '--json', network=network) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert json.loads((out / 'report.json').read_text()) == report
    assert report['held_back'] == 10 and report['held_back_origin'] == 'machine'
    assert report['trained_on'] == {'mine': 26} and report['steps'] == 2
    assert set(report['before']) == set(report['after']) == {'person', 'all'}
    assert set(report['before']['person']) == {'objects', 'recall', 'precision', 'AP50'}
    assert report['before']['person']['objects'] == 20
    assert 'the boxes of the held-back pairs are machine-made' in captured.err
    assert ('labels_kept' in report) is (network == 'perception')
    path = out / f'{network}.safetensors'
    assert report['weights'] == str(path)
    metadata = weights.metadata(path)
    assert metadata['trained_on'] == {'mine': 26}
    assert metadata['scores']['verdict'] == report['verdict']
    assert 'trained_on' in metadata['init']  # what the start has learned from
    create = {'detection': detection.create, 'perception': perception.create}[network]
    image, thermal = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)
    create(**{'network.weights': str(path)}).detect(image, thermal)
    if report['onnx']:
        create(**{'network.weights': report['onnx']}).detect(image, thermal)


def test_a_result_that_is_not_better_is_said(data, no_onnx, tmp_path, capsys):
    assert train('--data', data, '--out', tmp_path / 'out', '--set', 'learning_rate=0') == 0
    captured = capsys.readouterr()
    assert 'the result is not better than the start on the held-back pairs: no clear difference' \
        in captured.err
    assert '10 held-back pairs of the same recordings' in captured.out and 'recall' in captured.out


def test_a_better_result_is_said(data, no_onnx, tmp_path, capsys, monkeypatch):
    def measure(detector, samples, given):
        true = [sample.detections.read() for sample in samples]
        start = len(measured) == 0
        measured.append(detector)
        return detector_comparison.compare_boxes(
            [(boxes[start:], boxes) for boxes in true], detection.CLASS_NAMES)

    measured: list = []
    monkeypatch.setattr(detector_comparison, 'measure_detector', measure)
    assert train('--data', data, '--out', tmp_path / 'out') == 0
    captured = capsys.readouterr()
    assert 'not better' not in captured.err and '\nbetter: mAP50 +0.495' in captured.out


def test_too_little_data_is_one_line_before_any_work(tmp_path, capsys):
    data = write_labelled_pairs(tmp_path / 'few', 8)
    assert train('--data', data, '--out', tmp_path / 'out') == 1
    error, = capsys.readouterr().err.splitlines()
    assert 'too little to fine-tune on' in error
    assert not (tmp_path / 'out').exists()


def test_other_networks_and_options_are_refused(data, tmp_path, capsys):
    assert train('--data', data, network='segmentation') == 2
    assert train('--data', data, '--overfit') == 2
    assert all('--init is for detection and perception, without --overfit' in line
               for line in capsys.readouterr().err.splitlines())
    missing = tmp_path / 'none.safetensors'
    assert train('--data', data, '--out', tmp_path / 'out', init=str(missing)) == 1
    assert 'no weight file at' in capsys.readouterr().err


def test_a_folder_of_another_start_is_not_continued(data, no_onnx, tmp_path, capsys):
    out = tmp_path / 'out'
    assert train('--data', data, '--out', out) == 0
    first = (out / 'detection.safetensors').rename(tmp_path / 'first.safetensors')
    assert train('--data', data, '--out', out) == 0  # nothing is left to train
    capsys.readouterr()
    assert train('--data', data, '--out', out, init=str(first)) == 1
    assert 'init was default, is' in capsys.readouterr().err


def test_the_settings_of_fine_tuning_are_listed(capsys):
    assert cli.main(['train', 'detection', '--init', 'default', '--list']) == 0
    listed = capsys.readouterr().out
    assert 'minutes=12.0' in listed and 'given=rgb+thermal' in listed
    assert 'start_from' not in listed


def test_what_init_says_cannot_be_set(data, tmp_path, capsys):
    assert train('--data', data, '--out', tmp_path / 'out', '--set', 'start_from=a') == 1
    assert "unknown parameter 'start_from'" in capsys.readouterr().err
