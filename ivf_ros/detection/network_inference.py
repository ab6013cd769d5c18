# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection network as a module for inference."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from ivf_ros.detection.anchor_free import OUTPUT_NAMES
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.encoder import SIZE_MULTIPLE_PX
from ivf_ros.nn.inference import InferenceModule, load_encoder_network, to_batch
from torch import Tensor


class DetectionInference(InferenceModule):
    """
    Detect objects in an image ``(H, W, channels)`` uint8: BGR, or BGR and thermal.

    The outputs are ``scores (cells, classes)`` from 0 to 1, and ``boxes_px (cells, 4)``.
    """

    input_names: ClassVar = ('image',)
    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = SIZE_MULTIPLE_PX
    float_layers: ClassVar = ('stem', 'class_logits', 'box_distances')
    class_names: ClassVar = CLASS_NAMES

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, boxes_px = self.network(to_batch(image))
        return logits[0].sigmoid(), boxes_px[0]


def load_module(path: Path) -> DetectionInference:
    """
    Return the detector with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    network = load_encoder_network(partial(DetectionNetwork, len(CLASS_NAMES)), path)
    return DetectionInference(network, network.channels).eval()
