# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The keypoints of RIFT: where they are, what describes them, and which belong together.

The descriptor is the maximum index map (section III-B of Li, Hu and Ai, IEEE TIP 2020) in a patch
around the keypoint: in each of 6 x 6 cells a histogram of which orientation is the strongest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.point_matches import Matches
from ivf_ros.registration.rift.phase_congruency import ORIENTATIONS, PhaseStructure
import numpy as np

_GRID = 6  # cells of a patch along x and along y
_FAST_THRESHOLD = 4  # in 1/255 of what 99.5 % of the moments do not exceed
_TILES = 20  # along the long side, over which keypoints are spread


@dataclass(frozen=True, eq=False)
class Keypoints:
    """
    The keypoints of one image, and its maximum index map to describe them by.

    Attributes
    ----------
    places_px:
        ``(N, 2)`` float32.
    index_map:
        ``(H, W)`` uint8 as in ``PhaseStructure``; ``ORIENTATIONS`` where nothing was seen.

    """

    points_px: np.ndarray
    index_map: np.ndarray

    def describe(self, patch_px: float, turn: int = 0) -> np.ndarray:
        """
        Return descriptors ``(N, 216)`` float32 of unit length.

        Parameters
        ----------
        patch_px:
            Side of the patch. What of it was not seen counts in no bin.
        turn:
            The image has to be turned by so many times 30 degrees, from x towards y, to be
            upright. The cells are taken where they then lie, and the indices go round by as many.

        """
        cell_px = max(round(patch_px / _GRID), 1)
        one_hot = (self.index_map[..., None] == np.arange(ORIENTATIONS, dtype=np.uint8))
        cells = cv2.blur(one_hot.view(np.uint8) * np.float32(1), (cell_px, cell_px),
                         borderType=cv2.BORDER_CONSTANT)
        height, width = self.index_map.shape
        # Nothing beyond the border: indices out there lead to a row of zeros.
        cells = np.append(cells.reshape(-1, ORIENTATIONS),
                          np.zeros((1, ORIENTATIONS), np.float32), axis=0)
        offsets_px = (np.arange(_GRID) - (_GRID - 1) / 2) * patch_px / _GRID
        upright = np.stack(np.meshgrid(offsets_px, offsets_px), axis=-1).reshape(-1, 2)
        turned = geometry.transform_points(
            geometry.rotation(-turn * np.pi / ORIENTATIONS), upright).astype(np.float32)
        x, y = np.rint(self.points_px.T[..., None] + turned.T[:, None]).astype(np.int32)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        histograms = cells[np.where(inside, y * width + x, height * width)]
        # With their roots the product of two histograms is that of Hellinger.
        descriptors = np.sqrt(np.roll(histograms, turn, axis=2))
        descriptors = descriptors.reshape(len(x), _GRID * _GRID * ORIENTATIONS)
        return descriptors / (np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-9)


def find_keypoints(structure: PhaseStructure, coverage: np.ndarray, border_px: int, tile_px: float,
                   count: int) -> Keypoints:
    """
    Find corners in both moments of the phase congruency, half of them in either.

    Parameters
    ----------
    structure, seen:
        Of an image ``(H, W)``, and ``(H, W)`` bool: what was not seen has neither keypoints nor
        orientations.
    border_px:
        How near keypoints come to what was not seen.
    tile_px:
        As many tiles of this side as possible have a keypoint before any has another.
    count:
        At most so many.

    """
    inner = cv2.erode(coverage.astype(np.uint8), np.ones((2 * border_px + 1, 2 * border_px + 1)),
                      borderValue=0)
    points_px = [_corners(moment, inner, tile_px, count // 2)
                 for moment in (structure.corners, structure.edges)]
    index_map = np.where(coverage, structure.index_map, np.uint8(ORIENTATIONS))
    return Keypoints(np.concatenate(points_px), index_map)


def match_mutually(thermal: Keypoints, rgb: Keypoints, similarity: np.ndarray) -> Matches:
    """
    Match keypoints that are each other's most alike.

    ``similarity`` is ``(N, M)``, of each thermal with each RGB keypoint; pairs that must not be have
    0 or less.
    """
    if not similarity.size:
        nowhere = np.zeros((0, 2))
        return Matches(nowhere, nowhere, np.zeros(0), len(similarity))
    forth, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    rows = np.flatnonzero(back[forth] == np.arange(len(forth)))
    rows = rows[similarity[rows, forth[rows]] > 0]
    return Matches(thermal.points_px[rows].astype(np.float64),
                   rgb.points_px[forth[rows]].astype(np.float64), np.ones(len(rows)), len(forth))


def mask_within_radius(expected_px: np.ndarray, points_px: np.ndarray, reach_px: float) -> np.ndarray:
    """Return 1 where ``(M, 2)`` places lie near ``(N, 2)``, else 0: ``(N, M)`` float32."""
    # |a - b|^2 as one product of matrices; about the middle, single precision is enough
    middle = points_px.mean(axis=0) if len(points_px) else 0.0
    a, b = (np.asarray(places - middle, np.float32) for places in (expected_px, points_px))
    one_a, one_b = np.ones((len(a), 1), np.float32), np.ones((len(b), 1), np.float32)
    squares_a, squares_b = ((c * c).sum(axis=1, keepdims=True) for c in (a, b))
    squared = np.hstack([-2 * a, squares_a, one_a]) @ np.hstack([b, one_b, squares_b]).T
    return (squared <= reach_px ** 2).astype(np.float32)


def _corners(moment: np.ndarray, inner: np.ndarray, tile_px: float, count: int) -> np.ndarray:
    """Return the FAST corners ``(N, 2)`` float32 of a map, the strongest of each tile in turn."""
    high = float(np.percentile(moment[::3, ::3], 99.5))
    levels = np.clip(moment * (255 / max(high, 1e-6)), 0, 255).astype(np.uint8)
    corners = cv2.FastFeatureDetector.create(_FAST_THRESHOLD).detect(levels, inner)
    if not corners:
        return np.zeros((0, 2), np.float32)
    by_strength = np.argsort([-corner.response for corner in corners], kind='stable')
    points_px = np.asarray(cv2.KeyPoint.convert(corners))[by_strength]
    tiles = (points_px // tile_px).astype(np.intp) @ (1, moment.size)
    by_tile = np.argsort(tiles, kind='stable')
    _, first, sizes = np.unique(tiles[by_tile], return_index=True, return_counts=True)
    rank = np.empty(len(tiles), np.intp)
    rank[by_tile] = np.arange(len(tiles)) - np.repeat(first, sizes)
    return points_px[np.argsort(rank, kind='stable')[:count]]
