# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The keypoints of RIFT: detection, description and matching.

The descriptor is computed from the maximum index map (section III-B of Li, Hu and Ai, IEEE TIP
2020) in a patch around the keypoint: for each of 6 x 6 cells, a histogram of the orientation with
the largest amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.point_matches import Matches
from ivf_ros.registration.rift.phase_congruency import ORIENTATIONS, PhaseStructure
import numpy as np

_GRID = 6  # cells of a patch along x and along y
_FAST_THRESHOLD = 4  # in 1/255 of the 99.5 percentile of a moment


@dataclass(frozen=True, eq=False)
class Keypoints:
    """
    The keypoints of one image, and its maximum index map for their descriptors.

    Attributes
    ----------
    points_px:
        ``(N, 2)`` float32.
    index_map:
        ``(H, W)`` uint8 as in ``PhaseStructure``; ``ORIENTATIONS`` where there is no coverage.

    """

    points_px: np.ndarray
    index_map: np.ndarray

    def describe(self, patch_px: float, turn: int = 0) -> np.ndarray:
        """
        Return descriptors ``(N, 216)`` float32 of unit length.

        Parameters
        ----------
        patch_px:
            Side of the patch. Pixels without coverage count in no bin.
        turn:
            The rotation that makes the image upright, in steps of 30 degrees from x towards y. It
            rotates the cells of the patch and shifts the orientation indices cyclically.

        """
        cell_px = max(round(patch_px / _GRID), 1)
        one_hot = (self.index_map[..., None] == np.arange(ORIENTATIONS, dtype=np.uint8))
        cells = cv2.blur(one_hot.view(np.uint8) * np.float32(1), (cell_px, cell_px),
                         borderType=cv2.BORDER_CONSTANT)
        height, width = self.index_map.shape
        # The last row, of zeros, is for positions outside the image.
        cells = np.append(cells.reshape(-1, ORIENTATIONS),
                          np.zeros((1, ORIENTATIONS), np.float32), axis=0)
        offsets_px = (np.arange(_GRID) - (_GRID - 1) / 2) * patch_px / _GRID
        upright_px = np.stack(np.meshgrid(offsets_px, offsets_px), axis=-1).reshape(-1, 2)
        rotated_px = geometry.transform_points(
            geometry.rotation(-turn * np.pi / ORIENTATIONS), upright_px).astype(np.float32)
        x, y = np.rint(self.points_px.T[..., None] + rotated_px.T[:, None]).astype(np.int32)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        histograms = cells[np.where(inside, y * width + x, height * width)]
        # With square roots the scalar product of histograms is the Hellinger kernel.
        descriptors = np.sqrt(np.roll(histograms, turn, axis=2))
        descriptors = descriptors.reshape(len(x), _GRID * _GRID * ORIENTATIONS)
        return descriptors / (np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-9)


def find_keypoints(structure: PhaseStructure, coverage: np.ndarray, border_px: int, tile_px: float,
                   count: int) -> Keypoints:
    """
    Find corners in the two moments of the phase congruency, half of them in each.

    Parameters
    ----------
    structure:
        Of an image ``(H, W)``.
    coverage:
        ``(H, W)`` bool. Pixels without coverage have neither keypoints nor orientations.
    border_px:
        Smallest distance of a keypoint from pixels without coverage.
    tile_px:
        Side of a tile. The strongest keypoint of each tile is selected first, then the second of
        each tile, and so on.
    count:
        Maximum number of keypoints.

    """
    inner = cv2.erode(coverage.astype(np.uint8), np.ones((2 * border_px + 1, 2 * border_px + 1)),
                      borderValue=0)
    points_px = [_corners(moment, inner, tile_px, count // 2)
                 for moment in (structure.corners, structure.edges)]
    index_map = np.where(coverage, structure.index_map, np.uint8(ORIENTATIONS))
    return Keypoints(np.concatenate(points_px), index_map)


def match_mutually(thermal: Keypoints, rgb: Keypoints, similarity: np.ndarray) -> Matches:
    """
    Return the mutual nearest neighbours of two sets of keypoints.

    ``similarity`` is ``(N, M)`` of thermal and RGB keypoints. Pairs with 0 or less are excluded.
    """
    if not similarity.size:
        no_points = np.zeros((0, 2))
        return Matches(no_points, no_points, np.zeros(0), len(similarity))
    forward, backward = similarity.argmax(axis=1), similarity.argmax(axis=0)
    rows = np.flatnonzero(backward[forward] == np.arange(len(forward)))
    rows = rows[similarity[rows, forward[rows]] > 0]
    return Matches(thermal.points_px[rows].astype(np.float64),
                   rgb.points_px[forward[rows]].astype(np.float64), np.ones(len(rows)),
                   len(forward))


def mask_within_radius(expected_px: np.ndarray, points_px: np.ndarray,
                       radius_px: float) -> np.ndarray:
    """Return ``(N, M)`` float32: 1 where a point (M, 2) is near an expected one (N, 2), else 0."""
    # |a - b|^2 as one matrix product; centred coordinates make single precision sufficient
    centre_px = points_px.mean(axis=0) if len(points_px) else 0.0
    a, b = (np.asarray(xy - centre_px, np.float32) for xy in (expected_px, points_px))
    ones_a, ones_b = np.ones((len(a), 1), np.float32), np.ones((len(b), 1), np.float32)
    squares_a, squares_b = ((c * c).sum(axis=1, keepdims=True) for c in (a, b))
    squared = np.hstack([-2 * a, squares_a, ones_a]) @ np.hstack([b, ones_b, squares_b]).T
    return (squared <= radius_px ** 2).astype(np.float32)


def _corners(moment: np.ndarray, inner: np.ndarray, tile_px: float, count: int) -> np.ndarray:
    """Return FAST corners ``(N, 2)`` float32 of a map, by rank within their tiles."""
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
