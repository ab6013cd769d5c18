# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packed convolutions give the outputs of plain ones."""

import copy

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn import packed as packed_module
from ivf_ros.nn.blocks import ConvBnRelu, ResidualBlock
from ivf_ros.nn.inference import convert_for_inference, fold_batch_norm, group_convolutions
from ivf_ros.nn.packed import onednn_supports, pack_convolutions, PackedConvolution
from ivf_ros.segmentation.network import SegmentationNetwork
import pytest
import torch
from torch import nn

PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def skip_without_onednn(precision: str) -> None:
    if not onednn_supports(PRECISIONS[precision]):
        pytest.skip(f'oneDNN does not compute in {precision} here')


@torch.inference_mode()
@pytest.mark.parametrize('precision, tolerance', [('float32', 1e-4), ('bfloat16', 0.05)])
@pytest.mark.parametrize('make_network', [DetectionNetwork, SegmentationNetwork])
@pytest.mark.parametrize('channels', [3, 4])
def test_a_packed_network_gives_the_same_outputs_at_every_size(make_network, channels, precision,
                                                               tolerance):
    skip_without_onednn(precision)
    torch.manual_seed(2)
    network = make_network(3, channels)
    network(torch.rand(4, channels, 64, 96))  # gives batch normalisation a non-trivial state
    network = convert_for_inference(group_convolutions(network.eval()), precision)
    packed = pack_convolutions(copy.deepcopy(network))
    assert not any(isinstance(layer, (ResidualBlock, ConvBnRelu)) for layer in packed.modules())
    for size in ((64, 96), (96, 64), (64, 96)):
        image = torch.rand(1, channels, *size).to(PRECISIONS[precision])
        image_copy = image.clone()
        for output, expected in zip(packed(image_copy), network(image)):
            scale = float(expected.abs().max())
            assert float((output - expected).abs().max()) < tolerance * scale
        torch.testing.assert_close(image_copy, image, atol=0, rtol=0)  # the input is unchanged


def test_activation_and_residual_sum_are_part_of_the_convolution():
    skip_without_onednn('float32')
    conv = nn.Conv2d(1, 1, 1)
    nn.init.constant_(conv.weight, 2.0)
    nn.init.constant_(conv.bias, -3.0)
    x = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
    with torch.inference_mode():
        assert PackedConvolution(conv)(x).flatten().tolist() == [-3, -1, 1]
        assert PackedConvolution(conv, 'relu')(x).flatten().tolist() == [0, 0, 1]
        accumulator = torch.full_like(x, 2.0)
        assert PackedConvolution(conv, 'relu')(x, accumulator).flatten().tolist() == [0, 1, 3]


def test_without_onednn_a_network_is_unchanged(monkeypatch):
    monkeypatch.setattr(packed_module, 'onednn_supports', lambda dtype: False)
    network = fold_batch_norm(DetectionNetwork(3).eval())
    before = list(network.modules())
    assert list(pack_convolutions(network).modules()) == before


def test_padding_modes_other_than_zeros_are_refused():
    with pytest.raises(ValueError, match="padding_mode 'zeros' only, got 'replicate'"):
        PackedConvolution(nn.Conv2d(1, 1, 3, padding=1, padding_mode='replicate'))
