# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of ``dfa`` as a module for inference."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ivf_ros.nn.weights import load
from ivf_ros.registration.dfa.network import DfaNetwork, SIZE_MULTIPLE_PX
from ivf_ros.registration.dfa.registrar import OUTPUT_NAMES
from ivf_ros.registration.network_inference import RegistrationInference
from torch import Tensor


class DfaInference(RegistrationInference):
    """
    The descriptors of an image.

    The outputs are ``coarse (C, H / 8, W / 8)`` and ``fine (C, H / 2, W / 2)`` of unit length,
    ``weight (H / 8, W / 8)``, and ``scales (2,)``, the factors of coarse and fine similarities.
    """

    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = SIZE_MULTIPLE_PX
    float_layers: ClassVar = ('thermal_stem', 'rgb_stem', 'coarse_head', 'weight_head',
                              'fine_head')

    def forward(self, image: Tensor, is_thermal: Tensor) -> tuple[Tensor, ...]:
        coarse, weight, fine = self.network.describe(self.apply_stem(image, is_thermal))
        return coarse[0], weight[0].sigmoid(), fine[0], self.network.scales()


def load_module(path: Path, *, sfm: bool, fem: bool) -> DfaInference:
    """
    Return a variant of the network with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or belongs to another variant.

    """
    return DfaInference(load(DfaNetwork(sfm, fem), path)).eval()
