# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Classical, weight-free registration: dense structure features, coarse to fine.

1. Where no prior is known, or the prior did not hold: global search at a coarse level over
   scale, rotation and shift (``search``).
2. From each start the coarse blocks of thermal features draw a homography to where they lie best
   in the RGB features (``matching``). The starts after which the features look most alike go on.
3. The best goes on at the middle and at the fine level.
4. Evidence is collected, and a homography that is not well supported is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.features import reduced, structure, turned
from ivf_ros.registration.inputs import contrast, Question, resized, scaled
from ivf_ros.registration.matching import Blocks, correlate_blocks, fit, MIN_BLOCKS
from ivf_ros.registration.search import search
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_MIN_SIDE_PX = 16  # of the coarse level; there is no structure in less
_STAYS_PX = 1.5  # of the middle level: a block within this agrees

# What is fitted to the blocks of a level, and how far in pixels they may still be off.
_FROM_FAR = (('affine', 8.0), ('homography', 4.0), ('homography', 2.0))
_FROM_NEAR = (('affine', 5.0), ('affine', 3.0), ('homography', 3.0), ('homography', 2.0))
_AT_LAST = (('homography', 3.0), ('homography', 2.0), ('homography', 1.5))


@dataclass(frozen=True)
class DenseParameters:
    """How far, how finely and how critically the method ``dense`` searches."""

    work_px: int = parameter(
        320, 'Long side of the thermal image at the finest level.', minimum=240, maximum=1280)
    global_search: str = parameter(
        'auto', "Search globally: 'auto' where a prior is missing or does not hold.",
        choices=('auto', 'always', 'never'))
    max_scale: float = parameter(
        1.25, 'Global search: greatest factor of scale against the prior, either way.',
        minimum=1.0, maximum=2.0)
    scale_steps: int = parameter(
        7, 'Global search: number of scales.', minimum=1, maximum=31)
    max_rotation_deg: float = parameter(
        4.0, 'Global search: greatest rotation tried against the prior; a degree more is found.',
        minimum=0.0, maximum=45.0)
    rotation_steps: int = parameter(
        3, 'Global search: number of rotations.', minimum=1, maximum=31)
    max_shift: float = parameter(
        0.15, 'Global search: greatest shift against the prior, as a share of the image width.',
        minimum=0.0, maximum=0.25)
    candidates: int = parameter(
        6, 'Global search: how many of its answers are followed up.', minimum=1, maximum=20)
    refinement_steps: int = parameter(
        2, 'Rounds of matching at the finest level; 0 for none.', minimum=0, maximum=10)
    min_confidence: float = parameter(
        0.4, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


class DenseRegistrar:
    """
    Registers by dense oriented-gradient features; see the module for the steps.

    It is made from ``DenseParameters`` and keeps nothing else.
    """

    def __init__(self, parameters: DenseParameters = DenseParameters()) -> None:
        self.parameters = parameters

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """
        Measure the homography of one pair of images; nothing is remembered.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8, uint16 or float; any linear unit.
        rgb:
            ``(H, W, 3)`` uint8 BGR or ``(H, W)`` uint8 gray.
        prior:
            ``(3, 3)`` H_thermal_to_rgb near which to look first; the stretch of the thermal image
            over the RGB grid where None.

        Returns
        -------
        Registration
            State TRACKING where accepted; otherwise the prior (state PRIOR), or the stretch (state
            LOST) where none was given, with the reason.

        Raises
        ------
        RegistrationError
            An image or the prior has a wrong shape or type.

        """
        question = Question.about(thermal, rgb, prior)
        reason = question.flaw(question.start)
        if reason:
            return question.refused(f'implausible prior: {reason}')
        levels = _pyramid(thermal, rgb, question.start, self.parameters.work_px)
        if levels is None:
            return question.refused('textureless')

        mode = self.parameters.global_search
        if mode == 'never' or (mode == 'auto' and question.prior is not None):
            answer = self._measure(levels, [question.start], question)
            if answer.state is RegistrationState.TRACKING or mode == 'never':
                return answer
        return self._measure(levels, self._global_starts(levels[-1], question.start), question)

    def _global_starts(self, coarse: _Level, start: np.ndarray) -> list[np.ndarray]:
        """Take step 1: find where the coarse features look most alike."""
        p = self.parameters
        width = coarse.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_grid(np.log(p.max_scale), p.scale_steps))
        angles = _grid(np.deg2rad(p.max_rotation_deg), p.rotation_steps)
        found = search(coarse.thermal, coarse.rgb_around(start, margin), margin, scales, angles,
                       int(p.max_shift * width), p.candidates)
        return [coarse.moved(start, similarity) for similarity in found]

    def _measure(self, levels: tuple[_Level, _Level, _Level], starts: list[np.ndarray],
                 question: Question) -> Registration:
        """Take steps 2 to 4: go from coarse to fine from the best of the starts, then judge."""
        fine, middle, coarse = levels
        tracks = _best(_followed(starts, coarse, _FROM_FAR), coarse, 3)
        tracks = _best(_followed(tracks, coarse, _FROM_FAR), coarse, 1)
        for stages in (_FROM_NEAR, _AT_LAST, _AT_LAST):
            tracks = _followed(tracks, middle, stages)
        for _ in range(self.parameters.refinement_steps):
            tracks = _followed(tracks, fine, _AT_LAST)
        if not tracks:
            return question.refused('too few blocks')
        H = tracks[0]

        reason = question.flaw(H)
        if reason:
            return question.refused(f'implausible: {reason}')
        evidence = _evidence(middle, H)
        confidence = evidence.confidence()
        if confidence < self.parameters.min_confidence:
            return question.refused(f'low confidence: {confidence:.2f}')
        return question.answered(H, confidence, evidence.inliers)


