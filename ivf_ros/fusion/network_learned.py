# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Inference with the trained fusion networks: two 8-bit images of any size in, one out.

A fusion network is a class in a file ``network_<method>.py`` of this folder, and a line in
``settings.NETWORKS``. The contract:

- ``forward(thermal, luma)`` takes ``(B, 1, H, W)`` from 0 to 1 each and returns ``(B, 1, H, W)``;
  the constructor has no arguments.
- Its weights are ``weights/<method>.safetensors``, written by ``nn.weights.save``, or the file
  that the parameter ``network.weights`` names.
- A network that wants another layout of its input also has ``fuse_8bit(thermal, luma)``, which
  takes ``(H, W)`` uint8 arrays and returns one; see ``network_fast``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.fusion.settings import NETWORKS
from ivf_ros.nn.inference import convert_for_inference
from ivf_ros.nn.weights import load
import numpy as np
import torch
from torch import nn, Tensor

_PADDING_PX = 10  # radius of the receptive field of the published networks


class LearnedFusion:
    """
    A trained fusion network.

    Parameters
    ----------
    method:
        One of ``settings.NETWORKS``.
    path:
        The weight file.
    precision:
        ``'bfloat16'`` or ``'float32'``.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """

    def __init__(self, method: str, path: Path, precision: str) -> None:
        module = import_module(f'ivf_ros.fusion.network_{method}')
        network: nn.Module = getattr(module, NETWORKS[method])()
        self._network: Any = convert_for_inference(load(network, path), precision)

    @torch.inference_mode()
    def __call__(self, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
        """Fuse thermal and luma, both ``(H, W)`` uint8, into a new ``(H, W)`` uint8 image."""
        if hasattr(self._network, 'fuse_8bit'):
            return self._network.fuse_8bit(thermal, luma)
        return _fuse_full_image(self._network, thermal, luma)


def _fuse_full_image(network: nn.Module, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse with a network that takes images of any size.

    The images are padded, so that the zero padding of the network does not affect the result.
    """
    dtype = next(network.parameters()).dtype
    padded = (cv2.copyMakeBorder(image, *(_PADDING_PX,) * 4, cv2.BORDER_REPLICATE)
              for image in (thermal, luma))
    images = (torch.from_numpy(image)[None, None].to(dtype).div_(255) for image in padded)
    fused = network(*images)[0, 0, _PADDING_PX:-_PADDING_PX, _PADDING_PX:-_PADDING_PX]
    return _to_uint8(fused * 255).numpy()


def _to_uint8(levels: Tensor) -> Tensor:
    return levels.round_().clamp_(0, 255).to(torch.uint8)
