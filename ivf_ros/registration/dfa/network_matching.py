# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the method ``dfa`` makes of the features: which cells belong together, and how exactly.

Cells of 8 x 8 pixels are compared all with all and choose each other; then the 2 x 2 pixels of and
around each cell are compared with their surroundings at every displacement of a few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivf_ros.nn.inference import convert_for_inference
from ivf_ros.nn.weights import load
from ivf_ros.registration.dfa.displacements import Displacements
from ivf_ros.registration.dfa.network import DfaNetwork
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.registration.point_matches import Matches
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

COARSE_STRIDE = 8
FINE_STRIDE = 2
PATCH = 6  # fine cells, along x and y: a coarse cell and one fine cell around it
REACH = 5  # fine cells either way
_PER_CELL = COARSE_STRIDE // FINE_STRIDE
_LEAST_CERTAINTY = 0.02  # below, a match is noise


@dataclass(frozen=True, eq=False)
class Descriptors:
    """
    Of one image.

    Attributes
    ----------
    coarse:
        ``(C, h, w)`` at 1/8 of its size, float32, of unit length.
    weight:
        ``(h, w)`` probability that a cell would be found again.
    fine:
        ``(C, 4 h, 4 w)`` at 1/2 of its size, float32, of unit length; empty where not wanted.

    """

    coarse: Tensor
    weight: Tensor
    fine: Tensor


class DfaDescriber:
    """
    The trained network, from image to descriptors and from descriptors to matches.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another variant.

    """

    def __init__(self, path: Path, *, sfm: bool, fem: bool, precision: str) -> None:
        network = load(DfaNetwork(sfm, fem), path)
        self._coarse_scale = float(network.coarse_log_scale.detach().exp())
        self._fine_scale = float(network.fine_log_scale.detach().exp())
        self._network = convert_for_inference(network, precision)

    @torch.inference_mode()
    def describe(self, image: np.ndarray, sensor: str, fine: bool) -> Descriptors:
        """Describe a gray image ``(H, W)`` of ``'thermal'`` or ``'rgb'``."""
        given = torch.from_numpy(normalized_input(image))[None].to(
            self._network.coarse_log_scale.dtype, memory_format=torch.channels_last)
        thermal, rgb = (given, None) if sensor == 'thermal' else (None, given)
        coarse, weight, of_pixels = self._network(thermal, rgb, fine)
        return Descriptors(coarse[0], weight[0].sigmoid(), of_pixels[0])

    @torch.inference_mode()
    def coarse_matches(self, thermal: Descriptors, rgb: Descriptors, covered_cells: np.ndarray) -> Matches:
        """
        Return the cells that choose each other, in pixels.

        Parameters
        ----------
        thermal, rgb:
            Of two images of one size.
        seen:
            ``(h, w)`` bool, the cells of RGB that show anything.

        """
        cells, found, certainty = mutual_cells(
            dual_softmax(thermal, rgb, self._coarse_scale, torch.from_numpy(covered_cells)),
            covered_cells.shape[1])
        middle = (COARSE_STRIDE - 1) / 2
        return Matches(cells * COARSE_STRIDE + middle, found * COARSE_STRIDE + middle, certainty,
                       covered_cells.size)

    @torch.inference_mode()
    def displacements(self, thermal: Descriptors, rgb: Descriptors,
                      covered_cells: np.ndarray) -> Displacements:
        """Return where each thermal cell that is seen may lie in RGB, near where it is."""
        chosen = torch.from_numpy(covered_cells)
        similarity = cell_similarity(thermal.fine, rgb.fine)
        probability = (self._fine_scale * similarity[chosen]).flatten(1).softmax(1)
        rows, columns = np.nonzero(covered_cells)
        places = np.stack([columns, rows], 1) * float(COARSE_STRIDE) + (COARSE_STRIDE - 1) / 2
        return Displacements(places, probability.view(-1, *similarity.shape[2:]).numpy(),
                             thermal.weight[chosen].numpy(), FINE_STRIDE, covered_cells.size)


