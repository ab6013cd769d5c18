# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Inference with the trained fusion networks: two 8-bit images of any size in, one out.

A fusion network is a class in a file ``network_<method>.py`` of this folder, and a line in
``settings.NETWORKS``. The contract:

- ``forward(thermal, luma)`` takes ``(B, 1, H, W)`` from 0 to 1 each and returns ``(B, 1, H, W)``;
  the constructor has no arguments.
- Its weights are ``weights/<method>.safetensors``, written by ``nn.weights.save``, and the ONNX
  files beside it, written by ``ivf export fusion``.
- Images may have any size; ``network_inference`` adapts a network for which this is not so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from ivf_ros.nn.runtime import load_network
from ivf_ros.nn.settings import NetworkParameters
import numpy as np

WEIGHTS = Path(__file__).parent / 'weights'
OUTPUT_NAMES = ('fused',)  # see ``network_inference``
# Sides of the input of ``fast`` are multiples of this. The other networks take any size; their
# images get a border as wide as the radius of their receptive field instead, so that the zero
# padding of the layers does not affect the result.
_FAST_MULTIPLE_PX = 16
_BORDER_PX = 10


class LearnedFusion:
    """
    A trained fusion network.

    Parameters
    ----------
    method:
        One of ``settings.NETWORKS``.
    parameters:
        Those of the network.

    Attributes
    ----------
    network:
        The loaded network, see ``nn.runtime.Network``.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision is not available.

    """

    def __init__(self, method: str, parameters: NetworkParameters) -> None:
        self._method = method
        self.network = load_network(WEIGHTS / method, self._load_module, OUTPUT_NAMES, parameters)

    def _load_module(self, path: Path) -> Any:
        from ivf_ros.fusion.network_inference import load_module  # imports PyTorch
        return load_module(self._method, path)

    def __call__(self, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
        """Fuse thermal and luma, both ``(H, W)`` uint8, into a new ``(H, W)`` uint8 image."""
        height, width = luma.shape
        if self._method == 'fast':
            top = left = 0
            bottom, right = -height % _FAST_MULTIPLE_PX, -width % _FAST_MULTIPLE_PX
        else:
            top = left = bottom = right = _BORDER_PX
        if top or left or bottom or right:
            thermal, luma = (cv2.copyMakeBorder(image, top, bottom, left, right,
                                                cv2.BORDER_REPLICATE)
                             for image in (thermal, luma))
        fused, = self.network(thermal, luma)
        return fused[top:top + height, left:left + width]
