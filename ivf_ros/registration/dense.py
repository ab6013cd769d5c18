# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Classical, weight-free registration: dense structure features, coarse to fine.

1. Where no prior is known, or the prior did not hold: global search at a coarse level over
   scale, rotation and shift (``search``).
2. From each start, blocks of thermal features are found in the RGB features, and a similarity,
   then an affine mapping is fitted to them (``matching``).
3. The same at finer levels with homographies, from the starts after which the features look most
   alike, then Gauss-Newton (``refinement``).
4. Evidence is collected, and a homography that is not well supported is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import check_pair, check_prior, contrast, unmeasured
from ivf_ros.registration.matching import fit, match_blocks, Matches, MIN_MATCHES
from ivf_ros.registration.refinement import refine
from ivf_ros.registration.search import search
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_MIN_SIDE_PX = 16  # of the coarse level; there is no structure in less


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
        8, 'Global search: how many of its answers are followed up.', minimum=1, maximum=20)
    refinement_steps: int = parameter(
        5, 'Gauss-Newton steps at the end; 0 for none.', minimum=0, maximum=50)
    min_confidence: float = parameter(
        0.55, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


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
        check_pair(thermal, rgb)
        prior = check_prior(prior)
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        start = geometry.stretch(*sizes) if prior is None else prior
        reason = geometry.check(start, *sizes)
        if reason:
            return unmeasured(*sizes, prior, f'implausible prior: {reason}')
        levels = _pyramid(thermal, rgb, start, self.parameters.work_px)
        if levels is None:
            return unmeasured(*sizes, prior, 'textureless')

        mode = self.parameters.global_search
        if mode == 'never' or (mode == 'auto' and prior is not None):
            answer = self._measure(levels, [start], sizes, prior)
            if answer.state is RegistrationState.TRACKING or mode == 'never':
                return answer
        return self._measure(levels, self._global_starts(levels[-1], start), sizes, prior)

    def _global_starts(self, coarse: _Level, start: np.ndarray) -> list[np.ndarray]:
        """Take step 1: find where the coarse images look most alike."""
        p = self.parameters
        width = coarse.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_grid(np.log(p.max_scale), p.scale_steps))
        angles = _grid(np.deg2rad(p.max_rotation_deg), p.rotation_steps)
        found = search(coarse.thermal, coarse.rgb_around(start, margin), margin, scales, angles,
                       int(p.max_shift * width), p.candidates)
        return [coarse.moved(start, similarity) for similarity in found]

    def _measure(self, levels: tuple[_Level, _Level, _Level], starts: list[np.ndarray],
                 sizes: tuple[tuple[int, int], tuple[int, int]],
                 prior: np.ndarray | None) -> Registration:
        """Take steps 2 to 4: go from coarse to fine from the best of the starts, then judge."""
        fine, middle, coarse = levels
        tracks = _best(_followed(starts, coarse, 'similarity'), middle, 4)
        tracks = _best(_followed(tracks, coarse, 'affine'), middle, 2)
        tracks = _best(_followed(tracks, middle, 'homography'), middle, 1)
        tracks = _followed(_followed(tracks, middle, 'homography'), fine, 'homography')
        if not tracks:
            return unmeasured(*sizes, prior, 'too few matches')
        H = _refined(fine, tracks[0], self.parameters.refinement_steps)

        reason = geometry.check(H, *sizes)
        if reason:
            return unmeasured(*sizes, prior, f'implausible: {reason}')
        evidence = _evidence(middle, H)
        confidence = evidence.confidence()
        if confidence < self.parameters.min_confidence:
            return unmeasured(*sizes, prior,
                              f'low confidence: {confidence:.2f}, worst is {evidence.worst()}')
        return Registration(H, confidence, evidence.inliers, RegistrationState.TRACKING, sizes[1],
                            age_s=0.0)


def _grid(limit: float, steps: int) -> np.ndarray:
    """Return so many values from -limit to limit; 0 where it is one."""
    return np.linspace(-limit, limit, steps) if steps > 1 else np.zeros(1)


@dataclass(frozen=True, eq=False)
class _Level:
    """Both images at one scale, and how blocks are matched at that scale."""

    thermal: np.ndarray
    features: np.ndarray  # of the thermal image
    rgb: np.ndarray
    thermal_scale: tuple[float, float]  # new size / old size along x and y
    rgb_scale: tuple[float, float]
    reach_px: int
    cell_px: int
    block_cells: int
    tolerance_px: float

    def rgb_around(self, H: np.ndarray, margin_px: int) -> np.ndarray:
        """Return the RGB features laid onto the thermal grid by H, with a margin around it."""
        width, height = geometry.size_of(self.thermal)
        H_level = geometry.rescaled(H, self.thermal_scale, self.rgb_scale)
        to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_level)
        grid = (width + 2 * margin_px, height + 2 * margin_px)
        image = cv2.warpPerspective(self.rgb, to_grid, grid, borderMode=cv2.BORDER_REPLICATE)
        covered = geometry.coverage(to_grid, geometry.size_of(self.rgb), grid)
        # a gradient takes 3 pixels
        inner = cv2.erode(covered.astype(np.float32), np.ones((3, 3)), borderValue=0)
        return structure(image) * inner[..., None]

    def matches(self, around: np.ndarray) -> Matches:
        """Find the blocks of the thermal features in the RGB features."""
        return match_blocks(self.features, around, self.reach_px, self.cell_px, self.block_cells)

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
    rgb_px_per_thermal_px = np.sqrt(np.linalg.det(H[:2, :2]))
    levels = []
    # long side, then how blocks are matched: reach, cell, cells a block, tolerance
    for side_px, matching in ((work_px, (4, 8, 6, 3.0)), (work_px / 2, (5, 8, 4, 2.0)),
                              (work_px / 4, (6, 4, 6, 1.0))):
        scale = side_px / max(thermal_size)
        thermal = _resized(thermal, thermal_size, scale)
        rgb = _resized(rgb, rgb_size, min(1.0, scale / rgb_px_per_thermal_px))
        if min(thermal.shape + rgb.shape) < _MIN_SIDE_PX:
            return None
        levels.append(_Level(thermal, structure(thermal), rgb, _scale(thermal, thermal_size),
                             _scale(rgb, rgb_size), *matching))
    return levels[0], levels[1], levels[2]


