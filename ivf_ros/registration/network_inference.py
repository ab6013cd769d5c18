# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of ``fast`` as a module for inference."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ivf_ros.nn.inference import InferenceModule
from ivf_ros.nn.weights import load
from ivf_ros.registration.fast import OUTPUT_NAMES
from ivf_ros.registration.network_fast import FastNetwork, SIZE_MULTIPLE_PX
import torch
from torch import nn, Tensor

_EXAMPLE_SHAPE = (2, 256, 320)


class RegistrationInference(InferenceModule):
    """
    A network with one stem per camera, for images of either camera.

    The input ``image`` is ``(2, H, W)`` float32 from ``learned_input.normalized_input``;
    ``is_thermal`` is a bool without axes.
    """

    input_names: ClassVar = ('image', 'is_thermal')

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, channels=1)

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return an image without contrast, for the export."""
        return torch.zeros(_EXAMPLE_SHAPE), torch.tensor(True)

    def image_axes(self) -> dict[str, tuple[int, int]]:
        """Return the axes of height and width."""
        return {'image': (1, 2)}

    def apply_stem(self, image: Tensor, is_thermal: Tensor) -> Tensor:
        """
        Return the output of the stem of the camera, with a batch axis.

        Both stems are computed and one is selected: that costs less than a branch of the graph.
        """
        return torch.where(is_thermal, self.network.thermal_stem(image[None]),
                           self.network.rgb_stem(image[None]))


class FastInference(RegistrationInference):
    """The maps ``eighth`` and ``quarter``: ``(H / s, W / s, C)`` float32, s = 8 and 4."""

    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = SIZE_MULTIPLE_PX
    float_layers: ClassVar = ('thermal_stem', 'rgb_stem', 'heads')

    def forward(self, image: Tensor, is_thermal: Tensor) -> tuple[Tensor, ...]:
        maps = self.network.compute_maps(self.apply_stem(image, is_thermal), 2)
        return tuple(features[0].permute(1, 2, 0) for features in maps)


def load_module(path: Path) -> FastInference:
    """
    Return the network of ``fast`` with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    return FastInference(load(FastNetwork(), path)).eval()
