# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains the maps of ``fast`` on aligned pairs that are misaligned at random.

    ivf train registration-fast --data DIR --out runs/registration_fast

It is trained for what the maps are used for. A block of the thermal map is correlated with the
RGB map, laid onto it by a homography that is somewhat off, at all displacements in reach; the
softmax of the correlations says where the block lies, and the loss is the negative logarithm of
the probability at the true displacement. No real pair is aligned exactly, so this probability is
averaged over where the truth may be, a Gaussian: the network finds out by itself at which of
these places both cameras see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ivf_ros import geometry
from ivf_ros.registration.network_fast import FastNetwork, STRIDES
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
from ivf_ros.training.settings import FastTraining
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F


@dataclass(frozen=True)
class MatchingLevel:
    """
    How blocks of one map are looked for.

    Attributes
    ----------
    side, reach:
        Of a block, and how far off it may be along either axis, in pixels of the map.
    corners_px, shift_px:
        By how much the homography that lays RGB onto thermal is off in training: each corner by
        itself, and all of them together; in pixels of the image.

    """

    side: int
    reach: int
    corners_px: float
    shift_px: float


LEVELS = (MatchingLevel(4, 8, 12.0, 52.0), MatchingLevel(8, 8, 8.0, 20.0), MatchingLevel(10, 5, 2.5, 7.0))


def train(scenes: Sequence[Scene], out: Path, settings: FastTraining,
          overfit: bool = False) -> FastNetwork:
    """
    Train, or go on training where ``out`` holds a checkpoint of the same settings.

    Parameters
    ----------
    scenes:
        To draw examples from, in proportion to the square root of how many a data set has.
    out:
        Folder for ``checkpoint.pt`` and ``log.jsonl``, one line every 20 steps.
    settings:
        How.
    overfit:
        See the same batch again and again: the loss must fall far.

    """
    torch.manual_seed(settings.seed)
    network = FastNetwork()
    return loop.run(network, lambda batch: losses(network, batch, settings),
                    loop.make_batch_sampler(examples(settings), scenes, settings.batch), out, settings,
                    overfit)


def losses(network: FastNetwork, batch: Sequence[Example], settings: FastTraining) -> loop.Losses:
    """Return the sum of the losses of the three maps; each, and the share of blocks found."""
    thermal, rgb, H, label_sigma_px = as_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        of_thermal, of_rgb = network(thermal, rgb)
    logged, total = {}, torch.zeros(())
    for index, (name, level) in enumerate(zip(('eighth', 'quarter', 'half'), LEVELS)):
        H_start = H @ _random_misalignment(len(batch), level)
        logged[name], logged[name + '_found'] = block_loss(
            of_thermal[index], of_rgb[index], H, H_start, level, STRIDES[index],
            label_sigma_px / STRIDES[index], network.log_scales[index].exp(), settings.blocks)
        total = total + logged[name]
    return total, logged


