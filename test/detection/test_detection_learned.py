# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector, its network, and non-maximum suppression."""

from __future__ import annotations

import cv2
from ivf_ros import detection, fusion
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.sample import IGNORED
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import anchor_free
from ivf_ros.detection.network import cell_centres_px, DetectionNetwork
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.evaluation import metrics
from ivf_ros.nn import weights
from ivf_ros.parameters import ParameterError
from ivf_ros.thermal import Agc
from ivf_ros.types import Detection, Registration, RegistrationState
import numpy as np
import pytest
import torch


def scene(condition='day', seed=3, index=60):
    """Return a fused street image, and the true boxes that are not tiny."""
    simulator = RigSimulator(SimulatorParameters(condition=condition, seed=seed))
    thermal, rgb, truth = simulator.pair(index)
    known = Registration(truth.H_thermal_to_rgb, 1.0, 1, RegistrationState.TRACKING, rgb.size)
    fused = fusion.FusionStage().fuse(thermal.image, rgb.image, known).image
    large = [box for box in truth.detections
             if box.box_xyxy_px[3] - box.box_xyxy_px[1] >= 40]
    return fused, map_class_names(large, detection.CLASS_NAMES)


# Boxes


def test_overlapping_boxes_of_one_class_are_suppressed():
    boxes = np.array([[10, 10, 30, 50], [11, 11, 31, 51], [10, 10, 30, 50], [60, 0, 80, 9]],
                     np.float32)
    scores = np.array([[0.6, 0.1], [0.9, 0.2], [0.1, 0.7], [0.2, 0.1]], np.float32)
    found = non_maximum_suppression(scores, boxes, ('person', 'vehicle'), (100, 60), 0.3, 0.5)
    assert [(box.class_name, round(box.score, 2)) for box in found] \
        == [('person', 0.9), ('vehicle', 0.7)]
    assert found[0].box_xyxy_px == (11, 11, 31, 51)


def test_boxes_are_clipped_and_those_outside_the_image_are_dropped():
    boxes = np.array([[-5, -5, 20, 20], [90, 50, 130, 80], [110, 10, 130, 30]], np.float32)
    high, zero = np.full((3, 1), 0.9, np.float32), np.zeros((3, 1), np.float32)
    found = non_maximum_suppression(high, boxes, ('person',), (100, 60), 0.3, 0.5)
    assert sorted(box.box_xyxy_px for box in found) == [(0, 0, 20, 20), (90, 50, 100, 60)]
    assert non_maximum_suppression(zero, boxes, ('person',), (100, 60), 0.3, 0.5) == []


def test_class_names_are_mapped_to_those_of_a_detector():
    named = [Detection((0, 0, 1, 1), name, 1.0)
             for name in ('car', 'bus', 'person', 'bike', 'motorcycle', IGNORED)]
    assert [box.class_name for box in map_class_names(named, detection.CLASS_NAMES)] \
        == ['vehicle', 'vehicle', 'person', 'bicycle', IGNORED, IGNORED]
    assert [box.class_name for box in map_class_names(named, ('person', 'car'))] == [
        'car', IGNORED, 'person', IGNORED, IGNORED, IGNORED]


# The network


def test_cell_centres_follow_from_the_stride():
    centres_px = cell_centres_px(torch.Size([2, 3]), 8, torch.device('cpu'))
    assert centres_px.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


