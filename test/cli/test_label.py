# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``ivf label``: labels of a source, their export and the import of corrections."""

from __future__ import annotations

import json
from pathlib import Path
import zipfile

import cv2
from ivf_ros import cli
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.sample import IGNORED, Origin
from ivf_ros.labelling import Teacher
from ivf_ros.types import Detection
import numpy as np
import pytest

STEP_PX = 4


@pytest.fixture
def recording(tmp_path) -> Path:
    """Write twelve aligned pairs: a bright square moves to the right over a textured wall."""
    wall = cv2.resize(np.random.default_rng(0).integers(40, 160, (12, 16), dtype=np.uint8),
                      (160, 120), interpolation=cv2.INTER_CUBIC)
    for stream in ('thermal', 'rgb'):
        (tmp_path / 'drive' / stream).mkdir(parents=True)
    for number in range(12):
        image = wall.copy()
        image[40:80, 20 + STEP_PX * number:40 + STEP_PX * number] = 250
        cv2.imwrite(str(tmp_path / 'drive' / 'thermal' / f'{number}.png'), image)
        cv2.imwrite(str(tmp_path / 'drive' / 'rgb' / f'{number}.png'), cv2.merge([image] * 3))
    return tmp_path / 'drive'


@pytest.fixture
def looks(monkeypatch) -> list[int]:
    """Let teachers find the square; return the number of the pair of each look."""
    numbers: list[int] = []

    def detect(_teacher, pair):
        number = int(np.argmax(pair.rgb[60, :, 0] > 240) - 20) // STEP_PX
        numbers.append(number)
        left = 20.0 + STEP_PX * number
        boxes = [Detection((left, 40.0, left + 20, 80.0), 'person', 0.9)]
        if number == 3:
            boxes.append(Detection((100.0, 5.0, 120.0, 30.0), 'person', 0.9))
        return boxes

    monkeypatch.setattr(Teacher, 'detect', detect)
    return numbers


def label(recording, out, *options) -> int:
    return cli.main(['label', str(recording), '--out', str(out), '--aligned', '--teacher',
                     'hog@rgb', *options])


def read(folder, machine_labels=False) -> dict[str, list]:
    [dataset] = find_datasets(folder, machine_labels=machine_labels)
    return {sample.name: sample.detections and [
        (box.class_name, box.box_xyxy_px[0]) for box in sample.detections.read()]
        for sample in dataset.samples}


def test_a_recording_becomes_registered_pairs_with_machine_labels(recording, looks, tmp_path,
                                                                  capsys):
    assert label(recording, tmp_path / 'labels', '--json') == 0
    report = json.loads(capsys.readouterr().out)
    assert report['pairs'] == 12 and report['objects'] == {'person': 12}
    assert report['ignored'] == {'one frame of one camera': 1}
    assert looks == list(range(12))
    boxes = read(tmp_path / 'labels', machine_labels=True)
    assert boxes['000004'] == [('person', 36.0)]
    assert boxes['000003'] == [('person', 32.0), (IGNORED, 100.0)]
    assert read(tmp_path / 'labels') == dict.fromkeys(boxes)  # no person annotated anything
    [dataset] = find_datasets(tmp_path / 'labels', machine_labels=True)
    assert all(sample.aligned and sample.detections.origin is Origin.MACHINE
               for sample in dataset.samples)
    np.testing.assert_array_equal(dataset.samples[7].read_rgb(),
                                  cv2.imread(str(recording / 'rgb' / '7.png')))
    assert dataset.samples[7].read_thermal().shape == (120, 160)
    info = json.loads((tmp_path / 'labels' / 'boxes_silver.json').read_text())['info']
    assert info['origin'] == 'machine' and info['teachers'] == [{'name': 'hog@rgb',
                                                                 'settings': {}}]


def test_neighbours_of_each_nth_pair_are_looked_at_and_not_written(recording, looks, tmp_path):
    assert label(recording, tmp_path / 'labels', '--every', '4', '--limit', '2') == 0
    assert looks == [0, 1, 3, 4, 5]
    assert read(tmp_path / 'labels', machine_labels=True) == {
        '000000': [('person', 20.0)], '000001': [('person', 36.0)]}


