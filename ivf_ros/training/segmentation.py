# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the segmenter.

    ivf train segmentation --data DIR --out runs/segmentation [--set given=fast]

Labels are machine-made on real pairs, where only persons, cars and bikes are used, and exact on
simulated ones, which alone teach the other classes. The loss is a cross-entropy over all pixels,
and the overlap of each class, at half of the image size. The cross-entropy does not select the
hardest pixels as in SeAFusion, because machine-made labels are least certain there. A detector of
the same input is a good start: both networks have the same encoder.
"""

from __future__ import annotations

from pathlib import Path

from ivf_ros.detection import CLASS_NAMES
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.nn.encoder import Encoder
from ivf_ros.nn.weights import load
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.training import loop
from ivf_ros.training.fusion_data import NOT_LABELLED
from ivf_ros.training.perception_windows import Batch, run_on_windows, WindowSampler
from ivf_ros.training.settings import SegmentationTraining
from ivf_ros.types import MFNET_CLASSES
import torch
from torch import Tensor
import torch.nn.functional as F

_AUXILIARY_WEIGHT = 0.4


def train(sampler: WindowSampler, out: Path, settings: SegmentationTraining, overfit: bool = False
          ) -> SegmentationNetwork:
    """Train the segmenter; see ``training.loop``. ``sampler`` draws the windows."""
    torch.manual_seed(settings.seed)
    channels = sampler.images.shape[1]
    network = SegmentationNetwork(len(MFNET_CLASSES), channels)
    if settings.start_from:
        copy_encoder(network, channels, Path(settings.start_from))
    return run_on_windows(network, lambda batch: compute_losses(network, batch, settings.overlap),
                          sampler, out, settings, overfit)


def copy_encoder(network: SegmentationNetwork, channels: int, detector: Path) -> None:
    """
    Copy the encoder of a detector of the same input, down to 1/32 of the size.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """
    trained = load(DetectionNetwork(len(CLASS_NAMES), channels), detector)
    for name, _ in Encoder(channels).named_children():
        getattr(network, name).load_state_dict(getattr(trained, name).state_dict())


def compute_losses(network: SegmentationNetwork, batch: Batch, overlap_weight: float
                   ) -> loop.Losses:
    """Return the loss of segmentation, and its parts for the log."""
    with loop.mixed_precision(batch.images.device):
        logits, auxiliary = network(batch.images)
    return score_outputs(logits, auxiliary, batch, overlap_weight)


def score_outputs(logits: Tensor, auxiliary: Tensor, batch: Batch, overlap_weight: float
                  ) -> loop.Losses:
    """Return the result of ``compute_losses`` from the outputs of a network."""
    labels = batch.labels[:, ::2, ::2]
    logits, auxiliary = (F.interpolate(output.float(), labels.shape[1:], mode='bilinear')
                         for output in (logits, auxiliary))
    logged = {'entropy': cross_entropy(logits, labels),
              'auxiliary': cross_entropy(auxiliary, labels),
              'overlap': overlap_loss(logits, labels)}
    return logged['entropy'] + _AUXILIARY_WEIGHT * logged['auxiliary'] \
        + overlap_weight * logged['overlap'], logged


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the labelled pixels; 0 if there are none."""
    loss = F.cross_entropy(logits, labels, ignore_index=NOT_LABELLED, reduction='sum')
    return loss / (labels != NOT_LABELLED).sum().clamp_min(1)


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """
    Return 1 minus the soft Dice coefficient, mean over the classes that occur in the batch.

    As in mIoU, rare and frequent classes have the same weight.
    """
    mask = (labels != NOT_LABELLED)[:, None]
    predicted = torch.softmax(logits, 1) * mask
    true = F.one_hot(torch.where(mask[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * mask
    intersection = (predicted * true).sum((0, 2, 3))
    total = (predicted + true).sum((0, 2, 3))
    occurs = true.sum((0, 2, 3)) > 0
    losses = (1 - 2 * intersection / total.clamp_min(1.0)) * occurs
    return losses.sum() / occurs.sum().clamp_min(1)
