# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains SeAFusion: fusion and segmentation in turns, the joint adaptive training of its paper.

    ivf train fusion --method seafusion --data DIR --out runs/seafusion
    ivf train joint --data DIR --out runs/joint  # keeps the segmentation network, too

Algorithm 1 of Tang, Yuan and Ma (2022): in round m the fusion network minimises

    L_content + m L_semantic,    L_content = L_intensity + 10 L_texture,    m = 0, 1, 2, ...

with the segmentation network of the round before held still; then the segmentation network learns
from what fusion makes now. The labels are machine-made. Here the fusion network goes on from
round to round, where the published program starts it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ivf_ros.fusion.network_seafusion import SeaFusionNetwork
from ivf_ros.nn.weights import load
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.training import loop
from ivf_ros.training.fusion_data import (
    as_tensors,
    example,
    FusionExample,
    FusionScene,
    replace_luma,
    to_luma,
)
from ivf_ros.training.fusion_losses import intensity_loss, semantic_loss, texture_loss
from ivf_ros.training.settings import SeaFusionTraining
from ivf_ros.types import MFNET_CLASSES
import torch
import torch.nn.functional as F

_TEXTURE_WEIGHT = 10.0
_AUXILIARY_OF_FUSION, _AUXILIARY_OF_SEGMENTATION = 0.1, 0.75


def train(scenes: Sequence[FusionScene], out: Path, settings: SeaFusionTraining,
          overfit: bool = False) -> SeaFusionNetwork:
    """Train as ``train_jointly`` does, and return the fusion network alone."""
    return train_jointly(scenes, out, settings, overfit)[0]


def train_jointly(scenes: Sequence[FusionScene], out: Path, settings: SeaFusionTraining,
                  overfit: bool = False) -> tuple[SeaFusionNetwork, SegmentationNetwork]:
    """
    Train both, or go on training where ``out`` holds checkpoints of the same settings.

    Parameters
    ----------
    scenes:
        To draw examples from, in proportion to the square root of how many a data set has.
    out:
        Folder for a folder with checkpoint and log of each network in each round.
    settings:
        How; ``steps`` are those of the first round.
    overfit:
        See the same batch again and again: the loss must fall far.

    """
    torch.manual_seed(settings.seed)
    network, segmentation = SeaFusionNetwork(), SegmentationNetwork(len(MFNET_CLASSES))
    if settings.start_from:
        load(segmentation, Path(settings.start_from)).train()
    labelled = [scene for scene in scenes if scene.labels is not None]
    later = replace(settings, steps=settings.round_steps,
                    learning_rate=settings.learning_rate / 2)
    for number in range(settings.rounds if labelled else 1):
        segmentation.requires_grad_(False).eval()
        loop.run(network, partial(losses, network, segmentation, number),
                 loop.make_batch_sampler(example, scenes, settings.batch), out / f'fusion_{number}',
                 later if number else settings, overfit)
        if number + 1 < settings.rounds and labelled:
            segmentation.requires_grad_(True)
            loop.run(segmentation, partial(segmentation_losses, network, segmentation),
                     loop.make_batch_sampler(example, labelled, settings.batch),
                     out / f'segmentation_{number}',
                     replace(later, learning_rate=settings.learning_rate), overfit)
    return network, segmentation


def losses(network: SeaFusionNetwork, segmentation: SegmentationNetwork, semantic_weight: float,
           batch: Sequence[FusionExample]) -> loop.Losses:
    """Return the loss of fusion, and its parts."""
    thermal, rgb, labels = as_tensors(batch)
    luma = to_luma(rgb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        fused = network(thermal, luma)
    logged = {'intensity': intensity_loss(thermal, luma, fused),
              'texture': texture_loss(thermal, luma, fused)}
    total = logged['intensity'] + _TEXTURE_WEIGHT * logged['texture']
    if semantic_weight:
        with torch.autocast('cpu', dtype=torch.bfloat16):
            logits, auxiliary = segmentation(replace_luma(rgb, fused))
        logged['semantic'] = semantic_loss(logits, auxiliary, labels, _AUXILIARY_OF_FUSION)
        total = total + semantic_weight * logged['semantic']
    return total, logged


def segmentation_losses(network: SeaFusionNetwork, segmentation: SegmentationNetwork,
                        batch: Sequence[FusionExample]) -> loop.Losses:
    """Return the loss of segmentation on what the fusion network makes of the examples."""
    thermal, rgb, labels = as_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with torch.no_grad():
            fused = replace_luma(rgb, network(thermal, to_luma(rgb)))
        logits, auxiliary = segmentation(fused)
    loss = semantic_loss(logits, auxiliary, labels, _AUXILIARY_OF_SEGMENTATION)
    known = labels != 255
    said = F.interpolate(logits.float(), labels.shape[1:], mode='bilinear').argmax(1)
    right = (said == labels)[known].float().mean() if known.any() else loss * 0
    return loss, {'semantic': loss, 'right': right}