def _grid(limit: float, steps: int) -> np.ndarray:
    """Return so many values from -limit to limit; 0 where it is one."""
    return np.linspace(-limit, limit, steps) if steps > 1 else np.zeros(1)


@dataclass(frozen=True, eq=False)
class _Level:
    """The features of both images at one scale, and how blocks are matched at that scale."""

    thermal: np.ndarray
    rgb: np.ndarray
    thermal_scale: tuple[float, float]  # new size / old size along x and y
    rgb_scale: tuple[float, float]
    reach_px: int
    cell_px: int
    block_cells: int

    def rgb_around(self, H: np.ndarray, margin_px: int) -> np.ndarray:
        """Return the RGB features laid onto the thermal grid by H, with a margin around it."""
        width, height = geometry.size_of(self.thermal)
        H_level = geometry.rescaled(H, self.thermal_scale, self.rgb_scale)
        to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_level)
        grid = (width + 2 * margin_px, height + 2 * margin_px)
        laid = cv2.warpPerspective(self.rgb, to_grid, grid)
        return turned(laid, -_rotation_rad(H_level, ((width - 1) / 2, (height - 1) / 2)))

    def correlated(self, around: np.ndarray) -> Blocks:
        """Correlate the blocks of the thermal features with the RGB features around them."""
        return correlate_blocks(self.thermal, around, self.reach_px, self.cell_px,
                                self.block_cells)

    def moved(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step that was found in thermal pixels of this level."""
        back = (1 / self.thermal_scale[0], 1 / self.thermal_scale[1])
        return geometry.normalized(H @ geometry.rescaled(step, back, back))


def _pyramid(thermal: np.ndarray, rgb: np.ndarray, H: np.ndarray,
             work_px: int) -> tuple[_Level, _Level, _Level] | None:
    """Return the fine, middle and coarse level, or None where there is nothing to see."""
    thermal, rgb = contrast(thermal), contrast(rgb)
    if not (thermal.any() and rgb.any()):
        return None
    thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
    rgb_px_per_thermal_px = geometry.scale_in_middle(H, thermal_size)
    scale = work_px / max(thermal_size)
    thermal = structure(resized(thermal, scaled(thermal_size, scale)))
    rgb = structure(resized(rgb, scaled(rgb_size, min(1.0, scale / rgb_px_per_thermal_px))))
    levels = []
    # how blocks are matched: reach, cell, cells a block
    for shrink, matching in ((1, (4, 8, 6)), (2, (5, 8, 4)), (4, (6, 4, 6))):
        small, small_rgb = reduced(thermal, shrink), reduced(rgb, shrink)
        if min(small.shape[:2] + small_rgb.shape[:2]) < _MIN_SIDE_PX:
            return None
        levels.append(_Level(small, small_rgb, _scale(small, thermal_size),
                             _scale(small_rgb, rgb_size), *matching))
    return levels[0], levels[1], levels[2]


def _scale(image: np.ndarray, full_size: tuple[int, int]) -> tuple[float, float]:
    return image.shape[1] / full_size[0], image.shape[0] / full_size[1]


def _rotation_rad(H: np.ndarray, point_px: tuple[float, float]) -> float:
    """Return by how much H turns the surroundings of a point."""
    x, y = point_px
    here, right, down = geometry.transform_points(H, np.array([(x, y), (x + 1, y), (x, y + 1)]))
    (a, b), (c, d) = right - here, down - here
    return float(np.arctan2(b - c, a + d))


def _followed(tracks: list[np.ndarray], level: _Level,
              stages: tuple[tuple[str, float], ...]) -> list[np.ndarray]:
    """Fit the blocks of a level from each homography; return where that leads."""
    arrived = []
    for H in tracks:
        step = fit(level.correlated(level.rgb_around(H, level.reach_px)), stages)
        if step is not None:
            arrived.append(level.moved(H, step))
    return arrived


def _best(tracks: list[np.ndarray], level: _Level, count: int) -> list[np.ndarray]:
    """Return the homographies under which the features of a level look most alike."""
    if len(tracks) <= 1:
        return tracks
    return sorted(tracks, key=lambda H: -_likeness(level, H))[:count]


def _likeness(level: _Level, H: np.ndarray) -> float:
    """Return the correlation of the features where both see, less where that is little."""
    around = level.rgb_around(H, 0)
    seen = (np.square(around).sum(2) > 1e-3).astype(np.uint8)
    return _correlation(cv2.copyTo(level.thermal, seen), around) * float(np.sqrt(seen.mean()))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel(), b.ravel()
    return float((a @ b) / (np.sqrt((a @ a) * (b @ b)) + 1e-9))


@dataclass(frozen=True)
class _Evidence:
    """What speaks for a homography, judged at the middle level."""

    inliers: int  # blocks that on their own, too, lie best where the homography puts them
    gain: float  # correlation of the features over that of slightly shifted ones
    unrest: float  # by how much one more fit moves the corners, as a share of the width

    def confidence(self) -> float:
        """
        Return the probability that the homography repeats.

        That is, that a registration of the same scene from another angle lies within 3 px of 640.
        Logistic regression over 126 RoadScene pairs, each misaligned in three ways, and 121 pairs
        of scenes that do not belong together; see docs/registration.md.
        """
        if self.inliers < MIN_BLOCKS:
            return 0.0
        score = -2.67 + 21.0 * self.gain - 2.39 * np.log(640 * self.unrest + 0.3)
        return float(1 / (1 + np.exp(-score)))


def _evidence(level: _Level, H: np.ndarray) -> _Evidence:
    reach = level.reach_px
    width, height = geometry.size_of(level.thermal)
    around = level.rgb_around(H, reach)
    blocks = level.correlated(around)
    step = fit(blocks, _AT_LAST)
    if step is None:
        return _Evidence(0, 0.0, 1.0)
    stays = np.square(blocks.displacement_px()).sum(1) < _STAYS_PX ** 2
    shifted = [_correlation(level.thermal, around[y:y + height, x:x + width])
               for x, y in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))]
    moved_px = geometry.corner_error_px(step, np.eye(3), (width, height))
    return _Evidence(int(stays.sum()), _likeness(level, H) - float(np.mean(shifted)),
                     min(moved_px / width, 1.0))
