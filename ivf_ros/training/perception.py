# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the network of the perception stage: one encoder for segmentation and detection.

    ivf train perception --data DIR --out runs/perception --set given=rgb+thermal \
        --set detector=anchor_free_both.safetensors --set segmenter=bilateral_both.safetensors

It starts from a detector and from a segmenter that was started from this detector. The encoder is
the mean of their two encoders: weights that were tuned from the same start can be averaged
(Wortsman et al., "Model soups", ICML 2022). Then both losses train all layers together.
"""

from __future__ import annotations

from pathlib import Path

from ivf_ros.detection import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.encoder import Encoder
from ivf_ros.nn.weights import average_weights, load
from ivf_ros.parameters import ParameterError
from ivf_ros.perception.network import PerceptionNetwork
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.training import detection, loop, segmentation
from ivf_ros.training.perception_windows import Batch, run_on_windows, WindowSampler
from ivf_ros.training.settings import JointPerceptionTraining
from ivf_ros.types import MFNET_CLASSES
import torch


def train(sampler: WindowSampler, out: Path, settings: JointPerceptionTraining,
          overfit: bool = False) -> PerceptionNetwork:
    """Train the network; see ``training.loop``. ``sampler`` draws the windows."""
    torch.manual_seed(settings.seed)
    channels = sampler.images.shape[1]
    network = PerceptionNetwork(len(CLASS_NAMES), len(MFNET_CLASSES), channels)
    if bool(settings.detector) != bool(settings.segmenter):
        raise ParameterError('detector and segmenter must be given together')
    if settings.start_from and settings.detector:
        raise ParameterError('start_from and detector exclude each other')
    if settings.start_from:
        load(network, Path(settings.start_from)).train()
    elif settings.detector:
        start_from(network, Path(settings.detector), Path(settings.segmenter))
    return run_on_windows(network, lambda batch: compute_losses(network, batch, settings.overlap),
                          sampler, out, settings, overfit)


def start_from(network: PerceptionNetwork, detector: Path, segmenter: Path) -> None:
    """
    Copy the decoders of a detector and a segmenter, and the mean of their encoders.

    Raises
    ------
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    trained = load(DetectionNetwork(len(CLASS_NAMES), network.channels), detector)
    other = load(SegmentationNetwork(len(MFNET_CLASSES), network.channels), segmenter)
    network.detector.load_state_dict(trained.state_dict())
    network.segmenter.load_state_dict(other.state_dict(), strict=False)
    for name, _ in Encoder(network.channels).named_children():
        average_weights(getattr(network.detector, name), getattr(other, name), 0.5)


def compute_losses(network: PerceptionNetwork, batch: Batch, overlap_weight: float
                   ) -> loop.Losses:
    """Return the sum of the losses of both tasks, and their parts for the log."""
    with loop.mixed_precision(batch.images.device):
        logits, boxes_px, label_logits, auxiliary = network(batch.images)
    detection_loss, detection_log = detection.score_outputs(logits, boxes_px, batch)
    segmentation_loss, segmentation_log = segmentation.score_outputs(label_logits, auxiliary,
                                                                     batch, overlap_weight)
    return detection_loss + segmentation_loss, {**detection_log, **segmentation_log}
