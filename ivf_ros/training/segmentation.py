# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains the segmenter.

    ivf train segmentation --data DIR --out runs/segmentation [--set given=fast]

Labels are machine-made on real pairs, where only persons, cars and bikes are believed, and exact
on simulated ones, from which alone the other classes are learned. The loss is a cross-entropy over
all pixels, not the hardest ones as in SeAFusion, as machine-made labels are least sure there, and
the overlap of each class, by half of the size of the image. A detector of the same input is a
good start: the way down is that of its network.
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
from ivf_ros.training.perception_windows import Batch, WindowSampler
from ivf_ros.training.settings import SegmentationTraining
from ivf_ros.types import MFNET_CLASSES
import torch
from torch import Tensor
import torch.nn.functional as F

_AUXILIARY_WEIGHT = 0.4


def train(sampler: WindowSampler, out: Path, settings: SegmentationTraining, overfit: bool = False
          ) -> SegmentationNetwork:
    """
    Train, or go on training where ``out`` holds a checkpoint of the same settings.

    Parameters
    ----------
    store:
        To draw windows from.
    out:
        Folder for checkpoint and log.
    settings:
        How.
    overfit:
        See the same batch again and again: the loss must fall far.

    """
    torch.manual_seed(settings.seed)
    channels = sampler.images.shape[1]
    network = SegmentationNetwork(len(MFNET_CLASSES), channels)
    if settings.start_from:
        start_from(network, channels, Path(settings.start_from))
    network.to(settings.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return loop.run(network, lambda batch: losses(network, batch, settings.overlap),
                    lambda random, _step: sampler.batch(random, settings.batch, settings.side_px),
                    out, settings, overfit)


def start_from(network: SegmentationNetwork, channels: int, detector: Path) -> None:
    """
    Take over what a detector of the same input has learned to see, down to 1/32 of the size.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """
    trained = load(DetectionNetwork(len(CLASS_NAMES), channels), detector)
    for name, _ in Encoder(channels).named_children():
        getattr(network, name).load_state_dict(getattr(trained, name).state_dict())


def losses(network: SegmentationNetwork, batch: Batch, overlap_weight: float) -> loop.Losses:
    """Return the loss of segmentation, and its parts."""
    with torch.autocast(batch.images.device.type, dtype=torch.bfloat16):
        logits, auxiliary = network(batch.images)
    labels = batch.labels[:, ::2, ::2]
    logits, auxiliary = (F.interpolate(one.float(), labels.shape[1:], mode='bilinear')
                         for one in (logits, auxiliary))
    logged = {'entropy': cross_entropy(logits, labels),
              'auxiliary': cross_entropy(auxiliary, labels),
              'overlap': overlap_loss(logits, labels)}
    return logged['entropy'] + _AUXILIARY_WEIGHT * logged['auxiliary'] \
        + overlap_weight * logged['overlap'], logged


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the pixels that somebody knows; 0 where nobody knows any."""
    lost = F.cross_entropy(logits, labels, ignore_index=NOT_LABELLED, reduction='sum')
    return lost / (labels != NOT_LABELLED).sum().clamp_min(1)


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """
    Return 1 less the soft Dice coefficient, the mean over the classes that occur in the batch.

    It counts a class that is rare as much as one that is not, as mIoU does.
    """
    known = (labels != NOT_LABELLED)[:, None]
    shares = torch.softmax(logits, 1) * known
    true = F.one_hot(torch.where(known[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * known
    shared, whole = (shares * true).sum((0, 2, 3)), (shares + true).sum((0, 2, 3))
    there = true.sum((0, 2, 3)) > 0
    lost = (1 - 2 * shared / whole.clamp_min(1.0)) * there
    return lost.sum() / there.sum().clamp_min(1)
