# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains the network of ``dfa`` on aligned pairs that are misaligned at random.

    ivf train registration-dfa --data DIR --out runs/dfa

Three losses: the cross-entropy of each coarse cell over all cells of the other image, in both
directions; whether the weight of a cell told that it would be found; and the likelihood of the
place of small patches among the displacements near it. The true place lies between cells, so the
target is shared by the four around it in proportion.
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
    as_tensors,
    Example,
    examples,
    HEIGHT_PX,
    map_pixels,
    Scene,
    WIDTH_PX,
)
from ivf_ros.training.settings import DfaTraining
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

_LEAST_MOVED_PX = 8  # mean over the corners
_OFFSET = 3.0  # fine cells: how far the middle of what is offered lies from the true place


def train(scenes: Sequence[Scene], out: Path, settings: DfaTraining,
          overfit: bool = False) -> DfaNetwork:
    """
    Train, or go on training where ``out`` holds a checkpoint of the same settings.

    Parameters
    ----------
    scenes:
        To draw examples from, in proportion to the square root of how many a data set has.
    out:
        Folder for ``checkpoint.pt`` and ``log.jsonl``, one line every 20 steps.
    settings:
        How, and which modules the network has.
    overfit:
        See the same batch again and again: the loss must fall far.

    Raises
    ------
    WeightsError
        The weight file to start from is missing, damaged, or of another network.

    """
    torch.manual_seed(settings.seed)
    network = DfaNetwork(settings.sfm, settings.fem)
    if settings.start_from:
        baseline = weights.load(DfaNetwork(sfm=False, fem=False), Path(settings.start_from))
        network.load_state_dict(baseline.state_dict(), strict=False)  # modules begin as nothing
    return loop.run(network, lambda batch: losses(network, batch, settings),
                    loop.make_batch_sampler(examples(settings), scenes, settings.batch), out, settings,
                    overfit)


def losses(network: DfaNetwork, batch: Sequence[Example], settings: DfaTraining) -> loop.Losses:
    """Return the sum of the three losses; each, and the shares of cells and patches found."""
    thermal, rgb, H, label_sigma_px = as_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        coarse, weight, fine = network(thermal, rgb)
    count = len(batch)
    logged = {name: torch.zeros(()) for name in ('coarse', 'weight', 'found')}
    # Where nearly nothing moved, where a cell lies would tell what it matches.
    far = [index for index, one in enumerate(batch) if geometry.corner_error_px(
        one.H_thermal_to_rgb, np.eye(3), (WIDTH_PX, HEIGHT_PX)) > _LEAST_MOVED_PX]
    if far:
        scale, points = network.coarse_log_scale.exp(), settings.coarse_points
        of_thermal, of_rgb = ((coarse[part][far], weight[part][far])
                              for part in (slice(count), slice(count, None)))
        there = coarse_loss(*of_thermal, of_rgb[0], H[far], scale, points)
        back = coarse_loss(*of_rgb, of_thermal[0], torch.linalg.inv(H[far]), scale, points)
        logged = {name: (a + b) / 2 for name, a, b in zip(logged, there, back)}
    logged['fine'], logged['placed'] = fine_loss(
        fine[:count], fine[count:], H, label_sigma_px / FINE_STRIDE, network.fine_log_scale.exp(),
        settings.fine_points)
    total = logged['coarse'] + settings.weight_weight * logged['weight'] \
        + settings.fine_weight * logged['fine']
    return total, logged


