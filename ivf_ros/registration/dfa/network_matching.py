# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Matching of the descriptors of the method ``dfa``: coarse cells globally, fine patches locally.

All cells of 8 x 8 pixels of both images are compared with each other, and mutual best matches are
kept. Then the patch of fine cells (2 x 2 pixels) around each cell is compared with the other image
at all displacements of up to ``REACH`` fine cells.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.nn.runtime import Network
from ivf_ros.registration.dfa.displacements import Displacements
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.registration.point_matches import Matches
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

COARSE_STRIDE = 8
FINE_STRIDE = 2
PATCH = 6  # side in fine cells: a coarse cell and a border of one fine cell
REACH = 5  # largest displacement in fine cells along x and y
_FINE_PER_COARSE = COARSE_STRIDE // FINE_STRIDE
_MIN_CERTAINTY = 0.02  # matches below are noise


@dataclass(frozen=True, eq=False)
class Descriptors:
    """
    Descriptors of one image.

    Attributes
    ----------
    coarse:
        ``(C, h, w)`` at 1/8 of its size, float32, of unit length.
    weight:
        ``(h, w)`` float32, probability that a cell will be found again.
    fine:
        ``(C, 4 h, 4 w)`` at 1/2 of its size, float32, of unit length.
    coarse_scale, fine_scale:
        Factors of the similarities before the softmax.

    """

    coarse: Tensor
    weight: Tensor
    fine: Tensor
    coarse_scale: float = 1.0
    fine_scale: float = 1.0


