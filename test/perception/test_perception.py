# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The perception stage: one network gives what the two stages give."""

from __future__ import annotations

from dataclasses import replace

import cv2
from ivf_ros import detection, perception, segmentation
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import TrackingParameters
from ivf_ros.evaluation import metrics
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.nn import weights
from ivf_ros.nn.encoder import Encoder
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import build
from ivf_ros.perception import JointPerception, PerceptionStage, PerceptionStageParameters
from ivf_ros.thermal import Agc
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import pytest

torch = pytest.importorskip('torch')
from ivf_ros.perception.network import PerceptionNetwork  # noqa: E402, I100


@pytest.fixture(scope='module')
def street():
    """Return RGB, thermal on its grid, and the truth of a simulated street at night."""
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    thermal, rgb, truth = simulator.pair(60)
    registered = cv2.warpPerspective(Agc()(thermal.image), truth.H_thermal_to_rgb, rgb.size)
    return rgb.image, registered, truth


@pytest.mark.parametrize('channels', [3, 4])
def test_the_network_has_one_encoder_and_both_decoders(channels):
    network = PerceptionNetwork(3, 9, channels).eval()
    logits, boxes_px, label_logits, auxiliary = network(torch.rand(2, channels, 64, 96))
    cells = sum((64 // side) * (96 // side) for side in (8, 16, 32))
    assert logits.shape == (2, cells, 3) and boxes_px.shape == (2, cells, 4)
    assert label_logits.shape == (2, 9, 16, 24) and auxiliary.shape == (2, 9, 8, 12)
    encoder = {name for name, _ in Encoder(channels).named_children()}
    assert not encoder & {name for name, _ in network.segmenter.named_children()}
    assert encoder <= {name for name, _ in network.detector.named_children()}


def test_people_are_found_and_streets_are_labelled(street):
    rgb, thermal, truth = street
    boxes, labelled = JointPerception().perceive(rgb, thermal)
    large = [box for box in truth.detections if box.box_xyxy_px[3] - box.box_xyxy_px[1] >= 40]
    true = map_class_names(large, detection.CLASS_NAMES)
    assert metrics.count_hits(boxes, true)['hits'] >= 0.5 * len(true)
    person = MFNET_CLASSES.index('person')
    found, expected = labelled.labels == person, truth.segmentation.labels == person
    assert np.count_nonzero(found & expected) > 0.3 * np.count_nonzero(found | expected)
    assert labelled.class_names == MFNET_CLASSES and labelled.labels.shape == rgb.shape[:2]


def test_the_answers_are_close_to_those_of_the_two_networks(street):
    rgb, thermal, _ = street
    boxes, labelled = JointPerception().perceive(rgb, thermal)
    separate = segmentation.create().segment(rgb, thermal).labels
    assert np.mean(labelled.labels == separate) > 0.95
    hits = metrics.count_hits(boxes, detection.create().detect(rgb, thermal), min_iou=0.5)
    assert hits['recall'] > 0.6


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (120, 160, 3), (481, 641)])
def test_any_size_works(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    boxes, labelled = JointPerception().perceive(image)
    assert labelled.labels.shape == shape[:2]
    assert all(box.box_xyxy_px[2] <= shape[1] for box in boxes)


def test_weights_for_both_cameras_need_thermal(tmp_path):
    path = tmp_path / 'both.safetensors'
    weights.save(PerceptionNetwork(3, 9, 4), path, {})
    joint = JointPerception(perception.PerceptionParameters(
        network=NetworkParameters(weights=str(path))))
    rgb = np.zeros((64, 64, 3), np.uint8)
    assert joint.takes_thermal
    assert joint.perceive(rgb, rgb[..., 0])[1].labels.shape == (64, 64)
    with pytest.raises(segmentation.SegmentationError, match='got none'):
        joint.perceive(rgb)
    weights.save(torch.nn.Linear(2, 2), path, {})
    with pytest.raises(weights.WeightsError, match=r"no 'detector\.stem"):
        JointPerception(joint.parameters)


def test_the_stage_tracks_objects_and_measures_temperatures(street):
    rgb, thermal, _ = street
    stage = PerceptionStage(build(PerceptionStageParameters, {
        'radiometry.kind': 'tlinear_0_04K'}))
    assert stage.needs_counts
    counts = ThermalOnRgb(np.full(rgb.shape[:2], 7500, np.uint16),
                          np.ones(rgb.shape[:2], np.bool_))
    inputs = PerceptionInputs(rgb, rgb.copy(), thermal, counts)
    inputs = replace(inputs, fused=255 - rgb)  # not RGB passed on
    for index in range(4):
        result = stage.step(inputs, index * 100_000_000)
    assert any(box.track_id for box in result.detections)
    assert result.detections[0].median_celsius == pytest.approx(7500 * 0.04 - 273.15, abs=0.01)


def test_parameters_change_while_the_network_stays(street):
    rgb, thermal, _ = street
    stage = PerceptionStage()
    before = stage.method
    requested = build(PerceptionStageParameters, {'perception.min_score': 1.0})
    stage.apply(requested, stage.prepare(requested))
    assert stage.method is before
    inputs = PerceptionInputs(255 - rgb, rgb, thermal)
    assert stage.step(inputs, 0).detections == []
    other = build(PerceptionStageParameters, {'perception.network.threads': 2})
    prepared = stage.prepare(other)
    assert prepared is not before and stage.method is before
    assert TrackingParameters() == other.tracking
