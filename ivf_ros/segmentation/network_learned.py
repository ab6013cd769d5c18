# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmentation network at work: 8-bit images in, labels out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
from ivf_ros.nn.inference import at_work, given_to, loaded
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
        network = loaded(partial(SegmentationNetwork, len(MFNET_CLASSES)), path)
        self.channels = network.channels
        self._network = at_work(network, precision)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Label ``(H, W, channels)`` uint8; labels are of the given width and height."""
        height, width = image.shape[:2]
        given = given_to(self._network, image, cv2.BORDER_REPLICATE)
        padded = given.shape[2:]
        quarter, _ = self._network.features(given)
        logits = self._network.head(quarter)[0].float().numpy()
        # Class by class, each as large as the image: a third of the time of doing all at once.
        # One that nowhere exceeds the first class does so nowhere between the cells either.
        labels = np.zeros((size[1], size[0]), np.uint8)
        best = _enlarged(logits[0], padded, (width, height), size)
        for label in 1 + np.flatnonzero((logits[1:] > logits[0]).any((1, 2))):
            other = _enlarged(logits[label], padded, (width, height), size)
            labels[other > best] = label
            np.maximum(best, other, out=best)
        return labels


def _enlarged(logit: np.ndarray, padded: tuple[int, ...], seen: tuple[int, int],
              size: tuple[int, int]) -> np.ndarray:
    """Return a logit at 1/4 of the padded image on the grid of the result, bilinear."""
    whole = cv2.resize(logit, (padded[1], padded[0]), interpolation=cv2.INTER_LINEAR)
    whole = whole[:seen[1], :seen[0]]
    return whole if seen == size else cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
