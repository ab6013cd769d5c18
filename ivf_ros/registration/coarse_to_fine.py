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
from ivf_ros.registration.features import reduced, turned
from ivf_ros.registration.inputs import Question
from ivf_ros.registration.matching import Blocks, correlate_blocks, fit, MIN_BLOCKS
from ivf_ros.types import Registration, RegistrationState
import numpy as np

# What is fitted to the blocks of a level, and how far in pixels they may still be off.
FROM_FAR = (('affine', 8.0), ('homography', 4.0), ('homography', 2.0))
FROM_NEAR = (('affine', 5.0), ('affine', 3.0), ('homography', 3.0), ('homography', 2.0))
AT_LAST = (('homography', 3.0), ('homography', 2.0), ('homography', 1.5))

_MIN_SIDE_PX = 16  # of the coarse level; there is no structure in less
_STAYS_PX = 1.5  # of the level of the evidence: a block within this agrees


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

    def rgb_around(self, H: np.ndarray, margin_px: int) -> np.ndarray:
        """Return the RGB features laid onto the thermal grid by H, with a margin around it."""
        width, height = geometry.size_of(self.thermal)
        H_level = geometry.rescaled(H, _scale(self.thermal, self.thermal_size),
                                    _scale(self.rgb, self.rgb_size))
        to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_level)
        grid = (width + 2 * margin_px, height + 2 * margin_px)
        laid = cv2.warpPerspective(self.rgb, to_grid, grid)
        if not self.oriented:
            return laid
        return turned(laid, -_rotation_rad(H_level, ((width - 1) / 2, (height - 1) / 2)))

    def correlated(self, around: np.ndarray) -> Blocks:
        """Correlate the blocks of the thermal features with the RGB features around them."""
        return correlate_blocks(self.thermal, around, self.reach_px, self.cell_px,
                                self.block_cells)

    def moved(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step that was found in thermal pixels of this level."""
        x, y = _scale(self.thermal, self.thermal_size)
        back = (1 / x, 1 / y)
        return geometry.normalized(H @ geometry.rescaled(step, back, back))


def structure_levels(thermal: np.ndarray, rgb: np.ndarray, thermal_size: tuple[int, int],
                     rgb_size: tuple[int, int]) -> tuple[Level, Level, Level] | None:
    """Return the fine, middle and coarse level of ``structure``; None where images are tiny."""
    levels = []
    # how blocks are matched: reach, cell, cells a block
    for shrink, matching in ((1, (4, 8, 6)), (2, (5, 8, 4)), (4, (6, 4, 6))):
        small, small_rgb = reduced(thermal, shrink), reduced(rgb, shrink)
        if min(small.shape[:2] + small_rgb.shape[:2]) < _MIN_SIDE_PX:
            return None
        levels.append(Level(small, small_rgb, thermal_size, rgb_size, *matching, oriented=True))
    return levels[0], levels[1], levels[2]


def followed(tracks: list[np.ndarray], level: Level,
             stages: tuple[tuple[str, float], ...]) -> list[np.ndarray]:
    """Fit the blocks of a level from each homography; return where that leads."""
    arrived = []
    for H in tracks:
        step = fit(level.correlated(level.rgb_around(H, level.reach_px)), stages)
        if step is not None:
            arrived.append(level.moved(H, step))
    return arrived


def refined(tracks: list[np.ndarray], middle: Level, fine: Level, rounds: int
            ) -> list[np.ndarray]:
    """Follow homographies through the middle level, then so many rounds at the fine one."""
    for stages in (FROM_NEAR, AT_LAST, AT_LAST):
        tracks = followed(tracks, middle, stages)
    for _ in range(rounds):
        tracks = followed(tracks, fine, AT_LAST)
    return tracks


def best(tracks: list[np.ndarray], level: Level, count: int) -> list[np.ndarray]:
    """Return the homographies under which the features of a level look most alike."""
    if len(tracks) <= 1:
        return tracks
    return sorted(tracks, key=lambda H: -_likeness(level, H))[:count]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a homography, judged at the middle level."""

    inliers: int  # blocks that on their own, too, lie best where the homography puts them
    agreement: float  # share of the blocks that these are
    spread: float  # share of the patches of a grid of 4 x 4 that have one
    gain: float  # correlation of the features over that of slightly shifted ones
    unrest: float  # by how much one more fit moves the corners, as a share of the width
    fragility: float  # by how much they scatter if a quarter of the blocks is left out, the same


Answer = tuple[Registration, Evidence | None]


def evidence(level: Level, H: np.ndarray) -> Evidence:
    """Return what speaks for a homography at a level."""
    reach = level.reach_px
    width, height = geometry.size_of(level.thermal)
    around = level.rgb_around(H, reach)
    blocks = level.correlated(around)
    step = fit(blocks, AT_LAST)
    if step is None:
        return Evidence(0, 0.0, 0.0, 0.0, 1.0, 1.0)
    stays = np.square(blocks.displacement_px()).sum(1) < _STAYS_PX ** 2
    shifted = [_correlation(level.thermal, around[y:y + height, x:x + width])
               for x, y in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))]
    moved_px = geometry.corner_error_px(step, np.eye(3), (width, height))
    return Evidence(
        int(stays.sum()), float(stays.sum() / blocks.looked_for),
        len(np.unique(_patches(blocks.centres_px[stays], width, height), axis=0)) / 16,
        _likeness(level, H) - float(np.mean(shifted)), min(moved_px / width, 1.0),
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


def judged(question: Question, H_thermal_to_rgb: np.ndarray, level: Level, H_level: np.ndarray,
           coefficients: Sequence[float], min_confidence: float) -> Answer:
    """Answer with a homography, ``H_level`` between the images of ``level``, or refuse it."""
    reason = question.flaw(H_thermal_to_rgb)
    if reason:
        return question.refused(f'implausible: {reason}'), None
    found = evidence(level, H_level)
    probability = confidence(found, coefficients)
    if probability < min_confidence:
        return question.refused(f'low confidence: {probability:.2f}'), found
    return question.answered(H_thermal_to_rgb, probability, found.inliers), found


def near_then_far(question: Question, mode: str, near: Callable[[], Answer],
                  far: Callable[[], Answer]) -> Answer:
    """Look near a prior, then everywhere where it does not hold; ``mode`` is global_search."""
    if mode == 'never' or (mode == 'auto' and question.prior is not None):
        answer = near()
        if answer[0].state is RegistrationState.TRACKING or mode == 'never':
            return answer
    return far()


def first_that_holds(question: Question, answer_from: Callable[[np.ndarray], Answer]) -> Answer:
    """Answer from the first of the starts that leads to a believed answer, else the last."""
    for start in question.starts:
        answer = answer_from(start)
        if answer[0].state is RegistrationState.TRACKING:
            break
    return answer


def features(evidence: Evidence) -> np.ndarray:
    """Return ``(6,)`` float64: one, and what speaks for a homography on scales to be added."""
    return np.array([1.0, evidence.agreement, evidence.spread, evidence.gain,
                     np.log(640 * evidence.unrest + 0.3), np.log(640 * evidence.fragility + 0.3)])


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
        step = fit(Blocks(blocks.centres_px[rest], blocks.correlation[rest], blocks.looked_for),
                   AT_LAST[-1:])
        if step is None:
            return float('inf')
        found.append(geometry.transform_points(step, corners_px))
    off_px = np.array(found) - np.mean(found, axis=0)
    return float(np.sqrt(np.square(off_px).sum(2).mean()))


def _likeness(level: Level, H: np.ndarray) -> float:
    """Return the correlation of the features where both see, less where that is little."""
    around = level.rgb_around(H, 0)
    seen = (np.square(around).sum(2) > 1e-3).astype(np.uint8)
    return _correlation(cv2.copyTo(level.thermal, seen), around) * float(np.sqrt(seen.mean()))


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
