# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fusion networks as modules for inference."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import ClassVar

from ivf_ros.fusion import network_fast
from ivf_ros.fusion.learned import OUTPUT_NAMES
from ivf_ros.fusion.settings import NETWORKS
from ivf_ros.nn.inference import InferenceModule
from ivf_ros.nn.weights import load
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class FusionInference(InferenceModule):
    """
    A fusion network that takes and returns 8-bit images.

    The inputs ``thermal`` and ``luma`` and the output ``fused`` are ``(H, W)`` uint8.
    """

    input_names: ClassVar = ('thermal', 'luma')
    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = 1
    float_layers: ClassVar = ('last',)

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, channels=1)

    def forward(self, thermal: Tensor, luma: Tensor) -> tuple[Tensor]:
        images = (image[None, None].float() / 255 for image in (thermal, luma))
        return (_to_8bit(255 * self.network(*images)[0, 0]),)


class FastFusionInference(FusionInference):
    """The network of ``fast``, with its first layer on pixels and the blend at the full size."""

    size_multiple_px = network_fast.SIZE_MULTIPLE_PX

    def __init__(self, network: network_fast.FastFusionNetwork) -> None:
        super().__init__(network)
        self.first = network.first_layer_on_pixels()

    def forward(self, thermal: Tensor, luma: Tensor) -> tuple[Tensor]:
        images = torch.stack([thermal, luma])[None].float()
        weight, offset = (F.pixel_shuffle(blocks, network_fast.BLOCK_PX)[0, 0] for blocks in
                          self.network.predict_weight_and_offset(self.first(images / 255 - 0.5)))
        T, V = images[0]
        return (_to_8bit(V + weight * (T - V) + 255 * offset),)


def _to_8bit(levels: Tensor) -> Tensor:
    return levels.round().clamp(0, 255).to(torch.uint8)


def load_module(method: str, path: Path) -> FusionInference:
    """
    Return the network of a fusion method with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    module = import_module(f'ivf_ros.fusion.network_{method}')
    network = load(getattr(module, NETWORKS[method])(), path)
    inference = FastFusionInference if method == 'fast' else FusionInference
    return inference(network).eval()
