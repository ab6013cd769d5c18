# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trained networks, loaded and prepared for inference on a processor.

Preparation changes no answer but for rounding: batch normalisation is folded into the convolution
before it, the branches of two cameras become grouped convolutions, weights take the number format
and the memory layout that are fastest, and convolutions are packed.
"""

from __future__ import annotations

from collections.abc import Callable
import copy
from pathlib import Path
from typing import cast, TypeVar

import cv2
from ivf_ros.nn.encoder import Encoder, PerCamera, SIZE_MULTIPLE_PX
from ivf_ros.nn.packed import packed
from ivf_ros.nn.weights import load, read_shapes, WeightsError
import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

Network = TypeVar('Network', bound=Encoder)
AnyNetwork = TypeVar('AnyNetwork', bound=nn.Module)


def load_network(make_network: Callable[[int], Network], path: Path) -> Network:
    """
    Return the network of a weight file, which ``make_network`` makes for so many channels.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    return load(make_network(read_in_channels(path)), path)


def prepare_for_inference(network: Network, precision: str) -> Network:
    """Return a trained network as fast as it gets, for inference only; see ``convert_for_inference``."""
    return packed(convert_for_inference(group_convolutions(network), precision))


def to_tensor(network: Encoder, image: np.ndarray, border_type: int) -> Tensor:
    """
    Return an image ``(H, W, channels)`` uint8 as a network at work is given it.

    It becomes ``(1, channels, H', W')`` from 0 to 1 of the type of the weights, whose sides are
    multiples of 32; what is added at the right and the bottom is ``border_type``, a border of OpenCV.
    """
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % SIZE_MULTIPLE_PX, 0, -width % SIZE_MULTIPLE_PX, border_type)
    dtype = next(network.parameters()).dtype
    return torch.from_numpy(padded).permute(2, 0, 1)[None].to(dtype).div_(255)


def group_convolutions(network: Network) -> Network:
    """
    Return a trained network that looks at both cameras at once, for inference only; in place.

    What it says stays the same: each convolution of one camera and that of the other become one
    in two groups, which takes less time than two.
    """
    for name in ('stem', 'eighth'):
        layers = getattr(network, name)
        if isinstance(layers, PerCamera):
            setattr(network, name, _merged(list(fold_batch_norm(layers))))
    return network


def _merged(layers: list[nn.Module]) -> nn.Module:
    """Return layers of the same kind as one that works on their channels side by side."""
    if isinstance(layers[0], nn.Conv2d):
        return _merge_convolutions(cast(list[nn.Conv2d], layers))
    merged = copy.copy(layers[0])
    merged._modules = {name: _merged([layer.get_submodule(name) for layer in layers])
                       for name, _ in layers[0].named_children()}
    return merged


def _merge_convolutions(layers: list[nn.Conv2d]) -> nn.Conv2d:
    """Return one convolution, in groups where all have as many channels, else with zeros."""
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
    """Return ``(sum out, sum in, k, k)`` in which no output sees the inputs of another."""
    wide = sum(weight.shape[1] for weight in weights)
    rows, before = [], 0
    for weight in weights:
        after = wide - before - weight.shape[1]
        rows.append(F.pad(weight, (0, 0, 0, 0, before, after)))
        before += weight.shape[1]
    return torch.cat(rows)


def read_in_channels(path: Path) -> int:
    """
    Return how many channels the network of a weight file looks at.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of a network without this way down.

    """
    first = 'stem.0.0.weight', *(f'stem.{camera}.0.0.weight' for camera in range(2))
    channels = sum(shape[1] for name, shape in read_shapes(path).items() if name in first)
    if not channels:
        raise WeightsError(f"{path} is no weight file of this network: no '{first[0]}'")
    return channels


def fold_batch_norm(network: AnyNetwork) -> AnyNetwork:
    """
    Return the network with each batch normalisation merged into the convolution before it.

    In place; for inference only. The two are the same linear map: ``y = g (W x - m) / s + b``.
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
    Return a trained network as fast as it gets on a processor, for inference only; in place.

    Batch normalisation is folded, weights are ``'bfloat16'`` or ``'float32'``, channels last.
    """
    dtype = {'bfloat16': torch.bfloat16, 'float32': torch.float32}[precision]
    network = fold_batch_norm(network).to(dtype)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return network