def _resized(image: np.ndarray, full_size: tuple[int, int], scale: float) -> np.ndarray:
    size = (max(1, round(full_size[0] * scale)), max(1, round(full_size[1] * scale)))
    if size == geometry.size_of(image):
        return image
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _scale(image: np.ndarray, full_size: tuple[int, int]) -> tuple[float, float]:
    return image.shape[1] / full_size[0], image.shape[0] / full_size[1]


def _followed(tracks: list[np.ndarray], level: _Level, model: str) -> list[np.ndarray]:
    """Match the blocks of a level from each homography; return those to which a model fits."""
    arrived = []
    for H in tracks:
        matches = level.matches(level.rgb_around(H, level.reach_px))
        step, _ = fit(matches, level.tolerance_px, model)
        if step is not None:
            arrived.append(level.moved(H, step))
    return arrived


def _best(tracks: list[np.ndarray], level: _Level, count: int) -> list[np.ndarray]:
    """Return the homographies under which the features of a level look most alike."""
    if len(tracks) <= 1:
        return tracks
    return sorted(tracks, key=lambda H: -_likeness(level, H))[:count]


def _refined(level: _Level, H: np.ndarray, steps: int) -> np.ndarray:
    if not steps:
        return H
    margin, stride = 4, 3
    around = level.rgb_around(H, margin)
    return level.moved(H, refine(level.features, around, margin, stride, steps))


def _likeness(level: _Level, H: np.ndarray) -> float:
    """Return the correlation of the features where both see, less where that is little."""
    around = level.rgb_around(H, 0)
    seen = np.einsum('yxc,yxc->yx', around, around) > 1e-3
    return _correlation(level.features * seen[..., None], around) * float(np.sqrt(seen.mean()))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))


@dataclass(frozen=True)
class _Evidence:
    """What speaks for a homography, judged at the middle level."""

    inliers: int
    inlier_share: float  # of all blocks, those that stay where the homography puts them
    distinct: float  # mean distinctness of the inliers
    spread: float  # area over which the inliers lie; 1 is evenly over the image
    round_trip: float  # corner displacement thermal -> RGB and back, as a share of the width
    gain: float  # correlation of the features over that of slightly shifted ones

    def _marks(self) -> dict[str, float]:
        """Rate each kind of evidence from 0, as between unrelated images, to 1, convincing."""
        ranges = {'inlier_share': (0.2, 0.7), 'distinct': (0.025, 0.1), 'spread': (0.2, 0.5),
                  'round_trip': (0.025, 0.003), 'gain': (0.02, 0.2)}
        return {name: float(np.clip((getattr(self, name) - bad) / (good - bad), 0, 1))
                for name, (bad, good) in ranges.items()}

    def confidence(self) -> float:
        """Return the geometric mean of the marks, so that no kind may be missing."""
        marks = self._marks()
        return float(np.prod(list(marks.values())) ** (1 / len(marks)))

    def worst(self) -> str:
        """Name the kind of evidence with the lowest mark."""
        marks = self._marks()
        return min(marks, key=lambda name: marks[name]).replace('_', ' ')


def _evidence(level: _Level, H: np.ndarray) -> _Evidence:
    reach = level.reach_px
    width, height = geometry.size_of(level.thermal)
    around = level.rgb_around(H, reach)
    rgb = around[reach:-reach, reach:-reach]
    forward = level.matches(around)
    backward = match_blocks(rgb, np.pad(level.features, ((reach, reach), (reach, reach), (0, 0))),
                            reach, level.cell_px, level.block_cells)

    stays = np.linalg.norm(forward.to_px - forward.from_px, axis=1) < 0.75 * level.tolerance_px
    inliers = int(stays.sum())
    if inliers < MIN_MATCHES:
        return _Evidence(inliers, 0.0, 0.0, 0.0, 1.0, 0.0)
    area = np.sqrt(max(np.linalg.det(np.cov(forward.from_px[stays].T)), 0.0))

    round_trip = 0.0
    for matches in (forward, backward):
        step, _ = fit(matches, level.tolerance_px, 'homography')
        moved_px = np.inf if step is None else \
            geometry.corner_error_px(step, np.eye(3), (width, height))
        round_trip = max(round_trip, moved_px / width)

    shifted = [_correlation(level.features, around[y:y + height, x:x + width])
               for x, y in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))]
    return _Evidence(inliers, inliers / forward.blocks, float(forward.distinct[stays].mean()),
                     area / (width * height / 12), min(round_trip, 1.0),
                     _likeness(level, H) - float(np.mean(shifted)))
