# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the detector.

    ivf train detection --data DIR --out runs/detection [--set given=fast]

The cells that must detect an object are assigned anew at each step, from the current output of the
network (task-aligned assignment, Feng et al., "TOOD", ICCV 2021). They are the cells in the box of
the object with the highest

    t = score^0.5 IoU^6

The target of their score is the IoU that they reach, so that a high score means an accurate box.
Boxes are machine-made on real pairs and exact on simulated ones.
"""

from __future__ import annotations

from pathlib import Path

from ivf_ros.detection import CLASS_NAMES
from ivf_ros.detection.network import cell_centres_px, DetectionNetwork, STRIDES_PX
from ivf_ros.nn.weights import load
from ivf_ros.training import loop
from ivf_ros.training.perception_windows import (
    Batch,
    IGNORED_CLASS,
    run_on_windows,
    WindowSampler,
)
from ivf_ros.training.settings import DetectionTraining
import torch
from torch import Tensor
import torch.nn.functional as F

_TOP_K = 10  # cells per object
_SCORE_POWER, _IOU_POWER = 0.5, 6.0
_BOX_WEIGHT = 2.5


def train(sampler: WindowSampler, out: Path, settings: DetectionTraining, overfit: bool = False
          ) -> DetectionNetwork:
    """Train the detector; see ``training.loop``. ``sampler`` draws the windows."""
    torch.manual_seed(settings.seed)
    network = DetectionNetwork(len(CLASS_NAMES), sampler.images.shape[1])
    if settings.start_from:
        load(network, Path(settings.start_from)).train()
    return run_on_windows(network, lambda batch: compute_losses(network, batch),
                          sampler, out, settings, overfit)


def compute_losses(network: DetectionNetwork, batch: Batch) -> loop.Losses:
    """Return the loss of detection, and its parts for the log."""
    with loop.mixed_precision(batch.images.device):
        logits, boxes_px = network(batch.images)
    return score_outputs(logits, boxes_px, batch)


def score_outputs(logits: Tensor, boxes_px: Tensor, batch: Batch) -> loop.Losses:
    """Return the result of ``compute_losses`` from the outputs of a network."""
    side_px = batch.images.shape[-1]
    centres_px = torch.cat([cell_centres_px(torch.Size([side_px // stride_px] * 2), stride_px,
                                            logits.device) for stride_px in STRIDES_PX])
    target_scores, target_index, is_ignored = assign_targets(
        logits.detach(), boxes_px.detach(), centres_px, batch)
    n_positive = target_scores.sum().clamp_min(1.0)
    class_loss = F.binary_cross_entropy_with_logits(logits, target_scores, reduction='none')
    class_loss = (class_loss * ~is_ignored[..., None]).sum() / n_positive
    weight = target_scores.sum(-1)
    target_boxes_px = batch.boxes_px.gather(1, target_index[..., None].expand(-1, -1, 4))
    overlap = generalized_iou(boxes_px, target_boxes_px)
    box_loss = ((1 - overlap) * weight).sum() / n_positive
    logged = {'what': class_loss, 'where': box_loss, 'iou': 1 - box_loss.detach()}
    return class_loss + _BOX_WEIGHT * box_loss, logged


@torch.no_grad()
def assign_targets(logits: Tensor, boxes_px: Tensor, centres_px: Tensor, batch: Batch
                   ) -> tuple[Tensor, Tensor, Tensor]:
    """
    Assign objects to cells.

    Returns
    -------
    target_scores
        ``(B, cells, classes)`` target of the score of each cell.
    target_index
        ``(B, cells)`` index of the object among the boxes of its image.
    is_ignored
        ``(B, cells)`` bool, cells without a target.

    """
    true_px, classes = batch.boxes_px, batch.classes
    ious = iou(true_px[:, :, None], boxes_px[:, None])  # (B, M, cells)
    index = classes.clamp_min(0)[..., None].expand(-1, -1, logits.shape[1])
    score = torch.sigmoid(logits).mT.gather(1, index)
    inside = _cells_inside(centres_px, true_px)
    metric = score ** _SCORE_POWER * ious ** _IOU_POWER * inside + 1e-12 * inside
    metric = metric * (classes >= 0)[..., None]
    threshold = metric.topk(min(_TOP_K, metric.shape[2]), 2).values[..., -1:].clamp_min(1e-20)
    selected = metric * (metric >= threshold)
    best, target_index = selected.max(1)
    is_target = F.one_hot(target_index, selected.shape[1]).mT.bool() & (best > 0)[:, None]
    selected = selected * is_target  # at most one object per cell
    top = selected.amax(2, keepdim=True)
    highest_iou = (ious * is_target).amax(2, keepdim=True)
    soft_scores = (selected / top.clamp_min(1e-20) * highest_iou).amax(1)  # (B, cells)
    class_ids = classes.clamp_min(0).gather(1, target_index)
    target_scores = F.one_hot(class_ids, logits.shape[2]) * soft_scores[..., None]
    in_ignored = _cells_inside(centres_px, true_px) & (classes == IGNORED_CLASS)[..., None]
    return target_scores, target_index, in_ignored.any(1) & (best == 0)


def _cells_inside(centres_px: Tensor, boxes_px: Tensor) -> Tensor:
    """Return which cells ``(B, M, cells)`` lie in a box; small boxes are enlarged to one cell."""
    box_centres_px = (boxes_px[..., :2] + boxes_px[..., 2:])[:, :, None] / 2
    half_px = ((boxes_px[..., 2:] - boxes_px[..., :2])[:, :, None] / 2).clamp_min(
        STRIDES_PX[0] / 2)
    return ((centres_px - box_centres_px).abs() < half_px).all(-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes ``(..., 4)`` that broadcast."""
    intersection, union, _ = _areas(a, b)
    return intersection / union.clamp_min(1e-6)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return IoU minus the fraction of the hull outside both boxes (Rezatofighi et al. 2019)."""
    intersection, union, hull = _areas(a, b)
    return intersection / union.clamp_min(1e-6) - (hull - union) / hull.clamp_min(1e-6)


def _areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the areas of the intersection, the union and the hull."""
    intersection = (torch.minimum(a[..., 2:], b[..., 2:])
                    - torch.maximum(a[..., :2], b[..., :2])).clamp_min(0).prod(-1)
    union = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)) - intersection
    hull = (torch.maximum(a[..., 2:], b[..., 2:])
            - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    return intersection, union, hull