def test_another_run_replaces_the_labels_unless_people_corrected_them(recording, looks, tmp_path,
                                                                      capsys):
    out = tmp_path / 'labels'
    assert label(recording, out) == 0
    assert label(recording, out, '--limit', '3') == 0
    assert sorted(path.name for path in (out / 'visible').iterdir()) == [
        '000000.png', '000001.png', '000002.png']
    (out / 'boxes.json').write_text('{}')
    capsys.readouterr()
    assert label(recording, out) == 1
    assert 'holds boxes that people corrected (boxes.json)' in capsys.readouterr().err


def test_an_interrupted_run_keeps_the_labels_of_the_pairs_before(recording, looks, tmp_path,
                                                                 monkeypatch, capsys):
    detect = Teacher.detect

    def interrupt(teacher, pair):
        if len(looks) == 5:
            raise KeyboardInterrupt
        return detect(teacher, pair)

    monkeypatch.setattr(Teacher, 'detect', interrupt)
    assert label(recording, tmp_path / 'labels') == 130
    assert 'interrupted; 5 pairs are labelled' in capsys.readouterr().err
    assert list(read(tmp_path / 'labels', machine_labels=True)) == [
        f'{number:06d}' for number in range(5)]


def test_boxes_are_exported_corrected_and_imported(recording, looks, tmp_path, capsys):
    out, exported = tmp_path / 'labels', tmp_path / 'out.zip'
    assert label(recording, out, '--limit', '3') == 0
    assert cli.main(['label', str(out), '--export', 'cvat-coco', '--out', str(exported)]) == 0
    capsys.readouterr()
    assert cli.main(['label', str(out), '--import', str(exported)]) == 1
    assert 'nothing was corrected' in capsys.readouterr().err
    with zipfile.ZipFile(exported) as archive:
        coco = json.loads(archive.read('annotations/instances_default.json'))
    coco['annotations'][0]['bbox'][0] += 2
    (tmp_path / 'corrected.json').write_text(json.dumps(coco))
    command = ['label', str(out), '--import', str(tmp_path / 'corrected.json')]
    assert cli.main([*command, '--only-changed']) == 0
    assert read(out) == {'000000': [('person', 22.0)], '000001': None, '000002': None}
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert '2 of 3 images hold exactly the boxes of the machine' in captured.err
    assert 'boxes: 1 moved, 2 unchanged' in captured.out
    assert read(out)['000002'] == [('person', 28.0)]
    tasks = tmp_path / 'tasks.json'
    assert cli.main(['label', str(out), '--export', 'label-studio', '--out', str(tasks)]) == 0
    first = json.loads(tasks.read_text())[0]
    assert first['data']['image'] == '/data/local-files/?d=labels/fused/000000.png'
    assert first['predictions'][0]['result'][0]['value']['x'] == pytest.approx(22 / 1.6)


@pytest.mark.parametrize('arguments, line', [
    ([], 'give a source'), (['a', 'b', 'c'], 'got 3 paths'), (['a'], 'give --out, or --import'),
    (['a', 'b', '--import', 'c'], 'give one folder of ivf label')])
def test_wrong_arguments_are_one_line(arguments, line, capsys):
    assert cli.main(['label', *arguments]) == 2
    error, = capsys.readouterr().err.splitlines()
    assert line in error


def test_what_holds_no_labels_is_named(recording, tmp_path, capsys):
    assert cli.main(['label', str(recording), '--export', 'cvat-xml', '--out',
                     str(tmp_path / 'a.xml')]) == 1
    assert 'is no folder of ivf label: it has no boxes_silver.json' in capsys.readouterr().err
    assert cli.main(['label', str(recording), '--export', 'cvat-xml', '--out',
                     str(tmp_path / 'a.json')]) == 1
    assert 'the name must end in .xml' in capsys.readouterr().err


def test_the_settings_are_listed(capsys):
    assert cli.main(['label', '--list']) == 0
    assert 'unconfirmed=ignore' in capsys.readouterr().out


def test_a_source_that_cannot_be_registered_is_one_line(tmp_path, capsys):
    random = np.random.default_rng(0)
    for stream in ('thermal', 'rgb'):
        (tmp_path / 'pairs' / stream).mkdir(parents=True)
        for number in range(2):
            coarse = random.integers(0, 255, (6, 8), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / 'pairs' / stream / f'{number}.png'),
                        cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC))
    assert cli.main(['label', str(tmp_path / 'pairs'), '--teacher', 'hog@rgb', '--out',
                     str(tmp_path / 'out')]) == 1
    error = capsys.readouterr().err.splitlines()
    assert 'the files show unrelated scenes' in error[0]
    assert error[-1] == 'ivf label: no pair can be labelled: 2 no registration yet'
