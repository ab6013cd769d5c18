# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The network of the perception stage: a detector, and a decoder for segmentation on its encoder.

Segmentation and detection have the same encoder, which takes most of the time. Here it runs once.
"""

from __future__ import annotations

from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.encoder import Encoder
from ivf_ros.segmentation.network import SegmentationNetwork
from torch import nn, Tensor


class PerceptionNetwork(nn.Module):
    """
    Detect objects in images ``(B, channels, H, W)`` from 0 to 1, and segment them.

    Returns
    -------
    logits, boxes_px
        As ``DetectionNetwork``.
    label_logits, auxiliary
        As ``SegmentationNetwork``.

    """

    def __init__(self, classes: int, labels: int, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.detector = DetectionNetwork(classes, channels)
        self.segmenter = SegmentationNetwork(labels, channels)
        for name, _ in Encoder(channels).named_children():
            delattr(self.segmenter, name)  # it gets the features of the detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features = self.detector.encode(image)
        return (*self.detector.decode(features), *self.segmenter.decode(features))
