# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
From where two feature maps roughly lie to where they lie, level by level, and what speaks for it.

``dense`` and ``fast`` differ in the features; what is done with them is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.features import downsample, rotate_features
from ivf_ros.registration.inputs import RegistrationRequest
from ivf_ros.registration.matching import Blocks, correlate_blocks, fit, MIN_BLOCKS
from ivf_ros.types import Registration, RegistrationState
import numpy as np

# What is fitted to the blocks of a level, and how far in pixels they may still be off.
COARSE_STAGES = (('affine', 8.0), ('homography', 4.0), ('homography', 2.0))
MEDIUM_STAGES = (('affine', 5.0), ('affine', 3.0), ('homography', 3.0), ('homography', 2.0))
FINE_STAGES = (('homography', 3.0), ('homography', 2.0), ('homography', 1.5))

_MIN_SIDE_PX = 16  # of the coarse level; there is no structure in less
_INLIER_PX = 1.5  # of the level of the evidence: a block within this agrees


@dataclass(frozen=True, eq=False)
class Level:
    """
    The features of both images at one scale, and how blocks are matched at that scale.

    Attributes
    ----------
    thermal, rgb:
        ``(h, w, C)`` float32.
    thermal_size, rgb_size:
        Width and height of the images.
    reach_px, cell_px, block_cells:
        See ``correlate_blocks``.
    oriented:
        Whether the features are orientations, which turn with the image.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    thermal_size: tuple[int, int]
    rgb_size: tuple[int, int]
    reach_px: int
    cell_px: int
    block_cells: int
    oriented: bool

    def warp_rgb(self, H: np.ndarray, margin_px: int) -> np.ndarray:
        """Return the RGB features laid onto the thermal grid by H, with a margin around it."""
        width, height = geometry.size_of(self.thermal)
        H_level = geometry.rescale_homography(H, _scale(self.thermal, self.thermal_size),
                                              _scale(self.rgb, self.rgb_size))
        to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_level)
        grid = (width + 2 * margin_px, height + 2 * margin_px)
        laid = cv2.warpPerspective(self.rgb, to_grid, grid)
        if not self.oriented:
            return laid
        return rotate_features(laid, -_rotation_rad(H_level, ((width - 1) / 2, (height - 1) / 2)))

    def correlate(self, search_region: np.ndarray) -> Blocks:
        """Correlate the blocks of the thermal features with the RGB features around them."""
        return correlate_blocks(self.thermal, search_region, self.reach_px, self.cell_px,
                                self.block_cells)

    def compose(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step that was found in thermal pixels of this level."""
        x, y = _scale(self.thermal, self.thermal_size)
        back = (1 / x, 1 / y)
        return geometry.normalize_homography(H @ geometry.rescale_homography(step, back, back))


def structure_levels(thermal: np.ndarray, rgb: np.ndarray, thermal_size: tuple[int, int],
                     rgb_size: tuple[int, int]) -> tuple[Level, Level, Level] | None:
    """Return the fine, middle and coarse level of ``structure``; None where images are tiny."""
    levels = []
    # how blocks are matched: reach, cell, cells a block
    for shrink, matching in ((1, (4, 8, 6)), (2, (5, 8, 4)), (4, (6, 4, 6))):
        small, small_rgb = downsample(thermal, shrink), downsample(rgb, shrink)
        if min(small.shape[:2] + small_rgb.shape[:2]) < _MIN_SIDE_PX:
            return None
        levels.append(Level(small, small_rgb, thermal_size, rgb_size, *matching, oriented=True))
    return levels[0], levels[1], levels[2]


def fit_at_level(hypotheses: list[np.ndarray], level: Level,
                 stages: tuple[tuple[str, float], ...]) -> list[np.ndarray]:
    """Fit the blocks of a level from each homography; return where that leads."""
    arrived = []
    for H in hypotheses:
        step = fit(level.correlate(level.warp_rgb(H, level.reach_px)), stages)
        if step is not None:
            arrived.append(level.compose(H, step))
    return arrived


def refine_to_fine(hypotheses: list[np.ndarray], middle: Level, fine: Level, rounds: int
                   ) -> list[np.ndarray]:
    """Follow homographies through the middle level, then so many rounds at the fine one."""
    for stages in (MEDIUM_STAGES, FINE_STAGES, FINE_STAGES):
        hypotheses = fit_at_level(hypotheses, middle, stages)
    for _ in range(rounds):
        hypotheses = fit_at_level(hypotheses, fine, FINE_STAGES)
    return hypotheses


