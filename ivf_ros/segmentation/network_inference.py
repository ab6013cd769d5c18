# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation network as a module for inference."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from ivf_ros.nn.encoder import SIZE_MULTIPLE_PX
from ivf_ros.nn.inference import InferenceModule, load_encoder_network, to_batch
from ivf_ros.segmentation.bilateral import OUTPUT_NAMES
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.types import MFNET_CLASSES
from torch import Tensor


class SegmentationInference(InferenceModule):
    """
    Segment an image ``(H, W, channels)`` uint8: BGR, or BGR and thermal.

    The output is ``logits (classes, H / 4, W / 4)`` float32.
    """

    input_names: ClassVar = ('image',)
    output_names: ClassVar = OUTPUT_NAMES
    size_multiple_px = SIZE_MULTIPLE_PX
    float_layers: ClassVar = ('stem', 'head')
    class_names: ClassVar = MFNET_CLASSES

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.network.predict(self.network.encode(to_batch(image)))[0],)


def load_module(path: Path) -> SegmentationInference:
    """
    Return the segmenter with the weights of a file.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    network = load_encoder_network(partial(SegmentationNetwork, len(MFNET_CLASSES)), path)
    return SegmentationInference(network, network.channels).eval()
