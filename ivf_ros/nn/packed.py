# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions as fast as oneDNN computes them, for inference on processors.

A convolution of PyTorch lays its weights out anew for each image, and what follows it, a rectifier
or the sum of a residual block, passes over the whole output once more. Here weights are laid out
once for a size of image, and what follows is part of the convolution. The operators are those that
``torch.compile`` makes use of; they need no compiler, but PyTorch does not document them.
"""

from __future__ import annotations

from typing import cast, Literal, TypeVar

from ivf_ros.nn.blocks import ResidualBlock
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=nn.Module)
Activation = Literal['none', 'relu']

_ONEDNN = torch.ops.mkldnn


def packed(network: Network) -> Network:
    """
    Return a network, batch normalisation folded, with packed convolutions; in place.

    What it says stays the same but for rounding. Where PyTorch was built without oneDNN, or the
    processor has no instructions for the type of the weights, nothing is changed.

    Raises
    ------
    ValueError
        A convolution takes something else than zeros for what lies beyond the border.

    """
    if onednn_supports(next(network.parameters()).dtype):
        _pack(network)
    return network


def onednn_supports(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN computes in this type here."""
    return torch.backends.mkldnn.is_available() \
        and (dtype == torch.float32 or _ONEDNN._is_mkldnn_bf16_supported())


def _pack(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ResidualBlock):
            module.add_module(name, PackedResidualBlock(child))
        elif isinstance(child, nn.Conv2d):
            module.add_module(name, PackedConvolution(child))
        elif _is_conv_relu(child):
            module.add_module(name, PackedConvolution(_get_convolution(child), 'relu'))
        else:
            _pack(child)


def _is_conv_relu(module: nn.Module) -> bool:
    """Tell whether this is a convolution and a rectifier, with nothing but a fold between."""
    layers = [type(layer) for layer in module.children() if not isinstance(layer, nn.Identity)]
    return isinstance(module, nn.Sequential) and layers == [nn.Conv2d, nn.ReLU]


def _get_convolution(layers: nn.Module) -> nn.Conv2d:
    return cast(nn.Conv2d, layers.get_submodule('0'))


class PackedConvolution(nn.Module):
    """
    A convolution of ``(B, C, H, W)``, and what is done to its output.

    Parameters
    ----------
    convolution:
        With parameters of the type that it is to compute in.
    activation:
        ``'relu'``, or ``'none'``.

    Raises
    ------
    ValueError
        The convolution takes something else than zeros for what lies beyond the border.

    """

    def __init__(self, convolution: nn.Conv2d, activation: Activation = 'none') -> None:
        super().__init__()
        if convolution.padding_mode != 'zeros':
            raise ValueError("a packed convolution knows padding_mode 'zeros' only, got "
                             f"'{convolution.padding_mode}'")
        self.convolution = convolution
        self._activation = activation
        self._packed_weight: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor, accumulate_into: Tensor | None = None) -> Tensor:
        """Return the output; with ``accumulate_into``, of the same shape, added to that, in place."""
        conv = self.convolution
        weight = self._weight_for(x.shape)
        shape = conv.padding, conv.stride, conv.dilation, conv.groups
        if accumulate_into is None:
            return _ONEDNN._convolution_pointwise(x, weight, conv.bias, *shape, self._activation, [], '')
        return _ONEDNN._convolution_pointwise_(
            accumulate_into, x, weight, conv.bias, *shape, 'add', 1.0, self._activation, [], '')

    def _weight_for(self, size: torch.Size) -> Tensor:
        """Return the weight as is best for images of this size, which seldom changes."""
        cached = self._packed_weight  # its own name, as another thread may lay out for another size
        if cached is None or cached[0] != size:
            conv = self.convolution
            cached = self._packed_weight = size, _ONEDNN._reorder_convolution_weight(
                conv.weight, conv.padding, conv.stride, conv.dilation, conv.groups, size)
        return cached[1]


class PackedResidualBlock(nn.Module):
    """A residual block that does not keep what it is given: the sum may be made in there."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.first, self.second = (PackedConvolution(_get_convolution(layers), 'relu')
                                   for layers in (block.first, block.second))
        self.shortcut = block.shortcut if isinstance(block.shortcut, nn.Identity) \
            else PackedConvolution(_get_convolution(block.shortcut))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x), accumulate_into=self.shortcut(x))