def coarse_loss(queries: Tensor, weight: Tensor, candidates: Tensor, H: Tensor, scale: Tensor,
                points: int) -> tuple[Tensor, Tensor, Tensor]:
    """
    Look for random cells of one image among all cells of the other.

    Parameters
    ----------
    asked, offered:
        ``(B, C, h, w)`` coarse descriptors.
    weight:
        ``(B, h, w)`` of the cells that are queries for, as logits.
    H:
        ``(B, 3, 3)`` from pixels of the one to pixels of the other.
    scale:
        By which similarities are multiplied before the softmax.
    points:
        How many random cells of an image are looked for.

    Returns
    -------
    loss, weight_loss, found
        Scalars: the cross-entropy of the right cell; the cross-entropy of the weight and whether
        the most similar cell is within one cell of where it should be; the share of those.

    """
    count, _, height, width = queries.shape
    chosen = torch.randint(height * width, (count, points))
    similarity = scale * torch.einsum('bpc,bcn->bpn', _gather(queries, chosen),
                                      candidates.flatten(2))
    cells = torch.stack([chosen % width, chosen // width], -1).float()
    places = map_pixels(cells, H, COARSE_STRIDE)
    inside = _inside(places, width, height)
    with torch.no_grad():
        best = similarity.argmax(2)
        off = torch.stack([best % width, best // width], -1) - places
        found = (inside & (off.abs().amax(-1) <= 1)).float()
    weight_loss = F.binary_cross_entropy_with_logits(weight.flatten(1).gather(1, chosen), found)
    if not inside.any():
        return similarity.sum() * 0, weight_loss, found.mean()
    logarithm = similarity[inside].log_softmax(1).unflatten(1, (height, width))
    base = places[inside].floor().clamp(min=0)
    base = torch.minimum(base, torch.tensor([width - 2.0, height - 2.0]))
    part = places[inside] - base
    x, y = base.long().unbind(1)
    corners = logarithm[torch.arange(len(x))[:, None, None], (y[:, None] + torch.arange(2))[
        :, :, None], (x[:, None] + torch.arange(2))[:, None]]
    return -_interpolate_bilinear(corners, part).mean(), weight_loss, found[inside].mean()


def fine_loss(thermal: Tensor, rgb: Tensor, H: Tensor, label_sigma: Tensor, scale: Tensor,
              points: int) -> tuple[Tensor, Tensor]:
    """
    Look for small thermal patches among all displacements within ``REACH`` in RGB.

    RGB descriptors are brought onto the thermal grid around each patch, with an offset of the
    middle that is make_batch_sampler at random for each, so that it tells nothing. The label itself may be off
    by some cells d, which is drawn from a normal distribution that is known: the loss is
    -log sum_d N(d) exp(-L(d)), where L(d) is the cross-entropy if the label were off by d.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` fine descriptors.
    H:
        ``(B, 3, 3)`` from thermal to RGB pixels.
    label_sigma:
        ``(B,)`` standard deviation in fine cells of how far off H is.
    scale:
        By which similarities are multiplied before the softmax.
    points:
        How many random patches of an image are looked for.

    Returns
    -------
    loss, placed
        Scalars; ``placed`` is the share of patches whose most similar place is within one fine
        cell of where it should be.

    """
    count, _, height, width = thermal.shape
    left = torch.randint(width - PATCH + 1, (count, points))
    top = torch.randint(height - PATCH + 1, (count, points))
    offset = _OFFSET * (2 * torch.rand(count, points, 2) - 1)
    queries = _patches_at(thermal, left, top)
    corner = torch.stack([left, top], -1).float()
    candidates, inside = _sample_windows(rgb, corner + offset, H)
    logits = scale * patch_similarity(queries, candidates)
    place = REACH - offset.flatten(0, 1)  # among the displacements
    sigma = label_sigma[:, None].expand(-1, points).flatten()
    logits, place, sigma = logits[inside], place[inside], sigma[inside]
    if not len(logits):
        return logits.sum() * 0, torch.zeros(())
    with torch.no_grad():
        best = logits.flatten(1).argmax(1)
        side = logits.shape[2]
        off = torch.stack([best % side, best // side], 1) - place
        placed = (off.abs().amax(1) <= 1).float().mean()
    return label_likelihood(logits, place, sigma), placed


def label_likelihood(logits: Tensor, place: Tensor, sigma: Tensor) -> Tensor:
    """
    Return the mean over N of -log sum_d N(d) exp(-L(d)), see ``fine_loss``.

    ``logits`` is ``(N, side, side)``, ``place`` ``(N, 2)`` x and y of the label in it, ``sigma``
    ``(N,)`` its standard deviation. Where that is nothing, it is the cross-entropy of the label.
    """
    side = logits.shape[2]
    logarithm = logits.flatten(1).log_softmax(1).unflatten(1, (side, side))
    whole, part = place.floor(), place - place.floor()
    # Minus the cross-entropy if the label were at any place with the same fraction.
    mixed = _interpolate_bilinear(torch.stack([
        torch.stack([logarithm[:, :-1, :-1], logarithm[:, :-1, 1:]], -1),
        torch.stack([logarithm[:, 1:, :-1], logarithm[:, 1:, 1:]], -1)], -2),
        part[:, None, None])
    axis = torch.arange(side - 1)
    dx, dy = axis - whole[:, :1], axis - whole[:, 1:]
    squared = dy.square()[:, :, None] + dx.square()[:, None]
    prior = (-squared / (2 * (sigma + 0.05).square())[:, None, None]).flatten(1).log_softmax(1)
    return -torch.logsumexp(mixed.flatten(1) + prior, 1).mean()


def _patches_at(features: Tensor, left: Tensor, top: Tensor) -> Tensor:
    """Cut patches (B * P, C, PATCH, PATCH) with these corners (B, P) out of (B, C, h, w)."""
    width = features.shape[3]
    axis = torch.arange(PATCH)
    index = (top[..., None, None] + axis[:, None]) * width + left[..., None, None] + axis
    vectors = _gather(features, index.flatten(1)).unflatten(1, (-1, PATCH * PATCH))
    return vectors.flatten(0, 1).transpose(1, 2).unflatten(2, (PATCH, PATCH))


def _sample_windows(rgb: Tensor, corner: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
    """
    Bring what lies around thermal patches in RGB onto the thermal grid.

    Takes the upper left corners of the patches (B, P, 2); returns (B * P, C, side, side) of unit
    length, REACH cells more to each side, and for which patches RGB shows all but the margin.
    """
    height, width = rgb.shape[2:]
    side = PATCH + 2 * REACH
    axis = torch.arange(side) - float(REACH)
    x, y = torch.meshgrid(axis, axis, indexing='xy')
    cells = corner[:, :, None] + torch.stack([x, y], -1).flatten(0, 1)
    places = map_pixels(cells, H, FINE_STRIDE)
    middle = places[:, :, REACH * side + REACH::side + 1][:, :, :PATCH]  # a diagonal of the patch
    inside = _inside(middle, width, height).all(2)
    unit = (places + 0.5) * (2 / torch.tensor([width, height])) - 1
    sampled = F.grid_sample(rgb, unit, mode='bilinear', padding_mode='border',
                            align_corners=False)
    patches = F.normalize(sampled, dim=1).transpose(1, 2).flatten(0, 1)
    return patches.unflatten(2, (side, side)), inside.flatten()


def _interpolate_bilinear(corners: Tensor, part: Tensor) -> Tensor:
    """Interpolate (..., 2, 2) rows and columns bilinearly at ``part`` (..., 2), x and y."""
    x, y = part.unbind(-1)
    upper, lower = (corners[..., row, 0] * (1 - x) + corners[..., row, 1] * x for row in (0, 1))
    return upper * (1 - y) + lower * y


def _inside(places: Tensor, width: int, height: int) -> Tensor:
    x, y = places.unbind(-1)
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _gather(features: Tensor, index: Tensor) -> Tensor:
    """Return the vectors (B, N, C) at flat places (B, N) of features (B, C, h, w)."""
    flat = features.flatten(2).transpose(1, 2)
    return torch.gather(flat, 1, index[..., None].expand(-1, -1, flat.shape[2]))
