# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmenter and its network."""

from __future__ import annotations

import cv2
from ivf_ros import fusion, segmentation
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.nn import weights
from ivf_ros.segmentation import bilateral
from ivf_ros.segmentation.network import BilateralAttention, SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES, Registration, RegistrationState
import numpy as np
import pytest
import torch


def street(condition, seed):
    simulator = RigSimulator(SimulatorParameters(condition=condition, seed=seed))
    thermal, rgb, truth = simulator.pair(60)
    known = Registration(truth.H_thermal_to_rgb, 1.0, 1, RegistrationState.TRACKING, rgb.size)
    return fusion.FusionStage().fuse(thermal.image, rgb.image, known).image, truth.segmentation


def ious(found, true, names=('car', 'person')):
    masks = [(found == MFNET_CLASSES.index(name), true == MFNET_CLASSES.index(name))
             for name in names]
    return [np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1) for a, b in masks]


@pytest.mark.parametrize('channels', [3, 4])
def test_the_network_returns_logits_at_one_quarter_of_the_size(channels):
    logits, auxiliary = SegmentationNetwork(9, channels).eval()(torch.rand(2, channels, 64, 96))
    assert logits.shape == (2, 9, 16, 24) and auxiliary.shape == (2, 9, 8, 12)


def test_context_weights_channels_and_detail_weights_pixels():
    join = BilateralAttention(2, 1)
    torch.nn.init.ones_(join.reduce.weight)
    torch.nn.init.zeros_(join.reduce.bias)
    join.fuse = torch.nn.Identity()  # so that the output is the input of the last layer
    for gate in (join.channel_gate, join.spatial_gate):
        torch.nn.init.constant_(gate.weight, 1.0)
        torch.nn.init.zeros_(gate.bias)
    context, detail = torch.full((1, 2, 2, 2), 0.5), torch.full((1, 1, 4, 4), 3.0)
    channel_weight, pixel_weight = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-3.0))
    context_part = pixel_weight  # the reduced context is 0.5 + 0.5
    np.testing.assert_allclose(join(context, detail).detach(), 3 * channel_weight + context_part,
                               rtol=1e-5)


@pytest.mark.parametrize('condition', ['day', 'night'])
def test_streets_are_segmented(condition):
    class_ious = [ious(segmentation.create().segment(image).labels, true.labels)
                  for image, true in (street(condition, seed) for seed in (3, 4))]
    car, person = np.mean(class_ious, axis=0)
    assert car > 0.5 and person > 0.3


def test_labels_are_mfnet_classes_on_the_image_grid_and_repeatable():
    image, _ = street('day', 3)
    image.flags.writeable = False
    segmenter = segmentation.create()
    found = segmenter.segment(image)
    assert found.class_names == segmenter.class_names == MFNET_CLASSES
    assert found.labels.shape == (480, 640) and found.labels.dtype == np.uint8
    assert found.labels.max() < len(MFNET_CLASSES)
    np.testing.assert_array_equal(segmenter.segment(image).labels, found.labels)


def test_labels_do_not_depend_on_the_image_size():
    image, _ = street('day', 3)
    segmenter = segmentation.create()
    labels = segmenter.segment(image).labels
    double = segmenter.segment(cv2.resize(image, None, fx=2, fy=2)).labels
    assert np.mean(double[::2, ::2] == labels) > 0.97


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (33, 65), (120, 160, 3), (481, 641)])
def test_any_size_works(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert segmentation.create().segment(image).labels.shape == shape[:2]


def test_precisions_agree():
    image, _ = street('day', 3)
    exact, quick = (segmentation.create(**{'network.precision': name}).segment(image).labels
                    for name in ('float32', 'int8'))
    assert np.mean(exact == quick) > 0.98


def test_weights_for_two_cameras_need_both_images(tmp_path):
    path = tmp_path / 'both.safetensors'
    weights.save(SegmentationNetwork(9, 4), path, {})
    segmenter = segmentation.create(**{'network.weights': str(path)})
    rgb = np.zeros((64, 64, 3), np.uint8)
    assert segmenter.segment(rgb, rgb[..., 0]).labels.shape == (64, 64)
    with pytest.raises(segmentation.SegmentationError, match='got none'):
        segmenter.segment(rgb)
    with pytest.raises(segmentation.SegmentationError, match=r'got .*uint16'):
        segmenter.segment(rgb, rgb[..., 0].astype(np.uint16))


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(weights.WeightsError, match='no weight file at'):
        segmentation.create(**{'network.weights': str(tmp_path / 'none.safetensors')})


@pytest.mark.parametrize('path', [bilateral.WEIGHTS, bilateral.RGBT_WEIGHTS])
def test_the_weights_of_the_package_have_metadata(path):
    path = path.with_suffix('.safetensors')
    metadata = weights.metadata(path)
    assert metadata['network'] == 'SegmentationNetwork'
    assert metadata['scores'] and metadata['teachers']
    assert path.stat().st_size < 8e6
    assert '/' not in metadata['command'].replace('runs/', '')
