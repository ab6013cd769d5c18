# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Classical, weight-free registration: dense structure features, coarse to fine.

1. Where no prior is known, or the prior did not hold: global search at a coarse level over
   scale, rotation and shift (``search``).
2. From each initial_homography the coarse blocks of thermal features draw a homography to where they lie keep_most_similar
   in the RGB features (``matching``). The starts after which the features look most alike go on.
3. The best goes on at the middle and at the fine level.
4. Evidence is collected, and a homography that is not well supported is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.coarse_to_fine import (
    accept_or_reject,
    COARSE_STAGES,
    first_accepted,
    fit_at_level,
    keep_most_similar,
    Level,
    refine_to_fine,
    ScoredRegistration,
    search_near_then_globally,
    structure_levels,
)
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import normalize_contrast, RegistrationRequest, resize_to, scaled
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
                ) -> ScoredRegistration:
        """Return the answer of ``register``, and what its confidence was made of, if anything."""
        request = RegistrationRequest.from_images(thermal, rgb, prior)
        reason = request.check(request.initial_homography)
        if reason:
            return request.reject(f'implausible prior: {reason}'), None
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return request.reject('textureless'), None
        return first_accepted(request, lambda initial_homography: self._register_from(initial_homography, thermal, rgb, request))

    def _register_from(self, initial_homography: np.ndarray, thermal: np.ndarray, rgb: np.ndarray, request: RegistrationRequest
                       ) -> ScoredRegistration:
        """Take all steps from one start."""
        levels = _pyramid(thermal, rgb, initial_homography, self.parameters.work_px)
        if levels is None:
            return request.reject('textureless'), None
        return search_near_then_globally(
            request, self.parameters.global_search,
            near=lambda: self._measure(levels, [initial_homography], request),
            far=lambda: self._measure(levels, self._search_globally(levels[-1], initial_homography), request))

    def _search_globally(self, coarse: Level, initial_homography: np.ndarray) -> list[np.ndarray]:
        """Take step 1: find where the coarse features look most alike."""
        p = self.parameters
        width = coarse.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_grid(np.log(p.max_scale), p.scale_steps))
        angles = _grid(np.deg2rad(p.max_rotation_deg), p.rotation_steps)
        found = search(coarse.thermal, coarse.warp_rgb(initial_homography, margin), margin, scales, angles,
                       int(p.max_shift * width), p.candidates)
        return [coarse.compose(initial_homography, similarity) for similarity in found]

    def _measure(self, levels: tuple[Level, Level, Level], initial_homographies: list[np.ndarray],
                 request: RegistrationRequest) -> ScoredRegistration:
        """Take steps 2 to 4: go from coarse to fine from the best of the starts, then judge."""
        fine, middle, coarse = levels
        hypotheses = keep_most_similar(fit_at_level(initial_homographies, coarse, COARSE_STAGES), coarse, 3)
        hypotheses = keep_most_similar(fit_at_level(hypotheses, coarse, COARSE_STAGES), coarse, 1)
        hypotheses = refine_to_fine(hypotheses, middle, fine, self.parameters.refinement_steps)
        if not hypotheses:
            return request.reject('too few blocks'), None
        return accept_or_reject(request, hypotheses[0], middle, hypotheses[0], _CONFIDENCE,
                                self.parameters.min_confidence)


def _grid(limit: float, steps: int) -> np.ndarray:
    """Return so many values from -limit to limit; 0 where it is one."""
    return np.linspace(-limit, limit, steps) if steps > 1 else np.zeros(1)


def _pyramid(thermal: np.ndarray, rgb: np.ndarray, H: np.ndarray,
             work_px: int) -> tuple[Level, Level, Level] | None:
    """Return the fine, middle and coarse level, or None where an image is tiny."""
    thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
    rgb_px_per_thermal_px = geometry.scale_at_centre(H, thermal_size)
    scale = work_px / max(thermal_size)
    thermal = structure(resize_to(thermal, scaled(thermal_size, scale)))
    rgb = structure(resize_to(rgb, scaled(rgb_size, min(1.0, scale / rgb_px_per_thermal_px))))
    return structure_levels(thermal, rgb, thermal_size, rgb_size)
