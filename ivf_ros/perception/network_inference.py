# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The perception network as a module for inference."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ivf_ros.detection import CLASS_NAMES
from ivf_ros.nn.encoder import SIZE_MULTIPLE_PX
from ivf_ros.nn.inference import InferenceModule, read_in_channels, to_batch
from ivf_ros.nn.weights import load
from ivf_ros.perception.method import OUTPUT_NAMES
from ivf_ros.perception.network import PerceptionNetwork
from ivf_ros.types import MFNET_CLASSES
from torch import Tensor


class PerceptionInference(InferenceModule):
    """
    Detect objects in an image ``(H, W, channels)`` uint8, and segment it.

    The image is BGR, or BGR and thermal. The outputs are ``scores (cells, classes)`` from 0 to 1,
    ``boxes_px (cells, 4)`` and ``logits (labels, H / 4, W / 4)``.
    """

    input_names: ClassVar = ('image',)
    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = SIZE_MULTIPLE_PX
    float_layers: ClassVar = ('stem', 'class_logits', 'box_distances', 'head')
    class_names: ClassVar = CLASS_NAMES

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        network = self.network
        features = network.detector.encode(to_batch(image))
        logits, boxes_px = network.detector.decode(features)
        return logits[0].sigmoid(), boxes_px[0], network.segmenter.predict(features)[0]


def load_module(path: Path) -> PerceptionInference:
    """
    Return the network with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    channels = read_in_channels(path, 'detector.')
    network = load(PerceptionNetwork(len(CLASS_NAMES), len(MFNET_CLASSES), channels), path)
    return PerceptionInference(network, channels).eval()
