# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What segmentation and detection see, of an image alone and of two cameras."""

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import weights
from ivf_ros.nn.encoder import Encoder, PerCamera, SIXTEENTH_CHANNELS, THIRTYSECOND_CHANNELS
from ivf_ros.nn.inference import group_convolutions, read_in_channels
from ivf_ros.segmentation.network import SegmentationNetwork
import pytest
import torch
from torch import nn


@pytest.mark.parametrize('channels', [3, 4])
def test_each_share_of_the_size_has_its_channels(channels):
    network = Encoder(channels).eval()
    seen = network.way_down(torch.rand(2, channels, 64, 96))
    assert seen.quarter.shape == (2, network.quarter_channels, 16, 24)
    assert seen.eighth.shape == (2, network.eighth_channels, 8, 12)
    assert seen.sixteenth.shape == (2, SIXTEENTH_CHANNELS, 4, 6)
    assert seen.thirtysecond.shape == (2, THIRTYSECOND_CHANNELS, 2, 3)


def test_cameras_are_side_by_side():
    layers = PerCamera([2, 1], lambda wide: nn.Conv2d(wide, 1, 1, bias=False))
    nn.init.constant_(layers[0].weight, 1.0)
    nn.init.constant_(layers[1].weight, 10.0)
    image = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert layers(image).flatten().tolist() == [3, 30]


def test_down_to_an_eighth_no_camera_knows_of_the_other_and_then_each_does():
    network = Encoder(4).eval()
    image = torch.rand(1, 4, 64, 64)
    blind = image.clone()
    blind[:, 3] = 0.5
    both, rgb_alone = network.way_down(image), network.way_down(blind)
    for shared, own in ((network.quarter_channels, 'quarter'), (network.eighth_channels, 'eighth')):
        one, other = getattr(both, own), getattr(rgb_alone, own)
        torch.testing.assert_close(one[:, :shared // 2], other[:, :shared // 2])
        assert not torch.allclose(one[:, shared // 2:], other[:, shared // 2:])
    assert not torch.allclose(both.sixteenth, rgb_alone.sixteenth)


@pytest.mark.parametrize('network_of', [DetectionNetwork, SegmentationNetwork])
@pytest.mark.parametrize('channels', [3, 4])
def test_a_weight_file_tells_what_its_network_looks_at(tmp_path, network_of, channels):
    path = tmp_path / 'w.safetensors'
    weights.save(network_of(3, channels), path, {})
    assert read_in_channels(path) == channels
    weights.load(network_of(3, channels), path)


@pytest.mark.parametrize('network_of', [DetectionNetwork, SegmentationNetwork])
@pytest.mark.parametrize('channels', [3, 4])
def test_both_cameras_at_once_say_the_same(network_of, channels):
    torch.manual_seed(1)
    network = network_of(3, channels)
    network(torch.rand(4, channels, 64, 96))  # so that batch normalisation does something
    network.eval()
    images = torch.rand(2, channels, 64, 96)
    with torch.inference_mode():
        expected = network(images)
        found = group_convolutions(network)(images)
    assert not any(isinstance(layer, PerCamera) for layer in network.modules())
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_a_weight_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / 'w.safetensors'
    weights.save(nn.Linear(2, 3), path, {})
    with pytest.raises(weights.WeightsError, match="no weight file of this network: no 'stem"):
        read_in_channels(path)
    with pytest.raises(weights.WeightsError, match='no weight file at'):
        read_in_channels(tmp_path / 'none.safetensors')


def test_weights_for_two_cameras_of_one_stem_are_refused(tmp_path):
    path = tmp_path / 'w.safetensors'
    early = DetectionNetwork(3)
    early.stem[0][0] = nn.Conv2d(4, 16, 3, 2, 1, bias=False)  # as before the cameras were apart
    weights.save(early, path, {})
    assert read_in_channels(path) == 4
    with pytest.raises(weights.WeightsError, match='of another network'):
        weights.load(DetectionNetwork(3, 4), path)