def block_loss(thermal: Tensor, rgb: Tensor, H: Tensor, H_start: Tensor, level: MatchingLevel,
               stride: int, label_sigma: Tensor, scale: Tensor, blocks: int
               ) -> tuple[Tensor, Tensor]:
    """
    Return how badly random blocks of the thermal map are found in the RGB map.

    loss = -log sum_d p(d) w(d), with p the softmax of the scaled correlation over displacements d
    and w a Gaussian around the true one.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` maps.
    H, H_start:
        ``(B, 3, 3)`` from thermal to RGB pixels: the label, and where the search begins.
    level, stride:
        Of the maps.
    label_sigma:
        ``(B,)`` standard deviation of the label, in pixels of the map.
    scale:
        By which correlations are multiplied before the softmax.
    blocks:
        How many blocks of an image are looked for.

    Returns
    -------
    loss, found
        Scalars; ``found`` is the share of blocks within one pixel of the map of the label.

    """
    count, _, height, width = thermal.shape
    reach, side = level.reach, level.side
    # The middle pixel of a block and what surrounds it, as offsets along x and y.
    x = torch.randint(width - side + 1, (count, blocks)) + side // 2
    y = torch.randint(height - side + 1, (count, blocks)) + side // 2
    centres = torch.stack([x, y], -1).float()
    inner, outer = (_square(torch.arange(side + 2 * more).float() - side // 2 - more)
                    for more in (0, reach))
    block = _sampled(thermal, centres[:, :, None] + inner)  # (B, N, side^2, C)
    search_region = _sampled(rgb, map_pixels(centres[:, :, None] + outer, H_start, stride))

    correlation = _correlation(block, search_region, side, reach)
    undisplaced = search_region.unflatten(2, (side + 2 * reach,) * 2)[
        :, :, reach:-reach, reach:-reach].flatten(2)
    energy = block.flatten(2).square().sum(2) * undisplaced.square().sum(2)
    logits = scale * correlation / (energy + 1e-4).sqrt()[..., None]

    place = map_pixels(centres, H, stride)
    true = map_pixels(place, torch.linalg.inv(H_start), stride) - centres
    displacement = _square(torch.arange(-reach, reach + 1).float())  # (D, 2)
    sigma = (label_sigma ** 2 + 0.4 ** 2).sqrt()[:, None, None]
    squared_distance = (true[:, :, None] - displacement).square().sum(3)
    label = F.log_softmax(-squared_distance / (2 * sigma ** 2), 2)
    # A block counts where its true place is within reach and in the RGB image.
    valid = (true.abs().amax(2) <= reach) & (place >= 0).all(2) \
        & (place <= torch.tensor([width - 1.0, height - 1.0])).all(2)
    if not valid.any():
        return logits.sum() * 0, torch.zeros(())
    lost = -torch.logsumexp(F.log_softmax(logits, 2) + label, 2)
    with torch.no_grad():
        near = squared_distance.gather(2, logits.argmax(2, keepdim=True))[..., 0] <= 1.5 ** 2
    return lost[valid].mean(), near[valid].float().mean()


def _random_misalignment(count: int, level: MatchingLevel) -> Tensor:
    """Return ``(count, 3, 3)`` homographies by which the search begins too far off."""
    corners = geometry.corners_px((WIDTH_PX, HEIGHT_PX))
    corner_offsets = (2 * torch.rand(count, 4, 2) - 1) * level.corners_px \
        + (2 * torch.rand(count, 1, 2) - 1) * level.shift_px
    return torch.from_numpy(np.stack([geometry.from_corners(corners, corners + one)
                                      for one in corner_offsets.double().numpy()])).float()


def _square(axis: Tensor) -> Tensor:
    """Return x and y ``(n * n, 2)`` of a square, row by row."""
    return torch.cartesian_prod(axis, axis).flip(1)


def _sampled(features: Tensor, places: Tensor) -> Tensor:
    """Return the vectors ``(B, N, M, C)`` at places ``(B, N, M, 2)``; zero beyond the border."""
    height, width = features.shape[2:]
    grid = 2 * places / torch.tensor([width - 1.0, height - 1.0]) - 1
    found = F.grid_sample(features, grid, mode='bilinear', align_corners=True)
    return found.permute(0, 2, 3, 1)


def _correlation(block: Tensor, search_region: Tensor, side: int, reach: int) -> Tensor:
    """
    Return the correlation ``(B, N, D)`` of blocks with their surroundings at all displacements.

    Every pixel of the block meets every pixel around it in one product of matrices; of these the
    ones at the same displacement are added up.
    """
    wide = side + 2 * reach
    pixel = torch.arange(side)[:, None] * wide + torch.arange(side)
    displacement = (torch.arange(2 * reach + 1)[:, None] * wide
                    + torch.arange(2 * reach + 1)).flatten()
    own = torch.arange(side * side) * wide * wide
    index = (own + pixel.flatten())[None] + displacement[:, None]  # (D, side^2)
    products = (block @ search_region.transpose(2, 3)).flatten(2)
    return products[..., index.flatten()].unflatten(2, index.shape).sum(3)
