# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector, its network, and what is left of overlapping boxes."""

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
from ivf_ros.thermal import Agc
from ivf_ros.types import Detection, Registration, RegistrationState
import numpy as np
import pytest
import torch


def scene(condition='day', seed=3, index=60):
    """Return a fused street, and the true boxes that are not tiny."""
    simulator = RigSimulator(SimulatorParameters(condition=condition, seed=seed))
    thermal, rgb, truth = simulator.pair(index)
    known = Registration(truth.H_thermal_to_rgb, 1.0, 1, RegistrationState.TRACKING, rgb.size)
    fused = fusion.FusionStage().fuse(thermal.image, rgb.image, known).image
    large = [one for one in truth.detections
             if one.box_xyxy_px[3] - one.box_xyxy_px[1] >= 40]
    return fused, map_class_names(large, detection.CLASS_NAMES)


# Boxes


def test_of_boxes_of_one_class_that_overlap_the_best_one_stays():
    boxes = np.array([[10, 10, 30, 50], [11, 11, 31, 51], [10, 10, 30, 50], [60, 0, 80, 9]],
                     np.float32)
    scores = np.array([[0.6, 0.1], [0.9, 0.2], [0.1, 0.7], [0.2, 0.1]], np.float32)
    found = non_maximum_suppression(scores, boxes, ('person', 'vehicle'), (100, 60), 0.3, 0.5)
    assert [(one.class_name, round(one.score, 2)) for one in found] \
        == [('person', 0.9), ('vehicle', 0.7)]
    assert found[0].box_xyxy_px == (11, 11, 31, 51)


def test_boxes_are_clipped_to_the_image_and_those_beyond_it_are_dropped():
    boxes = np.array([[-5, -5, 20, 20], [90, 50, 130, 80], [110, 10, 130, 30]], np.float32)
    found = non_maximum_suppression(np.full((3, 1), 0.9, np.float32), boxes, ('person',), (100, 60), 0.3,
                                    0.5)
    assert sorted(one.box_xyxy_px for one in found) == [(0, 0, 20, 20), (90, 50, 100, 60)]
    assert non_maximum_suppression(np.zeros((3, 1), np.float32), boxes, ('person',), (100, 60), 0.3,
                                   0.5) == []


def test_boxes_go_by_the_names_that_a_detector_knows():
    named = [Detection((0, 0, 1, 1), name, 1.0)
             for name in ('car', 'bus', 'person', 'bike', 'motorcycle', IGNORED)]
    assert [one.class_name for one in map_class_names(named, detection.CLASS_NAMES)] \
        == ['vehicle', 'vehicle', 'person', 'bicycle', IGNORED, IGNORED]
    assert [one.class_name for one in map_class_names(named, ('person', 'car'))] == [
        'car', IGNORED, 'person', IGNORED, IGNORED, IGNORED]


# The network


def test_cells_lie_where_their_strides_put_them():
    middles = cell_centres_px(torch.Size([2, 3]), 8, torch.device('cpu'))
    assert middles.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


