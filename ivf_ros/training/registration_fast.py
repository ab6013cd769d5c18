# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the feature maps of ``fast`` on aligned pairs that are misaligned at random.

    ivf train registration-fast --data DIR --out runs/registration_fast

The training uses the maps as the method does. The RGB map is warped onto the thermal map by a
homography with an error. A block of the thermal map is correlated with it at all displacements in
reach. The softmax of the correlations is the probability of the displacements, and the loss is the
negative logarithm of the probability of the true one. Real pairs are not aligned exactly. So this
probability is averaged over a Gaussian around the label, and the network learns which of these
displacements is the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ivf_ros import geometry
from ivf_ros.registration.network_fast import FastNetwork, STRIDES
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
from ivf_ros.training.settings import FastTraining
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass(frozen=True)
class MatchingLevel:
    """
    Block matching in one map during training.

    Attributes
    ----------
    side, reach:
        Side of a block and largest displacement along x and y, in pixels of the map.
    corners_px, shift_px:
        Largest error of the homography that warps RGB onto thermal: of each corner independently,
        and of all corners together, in pixels of the image.

    """

    side: int
    reach: int
    corners_px: float
    shift_px: float


LEVELS = (MatchingLevel(4, 8, 12.0, 52.0), MatchingLevel(8, 8, 8.0, 20.0),
          MatchingLevel(10, 5, 2.5, 7.0))  # one level for each of ``STRIDES``


