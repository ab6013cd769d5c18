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

from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.coarse_to_fine import (
    Answer,
    best,
    first_that_holds,
    followed,
    FROM_FAR,
    judged,
    Level,
    near_then_far,
    refined,
    structure_levels,
)
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import contrast, Question, resized, scaled
from ivf_ros.registration.search import search
from ivf_ros.types import Registration
import numpy as np

# Of the features of the evidence.
_CONFIDENCE = (-8.88, 6.30, 4.11, 6.52, -0.90, -3.25)


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
        0.5, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


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
        return self.examine(thermal, rgb, prior)[0]

    def examine(self, thermal: np.ndarray, rgb: np.ndarray, prior: np.ndarray | None = None
                ) -> Answer:
        """Return the answer of ``register``, and what its confidence was made of, if anything."""
        question = Question.about(thermal, rgb, prior)
        reason = question.flaw(question.start)
        if reason:
            return question.refused(f'implausible prior: {reason}'), None
        thermal, rgb = contrast(thermal), contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return question.refused('textureless'), None
        return first_that_holds(question, lambda start: self._from(start, thermal, rgb, question))

    def _from(self, start: np.ndarray, thermal: np.ndarray, rgb: np.ndarray, question: Question
              ) -> Answer:
        """Take all steps from one start."""
        levels = _pyramid(thermal, rgb, start, self.parameters.work_px)
        if levels is None:
            return question.refused('textureless'), None
        return near_then_far(
            question, self.parameters.global_search,
            near=lambda: self._measure(levels, [start], question),
            far=lambda: self._measure(levels, self._global_starts(levels[-1], start), question))

    def _global_starts(self, coarse: Level, start: np.ndarray) -> list[np.ndarray]:
        """Take step 1: find where the coarse features look most alike."""
        p = self.parameters
        width = coarse.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_grid(np.log(p.max_scale), p.scale_steps))
        angles = _grid(np.deg2rad(p.max_rotation_deg), p.rotation_steps)
        found = search(coarse.thermal, coarse.rgb_around(start, margin), margin, scales, angles,
                       int(p.max_shift * width), p.candidates)
        return [coarse.moved(start, similarity) for similarity in found]

    def _measure(self, levels: tuple[Level, Level, Level], starts: list[np.ndarray],
                 question: Question) -> Answer:
        """Take steps 2 to 4: go from coarse to fine from the best of the starts, then judge."""
        fine, middle, coarse = levels
        tracks = best(followed(starts, coarse, FROM_FAR), coarse, 3)
        tracks = best(followed(tracks, coarse, FROM_FAR), coarse, 1)
        tracks = refined(tracks, middle, fine, self.parameters.refinement_steps)
        if not tracks:
            return question.refused('too few blocks'), None
        return judged(question, tracks[0], middle, tracks[0], _CONFIDENCE,
                      self.parameters.min_confidence)


def _grid(limit: float, steps: int) -> np.ndarray:
    """Return so many values from -limit to limit; 0 where it is one."""
    return np.linspace(-limit, limit, steps) if steps > 1 else np.zeros(1)


def _pyramid(thermal: np.ndarray, rgb: np.ndarray, H: np.ndarray,
             work_px: int) -> tuple[Level, Level, Level] | None:
    """Return the fine, middle and coarse level, or None where an image is tiny."""
    thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
    rgb_px_per_thermal_px = geometry.scale_in_middle(H, thermal_size)
    scale = work_px / max(thermal_size)
    thermal = structure(resized(thermal, scaled(thermal_size, scale)))
    rgb = structure(resized(rgb, scaled(rgb_size, min(1.0, scale / rgb_px_per_thermal_px))))
    return structure_levels(thermal, rgb, thermal_size, rgb_size)