@pytest.mark.parametrize('channels', [3, 4])
def test_the_network_says_something_of_each_cell_of_three_grids(channels):
    network = DetectionNetwork(3, channels).eval()
    logits, boxes_px = network(torch.rand(2, channels, 64, 96))
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert logits.shape == (2, cells, 3) and boxes_px.shape == (2, cells, 4)
    middles = torch.cat([cell_centres_px(torch.Size([64 // s, 96 // s]), s, torch.device('cpu'))
                         for s in (8, 16, 32)])
    inside = (boxes_px[..., :2] <= middles) & (middles <= boxes_px[..., 2:])
    assert bool(inside.all())  # a box contains the middle of its cell
    assert 0.003 < float(torch.sigmoid(logits).detach().mean()) < 0.03  # objects are rare


# The detector


@pytest.mark.parametrize('condition', ['day', 'night', 'smoke'])
def test_people_and_vehicles_of_a_street_are_found(condition):
    found_all, true_all = [], []
    for seed in (3, 4):
        fused, true = scene(condition, seed)
        hits = metrics.count_hits(detection.create().detect(fused), true)
        found_all.append(hits['hits'])
        true_all.append(hits['true'])
    assert sum(true_all) >= 4
    assert sum(found_all) >= 0.5 * sum(true_all)


def test_boxes_are_ordered_within_the_image_and_the_same_again():
    fused, _ = scene()
    fused.flags.writeable = False
    detector = detection.create(**{'anchor_free.min_score': 0.1})
    found = detector.detect(fused)
    scores = [one.score for one in found]
    assert len(found) > 3 and scores == sorted(scores, reverse=True) and min(scores) >= 0.1
    for one in found:
        left, top, right, bottom = one.box_xyxy_px
        assert 0 <= left < right <= 640 and 0 <= top < bottom <= 480
        assert one.class_name in detection.CLASS_NAMES
    assert detector.detect(fused) == found


def test_boxes_are_in_pixels_of_the_image_whatever_its_size():
    fused, _ = scene()
    double = cv2.resize(fused, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    detector = detection.create()
    doubled = [Detection(tuple(2 * edge for edge in one.box_xyxy_px), one.class_name, one.score)
               for one in detector.detect(fused)]
    assert metrics.count_hits(detector.detect(double), doubled, min_iou=0.7)['F1'] > 0.7


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (33, 65), (120, 160, 3), (481, 641)])
def test_no_size_is_too_odd(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    for one in detection.create(**{'anchor_free.min_score': 0.05}).detect(image):
        assert 0 <= one.box_xyxy_px[0] < one.box_xyxy_px[2] <= shape[1]


def test_precisions_agree():
    fused, _ = scene()
    exact, quick = (detection.create(**{'network.precision': name}).detect(fused)
                    for name in ('float32', 'bfloat16'))
    hits = metrics.count_hits(quick, exact, min_iou=0.8)
    assert hits['F1'] > 0.8


@pytest.mark.parametrize('image', [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.float32)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(detection.DetectionError, match='uint8'):
        detection.create().detect(image)


def test_weights_for_two_cameras_want_both(tmp_path):
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


def test_wrong_weights_are_said(tmp_path):
    with pytest.raises(weights.WeightsError, match='no weight file at'):
        detection.create(**{'network.weights': str(tmp_path / 'none.safetensors')})
    other = tmp_path / 'other.safetensors'
    weights.save(torch.nn.Linear(2, 2), other, {})
    with pytest.raises(weights.WeightsError, match='no weight file of this network'):
        detection.create(**{'network.weights': str(other)})


@pytest.mark.parametrize('path', [anchor_free.WEIGHTS, anchor_free.RGBT_WEIGHTS])
def test_the_weights_of_the_package_say_where_they_come_from(path):
    told = weights.metadata(path)
    assert told['network'] == 'DetectionNetwork' and told['scores'] and told['teachers']
    assert path.stat().st_size < 8e6
    assert '/' not in told['command'].replace('runs/', '')


def test_on_real_pairs_that_people_labelled_fusion_finds_what_is_there(shared_data):
    # Labelled by people, and never learned from: 17 people, 5 cars.
    detector, fuser = detection.create(), fusion.create('fast')
    [pack] = find_datasets(shared_data / 'msrs')
    hits = found = true = 0
    for sample in pack.samples:
        if sample.detections is None:
            continue
        pair = read_aligned(sample)
        boxes = map_class_names(sample.detections.read(), detection.CLASS_NAMES)
        count_hits = metrics.count_hits(detector.detect(fuser.fuse(pair.thermal, pair.rgb)), boxes)
        hits, found, true = (total + count_hits[name] for total, name in
                             ((hits, 'hits'), (found, 'found'), (true, 'true')))
    assert true == 22
    assert hits / true >= 0.65 and hits / found >= 0.8


def test_both_cameras_together_are_looked_at_by_a_network_of_their_own():
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    thermal, rgb, truth = simulator.pair(60)
    warped = cv2.warpPerspective(Agc()(thermal.image), truth.H_thermal_to_rgb, rgb.size)
    true = map_class_names((one for one in truth.detections
                            if one.box_xyxy_px[3] - one.box_xyxy_px[1] >= 40), detection.CLASS_NAMES)
    detector = detection.create()
    assert detector.takes_thermal
    both, alone = (metrics.count_hits(detector.detect(rgb.image, *given), true)['hits']
                   for given in ((warped,), ()))
    assert both >= 0.5 * len(true) and both > alone


def test_weights_of_ones_own_for_one_image_do_not_look_at_thermal(tmp_path):
    path = tmp_path / 'one.safetensors'
    weights.save(DetectionNetwork(3), path, {})
    detector = detection.create(**{'network.weights': str(path),
                                   'anchor_free.min_score': 0.01})
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert not detector.takes_thermal
    assert detector.detect(image, image[..., 0]) == detector.detect(image)
