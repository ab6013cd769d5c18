# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector at work: 8-bit images of any size in, boxes out."""

from __future__ import annotations

from pathlib import Path

import cv2
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.way_down import channels_of, MULTIPLE_PX, trained
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
        self.channels = channels_of(path)
        network = DetectionNetwork(len(CLASS_NAMES), self.channels)
        self._network = trained(network, path, precision)
        self._kind = next(self._network.parameters()).dtype

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
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -height % MULTIPLE_PX, 0, -width % MULTIPLE_PX,
                                    cv2.BORDER_CONSTANT)
        given = torch.from_numpy(padded).permute(2, 0, 1)[None]
        logits, boxes_px = self._network(given.to(self._kind).div_(255))
        return torch.sigmoid(logits)[0].numpy(), boxes_px[0].numpy()
