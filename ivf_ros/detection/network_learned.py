# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inference with the trained detection network: 8-bit images in, boxes out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.inference import TrainedNetwork
import numpy as np
import torch


class LearnedDetection(TrainedNetwork[DetectionNetwork]):
    """``DetectionNetwork`` with trained weights; see ``TrainedNetwork`` for path and precision."""

    def __init__(self, path: Path, precision: str) -> None:
        super().__init__(partial(DetectionNetwork, len(CLASS_NAMES)), path, precision,
                         cv2.BORDER_CONSTANT)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Search an image ``(H, W, channels)`` uint8 of any size.

        Returns
        -------
        scores
            ``(cells, classes)`` float32 from 0 to 1.
        boxes_xyxy_px
            ``(cells, 4)`` float32.

        """
        logits, boxes_px = self._network(self.to_tensor(image))
        return torch.sigmoid(logits)[0].numpy(), boxes_px[0].numpy()