def dual_softmax(thermal: Descriptors, rgb: Descriptors, scale: float, covered_cells: Tensor) -> Tensor:
    """
    Return how probably each pair of cells belongs together: ``(thermal cells, RGB cells)``.

    P = softmax over RGB cells times softmax over thermal cells of the scaled similarity (Rocco et
    al. 2018, Sun et al. 2021), times the weights of both cells (as in LightGlue, Lindenberger et
    al. 2023). RGB cells that are not ``covered_cells`` (h, w) belong to none.
    """
    similarity = scale * (thermal.coarse.flatten(1).T @ rgb.coarse.flatten(1))
    similarity = similarity.masked_fill(~covered_cells.flatten(), -torch.inf)
    among_thermal = similarity.softmax(0).nan_to_num(0.0)  # a column of cells that are not seen
    probability = among_thermal * similarity.softmax(1).nan_to_num(0.0)
    return probability * thermal.weight.flatten()[:, None] * rgb.weight.flatten()


def mutual_cells(probability: Tensor, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the cells that choose each other.

    The place in RGB is the mean over the 3 x 3 cells around the best one, weighed by P.

    Parameters
    ----------
    probability:
        ``(N, N)`` of thermal and RGB cells in rows of ``width``.

    Returns
    -------
    thermal_cells, rgb_cells, certainty
        ``(M, 2)`` float64, x and y in cells, and ``(M,)`` the root of P, from 0 to 1.

    """
    height = probability.shape[1] // width
    certainty, best = probability.max(1)
    chosen = (probability.argmax(0)[best] == torch.arange(len(best))) \
        & (certainty > _LEAST_CERTAINTY ** 2)
    own, best = chosen.nonzero()[:, 0], best[chosen]
    x = (best % width).clamp(1, width - 2)[:, None] + torch.tensor([-1, 0, 1] * 3)
    y = (best // width).clamp(1, height - 2)[:, None] \
        + torch.tensor([-1, 0, 1]).repeat_interleave(3)
    weight = probability[own[:, None], y * width + x]
    found = torch.stack([(weight * x).sum(1), (weight * y).sum(1)], 1) / weight.sum(1)[:, None]
    asked = torch.stack([own % width, own // width], 1)
    sure = certainty[chosen].sqrt()
    return asked.double().numpy(), found.double().numpy(), sure.double().numpy()


def patch_similarity(asked: Tensor, windows: Tensor) -> Tensor:
    """
    Return how alike patches are to what lies at each displacement, -1 to 1.

    Parameters
    ----------
    asked:
        ``(N, C, p, p)`` descriptors of unit length.
    windows:
        ``(N, C, s, s)`` with ``s >= p``.

    Returns
    -------
    Tensor
        ``(N, s - p + 1, s - p + 1)``: the mean product over the patch, at each displacement.

    """
    side, patch = windows.shape[2], asked.shape[2]
    products = asked.flatten(2).transpose(1, 2) @ windows.flatten(2)
    # Of the products of all with all only those at one displacement belong together.
    item, row, column = patch * patch * side * side, patch * side * side, side * side
    places = side - patch + 1
    together = products.contiguous().as_strided(
        (len(asked), patch, patch, places, places), (item, row + side, column + 1, side, 1))
    return together.mean((1, 2))


def cell_similarity(thermal: Tensor, rgb: Tensor) -> Tensor:
    """
    Compare each coarse cell and those around it with the surroundings in the other image.

    Takes ``(C, 4 h, 4 w)`` fine descriptors; returns ``(h, w, side, side)``, the mean similarity
    of the patches of 3 x 3 cells at displacements from -REACH to REACH along y and x.
    """
    around = (PATCH - _PER_CELL) // 2
    asked, windows = (_patches(features, margin)
                      for features, margin in ((thermal, around), (rgb, around + REACH)))
    rows, columns = asked.shape[:2]
    similarity = patch_similarity(asked.flatten(0, 1), windows.flatten(0, 1))
    of_cells = similarity.view(rows, columns, -1).permute(2, 0, 1)
    mean = F.avg_pool2d(of_cells, 3, 1, 1, count_include_pad=False)
    return mean.permute(1, 2, 0).unflatten(2, similarity.shape[1:])


def _patches(features: Tensor, margin: int) -> Tensor:
    """Return what lies in and around each coarse cell: (h, w, C, side, side)."""
    side = _PER_CELL + 2 * margin
    padded = F.pad(features[None], (margin,) * 4, mode='replicate')[0]
    return padded.unfold(1, side, _PER_CELL).unfold(2, side, _PER_CELL).permute(1, 2, 0, 3, 4)