def train(scenes: Sequence[Scene], out: Path, settings: FastTraining,
          overfit: bool = False) -> FastNetwork:
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
        See ``FastTraining``.
    overfit:
        Train on a single batch, as a test: the loss must decrease strongly.

    """
    torch.manual_seed(settings.seed)
    network = FastNetwork()
    draw_batch = loop.make_batch_sampler(make_example_sampler(settings), scenes, settings.batch)
    return loop.run(network, lambda batch: compute_losses(network, batch, settings), draw_batch,
                    out, settings, overfit)


def compute_losses(network: FastNetwork, batch: Sequence[Example],
                   settings: FastTraining) -> loop.Losses:
    """Return the sum of the losses of the three maps; for the log each loss and block recall."""
    thermal, rgb, H, label_sigma_px = to_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        thermal_maps, rgb_maps = network(thermal, rgb)
    logged, total = {}, torch.zeros(())
    for index, (name, level) in enumerate(zip(('eighth', 'quarter', 'half'), LEVELS)):
        H_start = H @ _random_misalignment(len(batch), level)
        logged[name], logged[name + '_found'] = block_loss(
            thermal_maps[index], rgb_maps[index], H, H_start, level, STRIDES[index],
            label_sigma_px / STRIDES[index], network.log_scales[index].exp(), settings.blocks)
        total = total + logged[name]
    return total, logged


def block_loss(thermal: Tensor, rgb: Tensor, H: Tensor, H_start: Tensor, level: MatchingLevel,
               stride: int, label_sigma: Tensor, scale: Tensor, blocks: int
               ) -> tuple[Tensor, Tensor]:
    """
    Return the matching loss of random blocks of the thermal map in the RGB map.

    loss = -log sum_d p(d) w(d), with p the softmax of the scaled correlation over displacements d
    and w a Gaussian around the true one.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` maps.
    H, H_start:
        ``(B, 3, 3)`` from thermal to RGB pixels: the label, and the start of the search.
    level, stride:
        Matching parameters and stride of the maps.
    label_sigma:
        ``(B,)`` standard deviation of the label, in pixels of the map.
    scale:
        Factor of the correlations before the softmax.
    blocks:
        Number of blocks per image.

    Returns
    -------
    loss, found
        Scalars; ``found`` is the fraction of blocks within 1.5 pixels of the map from the label.

    """
    count, _, height, width = thermal.shape
    reach, side = level.reach, level.side
    x = torch.randint(width - side + 1, (count, blocks)) + side // 2
    y = torch.randint(height - side + 1, (count, blocks)) + side // 2
    centres = torch.stack([x, y], -1).float()
    block_offsets, region_offsets = (
        _square(torch.arange(side + 2 * margin).float() - side // 2 - margin)
        for margin in (0, reach))
    block = _sample(thermal, centres[:, :, None] + block_offsets)  # (B, N, side^2, C)
    search_region = _sample(rgb, map_pixels(centres[:, :, None] + region_offsets, H_start,
                                            stride))

    correlation = _correlation(block, search_region, side, reach)
    undisplaced = search_region.unflatten(2, (side + 2 * reach,) * 2)[
        :, :, reach:-reach, reach:-reach].flatten(2)
    energy = block.flatten(2).square().sum(2) * undisplaced.square().sum(2)
    logits = scale * correlation / (energy + 1e-4).sqrt()[..., None]

    target = map_pixels(centres, H, stride)
    true_displacement = map_pixels(target, torch.linalg.inv(H_start), stride) - centres
    displacement = _square(torch.arange(-reach, reach + 1).float())  # (D, 2)
    sigma = (label_sigma ** 2 + 0.4 ** 2).sqrt()[:, None, None]
    squared_distance = (true_displacement[:, :, None] - displacement).square().sum(3)
    log_weight = F.log_softmax(-squared_distance / (2 * sigma ** 2), 2)
    # A block counts if its true position is within reach and inside the RGB image.
    valid = (true_displacement.abs().amax(2) <= reach) & (target >= 0).all(2) \
        & (target <= torch.tensor([width - 1.0, height - 1.0])).all(2)
    if not valid.any():
        return logits.sum() * 0, torch.zeros(())
    loss = -torch.logsumexp(F.log_softmax(logits, 2) + log_weight, 2)
    with torch.no_grad():
        is_near = squared_distance.gather(2, logits.argmax(2, keepdim=True))[..., 0] <= 1.5 ** 2
    return loss[valid].mean(), is_near[valid].float().mean()


def _random_misalignment(count: int, level: MatchingLevel) -> Tensor:
    """Return ``(count, 3, 3)`` random homographies, the errors at the start of the search."""
    corners = geometry.corners_px((WIDTH_PX, HEIGHT_PX))
    corner_offsets = (2 * torch.rand(count, 4, 2) - 1) * level.corners_px \
        + (2 * torch.rand(count, 1, 2) - 1) * level.shift_px
    return torch.from_numpy(np.stack([geometry.from_corners(corners, corners + offsets)
                                      for offsets in corner_offsets.double().numpy()])).float()


def _square(axis: Tensor) -> Tensor:
    """Return x and y ``(n * n, 2)`` of a square grid in row-major order."""
    return torch.cartesian_prod(axis, axis).flip(1)


def _sample(features: Tensor, points: Tensor) -> Tensor:
    """Return the vectors ``(B, N, M, C)`` at points ``(B, N, M, 2)``; zero beyond the border."""
    height, width = features.shape[2:]
    grid = 2 * points / torch.tensor([width - 1.0, height - 1.0]) - 1
    sampled = F.grid_sample(features, grid, mode='bilinear', align_corners=True)
    return sampled.permute(0, 2, 3, 1)


def _correlation(block: Tensor, search_region: Tensor, side: int, reach: int) -> Tensor:
    """
    Return the correlation ``(B, N, D)`` of blocks with search regions at all displacements.

    One matrix product multiplies all pixels of a block with all pixels of its search region. The
    products at the same displacement are summed.
    """
    region_side = side + 2 * reach
    pixel = torch.arange(side)[:, None] * region_side + torch.arange(side)
    displacement = (torch.arange(2 * reach + 1)[:, None] * region_side
                    + torch.arange(2 * reach + 1)).flatten()
    row_start = torch.arange(side * side) * region_side * region_side
    index = (row_start + pixel.flatten())[None] + displacement[:, None]  # (D, side^2)
    products = (block @ search_region.transpose(2, 3)).flatten(2)
    return products[..., index.flatten()].unflatten(2, index.shape).sum(3)
