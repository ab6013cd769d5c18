# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trained fusion networks at work: 8-bit images of any size in, one out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.fusion.network_cs2fusion import Cs2FusionNetwork
from ivf_ros.fusion.network_fast import BLOCK_PX, FastFusionNetwork, SIZE_MULTIPLE_PX
from ivf_ros.fusion.network_seafusion import SeaFusionNetwork
from ivf_ros.nn.inference import convert_for_inference
from ivf_ros.nn.weights import load
import numpy as np
import torch
from torch import nn, Tensor

_PADDING_PX = 10  # as far as one pixel of the published networks looks
_Fuse = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]


class LearnedFusion:
    """
    One trained network.

    Parameters
    ----------
    method:
        ``'fast'``, ``'seafusion'`` or ``'cs2fusion'``.
    path:
        Its weight file.
    precision:
        ``'bfloat16'`` or ``'float32'``.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """

    def __init__(self, method: str, path: Path, precision: str) -> None:
        network, self._fuse = _NETWORKS[method]
        self._network = convert_for_inference(load(network(), path), precision)

    @torch.inference_mode()
    def __call__(self, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
        """Fuse ``(H, W)`` uint8 thermal and luma into a new image of that kind."""
        return self._fuse(self._network, thermal, luma)


def _fuse_full_image(network: nn.Module, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Fuse by a network that takes images as they are, with room for its zeros beyond them."""
    dtype = next(network.parameters()).dtype
    images = (torch.from_numpy(cv2.copyMakeBorder(image, *(_PADDING_PX,) * 4, cv2.BORDER_REPLICATE))
              [None, None].to(dtype).div_(255) for image in (thermal, luma))
    fused = network(*images)[0, 0, _PADDING_PX:-_PADDING_PX, _PADDING_PX:-_PADDING_PX]
    return _as_uint8(fused * 255).numpy()


def _fuse_in_blocks(network: FastFusionNetwork, thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse by ``fast``, which takes blocks.

    These are laid out here, channels last and still of 8 bit, where it costs least; F is made of
    T and V in float32, as bfloat16 does not tell neighbouring gray levels apart.
    """
    height, width = luma.shape
    border = 0, -height % SIZE_MULTIPLE_PX, 0, -width % SIZE_MULTIPLE_PX
    thermal, luma = (cv2.copyMakeBorder(image, *border, cv2.BORDER_REPLICATE)
                     for image in (thermal, luma))
    rows, columns = luma.shape[0] // BLOCK_PX, luma.shape[1] // BLOCK_PX
    blocks = np.empty((rows, columns, 2, BLOCK_PX, BLOCK_PX), np.uint8)
    for index, image in enumerate((thermal, luma)):
        blocks[:, :, index] = image.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
    stacked = torch.from_numpy(blocks.reshape(1, rows, columns, -1)).permute(0, 3, 1, 2)
    weight, offset = network.predict_weight_and_offset(stacked.to(network.last.weight.dtype).div_(255))
    of_thermal, of_luma = stacked.float().chunk(2, 1)
    fused = torch.addcmul(of_luma, weight.float(), of_thermal - of_luma).add_(offset, alpha=255)
    out = _as_uint8(fused).permute(0, 2, 3, 1).reshape(rows, columns, BLOCK_PX, BLOCK_PX)
    return out.swapaxes(1, 2).reshape(luma.shape)[:height, :width].numpy().copy()


def _as_uint8(levels: Tensor) -> Tensor:
    return levels.round_().clamp_(0, 255).to(torch.uint8)


_NETWORKS: dict[str, tuple[type[nn.Module], _Fuse]] = {
    'fast': (FastFusionNetwork, _fuse_in_blocks), 'seafusion': (SeaFusionNetwork, _fuse_full_image),
    'cs2fusion': (Cs2FusionNetwork, _fuse_full_image)}
