# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trained networks, loaded and prepared for inference on a CPU.

Preparation changes the outputs only by rounding. Batch normalisation is folded into the preceding
convolution, the branches of two cameras become grouped convolutions, weights are converted to the
number format and the memory layout of inference, and convolutions are packed.
"""

from __future__ import annotations

from collections.abc import Callable
import copy
from pathlib import Path
from typing import cast, Generic, TypeVar

import cv2
from ivf_ros.nn.encoder import Encoder, PerCamera, SIZE_MULTIPLE_PX
from ivf_ros.nn.packed import pack_convolutions
from ivf_ros.nn.weights import load, read_shapes, WeightsError
import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

Network = TypeVar('Network', bound=Encoder)
AnyNetwork = TypeVar('AnyNetwork', bound=nn.Module)


class TrainedNetwork(Generic[Network]):
    """
    A trained network, loaded from a weight file and prepared for inference on 8-bit images.

    Parameters
    ----------
    make_network:
        Makes the network from the number of its input channels.
    path:
        The weight file.
    precision:
        ``'bfloat16'`` or ``'float32'``.
    border_type:
        How OpenCV pads images to multiples of 32 pixels, for example ``cv2.BORDER_REPLICATE``.

    Attributes
    ----------
    channels:
        Input channels of the network: 3, or 4 with thermal.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """

    def __init__(self, make_network: Callable[[int], Network], path: Path, precision: str,
                 border_type: int) -> None:
        network = load_network(make_network, path)
        self.channels = network.channels
        self._network = prepare_for_inference(network, precision)
        self._dtype = next(self._network.parameters()).dtype
        self._border_type = border_type

    def to_tensor(self, image: np.ndarray) -> Tensor:
        """
        Return an image ``(H, W, channels)`` uint8 as the input of the network.

        The tensor is ``(1, channels, H', W')`` from 0 to 1, of the dtype of the weights. H' and
        W' are the next multiples of 32; the padding is at the right and at the bottom.
        """
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -height % SIZE_MULTIPLE_PX,
                                    0, -width % SIZE_MULTIPLE_PX, self._border_type)
        return torch.from_numpy(padded).permute(2, 0, 1)[None].to(self._dtype).div_(255)


def load_network(make_network: Callable[[int], Network], path: Path) -> Network:
    """
    Return the network of a weight file, in float32 and in evaluation mode.

    ``make_network`` makes it from the number of its input channels.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    return load(make_network(read_in_channels(path)), path)


def prepare_for_inference(network: Network, precision: str) -> Network:
    """
    Optimise a trained network for inference on a CPU, in place, and return it.

    ``precision`` is as in ``convert_for_inference``.
    """
    return pack_convolutions(convert_for_inference(group_convolutions(network), precision))


def group_convolutions(network: Network) -> Network:
    """
    Merge the branches of two cameras of a trained network, in place, and return the network.

    For inference only. Each pair of convolutions becomes one convolution with two groups, which
    is faster than two. The outputs stay the same.
    """
    for name in ('stem', 'eighth'):
        layers = getattr(network, name)
        if isinstance(layers, PerCamera):
            setattr(network, name, _merge_layers(list(fold_batch_norm(layers))))
    return network


def _merge_layers(layers: list[nn.Module]) -> nn.Module:
    """Merge layers of one type into one layer that works on their concatenated channels."""
    if isinstance(layers[0], nn.Conv2d):
        return _merge_convolutions(cast(list[nn.Conv2d], layers))
    merged = copy.copy(layers[0])
    merged._modules = {name: _merge_layers([layer.get_submodule(name) for layer in layers])
                       for name, _ in layers[0].named_children()}
    return merged


def _merge_convolutions(layers: list[nn.Conv2d]) -> nn.Conv2d:
    """
    Merge convolutions into one.

    It has a group for each convolution where all have the same number of input channels, and a
    block-diagonal weight otherwise.
    """
    same_in_channels = len({layer.in_channels for layer in layers}) == 1
    merged = nn.utils.skip_init(
        nn.Conv2d, sum(layer.in_channels for layer in layers),
        sum(layer.out_channels for layer in layers), layers[0].kernel_size, layers[0].stride,
        layers[0].padding, groups=len(layers) if same_in_channels else 1)
    weights, biases = ([getattr(layer, name).data for layer in layers]
                       for name in ('weight', 'bias'))
    merged.weight.data = torch.cat(weights) if same_in_channels else _block_diagonal(weights)
    merged.bias.data = torch.cat(biases)
    return merged


def _block_diagonal(weights: list[Tensor]) -> Tensor:
    """Return a weight ``(sum out, sum in, k, k)`` that is zero outside the given blocks."""
    in_channels = sum(weight.shape[1] for weight in weights)
    rows, before = [], 0
    for weight in weights:
        after = in_channels - before - weight.shape[1]
        rows.append(F.pad(weight, (0, 0, 0, 0, before, after)))
        before += weight.shape[1]
    return torch.cat(rows)


def read_in_channels(path: Path) -> int:
    """
    Return the number of input channels of the network of a weight file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of a network without this encoder.

    """
    first = 'stem.0.0.weight', *(f'stem.{camera}.0.0.weight' for camera in range(2))
    channels = sum(shape[1] for name, shape in read_shapes(path).items() if name in first)
    if not channels:
        raise WeightsError(f"{path} is no weight file of this network: no '{first[0]}'")
    return channels


def fold_batch_norm(network: AnyNetwork) -> AnyNetwork:
    """
    Fold each batch normalisation into the preceding convolution, in place.

    For inference only. The two are one linear map: ``y = g (W x - m) / s + b``.
    """
    for child in network.children():
        if isinstance(child, nn.Sequential) and len(child) > 1 \
                and isinstance(child[0], nn.Conv2d) and isinstance(child[1], nn.BatchNorm2d):
            child[0] = torch.nn.utils.fuse_conv_bn_eval(child[0], child[1])
            child[1] = nn.Identity()
        fold_batch_norm(child)
    return network


def convert_for_inference(network: AnyNetwork, precision: str) -> AnyNetwork:
    """
    Convert a trained network to the fastest format for a CPU, in place, and return it.

    For inference only. Batch normalisation is folded, weights become ``'bfloat16'`` or
    ``'float32'``, and their memory layout is channels last.
    """
    dtype = {'bfloat16': torch.bfloat16, 'float32': torch.float32}[precision]
    network = fold_batch_norm(network).to(dtype)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return network
