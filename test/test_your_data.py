# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page about one's own data does what it says, on 40 simulated pairs."""

from __future__ import annotations

import json
from pathlib import Path
import re
import shlex
from xml.etree import ElementTree
import zipfile

from conftest import REPOSITORY
import cv2
from ivf_ros import cli
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.label_files.label_studio import FROM_NAME, TO_NAME
from ivf_ros.data.sample import IGNORED, Origin
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import CLASS_NAMES
import pytest

PAGE = (REPOSITORY / 'docs' / 'your_data.md').read_text()
_COMMAND = re.compile(r'<!-- run(?:: ([\w-]+))? -->\n```sh\n(ivf .+)\n```\n')
# A training of seconds; the page trains for minutes.
_TINY = ['--set', 'minutes=0.05', '--set', 'simulated=1', '--set', 'off_road=1',
         '--set', 'variants=1', '--set', 'batch=2', '--set', 'side_px=128']


def block_after(comment: str) -> str:
    """Return the code block that follows a comment of the page."""
    return re.search(rf'<!-- {comment} -->\s+```\w+\n(.*?)```', PAGE, re.DOTALL)[1]


@pytest.fixture
def working_folder(tmp_path, monkeypatch) -> Path:
    """Write 40 pairs of a street, 10 a second, where the page expects them."""
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=2))
    for stream in ('thermal', 'rgb'):
        (tmp_path / 'my_drive' / stream).mkdir(parents=True)
    for number in range(40):
        thermal, rgb, _ = simulator.render(0.1 * number)
        cv2.imwrite(str(tmp_path / 'my_drive' / 'thermal' / f'{number:03d}.png'), thermal)
        cv2.imwrite(str(tmp_path / 'my_drive' / 'rgb' / f'{number:03d}.png'), rgb)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def correct_in_cvat(exported: Path, corrected: Path) -> None:
    """Move the first box, remove the second, and add a bicycle, in the file of CVAT."""
    with zipfile.ZipFile(exported) as archive:
        coco = json.loads(archive.read('annotations/instances_default.json'))
    first, second = coco['annotations'][:2]
    first['bbox'][0] += 3
    coco['annotations'].remove(second)
    bicycle = next(one['id'] for one in coco['categories'] if one['name'] == 'bicycle')
    coco['annotations'].append({'id': 9999, 'image_id': first['image_id'], 'segmentation': [],
                                'category_id': bicycle, 'bbox': [5, 5, 40, 30], 'iscrowd': 0})
    with zipfile.ZipFile(corrected, 'w') as archive:
        archive.writestr('annotations/instances_default.json', json.dumps(coco))


def correct_in_label_studio(exported: Path, corrected: Path) -> None:
    """Submit each task, without the first box of the last one that has any."""
    tasks = json.loads(exported.read_text())
    for task in tasks:
        task['annotations'] = [{'result': task['predictions'][0]['result'],
                                'was_cancelled': False}]
    next(task for task in reversed(tasks)
         if task['annotations'][0]['result'])['annotations'][0]['result'].pop(0)
    corrected.write_text(json.dumps(tasks))


def test_the_page_works_from_a_recording_to_a_fine_tuned_detector(working_folder, capsys):
    for needed in ('torch', 'safetensors', 'onnx', 'onnxscript'):
        pytest.importorskip(needed, reason=f'the page needs {needed}')
    corrections = {'cvat': (correct_in_cvat, 'my_labels.zip', 'corrected.zip'),
                   'label-studio': (correct_in_label_studio, 'tasks.json', 'project.json')}
    outputs = {}
    commands = _COMMAND.findall(PAGE)
    assert len(commands) == 7
    for tool, line in commands:
        if tool:
            correct, exported, corrected = corrections[tool]
            correct(working_folder / exported, working_folder / corrected)
        arguments = shlex.split(line)[1:]
        assert cli.main([*arguments, *(_TINY if arguments[0] == 'train' else [])]) == 0, \
            capsys.readouterr().err
        outputs[line] = capsys.readouterr().out
    label, _, cvat, _, studio, train, detect = outputs.values()
    assert int(re.search(r'pairs: (\d+)', label)[1]) >= 35
    assert re.search(r'boxes: (?=.*1 moved)(?=.*1 added)(?=.*1 removed)', cvat)
    assert '2 removed' in studio  # one more than in the labels of CVAT
    [machine] = find_datasets(working_folder / 'my_labels', machine_labels=True)
    [human] = find_datasets(working_folder / 'my_labels')
    for dataset, origin in ((machine, Origin.MACHINE), (human, Origin.HUMAN)):
        assert {sample.detections.origin for sample in dataset.samples} == {origin}
    assert 'bicycle' in {box.class_name for box in human.samples[0].detections.read()}
    report = json.loads((working_folder / 'my_detector' / 'report.json').read_text())
    assert report['held_back_origin'] == 'human' and report['steps'] >= 1
    assert f'{report["held_back"]} held-back pairs' in train
    assert report['verdict'] in train
    assert '5 of 5 images done' in detect


def test_the_labels_of_the_tools_are_those_of_the_detector():
    classes = (*CLASS_NAMES, IGNORED)
    labels = json.loads(block_after('cvat labels'))
    assert [label['name'] for label in labels] == list(classes)
    assert {label['type'] for label in labels} == {'rectangle'}
    view = ElementTree.fromstring(block_after('label studio configuration'))
    boxes = view.find('RectangleLabels')
    assert boxes.attrib == {'name': FROM_NAME, 'toName': TO_NAME}
    assert [label.get('value') for label in boxes] == list(classes)
    assert [image.get('value') for image in view.findall('Image')] == ['$image', '$thermal',
                                                                       '$visible']
