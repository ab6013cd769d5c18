# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fusion networks as modules for inference."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import ClassVar

from ivf_ros.fusion.settings import NETWORKS
from ivf_ros.nn.inference import InferenceModule
from ivf_ros.nn.weights import load
import torch
from torch import nn, Tensor


class FusionInference(InferenceModule):
    """
    A fusion network that takes and returns 8-bit images.

    The inputs ``thermal`` and ``luma`` and the output ``fused`` are ``(H, W)`` uint8.
    """

    input_names: ClassVar = ('thermal', 'luma')
    output_names: ClassVar = ('fused',)
    float_layers: ClassVar = ('network.last',)

    def __init__(self, network: nn.Module, size_multiple_px: int) -> None:
        super().__init__(network, channels=1)
        self.size_multiple_px = size_multiple_px

    def forward(self, thermal: Tensor, luma: Tensor) -> tuple[Tensor]:
        images = (image[None, None].float() / 255 for image in (thermal, luma))
        fused = self.network(*images)[0, 0]
        return ((255 * fused).round().clamp(0, 255).to(torch.uint8),)


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
    return FusionInference(network, getattr(module, 'SIZE_MULTIPLE_PX', 1)).eval()