def keep_most_similar(hypotheses: list[np.ndarray], level: Level, count: int) -> list[np.ndarray]:
    """Return the homographies under which the features of a level look most alike."""
    if len(hypotheses) <= 1:
        return hypotheses
    return sorted(hypotheses, key=lambda H: -_similarity(level, H))[:count]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a homography, judged at the middle level."""

    inliers: int  # blocks that on their own, too, lie best where the homography puts them
    inlier_ratio: float  # share of the blocks that these are
    coverage: float  # share of the patches of a grid of 4 x 4 that have one
    correlation_gain: float  # correlation of the features over that of slightly shifted ones
    residual_shift: float  # by how much one more fit moves the corners, as a share of the width
    jackknife_scatter: float  # by how much they scatter if a quarter of the blocks is left out, the same


ScoredRegistration = tuple[Registration, Evidence | None]


def evidence(level: Level, H: np.ndarray) -> Evidence:
    """Return what speaks for a homography at a level."""
    reach = level.reach_px
    width, height = geometry.size_of(level.thermal)
    search_region = level.warp_rgb(H, reach)
    blocks = level.correlate(search_region)
    step = fit(blocks, FINE_STAGES)
    if step is None:
        return Evidence(0, 0.0, 0.0, 0.0, 1.0, 1.0)
    inlier_mask = np.square(blocks.displacement_px()).sum(1) < _INLIER_PX ** 2
    shifted = [_correlation(level.thermal, search_region[y:y + height, x:x + width])
               for x, y in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))]
    moved_px = geometry.corner_error_px(step, np.eye(3), (width, height))
    return Evidence(
        int(inlier_mask.sum()), float(inlier_mask.sum() / blocks.n_searched),
        len(np.unique(_patches(blocks.centres_px[inlier_mask], width, height), axis=0)) / 16,
        _similarity(level, H) - float(np.mean(shifted)), min(moved_px / width, 1.0),
        min(_scatter_px(blocks, width, height) / width, 1.0))


def confidence(evidence: Evidence, coefficients: Sequence[float]) -> float:
    """
    Return the probability that a homography repeats.

    That is, that a registration of the same scene from another angle lies within 3 px of 640: a
    logistic function of the features. The coefficients are found by ``training.confidence``.
    """
    if evidence.inliers < MIN_BLOCKS:
        return 0.0
    return float(1 / (1 + np.exp(-features(evidence) @ coefficients)))


def accept_or_reject(request: RegistrationRequest, H_thermal_to_rgb: np.ndarray, level: Level, H_level: np.ndarray,
                     coefficients: Sequence[float], min_confidence: float) -> ScoredRegistration:
    """Answer with a homography, ``H_level`` between the images of ``level``, or refuse it."""
    reason = request.check(H_thermal_to_rgb)
    if reason:
        return request.reject(f'implausible: {reason}'), None
    found = evidence(level, H_level)
    probability = confidence(found, coefficients)
    if probability < min_confidence:
        return request.reject(f'low confidence: {probability:.2f}'), found
    return request.accept(H_thermal_to_rgb, probability, found.inliers), found


def search_near_then_globally(request: RegistrationRequest, mode: str, near: Callable[[], ScoredRegistration],
                              far: Callable[[], ScoredRegistration]) -> ScoredRegistration:
    """Look near a prior, then everywhere where it does not hold; ``mode`` is global_search."""
    if mode == 'never' or (mode == 'auto' and request.prior is not None):
        answer = near()
        if answer[0].state is RegistrationState.TRACKING or mode == 'never':
            return answer
    return far()


def first_accepted(request: RegistrationRequest, answer_from: Callable[[np.ndarray], ScoredRegistration]) -> ScoredRegistration:
    """Answer from the first of the starts that leads to a believed answer, else the last."""
    for initial_homography in request.initial_homographies:
        answer = answer_from(initial_homography)
        if answer[0].state is RegistrationState.TRACKING:
            break
    return answer


def features(evidence: Evidence) -> np.ndarray:
    """Return ``(6,)`` float64: one, and what speaks for a homography on scales to be added."""
    return np.array([1.0, evidence.inlier_ratio, evidence.coverage, evidence.correlation_gain,
                     np.log(640 * evidence.residual_shift + 0.3), np.log(640 * evidence.jackknife_scatter + 0.3)])


def _patches(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return column and row ``(N, 2)`` of the patch of a grid of 4 x 4 that pixels lie in."""
    return (pixels // (width / 4, height / 4)).astype(int)


def _scatter_px(blocks: Blocks, width: int, height: int) -> float:
    """
    Return how far corners lie from their mean over fits that leave out a quarter of the blocks.

    The patches of a grid of 4 x 4 are dealt out to the quarters like the four colours of a tile
    of 2 x 2, so that each fit still sees the whole image. Infinite where a fit fails.
    """
    column, row = _patches(blocks.centres_px, width, height).T
    quarter = (column % 2) + 2 * (row % 2)
    corners_px = geometry.corners_px((width, height))
    found = []
    for left_out in range(4):
        rest = quarter != left_out
        step = fit(Blocks(blocks.centres_px[rest], blocks.correlation[rest], blocks.n_searched),
                   FINE_STAGES[-1:])
        if step is None:
            return float('inf')
        found.append(geometry.transform_points(step, corners_px))
    off_px = np.array(found) - np.mean(found, axis=0)
    return float(np.sqrt(np.square(off_px).sum(2).mean()))


def _similarity(level: Level, H: np.ndarray) -> float:
    """Return the correlation of the features where both see, less where that is little."""
    search_region = level.warp_rgb(H, 0)
    valid = (np.square(search_region).sum(2) > 1e-3).astype(np.uint8)
    return _correlation(cv2.copyTo(level.thermal, valid), search_region) * float(np.sqrt(valid.mean()))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel(), b.ravel()
    return float((a @ b) / (np.sqrt((a @ a) * (b @ b)) + 1e-9))


def _scale(image: np.ndarray, full_size: tuple[int, int]) -> tuple[float, float]:
    """Return new size / old size along x and y."""
    return image.shape[1] / full_size[0], image.shape[0] / full_size[1]


def _rotation_rad(H: np.ndarray, point_px: tuple[float, float]) -> float:
    """Return by how much H turns the surroundings of a point."""
    x, y = point_px
    here, right, down = geometry.transform_points(H, np.array([(x, y), (x + 1, y), (x, y + 1)]))
    (a, b), (c, d) = right - here, down - here
    return float(np.arctan2(b - c, a + d))