@pytest.mark.parametrize('channels', [3, 4])
def test_the_network_predicts_a_box_for_each_cell_of_three_grids(channels):
    network = DetectionNetwork(3, channels).eval()
    logits, boxes_px = network(torch.rand(2, channels, 64, 96))
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert logits.shape == (2, cells, 3) and boxes_px.shape == (2, cells, 4)
    centres_px = torch.cat([cell_centres_px(torch.Size([64 // s, 96 // s]), s, torch.device('cpu'))
                            for s in (8, 16, 32)])
    inside = (boxes_px[..., :2] <= centres_px) & (centres_px <= boxes_px[..., 2:])
    assert bool(inside.all())  # a box contains the centre of its cell
    assert 0.003 < float(torch.sigmoid(logits).detach().mean()) < 0.03  # objects are rare


# The detector


@pytest.mark.parametrize('condition', ['day', 'night', 'smoke'])
def test_people_and_vehicles_of_a_street_are_found(condition):
    n_hits = n_true = 0
    for seed in (3, 4):
        fused, true = scene(condition, seed)
        counts = metrics.count_hits(detection.create().detect(fused), true)
        n_hits += counts['hits']
        n_true += counts['true']
    assert n_true >= 4
    assert n_hits >= 0.5 * n_true


def test_boxes_are_ordered_inside_the_image_and_repeatable():
    fused, _ = scene()
    fused.flags.writeable = False
    detector = detection.create(**{'anchor_free.min_score': 0.1})
    found = detector.detect(fused)
    scores = [box.score for box in found]
    assert len(found) > 3 and scores == sorted(scores, reverse=True) and min(scores) >= 0.1
    for box in found:
        left, top, right, bottom = box.box_xyxy_px
        assert 0 <= left < right <= 640 and 0 <= top < bottom <= 480
        assert box.class_name in detection.CLASS_NAMES
    assert detector.detect(fused) == found


def test_each_class_has_its_own_minimum_score():
    fused, _ = scene()
    every = detection.create(**{'anchor_free.min_score': 0.05}).detect(fused)
    minimum = {'person': 0.3, 'vehicle': 0.05, 'bicycle': 1.0}
    found = detection.create(**{'anchor_free.min_score': 0.9,
                                'anchor_free.min_scores': list(minimum.values())}).detect(fused)
    assert found == [box for box in every if box.score >= minimum[box.class_name]]
    assert 0 < len(found) < len(every)


@pytest.mark.parametrize('scores', [[0.3], [0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.0],
                                    [0.3, 0.3, float('nan')]])
def test_minimum_scores_that_fit_no_classes_are_refused(scores):
    with pytest.raises(ParameterError, match='min_scores'):
        detection.create(**{'anchor_free.min_scores': scores})


def test_boxes_are_in_pixels_of_the_image_at_any_size():
    fused, _ = scene()
    double = cv2.resize(fused, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    detector = detection.create()
    doubled = [Detection(tuple(2 * edge for edge in box.box_xyxy_px), box.class_name, box.score)
               for box in detector.detect(fused)]
    assert metrics.count_hits(detector.detect(double), doubled, min_iou=0.7)['F1'] > 0.7


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (33, 65), (120, 160, 3), (481, 641)])
def test_any_size_works(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    for box in detection.create(**{'anchor_free.min_score': 0.05}).detect(image):
        assert 0 <= box.box_xyxy_px[0] < box.box_xyxy_px[2] <= shape[1]


def test_precisions_agree():
    fused, _ = scene()
    exact, quick = (detection.create(**{'network.precision': name}).detect(fused)
                    for name in ('float32', 'int8'))
    hits = metrics.count_hits(quick, exact, min_iou=0.8)
    assert hits['F1'] > 0.8


@pytest.mark.parametrize('image', [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32)])
def test_bad_images_are_refused(image):
    with pytest.raises(detection.DetectionError, match='uint8'):
        detection.create().detect(image)


def test_weights_for_two_cameras_need_both_images(tmp_path):
    path = tmp_path / 'both.safetensors'
    weights.save(DetectionNetwork(3, 4), path, {})
    detector = detection.create(**{'network.weights': str(path),
                                   'anchor_free.min_score': 0.01})
    rgb, thermal = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    assert isinstance(detector.detect(rgb, thermal), list)
    with pytest.raises(detection.DetectionError, match='got none'):
        detector.detect(rgb)
    with pytest.raises(detection.DetectionError, match=r'\(32, 64\)'):
        detector.detect(rgb, thermal[:32])


def test_wrong_weights_are_an_error(tmp_path):
    with pytest.raises(weights.WeightsError, match='no weight file at'):
        detection.create(**{'network.weights': str(tmp_path / 'none.safetensors')})
    other = tmp_path / 'other.safetensors'
    weights.save(torch.nn.Linear(2, 2), other, {})
    with pytest.raises(weights.WeightsError, match='no weight file of this network'):
        detection.create(**{'network.weights': str(other)})


@pytest.mark.parametrize('path', [anchor_free.WEIGHTS, anchor_free.RGBT_WEIGHTS])
def test_the_weights_of_the_package_have_metadata(path):
    path = path.with_suffix('.safetensors')
    metadata = weights.metadata(path)
    assert metadata['network'] == 'DetectionNetwork'
    assert metadata['scores'] and metadata['teachers']
    assert path.stat().st_size < 8e6
    assert '/' not in metadata['command'].replace('runs/', '')


def test_precision_and_recall_on_real_pairs_with_human_labels(shared_data):
    # Labelled by people, and not in the training data: 17 people, 5 cars.
    detector = detection.create(**{'anchor_free.min_score': 0.5})
    fuser = fusion.create('fast')
    [dataset] = find_datasets(shared_data / 'msrs')
    hits = found = true = 0
    for sample in dataset.samples:
        if sample.detections is None:
            continue
        pair = read_aligned(sample)
        boxes = map_class_names(sample.detections.read(), detection.CLASS_NAMES)
        counts = metrics.count_hits(detector.detect(fuser.fuse(pair.thermal, pair.rgb)), boxes)
        hits, found, true = (total + counts[name] for total, name in
                             ((hits, 'hits'), (found, 'found'), (true, 'true')))
    assert true == 22
    assert hits / true >= 0.65 and hits / found >= 0.8


def test_rgb_and_thermal_use_the_network_for_both():
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    thermal, rgb, truth = simulator.pair(60)
    warped = cv2.warpPerspective(Agc()(thermal.image), truth.H_thermal_to_rgb, rgb.size)
    large = [box for box in truth.detections
             if box.box_xyxy_px[3] - box.box_xyxy_px[1] >= 40]
    true = map_class_names(large, detection.CLASS_NAMES)
    detector = detection.create()
    assert detector.takes_thermal
    both_hits, rgb_hits = (metrics.count_hits(detector.detect(rgb.image, *thermal), true)['hits']
                           for thermal in ((warped,), ()))
    assert both_hits >= 0.5 * len(true) and both_hits > rgb_hits


def test_custom_weights_for_one_image_ignore_thermal(tmp_path):
    path = tmp_path / 'one.safetensors'
    weights.save(DetectionNetwork(3), path, {})
    detector = detection.create(**{'network.weights': str(path),
                                   'anchor_free.min_score': 0.01})
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert not detector.takes_thermal
    assert detector.detect(image, image[..., 0]) == detector.detect(image)
