# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: which pairs are used for what, the initial weights, what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ivf_ros import detection, perception
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Origin
from ivf_ros.detection import anchor_free
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import weights
from ivf_ros.nn.errors import WeightsError
from ivf_ros.perception import method as joint
from ivf_ros.perception.network import PerceptionNetwork
from ivf_ros.thermal_on_rgb import find_coverage
from ivf_ros.training import fine_tuning
from ivf_ros.training.fine_tuning_data import find_annotated_pairs, make_scene
from ivf_ros.training.fine_tuning_settings import DetectionFineTuning, PerceptionFineTuning
from labelled_pairs import write_labelled_pairs
import numpy as np
import pytest
import torch

TINY = {'steps': 0, 'simulated': 0, 'off_road': 0, 'variants': 1, 'batch': 2, 'side_px': 64,
        'threads': 1, 'minutes': 0.0}


def numbers(samples) -> list[int]:
    return [int(sample.name) for sample in samples]


def test_blocks_are_held_back_and_their_neighbours_are_used_for_neither(tmp_path):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40))
    assert numbers(data.held_back) == [*range(10, 15), *range(30, 35)]
    assert numbers(data.training) == [*range(9), *range(16, 29), *range(36, 40)]
    assert data.held_origin is Origin.MACHINE and not data.held_recordings


def test_boxes_of_people_come_before_those_of_machines_and_are_those_of_the_report(tmp_path):
    corrected = range(20)
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40, corrected=corrected))
    assert data.held_origin is Origin.HUMAN
    assert numbers(data.held_back) == [4, 5, 12, 13]  # blocks of two of those that people checked
    assert set(numbers(data.training)) == set(range(40)) - {3, 4, 5, 6, 11, 12, 13, 14}
    for sample in (*data.training, *data.held_back):
        is_human = int(sample.name) in corrected
        assert sample.detections.origin is (Origin.HUMAN if is_human else Origin.MACHINE)
        assert ('vehicle' in {box.class_name for box in sample.detections.read()}) is is_human


def test_of_four_recordings_whole_ones_are_held_back(tmp_path):
    for name in 'abcde':
        write_labelled_pairs(tmp_path / name, 8, corrected=range(8) if name in 'ace' else ())
    data = find_annotated_pairs(tmp_path)
    assert data.held_recordings and data.held_origin is Origin.HUMAN
    assert {sample.dataset for sample in data.held_back} == {'e'}
    assert {sample.dataset for sample in data.training} == set('abcd')
    assert len(data.training) == 32 and len(data.held_back) == 8


def test_where_people_checked_too_few_pairs_the_report_is_on_those_of_machines(tmp_path):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40, corrected=[0, 11]))
    assert len(data.held_back) == 10 and data.held_origin is Origin.MACHINE


@pytest.mark.parametrize('count, objects, found', [
    (12, 2, '3 pairs with 6 objects for training and 3 with 6 held back'),
    (40, 0, '26 pairs with 0 objects')])
def test_too_little_is_one_clear_line(tmp_path, count, objects, found):
    folder = write_labelled_pairs(tmp_path / 'mine', count, objects)
    with pytest.raises(SourceError, match=f'too little to fine-tune on: {found}.*; at least 15 '
                                          'with 30 and 4 with 8 are needed'):
        find_annotated_pairs(folder)


def test_pairs_without_boxes_are_named(tmp_path):
    folder = write_labelled_pairs(tmp_path / 'mine', 3)
    (folder / 'boxes_silver.json').unlink()
    with pytest.raises(SourceError, match='no aligned pairs with boxes; ivf label makes them'):
        find_annotated_pairs(folder)


def test_thermal_covers_what_lies_between_its_pixels():
    image = np.zeros((20, 30), np.uint8)
    image[[4, 4, 15, 15], [5, 25, 5, 25]] = 9  # the corners of its rectangle
    covered = find_coverage(image)
    assert covered[4:16, 5:26].all() and covered.sum() == 12 * 21
    assert not find_coverage(np.zeros((4, 5), np.uint8)).any()


