# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector at work: 8-bit images of any size in, boxes out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.inference import load_network, prepare_for_inference, to_tensor
import numpy as np
import torch


class LearnedDetection:
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
        network = load_network(partial(DetectionNetwork, len(CLASS_NAMES)), path)
        self.channels = network.channels
        self._network = prepare_for_inference(network, precision)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Search ``(H, W, channels)`` uint8.

        Returns
        -------
        scores
            ``(cells, classes)`` float32 from 0 to 1.
        boxes_xyxy_px
            ``(cells, 4)`` float32.

        """
        logits, boxes_px = self._network(to_tensor(self._network, image, cv2.BORDER_CONSTANT))
        return torch.sigmoid(logits)[0].numpy(), boxes_px[0].numpy()
