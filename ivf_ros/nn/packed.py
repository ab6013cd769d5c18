# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Convolutions in the packed format of oneDNN, for inference on a CPU.

A convolution of PyTorch reorders its weights for each image, and the following activation or
residual sum reads and writes the whole output again. Here the weights are reordered once for each
image size, and the following operation is a part of the convolution. The operators are those that
``torch.compile`` uses. They need no compiler, but PyTorch does not document them.
"""

from __future__ import annotations

from typing import cast, Literal, TypeVar

from ivf_ros.nn.blocks import ResidualBlock
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=nn.Module)
Activation = Literal['none', 'relu']

_ONEDNN = torch.ops.mkldnn


def pack_convolutions(network: Network) -> Network:
    """
    Pack the convolutions of a network with folded batch normalisation, in place.

    The outputs change only by rounding. The network is returned unchanged where PyTorch was built
    without oneDNN, or where the CPU has no instructions for the dtype of the weights.

    Raises
    ------
    ValueError
        A convolution has a padding mode other than 'zeros'.

    """
    if onednn_supports(next(network.parameters()).dtype):
        _pack(network)
    return network


def onednn_supports(dtype: torch.dtype) -> bool:
    """Return whether oneDNN is available and computes in this dtype on this CPU."""
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
    """Return whether the module is a convolution and a ReLU; identities do not count."""
    layers = [type(layer) for layer in module.children() if not isinstance(layer, nn.Identity)]
    return isinstance(module, nn.Sequential) and layers == [nn.Conv2d, nn.ReLU]


def _get_convolution(layers: nn.Module) -> nn.Conv2d:
    return cast(nn.Conv2d, layers.get_submodule('0'))


class PackedConvolution(nn.Module):
    """
    A convolution of ``(B, C, H, W)`` and the activation that follows it.

    Parameters
    ----------
    convolution:
        Its parameters have the dtype of the computation.
    activation:
        ``'relu'`` or ``'none'``.

    Raises
    ------
    ValueError
        The convolution has a padding mode other than 'zeros'.

    """

    def __init__(self, convolution: nn.Conv2d, activation: Activation = 'none') -> None:
        super().__init__()
        if convolution.padding_mode != 'zeros':
            raise ValueError("a packed convolution supports padding_mode 'zeros' only, got "
                             f"'{convolution.padding_mode}'")
        self.convolution = convolution
        self._activation = activation
        self._packed_weight: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor, accumulate_into: Tensor | None = None) -> Tensor:
        """
        Return the activation of the convolution.

        The convolution is first added, in place, to ``accumulate_into`` of the same shape, where
        that is given.
        """
        conv = self.convolution
        weight = self._weight_for(x.shape)
        options = conv.padding, conv.stride, conv.dilation, conv.groups
        if accumulate_into is None:
            return _ONEDNN._convolution_pointwise(x, weight, conv.bias, *options,
                                                  self._activation, [], '')
        return _ONEDNN._convolution_pointwise_(
            accumulate_into, x, weight, conv.bias, *options, 'add', 1.0, self._activation, [], '')

    def _weight_for(self, size: torch.Size) -> Tensor:
        """Return the weight in the best order for inputs of this size, which seldom changes."""
        # A local reference, as another thread may replace the attribute for another size.
        cached = self._packed_weight
        if cached is None or cached[0] != size:
            conv = self.convolution
            cached = self._packed_weight = size, _ONEDNN._reorder_convolution_weight(
                conv.weight, conv.padding, conv.stride, conv.dilation, conv.groups, size)
        return cached[1]


class PackedResidualBlock(nn.Module):
    """A residual block for inference; it may write the sum into its input."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.first, self.second = (PackedConvolution(_get_convolution(layers), 'relu')
                                   for layers in (block.first, block.second))
        self.shortcut = block.shortcut if isinstance(block.shortcut, nn.Identity) \
            else PackedConvolution(_get_convolution(block.shortcut))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x), accumulate_into=self.shortcut(x))
