# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packed convolutions say what plain ones say."""

import copy

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import packed as packing
from ivf_ros.nn.blocks import ConvBnRelu, ResidualBlock
from ivf_ros.nn.inference import convert_for_inference, fold_batch_norm, group_convolutions
from ivf_ros.nn.packed import onednn_supports, packed, PackedConvolution
from ivf_ros.segmentation.network import SegmentationNetwork
import pytest
import torch
from torch import nn

PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def needs_onednn(precision: str) -> None:
    if not onednn_supports(PRECISIONS[precision]):
        pytest.skip(f'oneDNN does not compute in {precision} here')


@torch.inference_mode()
@pytest.mark.parametrize('precision, tolerance', [('float32', 1e-4), ('bfloat16', 0.05)])
@pytest.mark.parametrize('network_of', [DetectionNetwork, SegmentationNetwork])
@pytest.mark.parametrize('channels', [3, 4])
def test_a_packed_network_says_the_same_at_every_size(network_of, channels, precision, tolerance):
    needs_onednn(precision)
    torch.manual_seed(2)
    network = network_of(3, channels)
    network(torch.rand(4, channels, 64, 96))  # so that batch normalisation does something
    network = convert_for_inference(group_convolutions(network.eval()), precision)
    fast = packed(copy.deepcopy(network))
    assert not any(isinstance(layer, (ResidualBlock, ConvBnRelu)) for layer in fast.modules())
    for size in ((64, 96), (96, 64), (64, 96)):
        image = torch.rand(1, channels, *size).to(PRECISIONS[precision])
        given = image.clone()
        for one, other in zip(fast(given), network(image)):
            scale = float(other.abs().max())
            assert float((one - other).abs().max()) < tolerance * scale
        torch.testing.assert_close(given, image, atol=0, rtol=0)  # it is not written into


def test_the_rectifier_and_the_sum_are_part_of_it():
    needs_onednn('float32')
    one = nn.Conv2d(1, 1, 1)
    nn.init.constant_(one.weight, 2.0)
    nn.init.constant_(one.bias, -3.0)
    x = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
    with torch.inference_mode():
        assert PackedConvolution(one)(x).flatten().tolist() == [-3, -1, 1]
        assert PackedConvolution(one, 'relu')(x).flatten().tolist() == [0, 0, 1]
        onto = torch.full_like(x, 2.0)
        assert PackedConvolution(one, 'relu')(x, onto).flatten().tolist() == [0, 1, 3]


def test_without_onednn_a_network_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(packing, 'onednn_supports', lambda kind: False)
    network = fold_batch_norm(DetectionNetwork(3).eval())
    before = list(network.modules())
    assert list(packed(network).modules()) == before


def test_borders_other_than_zeros_are_refused():
    with pytest.raises(ValueError, match="padding_mode 'zeros' only, got 'replicate'"):
        PackedConvolution(nn.Conv2d(1, 1, 3, padding=1, padding_mode='replicate'))