def test_a_scene_of_a_user_says_what_thermal_covers(tmp_path):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40))
    scene = make_scene(data.training[0])
    assert scene.has_boxes and scene.coverage.mean() > 0.9
    assert [box.class_name for box in scene.boxes] == ['person', 'person']


# Weights


def test_the_default_weights_are_those_of_the_input(tmp_path):
    for network, stage in (('detection', anchor_free), ('perception', joint)):
        for given, stem in (('rgb+thermal', stage.RGBT_WEIGHTS), ('fast', stage.WEIGHTS)):
            path = fine_tuning.find_initial_weights(network, 'default', given)
            assert path == stem.with_name(stem.name + '.safetensors') and path.is_file()
    with pytest.raises(WeightsError, match="has 4 input channels, and 'rgb' has 3; set given="):
        fine_tuning.find_initial_weights('detection', f'{anchor_free.RGBT_WEIGHTS}.safetensors',
                                         'rgb')
    with pytest.raises(WeightsError, match='no weight file at'):
        fine_tuning.find_initial_weights('detection', str(tmp_path / 'none.safetensors'), 'rgb')


@pytest.mark.parametrize('network', ['detection', 'perception'])
def test_without_a_step_the_network_is_that_of_before(network, tmp_path):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40))
    train, settings, make = {
        'detection': (fine_tuning.train_detection, DetectionFineTuning,
                      partial(DetectionNetwork, 3, 4)),
        'perception': (fine_tuning.train_perception, PerceptionFineTuning,
                       partial(PerceptionNetwork, 3, 9, 4))}[network]
    initial = fine_tuning.find_initial_weights(network, 'default', 'rgb+thermal')
    trained = train(data.training[:3], initial, tmp_path / network, settings(**TINY))
    expected = weights.load(make(), initial).state_dict()
    assert expected.keys() == trained.state_dict().keys()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_segmentation_learns_its_own_labels(tmp_path, monkeypatch):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40))
    samplers = []
    train = fine_tuning.perception_training.train
    monkeypatch.setattr(fine_tuning.perception_training, 'train', lambda sampler, *rest: (
        samplers.append(sampler), train(sampler, *rest))[1])
    initial = fine_tuning.find_initial_weights('perception', 'default', 'rgb+thermal')
    fine_tuning.train_perception(data.training[:2], initial, tmp_path / 'run',
                                 PerceptionFineTuning(**TINY))
    scene = make_scene(data.training[1])
    labels = perception.create(**{'network.weights': str(initial)}).segment(
        scene.rgb, scene.thermal).labels
    height, width = labels.shape
    np.testing.assert_array_equal(samplers[0].labels[1, 0, :height, :width].numpy(), labels)


def test_the_result_is_the_mean_of_the_weights_before_and_after():
    before, after = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    after.weight.data += 1
    after.running_mean += 2
    mean = fine_tuning.average_weights(after, before, 0.25)
    torch.testing.assert_close(mean.weight.data, torch.full((3,), 1.75))
    torch.testing.assert_close(mean.running_mean, torch.full((3,), 1.5))


def test_a_fine_tuned_detector_is_one_of_the_package(tmp_path):
    data = find_annotated_pairs(write_labelled_pairs(tmp_path / 'mine', 40))
    initial = fine_tuning.find_initial_weights('detection', 'default', 'rgb+thermal')
    settings = replace(DetectionFineTuning(**TINY), steps=2)
    trained = fine_tuning.train_detection(data.training[:4], initial, tmp_path / 'run', settings)
    weights.save(trained, tmp_path / 'd.safetensors', {})
    detector = detection.create(**{'network.weights': str(tmp_path / 'd.safetensors')})
    assert detector.takes_thermal
    detector.detect(np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8))
