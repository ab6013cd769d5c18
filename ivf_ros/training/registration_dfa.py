# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the network of ``dfa`` on aligned pairs that are misaligned at random.

    ivf train registration-dfa --data DIR --out runs/dfa

There are three losses: the cross-entropy of each coarse cell over all cells of the other image, in
both directions; the cross-entropy of the weight of a cell, which predicts whether the cell is
found; and the likelihood of the displacement of small patches. The true position is between cells,
so the target is distributed bilinearly over the four cells around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ivf_ros import geometry
from ivf_ros.nn import weights
from ivf_ros.registration.dfa.network import DfaNetwork
from ivf_ros.registration.dfa.network_matching import (
    COARSE_STRIDE,
    FINE_STRIDE,
    PATCH,
    patch_similarity,
    REACH,
)
from ivf_ros.training import loop
from ivf_ros.training.registration_data import (
    Example,
    HEIGHT_PX,
    make_example_sampler,
    map_pixels,
    Scene,
    to_tensors,
    WIDTH_PX,
)
from ivf_ros.training.settings import DfaTraining
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

_MIN_MISALIGNMENT_PX = 8  # of the coarse loss, mean over the corners
_MAX_OFFSET = 3.0  # fine cells, from the true position of a patch to the centre of its window


def train(scenes: Sequence[Scene], out: Path, settings: DfaTraining,
          overfit: bool = False) -> DfaNetwork:
    """
    Train the network, or continue if ``out`` holds a checkpoint of the same settings.

    Parameters
    ----------
    scenes:
        Scenes for the examples. A data set is drawn with a probability proportional to the square
        root of the number of its scenes.
    out:
        Folder for ``checkpoint.pt`` and ``log.jsonl``, with one line every 20 steps.
    settings:
        See ``DfaTraining``; they include the modules of the network.
    overfit:
        Train on a single batch, as a test: the loss must decrease strongly.

    Raises
    ------
    WeightsError
        The weight file to start from is missing, damaged, or belongs to another network.

    """
    torch.manual_seed(settings.seed)
    network = DfaNetwork(settings.sfm, settings.fem)
    if settings.start_from:
        baseline = weights.load(DfaNetwork(sfm=False, fem=False), Path(settings.start_from))
        network.load_state_dict(baseline.state_dict(), strict=False)  # the modules start as zero
    draw_batch = loop.make_batch_sampler(make_example_sampler(settings), scenes, settings.batch)
    return loop.run(network, lambda batch: compute_losses(network, batch, settings), draw_batch,
                    out, settings, overfit)


def compute_losses(network: DfaNetwork, batch: Sequence[Example],
                   settings: DfaTraining) -> loop.Losses:
    """Return the sum of the three losses; for the log each loss, and cell and patch recall."""
    thermal, rgb, H, label_sigma_px = to_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        coarse, weight, fine = network(thermal, rgb)
    count = len(batch)
    logged = {name: torch.zeros(()) for name in ('coarse', 'weight', 'found')}
    # With a small misalignment the position of a cell in the image would predict its match.
    used = [index for index, example in enumerate(batch) if geometry.corner_error_px(
        example.H_thermal_to_rgb, np.eye(3), (WIDTH_PX, HEIGHT_PX)) > _MIN_MISALIGNMENT_PX]
    if used:
        scale, points = network.coarse_log_scale.exp(), settings.coarse_points
        thermal_cells, rgb_cells = ((coarse[part][used], weight[part][used])
                                    for part in (slice(count), slice(count, None)))
        forward = coarse_loss(*thermal_cells, rgb_cells[0], H[used], scale, points)
        backward = coarse_loss(*rgb_cells, thermal_cells[0], torch.linalg.inv(H[used]), scale,
                               points)
        logged = {name: (a + b) / 2 for name, a, b in zip(logged, forward, backward)}
    logged['fine'], logged['placed'] = fine_loss(
        fine[:count], fine[count:], H, label_sigma_px / FINE_STRIDE, network.fine_log_scale.exp(),
        settings.fine_points)
    total = logged['coarse'] + settings.weight_weight * logged['weight'] \
        + settings.fine_weight * logged['fine']
    return total, logged


