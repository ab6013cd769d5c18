# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The encoder of segmentation and detection, for one image and for two cameras."""

import copy

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.fusion.network_cs2fusion import Cs2FusionNetwork
from ivf_ros.nn import weights
from ivf_ros.nn.encoder import Encoder, PerCamera, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
from ivf_ros.nn.inference import read_in_channels
from ivf_ros.segmentation.network import SegmentationNetwork
import pytest
from safetensors.torch import save_file
import torch
from torch import nn


@pytest.mark.parametrize('channels', [3, 4])
def test_features_have_the_expected_shapes(channels):
    network = Encoder(channels).eval()
    features = network.encode(torch.rand(2, channels, 64, 96))
    assert features.quarter.shape == (2, network.quarter_channels, 16, 24)
    assert features.eighth.shape == (2, network.eighth_channels, 8, 12)
    assert features.sixteenth.shape == (2, SIXTEENTH_CHANNELS, 4, 6)
    assert features.thirtysecond.shape == (2, THIRTYSECOND_CHANNELS, 2, 3)


def test_outputs_of_the_cameras_are_concatenated():
    layers = PerCamera([2, 1], lambda channels: nn.Conv2d(channels, 1, 1, bias=False))
    nn.init.constant_(layers[0].weight, 1.0)
    nn.init.constant_(layers[1].weight, 10.0)
    image = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert layers(image).flatten().tolist() == [3, 30]


def test_cameras_are_separate_down_to_one_eighth_and_joined_below():
    network = Encoder(4).eval()
    image = torch.rand(1, 4, 64, 64)
    flat_thermal = image.clone()
    flat_thermal[:, 3] = 0.5
    features, flat_features = network.encode(image), network.encode(flat_thermal)
    for channels, level in ((network.quarter_channels, 'quarter'),
                            (network.eighth_channels, 'eighth')):
        actual, flat = getattr(features, level), getattr(flat_features, level)
        torch.testing.assert_close(actual[:, :channels // 2], flat[:, :channels // 2])
        assert not torch.allclose(actual[:, channels // 2:], flat[:, channels // 2:])
    assert not torch.allclose(features.sixteenth, flat_features.sixteenth)


@pytest.mark.parametrize('make_network', [DetectionNetwork, SegmentationNetwork])
@pytest.mark.parametrize('channels', [3, 4])
def test_a_weight_file_contains_the_input_channels(tmp_path, make_network, channels):
    path = tmp_path / 'w.safetensors'
    weights.save(make_network(3, channels), path, {})
    assert read_in_channels(path) == channels
    weights.load(make_network(3, channels), path)


@pytest.mark.parametrize('network', [DetectionNetwork(3), SegmentationNetwork(3, 4),
                                     Cs2FusionNetwork()])
def test_weights_with_the_old_layer_names_can_be_loaded(tmp_path, network):
    path = tmp_path / 'w.safetensors'
    old_names = {new: old for old, new in network.RENAMED_LAYERS.items()}
    state = {'.'.join(old_names.get(part, part) for part in name.split('.')): tensor.contiguous()
             for name, tensor in network.state_dict().items()}
    assert {part for name in state for part in name.split('.')} >= set(network.RENAMED_LAYERS)
    save_file(state, path)
    loaded = weights.load(copy.deepcopy(network), path)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor)


def test_a_weight_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / 'w.safetensors'
    weights.save(nn.Linear(2, 3), path, {})
    with pytest.raises(weights.WeightsError, match="no weight file of this network: no 'stem"):
        read_in_channels(path)
    with pytest.raises(weights.WeightsError, match='no weight file at'):
        read_in_channels(tmp_path / 'none.safetensors')


def test_weights_for_two_cameras_with_a_common_stem_are_refused(tmp_path):
    path = tmp_path / 'w.safetensors'
    common_stem = DetectionNetwork(3)
    common_stem.stem[0][0] = nn.Conv2d(4, 16, 3, 2, 1, bias=False)  # as in an older version
    weights.save(common_stem, path, {})
    assert read_in_channels(path) == 4
    with pytest.raises(weights.WeightsError, match='of another network'):
        weights.load(DetectionNetwork(3, 4), path)
