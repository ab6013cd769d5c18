# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of SeAFusion: fusion and segmentation in turns, the joint adaptive training of its paper.

    ivf train fusion --method seafusion --data DIR --out runs/seafusion
    ivf train joint --data DIR --out runs/joint  # also keeps the segmentation network

Algorithm 1 of Tang, Yuan and Ma (2022): in round m the fusion network minimises

    L_content + m L_semantic,    L_content = L_intensity + 10 L_texture,    m = 0, 1, 2, ...

with the segmentation network of the previous round frozen. Then the segmentation network is
trained on the new fused images. The labels are machine-made. Here the training of the fusion
network continues from round to round; the published program initialises it again.
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
    draw_example,
    FusionExample,
    FusionScene,
    replace_luma,
    to_luma,
    to_tensors,
)
from ivf_ros.training.fusion_losses import intensity_loss, semantic_loss, texture_loss
from ivf_ros.training.settings import SeaFusionTraining
from ivf_ros.types import MFNET_CLASSES
import torch
import torch.nn.functional as F

_TEXTURE_WEIGHT = 10.0
_FUSION_AUXILIARY_WEIGHT, _SEGMENTATION_AUXILIARY_WEIGHT = 0.1, 0.75


def train(scenes: Sequence[FusionScene], out: Path, settings: SeaFusionTraining,
          overfit: bool = False) -> SeaFusionNetwork:
    """Train as ``train_jointly`` does, and return only the fusion network."""
    return train_jointly(scenes, out, settings, overfit)[0]


def train_jointly(scenes: Sequence[FusionScene], out: Path, settings: SeaFusionTraining,
                  overfit: bool = False) -> tuple[SeaFusionNetwork, SegmentationNetwork]:
    """
    Train the fusion and the segmentation network; see ``training.loop``.

    ``out`` receives a folder for each network in each round. ``settings.steps`` are those of the
    first round.
    """
    torch.manual_seed(settings.seed)
    network, segmentation = SeaFusionNetwork(), SegmentationNetwork(len(MFNET_CLASSES))
    if settings.start_from:
        load(segmentation, Path(settings.start_from)).train()
    labelled = [scene for scene in scenes if scene.labels is not None]
    later_settings = replace(settings, steps=settings.round_steps,
                             learning_rate=settings.learning_rate / 2)
    for round_index in range(settings.rounds if labelled else 1):
        segmentation.requires_grad_(False).eval()
        loop.run(network, partial(compute_losses, network, segmentation, round_index),
                 loop.make_batch_sampler(draw_example, scenes, settings.batch),
                 out / f'fusion_{round_index}',
                 later_settings if round_index else settings, overfit)
        if round_index + 1 < settings.rounds and labelled:
            segmentation.requires_grad_(True)
            loop.run(segmentation, partial(compute_segmentation_losses, network, segmentation),
                     loop.make_batch_sampler(draw_example, labelled, settings.batch),
                     out / f'segmentation_{round_index}',
                     replace(later_settings, learning_rate=settings.learning_rate), overfit)
    return network, segmentation


def compute_losses(network: SeaFusionNetwork, segmentation: SegmentationNetwork,
                   semantic_weight: float,
                   batch: Sequence[FusionExample]) -> loop.Losses:
    """Return the loss of fusion, and its parts for the log."""
    thermal, rgb, labels = to_tensors(batch)
    luma = to_luma(rgb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        fused = network(thermal, luma)
    logged = {'intensity': intensity_loss(thermal, luma, fused),
              'texture': texture_loss(thermal, luma, fused)}
    total = logged['intensity'] + _TEXTURE_WEIGHT * logged['texture']
    if semantic_weight:
        with torch.autocast('cpu', dtype=torch.bfloat16):
            logits, auxiliary = segmentation(replace_luma(rgb, fused))
        logged['semantic'] = semantic_loss(logits, auxiliary, labels, _FUSION_AUXILIARY_WEIGHT)
        total = total + semantic_weight * logged['semantic']
    return total, logged


def compute_segmentation_losses(network: SeaFusionNetwork, segmentation: SegmentationNetwork,
                                batch: Sequence[FusionExample]) -> loop.Losses:
    """Return the loss of segmentation on the fused examples, and values for the log."""
    thermal, rgb, labels = to_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with torch.no_grad():
            fused = replace_luma(rgb, network(thermal, to_luma(rgb)))
        logits, auxiliary = segmentation(fused)
    loss = semantic_loss(logits, auxiliary, labels, _SEGMENTATION_AUXILIARY_WEIGHT)
    is_labelled = labels != 255
    predicted = F.interpolate(logits.float(), labels.shape[1:], mode='bilinear').argmax(1)
    accuracy = (predicted == labels)[is_labelled].float().mean() if is_labelled.any() \
        else loss * 0
    return loss, {'semantic': loss, 'right': accuracy}