def coarse_loss(queries: Tensor, weight: Tensor, candidates: Tensor, H: Tensor, scale: Tensor,
                points: int) -> tuple[Tensor, Tensor, Tensor]:
    """
    Return the losses of random cells of one image, matched with all cells of the other.

    Parameters
    ----------
    queries, candidates:
        ``(B, C, h, w)`` coarse descriptors of the two images.
    weight:
        ``(B, h, w)`` logits, the weights of the query cells.
    H:
        ``(B, 3, 3)`` from pixels of the query image to pixels of the candidate image.
    scale:
        Factor of the similarities before the softmax.
    points:
        Number of random query cells per image.

    Returns
    -------
    loss, weight_loss, found
        Scalars: the cross-entropy of the true cell; the cross-entropy between the weight and
        whether the most similar cell is within one cell of the true position; the fraction of such
        cells.

    """
    count, _, height, width = queries.shape
    index = torch.randint(height * width, (count, points))
    similarity = scale * torch.einsum('bpc,bcn->bpn', _gather(queries, index),
                                      candidates.flatten(2))
    cells = torch.stack([index % width, index // width], -1).float()
    target = map_pixels(cells, H, COARSE_STRIDE)
    inside = _inside(target, width, height)
    with torch.no_grad():
        best = similarity.argmax(2)
        residual = torch.stack([best % width, best // width], -1) - target
        found = (inside & (residual.abs().amax(-1) <= 1)).float()
    weight_loss = F.binary_cross_entropy_with_logits(weight.flatten(1).gather(1, index), found)
    if not inside.any():
        return similarity.sum() * 0, weight_loss, found.mean()
    log_probability = similarity[inside].log_softmax(1).unflatten(1, (height, width))
    base = target[inside].floor().clamp(min=0)
    base = torch.minimum(base, torch.tensor([width - 2.0, height - 2.0]))
    fraction = target[inside] - base
    x, y = base.long().unbind(1)
    corners = log_probability[torch.arange(len(x))[:, None, None],
                              (y[:, None] + torch.arange(2))[:, :, None],
                              (x[:, None] + torch.arange(2))[:, None]]
    return -_interpolate_bilinear(corners, fraction).mean(), weight_loss, found[inside].mean()


def fine_loss(thermal: Tensor, rgb: Tensor, H: Tensor, label_sigma: Tensor, scale: Tensor,
              points: int) -> tuple[Tensor, Tensor]:
    """
    Return the matching loss of random thermal patches over all displacements within ``REACH``.

    RGB descriptors are warped onto the thermal grid around each patch. A random offset of the
    window makes its centre uninformative. The label has an error of d cells with a known normal
    distribution N. The loss is -log sum_d N(d) exp(-L(d)), where L(d) is the cross-entropy for a
    label shifted by d.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` fine descriptors.
    H:
        ``(B, 3, 3)`` from thermal to RGB pixels.
    label_sigma:
        ``(B,)`` standard deviation of the error of H, in fine cells.
    scale:
        Factor of the similarities before the softmax.
    points:
        Number of random patches per image.

    Returns
    -------
    loss, placed
        Scalars; ``placed`` is the fraction of patches with the most similar displacement within
        one fine cell of the true one.

    """
    count, _, height, width = thermal.shape
    left = torch.randint(width - PATCH + 1, (count, points))
    top = torch.randint(height - PATCH + 1, (count, points))
    offset = _MAX_OFFSET * (2 * torch.rand(count, points, 2) - 1)
    queries = _patches_at(thermal, left, top)
    corner = torch.stack([left, top], -1).float()
    candidates, inside = _sample_windows(rgb, corner + offset, H)
    logits = scale * patch_similarity(queries, candidates)
    label = REACH - offset.flatten(0, 1)  # position in the grid of displacements
    sigma = label_sigma[:, None].expand(-1, points).flatten()
    logits, label, sigma = logits[inside], label[inside], sigma[inside]
    if not len(logits):
        return logits.sum() * 0, torch.zeros(())
    with torch.no_grad():
        best = logits.flatten(1).argmax(1)
        side = logits.shape[2]
        residual = torch.stack([best % side, best // side], 1) - label
        placed = (residual.abs().amax(1) <= 1).float().mean()
    return label_loss(logits, label, sigma), placed


def label_loss(logits: Tensor, label: Tensor, sigma: Tensor) -> Tensor:
    """
    Return the mean over N of -log sum_d N(d) exp(-L(d)), see ``fine_loss``.

    ``logits`` is ``(N, side, side)``. ``label`` is ``(N, 2)``, x and y of the label in it.
    ``sigma`` is ``(N,)``, the standard deviation of the label. For ``sigma`` 0 the loss is the
    cross-entropy of the label.
    """
    side = logits.shape[2]
    log_probability = logits.flatten(1).log_softmax(1).unflatten(1, (side, side))
    whole, fraction = label.floor(), label - label.floor()
    # The negative cross-entropy of labels at all positions with the same fraction.
    log_likelihood = _interpolate_bilinear(torch.stack([
        torch.stack([log_probability[:, :-1, :-1], log_probability[:, :-1, 1:]], -1),
        torch.stack([log_probability[:, 1:, :-1], log_probability[:, 1:, 1:]], -1)], -2),
        fraction[:, None, None])
    axis = torch.arange(side - 1)
    dx, dy = axis - whole[:, :1], axis - whole[:, 1:]
    squared = dy.square()[:, :, None] + dx.square()[:, None]
    log_prior = (-squared / (2 * (sigma + 0.05).square())[:, None, None]) \
        .flatten(1).log_softmax(1)
    return -torch.logsumexp(log_likelihood.flatten(1) + log_prior, 1).mean()


def _patches_at(features: Tensor, left: Tensor, top: Tensor) -> Tensor:
    """Return patches (B * P, C, PATCH, PATCH) of (B, C, h, w) at these corners (B, P)."""
    width = features.shape[3]
    axis = torch.arange(PATCH)
    index = (top[..., None, None] + axis[:, None]) * width + left[..., None, None] + axis
    vectors = _gather(features, index.flatten(1)).unflatten(1, (-1, PATCH * PATCH))
    return vectors.flatten(0, 1).transpose(1, 2).unflatten(2, (PATCH, PATCH))


def _sample_windows(rgb: Tensor, corner: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
    """
    Warp RGB descriptors around thermal patches onto the thermal grid.

    ``corner`` is the upper left corner of each patch ``(B, P, 2)``. Returns windows ``(B * P, C,
    side, side)`` of unit length, with a margin of REACH cells on each side, and ``(B * P,)`` bool,
    True for patches that are inside RGB without the margin.
    """
    height, width = rgb.shape[2:]
    side = PATCH + 2 * REACH
    axis = torch.arange(side) - float(REACH)
    x, y = torch.meshgrid(axis, axis, indexing='xy')
    cells = corner[:, :, None] + torch.stack([x, y], -1).flatten(0, 1)
    points = map_pixels(cells, H, FINE_STRIDE)
    diagonal = points[:, :, REACH * side + REACH::side + 1][:, :, :PATCH]  # of the patch
    inside = _inside(diagonal, width, height).all(2)
    grid = (points + 0.5) * (2 / torch.tensor([width, height])) - 1
    sampled = F.grid_sample(rgb, grid, mode='bilinear', padding_mode='border',
                            align_corners=False)
    patches = F.normalize(sampled, dim=1).transpose(1, 2).flatten(0, 1)
    return patches.unflatten(2, (side, side)), inside.flatten()


def _interpolate_bilinear(corners: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate (..., 2, 2) rows and columns at ``fraction`` (..., 2), x and y."""
    x, y = fraction.unbind(-1)
    upper, lower = (corners[..., row, 0] * (1 - x) + corners[..., row, 1] * x for row in (0, 1))
    return upper * (1 - y) + lower * y


def _inside(points: Tensor, width: int, height: int) -> Tensor:
    """Return whether points (..., 2) are inside a map: (...) bool."""
    x, y = points.unbind(-1)
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _gather(features: Tensor, index: Tensor) -> Tensor:
    """Return the vectors (B, N, C) at flat indices (B, N) of features (B, C, h, w)."""
    flat = features.flatten(2).transpose(1, 2)
    return torch.gather(flat, 1, index[..., None].expand(-1, -1, flat.shape[2]))
