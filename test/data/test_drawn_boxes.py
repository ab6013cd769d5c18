# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes that the developers drew: their file, and the evaluation with them."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import REPOSITORY
import cv2
from ivf_ros import cli
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.drawn_boxes import HALVES, keep_drawn, read_frames
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Origin
from ivf_ros.training.perception_data import perception_scenes
import numpy as np
import pytest


def write_file(path: Path, **changes) -> Path:
    frame = {'dataset': 'park', 'sample': 'a', 'half': 'choosing', 'size': [64, 48],
             'boxes': [{'box': [10, 8, 20, 40], 'class': 'person', 'seen_in': 'thermal',
                        'sure': 'yes'}], **changes}
    other = {**frame, 'sample': 'b', 'half': 'reporting', 'boxes': []}
    path.write_text(json.dumps({'format': 'ivf_ros drawn boxes 1', 'frames': [frame, other]}))
    return path


@pytest.fixture
def park(tmp_path):
    """Write three pairs."""
    for camera, shape in (('thermal', (48, 64)), ('visible', (48, 64, 3))):
        (tmp_path / 'park' / camera).mkdir(parents=True)
        for name in 'abc':
            cv2.imwrite(str(tmp_path / 'park' / camera / f'{name}.png'),
                        np.random.default_rng(0).integers(0, 255, shape, np.uint8))
    return tmp_path / 'park'


def test_only_the_frames_of_a_half_are_kept_with_their_boxes(park, tmp_path):
    frames = read_frames(write_file(tmp_path / 'boxes.json'))
    for half, names in (('choosing', ['a']), ('reporting', ['b']), ('', ['a', 'b'])):
        dataset, = keep_drawn(find_datasets(park), frames, half)
        assert [sample.name for sample in dataset.samples] == names
    sample, empty = dataset.samples
    assert sample.detections.origin is Origin.DEVELOPERS
    box, = sample.detections.read()
    assert (box.class_name, box.box_xyxy_px) == ('person', (10.0, 8.0, 20.0, 40.0))
    assert empty.detections.read() == ()  # nothing is there; that is not the same as no label


@pytest.mark.parametrize('changes, message', [
    ({'half': 'training'}, "park a: half is 'training'; allowed are choosing, reporting"),
    ({'boxes': [{'box': [10, 8, 90, 40], 'class': 'person'}]}, 'is not in the image of'),
    ({'boxes': [{'box': [20, 8, 10, 40], 'class': 'person'}]}, 'is not in the image of'),
    ({'boxes': [{'box': [1, 2, 3], 'class': 'person'}]}, 'not a file of drawn boxes'),
    ({'boxes': [{'box': [1, 2, 3, 4]}]}, "not a file of drawn boxes: KeyError('class')"),
])
def test_a_malformed_file_is_refused_with_the_reason(tmp_path, changes, message):
    with pytest.raises(SourceError) as raised:
        read_frames(write_file(tmp_path / 'boxes.json', **changes))
    assert message in str(raised.value) and 'boxes.json' in str(raised.value)


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"format": "coco"}', '\udcff'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / 'boxes.json'
    path.write_bytes(content.encode('utf-8', 'surrogateescape'))
    with pytest.raises(SourceError, match=r'boxes\.json'):
        read_frames(path)
    with pytest.raises(SourceError, match='No such file'):
        read_frames(tmp_path / 'nothing.json')


def test_pairs_without_drawn_boxes_are_refused(park, tmp_path):
    frames = read_frames(write_file(tmp_path / 'boxes.json', dataset='forest'))
    with pytest.raises(SourceError, match='data sets: park; drawn in: forest'):
        keep_drawn(find_datasets(park), frames)


def test_an_evaluation_measures_only_the_frames_with_drawn_boxes(park, tmp_path, capsys):
    path = write_file(tmp_path / 'boxes.json')
    assert cli.main(['evaluate', str(park), '--aligned', '--stage', 'detection', '--methods',
                     'hog', '--inputs', 'rgb', '--drawn-boxes', str(path), '--half', 'choosing',
                     '--jobs', '1', '--out', str(tmp_path / 'out')]) == 0
    output = capsys.readouterr().out
    assert 'detection: 1 cases' in output
    assert 'drawn by the developers of this package' in output
    assert cli.main(['evaluate', 'simulator', '--stage', 'detection', '--drawn-boxes', str(path),
                     '--out', str(tmp_path / 'stream')]) == 1
    assert 'drawn boxes are for data sets' in capsys.readouterr().err


def test_the_boxes_of_the_package_are_of_both_halves_and_no_scene_is_in_two(shared_data):
    frames = read_frames(REPOSITORY / 'docs' / 'labels' / 'boxes.json')
    assert len(frames) == 150 and {frame.half for frame in frames} == set(HALVES)
    datasets = [*find_datasets(shared_data), *find_datasets(shared_data.parent / 'more_data')]
    scenes = {half: {(sample.dataset, sample.scene or sample.name)
                     for dataset in keep_drawn(datasets, frames, half)
                     for sample in dataset.samples} for half in HALVES}
    assert not set.intersection(*scenes.values())
    assert sum(len(dataset.samples) for dataset in keep_drawn(datasets, frames)) == len(frames)


def test_no_network_learned_from_pairs_with_drawn_boxes(shared_data):
    drawn = {(frame.dataset, frame.sample) for frame
             in read_frames(REPOSITORY / 'docs' / 'labels' / 'boxes.json')}
    learned = {(scene.dataset, scene.name) for scene in perception_scenes(shared_data, 0)}
    assert learned and not drawn & learned
