# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration without weights: dense structure features, matched from coarse to fine.

1. Without a prior, or if the prior is not confirmed: global search at the coarse level over scale,
   rotation and shift (``search``).
2. Blocks are matched at the coarse level from each initial homography (``matching``). The
   homographies with the most similar features are kept.
3. The best homography is refined at the middle and at the fine level.
4. Evidence is collected. A homography with too little evidence is rejected.
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
from ivf_ros.registration.inputs import (
    normalize_contrast,
    RegistrationRequest,
    resize_to,
    scale_size,
)
from ivf_ros.registration.search import search
from ivf_ros.types import Registration
import numpy as np

# Coefficients of ``evidence_features``, from ``training.confidence``.
_CONFIDENCE = (-8.88, 6.30, 4.11, 6.52, -0.90, -3.25)


@dataclass(frozen=True)
class DenseParameters:
    """Resolution, search range and acceptance of the method ``dense``."""

    work_px: int = parameter(
        320, 'Long side of the thermal image at the finest level.', minimum=240, maximum=1280)
    global_search: str = parameter(
        'auto', "Global search: 'auto' without a prior, or if the prior is not confirmed.",
        choices=('auto', 'always', 'never'))
    max_scale: float = parameter(
        1.25, 'Global search: largest scale factor against the prior, larger or smaller.',
        minimum=1.0, maximum=2.0)
    scale_steps: int = parameter(
        7, 'Global search: number of scales.', minimum=1, maximum=31)
    max_rotation_deg: float = parameter(
        4.0, 'Global search: largest rotation against the prior. One degree more is found too.',
        minimum=0.0, maximum=45.0)
    rotation_steps: int = parameter(
        3, 'Global search: number of rotations.', minimum=1, maximum=31)
    max_shift: float = parameter(
        0.15, 'Global search: largest shift against the prior, as a fraction of the image width.',
        minimum=0.0, maximum=0.25)
    candidates: int = parameter(
        6, 'Global search: number of results that are refined.', minimum=1, maximum=20)
    refinement_steps: int = parameter(
        2, 'Rounds of block matching at the finest level; 0 for none.', minimum=0, maximum=10)
    min_confidence: float = parameter(
        0.5, 'Measurements with a lower confidence are rejected.', minimum=0.0, maximum=1.0)


class DenseRegistrar:
    """
    Registers by dense oriented-gradient features; the module describes the steps.

    It has no state except its parameters.
    """

    def __init__(self, parameters: DenseParameters = DenseParameters()) -> None:
        self.parameters = parameters

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Measure one pair of images; see ``Registrar``."""
        return self.examine(thermal, rgb, prior)[0]

    def examine(self, thermal: np.ndarray, rgb: np.ndarray, prior: np.ndarray | None = None
                ) -> ScoredRegistration:
        """Return the result of ``register`` and its evidence, None if none was collected."""
        request = RegistrationRequest.from_images(thermal, rgb, prior)
        reason = request.check_input()
        if reason:
            return request.reject(reason), None
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return request.reject('textureless'), None
        return first_accepted(request, lambda H: self._register_from(H, thermal, rgb, request))

    def _register_from(self, H_initial: np.ndarray, thermal: np.ndarray, rgb: np.ndarray,
                       request: RegistrationRequest) -> ScoredRegistration:
        """Do all steps from one initial homography."""
        levels = _make_levels(thermal, rgb, H_initial, self.parameters.work_px)
        if levels is None:
            return request.reject('textureless'), None
        return search_near_then_globally(
            request, self.parameters.global_search,
            search_near=lambda: self._measure(levels, [H_initial], request),
            search_far=lambda: self._measure(
                levels, self._search_globally(levels[-1], H_initial), request))

    def _search_globally(self, coarse: Level, H_initial: np.ndarray) -> list[np.ndarray]:
        """Do step 1: return the homographies with the most similar coarse features."""
        p = self.parameters
        width = coarse.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_spaced(np.log(p.max_scale), p.scale_steps))
        angles_rad = _spaced(np.deg2rad(p.max_rotation_deg), p.rotation_steps)
        steps = search(coarse.thermal, coarse.warp_rgb(H_initial, margin), margin, scales,
                       angles_rad, int(p.max_shift * width), p.candidates)
        return [coarse.compose(H_initial, step) for step in steps]

    def _measure(self, levels: tuple[Level, Level, Level], hypotheses: list[np.ndarray],
                 request: RegistrationRequest) -> ScoredRegistration:
        """Do steps 2 to 4: refine the best hypothesis from coarse to fine, then check it."""
        fine, middle, coarse = levels
        hypotheses = keep_most_similar(fit_at_level(hypotheses, coarse, COARSE_STAGES), coarse, 3)
        hypotheses = keep_most_similar(fit_at_level(hypotheses, coarse, COARSE_STAGES), coarse, 1)
        hypotheses = refine_to_fine(hypotheses, middle, fine, self.parameters.refinement_steps)
        if not hypotheses:
            return request.reject('too few blocks'), None
        return accept_or_reject(request, hypotheses[0], middle, hypotheses[0], _CONFIDENCE,
                                self.parameters.min_confidence)


def _spaced(limit: float, steps: int) -> np.ndarray:
    """Return ``steps`` equally spaced values from -limit to limit; 0 for one step."""
    return np.linspace(-limit, limit, steps) if steps > 1 else np.zeros(1)


def _make_levels(thermal: np.ndarray, rgb: np.ndarray, H: np.ndarray,
                 work_px: int) -> tuple[Level, Level, Level] | None:
    """Return the fine, middle and coarse level; None if an image is too small."""
    thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
    rgb_px_per_thermal_px = geometry.scale_at_centre(H, thermal_size)
    scale = work_px / max(thermal_size)
    thermal = structure(resize_to(thermal, scale_size(thermal_size, scale)))
    rgb = structure(resize_to(rgb, scale_size(rgb_size, min(1.0, scale / rgb_px_per_thermal_px))))
    return structure_levels(thermal, rgb, thermal_size, rgb_size)