class DfaDescriber:
    """
    The trained network: computes descriptors of images, and matches of descriptors.

    The matching is a few large matrix products and stays in PyTorch, which training shares.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def describe(self, image: np.ndarray, sensor: str) -> Descriptors:
        """Return the descriptors of a gray image ``(H, W)`` of ``'thermal'`` or ``'rgb'``."""
        *maps, scales = self._network(normalized_input(image), np.array(sensor == 'thermal'))
        coarse, weight, fine = (torch.from_numpy(array) for array in maps)
        return Descriptors(coarse, weight, fine, *map(float, scales))

    @torch.inference_mode()
    def coarse_matches(self, thermal: Descriptors, rgb: Descriptors,
                       covered_cells: np.ndarray) -> Matches:
        """
        Return the mutual best matches of cells, in pixels.

        Parameters
        ----------
        thermal, rgb:
            Descriptors of two images of the same size.
        covered_cells:
            ``(h, w)`` bool, True for cells that RGB covers.

        """
        thermal_cells, rgb_cells, certainty = mutual_cells(
            dual_softmax(thermal, rgb, thermal.coarse_scale, torch.from_numpy(covered_cells)),
            covered_cells.shape[1])
        centre_px = (COARSE_STRIDE - 1) / 2
        return Matches(thermal_cells * COARSE_STRIDE + centre_px,
                       rgb_cells * COARSE_STRIDE + centre_px, certainty, covered_cells.size)

    @torch.inference_mode()
    def displacements(self, thermal: Descriptors, rgb: Descriptors,
                      covered_cells: np.ndarray) -> Displacements:
        """Return the displacement probabilities in RGB of each thermal cell that is covered."""
        mask = torch.from_numpy(covered_cells)
        similarity = cell_similarity(thermal.fine, rgb.fine)
        probability = (thermal.fine_scale * similarity[mask]).flatten(1).softmax(1)
        rows, columns = np.nonzero(covered_cells)
        points_px = np.stack([columns, rows], 1) * float(COARSE_STRIDE) + (COARSE_STRIDE - 1) / 2
        return Displacements(points_px, probability.view(-1, *similarity.shape[2:]).numpy(),
                             thermal.weight[mask].numpy(), FINE_STRIDE, covered_cells.size)


def dual_softmax(thermal: Descriptors, rgb: Descriptors, scale: float,
                 covered_cells: Tensor) -> Tensor:
    """
    Return the match probability P of each pair of cells: ``(thermal cells, RGB cells)``.

    P = softmax over RGB cells times softmax over thermal cells of the scaled similarity (Rocco et
    al. 2018, Sun et al. 2021), times the weights of both cells (as in LightGlue, Lindenberger et
    al. 2023). P is 0 for RGB cells that are False in ``covered_cells`` ``(h, w)`` bool.
    """
    similarity = scale * (thermal.coarse.flatten(1).T @ rgb.coarse.flatten(1))
    similarity = similarity.masked_fill(~covered_cells.flatten(), -torch.inf)
    over_thermal = similarity.softmax(0).nan_to_num(0.0)  # NaN in columns of uncovered cells
    probability = over_thermal * similarity.softmax(1).nan_to_num(0.0)
    return probability * thermal.weight.flatten()[:, None] * rgb.weight.flatten()


def mutual_cells(probability: Tensor, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the mutual best matches of cells.

    The position in RGB is the mean of the 3 x 3 cells around the best one, weighted by P.

    Parameters
    ----------
    probability:
        P ``(N, N)`` from ``dual_softmax``, of thermal and RGB cells in row-major order.
    width:
        Number of cells in a row.

    Returns
    -------
    thermal_cells, rgb_cells, certainty
        ``(M, 2)`` float64, x and y in cells, and ``(M,)`` the root of P, from 0 to 1.

    """
    height = probability.shape[1] // width
    certainty, best = probability.max(1)
    mutual = (probability.argmax(0)[best] == torch.arange(len(best))) \
        & (certainty > _MIN_CERTAINTY ** 2)
    index, best = mutual.nonzero()[:, 0], best[mutual]
    x = (best % width).clamp(1, width - 2)[:, None] + torch.tensor([-1, 0, 1] * 3)
    y = (best // width).clamp(1, height - 2)[:, None] \
        + torch.tensor([-1, 0, 1]).repeat_interleave(3)
    weight = probability[index[:, None], y * width + x]
    rgb_cells = torch.stack([(weight * x).sum(1), (weight * y).sum(1)], 1) \
        / weight.sum(1)[:, None]
    thermal_cells = torch.stack([index % width, index // width], 1)
    certainty = certainty[mutual].sqrt()
    return (thermal_cells.double().numpy(), rgb_cells.double().numpy(),
            certainty.double().numpy())


def patch_similarity(patches: Tensor, windows: Tensor) -> Tensor:
    """
    Return the similarity of patches to windows at each displacement, from -1 to 1.

    Parameters
    ----------
    patches:
        ``(N, C, p, p)`` descriptors of unit length.
    windows:
        ``(N, C, s, s)`` with ``s >= p``.

    Returns
    -------
    Tensor
        ``(N, s - p + 1, s - p + 1)``: the mean product over the patch, at each displacement.

    """
    side, patch = windows.shape[2], patches.shape[2]
    products = patches.flatten(2).transpose(1, 2) @ windows.flatten(2)
    # A strided view selects, from the products of all pairs, those of the same displacement.
    item, row, column = patch * patch * side * side, patch * side * side, side * side
    shifts = side - patch + 1
    by_displacement = products.contiguous().as_strided(
        (len(patches), patch, patch, shifts, shifts), (item, row + side, column + 1, side, 1))
    return by_displacement.mean((1, 2))


def cell_similarity(thermal: Tensor, rgb: Tensor) -> Tensor:
    """
    Return the similarity of each coarse cell to the other image at each displacement.

    Takes ``(C, 4 h, 4 w)`` fine descriptors. Returns ``(h, w, side, side)``: the mean similarity
    of the patches of 3 x 3 cells, at displacements from -REACH to REACH along y and x.
    """
    margin = (PATCH - _FINE_PER_COARSE) // 2
    patches, windows = _cut_windows(thermal, margin), _cut_windows(rgb, margin + REACH)
    rows, columns = patches.shape[:2]
    similarity = patch_similarity(patches.flatten(0, 1), windows.flatten(0, 1))
    per_cell = similarity.view(rows, columns, -1).permute(2, 0, 1)
    mean = F.avg_pool2d(per_cell, 3, 1, 1, count_include_pad=False)
    return mean.permute(1, 2, 0).unflatten(2, similarity.shape[1:])


def _cut_windows(features: Tensor, margin: int) -> Tensor:
    """Return each coarse cell with a margin in fine cells: (h, w, C, side, side)."""
    side = _FINE_PER_COARSE + 2 * margin
    padded = F.pad(features[None], (margin,) * 4, mode='replicate')[0]
    windows = padded.unfold(1, side, _FINE_PER_COARSE).unfold(2, side, _FINE_PER_COARSE)
    return windows.permute(1, 2, 0, 3, 4)
