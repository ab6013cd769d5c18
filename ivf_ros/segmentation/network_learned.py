# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmentation network at work: 8-bit images in, labels out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
from ivf_ros.nn.inference import load_network, prepare_for_inference, to_tensor
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import torch


class LearnedSegmentation:
    """
    One trained network.

    Parameters
    ----------
    path:
        Its weight file.
    precision:
        ``'bfloat16'`` or ``'float32'``.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """

    def __init__(self, path: Path, precision: str) -> None:
        network = load_network(partial(SegmentationNetwork, len(MFNET_CLASSES)), path)
        self.channels = network.channels
        self._network = prepare_for_inference(network, precision)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Label ``(H, W, channels)`` uint8; labels are of the given width and height."""
        height, width = image.shape[:2]
        tensor = to_tensor(self._network, image, cv2.BORDER_REPLICATE)
        padded_size = tensor.shape[2:]
        quarter, _ = self._network.features(tensor)
        logits = self._network.head(quarter)[0].float().numpy()
        # Class by class, each as large as the image: a third of the time of doing all at once.
        # One that nowhere exceeds the first class does so nowhere between the cells either.
        labels = np.zeros((size[1], size[0]), np.uint8)
        best = _upsample_logit(logits[0], padded_size, (width, height), size)
        for label in 1 + np.flatnonzero((logits[1:] > logits[0]).any((1, 2))):
            other = _upsample_logit(logits[label], padded_size, (width, height), size)
            labels[other > best] = label
            np.maximum(best, other, out=best)
        return labels


def _upsample_logit(logit: np.ndarray, padded_size: tuple[int, ...], image_size: tuple[int, int],
                    size: tuple[int, int]) -> np.ndarray:
    """Return a logit at 1/4 of the padded image on the grid of the result, bilinear."""
    whole = cv2.resize(logit, (padded_size[1], padded_size[0]), interpolation=cv2.INTER_LINEAR)
    whole = whole[:image_size[1], :image_size[0]]
    return whole if image_size == size else cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
