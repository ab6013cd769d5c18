# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inference with the trained segmentation network: 8-bit images in, labels out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
from ivf_ros.nn.inference import TrainedNetwork
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import torch


class LearnedSegmentation(TrainedNetwork[SegmentationNetwork]):
    """``SegmentationNetwork`` with trained weights; see ``TrainedNetwork`` for the parameters."""

    def __init__(self, path: Path, precision: str) -> None:
        super().__init__(partial(SegmentationNetwork, len(MFNET_CLASSES)), path, precision,
                         cv2.BORDER_REPLICATE)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """
        Label the pixels of an image ``(H, W, channels)`` uint8 of any size.

        Returns
        -------
        np.ndarray
            Labels ``(height, width)`` uint8, for a result of this width and height.

        """
        height, width = image.shape[:2]
        tensor = self.to_tensor(image)
        padded_size = tensor.shape[2:]
        quarter, _ = self._network.features(tensor)
        logits = self._network.head(quarter)[0].float().numpy()
        # The logits are upsampled one class at a time: that takes a third of the time of all
        # classes at once. A class whose logit nowhere exceeds that of class 0 is skipped, as
        # interpolation cannot make it exceed that either.
        labels = np.zeros((size[1], size[0]), np.uint8)
        best = _upsample_logit(logits[0], padded_size, (width, height), size)
        for label in 1 + np.flatnonzero((logits[1:] > logits[0]).any((1, 2))):
            logit = _upsample_logit(logits[label], padded_size, (width, height), size)
            labels[logit > best] = label
            np.maximum(best, logit, out=best)
        return labels


def _upsample_logit(logit: np.ndarray, padded_size: tuple[int, ...], image_size: tuple[int, int],
                    size: tuple[int, int]) -> np.ndarray:
    """
    Upsample the logit of a class at 1/4 of the padded image, bilinear, to width and height.

    ``padded_size`` is height and width of the padded image, ``image_size`` width and height of the
    image without padding, and ``size`` width and height of the result.
    """
    padded = cv2.resize(logit, (padded_size[1], padded_size[0]), interpolation=cv2.INTER_LINEAR)
    cropped = padded[:image_size[1], :image_size[0]]
    return cropped if image_size == size \
        else cv2.resize(cropped, size, interpolation=cv2.INTER_LINEAR)
