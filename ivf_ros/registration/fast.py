# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned registration for a rig: the coarse-to-fine search of ``dense`` in maps that were trained.

1. Thermal is brought to ``work_px`` width and RGB to the same scale; the network makes of each
   two maps in which both cameras see the same (``network_fast``).
2. Without a prior, or where it did not hold: global search over scale, rotation and shift in the
   maps at 1/8 (``search``).
3. Blocks of the maps at 1/4 draw a homography to where they lie keep_most_similar (``matching``). So far what
   was learned leads; it knows places that ``dense`` takes for others.
4. From there on blocks of the structure features of ``dense`` do, which are more exact.
5. Evidence is collected in the maps at 1/4, which had no say in the last steps, and a homography
   that is not well supported is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
from ivf_ros import geometry
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.registration.coarse_to_fine import (
    accept_or_reject,
    COARSE_STAGES,
    first_accepted,
    fit_at_level,
    keep_most_similar,
    Level,
    MEDIUM_STAGES,
    refine_to_fine,
    ScoredRegistration,
    search_near_then_globally,
    structure_levels,
)
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import (
    normalize_contrast,
    RegistrationError,
    RegistrationRequest,
    resize_to,
    scaled,
)
from ivf_ros.registration.search import search
from ivf_ros.types import Registration
import numpy as np

_WEIGHTS = Path(__file__).parent / 'weights' / 'fast.safetensors'
_SIZE_MULTIPLE_PX = 32  # of both sides of what the network is given
_MARGIN = 0.2  # of the width: how far around the prior RGB is looked at
_SCALE_STEP = 0.075  # of the logarithm
_ROTATION_STEP_RAD = np.deg2rad(4.0)
_SEARCH_MATCHING = (4, 4, 2)  # of the maps at 1/8: reach, cell, cells a block
_MATCHING = (6, 4, 3)  # of the maps at 1/4

# Of the features of the evidence.
_CONFIDENCE = (-7.87, 8.05, 2.39, 2.55, 0.07, -4.13)


@dataclass(frozen=True)
class FastParameters:
    """At which size the method ``fast`` compares, how far it searches, and how critically."""

    work_px: int = parameter(
        320, 'Width of the thermal image that the network is given; it was trained for 320.',
        minimum=160, maximum=1280)
    global_search: str = parameter(
        'auto', "Search globally: 'auto' where a prior is missing or does not hold.",
        choices=('auto', 'always', 'never'))
    max_scale: float = parameter(
        1.25, 'Global search: greatest factor of scale against the prior, either way.',
        minimum=1.0, maximum=2.0)
    max_rotation_deg: float = parameter(
        4.0, 'Global search: greatest rotation tried against the prior; a degree more is found.',
        minimum=0.0, maximum=45.0)
    max_shift: float = parameter(
        0.15, 'Global search: greatest shift against the prior, as a share of the image width.',
        minimum=0.0, maximum=0.25)
    candidates: int = parameter(
        3, 'Global search: how many of its answers are followed up.', minimum=1, maximum=20)
    refinement_steps: int = parameter(
        2, 'Rounds of matching at the finest level; 0 for none.', minimum=0, maximum=10)
    min_confidence: float = parameter(
        0.5, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


class FastRegistrar:
    """
    Registers by maps that were trained, of ``weight_files``; see the module for the steps.

    Raises
    ------
    RegistrationError
        PyTorch or safetensors is not installed.
    WeightsError
        The weight file is missing or damaged.

    """

    def __init__(self, parameters: FastParameters = FastParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        with explain_missing('fast', RegistrationError):  # PyTorch, only where it is used
            from ivf_ros.registration.network_fast import FeatureExtractor

        self.parameters = parameters
        path = Path(network.weights or _WEIGHTS)
        self._network = FeatureExtractor(path, network.precision)
        self.weight_files = (str(path),)

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
        strip = min(thermal.shape) * _SIZE_MULTIPLE_PX < max(thermal.shape)
        if strip or not (thermal.any() and rgb.any()):
            return request.reject('textureless'), None

        return first_accepted(request, lambda initial_homography: self._register_from(initial_homography, thermal, rgb, request))

    def _register_from(self, initial_homography: np.ndarray, thermal: np.ndarray, rgb: np.ndarray, request: RegistrationRequest
                       ) -> ScoredRegistration:
        """Take all steps from one start."""
        view = _View.of(thermal, rgb, initial_homography, self.parameters.work_px)
        structures = structure_levels(
            structure(view.thermal), _mask_uncovered(structure(view.rgb), view.coverage),
            geometry.size_of(view.thermal), geometry.size_of(view.rgb))
        if structures is None:
            return request.reject('textureless'), None
        eighth, quarter = self._extract_levels(view)
        levels = (quarter, *structures)
        return search_near_then_globally(
            request, self.parameters.global_search,
            near=lambda: self._measure(levels, [view.initial_homography], True, view, request),
            far=lambda: self._measure(levels, self._search_globally(eighth, view.initial_homography), False,
                                      view, request))

    def _extract_levels(self, view: _View) -> tuple[Level, Level]:
        """Take step 1: return the maps at 1/8 and 1/4."""
        thermal = self._network.maps(view.thermal, 'thermal')
        rgb = self._network.maps(view.rgb, 'rgb')
        eighth, quarter = (
            Level(of_thermal, _mask_uncovered(of_rgb, view.coverage), geometry.size_of(view.thermal),
                  geometry.size_of(view.rgb), *matching, oriented=False)
            for of_thermal, of_rgb, matching in zip(thermal, rgb, (_SEARCH_MATCHING, _MATCHING)))
        return eighth, quarter

    def _search_globally(self, level: Level, initial_homography: np.ndarray) -> list[np.ndarray]:
        """Take step 2: find where the coarsest maps look most alike."""
        p = self.parameters
        width = level.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_steps(np.log(p.max_scale), _SCALE_STEP))
        angles = _steps(np.deg2rad(p.max_rotation_deg), _ROTATION_STEP_RAD)
        found = search(level.thermal, level.warp_rgb(initial_homography, margin), margin, scales, angles,
                       int(p.max_shift * width), p.candidates, oriented=False)
        return [level.compose(initial_homography, similarity) for similarity in found]

    def _measure(self, levels: tuple[Level, Level, Level, Level], initial_homographies: list[np.ndarray],
                 near: bool, view: _View, request: RegistrationRequest
                 ) -> ScoredRegistration:
        """
        Take steps 3 to 5: go from coarse to fine from the best of the starts, then judge.

        A start that is near needs fewer rounds, and is often all there is, as in a video.
        """
        quarter, fine, middle, coarse = levels
        if near:
            hypotheses = fit_at_level(initial_homographies, quarter, MEDIUM_STAGES)
        else:
            hypotheses = keep_most_similar(fit_at_level(initial_homographies, quarter, COARSE_STAGES), quarter, 1)
            hypotheses = fit_at_level(fit_at_level(hypotheses, quarter, MEDIUM_STAGES), coarse, MEDIUM_STAGES)
        hypotheses = refine_to_fine(hypotheses, middle, fine, self.parameters.refinement_steps)
        if not hypotheses:
            return request.reject('too few blocks'), None
        return accept_or_reject(request, view.to_full_image(hypotheses[0]), quarter, hypotheses[0], _CONFIDENCE,
                                self.parameters.min_confidence)


@dataclass(frozen=True, eq=False)
class _View:
    """
    What the network is given of a pair.

    Thermal at its working size, and the part of RGB around it as the prior lays it there: what
    lies far outside is not looked at, and what the prior turns is turned back.

    Attributes
    ----------
    thermal, rgb:
        ``(h, w)`` float32 from 0 to 1; sides are multiples of 32.
    coverage:
        ``(h, w)`` bool: where ``rgb`` shows RGB, and not what was made up beyond its border.
    initial_homography:
        ``(3, 3)`` from ``thermal`` to ``rgb`` pixels, by the prior: a shift.
    H_thermal_to_view, H_view_to_rgb:
        ``(3, 3)`` between the images and the views of them.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    coverage: np.ndarray
    initial_homography: np.ndarray
    H_thermal_to_view: np.ndarray
    H_view_to_rgb: np.ndarray

    @classmethod
    def of(cls, thermal: np.ndarray, rgb: np.ndarray, prior: np.ndarray, work_px: int) -> _View:
        thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
        grid = _round_to_multiple(
            (work_px, work_px * thermal_size[1] / thermal_size[0]), round)
        H_thermal_to_grid = geometry.stretch(thermal_size, grid)
        H_grid_to_rgb = geometry.normalize_homography(prior @ np.linalg.inv(H_thermal_to_grid))
        corners = geometry.transform_points(np.linalg.inv(H_grid_to_rgb),
                                            geometry.corners_px(rgb_size))
        margin = _MARGIN * grid[0]
        left, top = np.maximum(np.floor(corners.min(0)), -margin).astype(int)
        right, bottom = np.minimum(np.ceil(corners.max(0)) + 1, np.array(grid) + margin)
        size = _round_to_multiple((right - left, bottom - top), np.ceil)
        initial_homography = geometry.translation(-left, -top)
        H_view_to_rgb = geometry.normalize_homography(H_grid_to_rgb @ np.linalg.inv(initial_homography))
        return cls(resize_to(thermal, grid), _warp_to_view(rgb, H_view_to_rgb, size),
                   geometry.coverage(np.linalg.inv(H_view_to_rgb), rgb_size, size), initial_homography,
                   H_thermal_to_grid, H_view_to_rgb)

    def to_full_image(self, H: np.ndarray) -> np.ndarray:
        """Return a homography between the views as one between the images."""
        return geometry.normalize_homography(self.H_view_to_rgb @ H @ self.H_thermal_to_view)


def _round_to_multiple(size: tuple[float, float], rounding: Callable[[float], float]) -> tuple[int, int]:
    """Return width and height as multiples of ``_SIZE_MULTIPLE_PX``, two of them at least."""
    width, height = (max(int(rounding(side / _SIZE_MULTIPLE_PX)), 2) * _SIZE_MULTIPLE_PX for side in size)
    return width, height


def _warp_to_view(rgb: np.ndarray, H_view_to_rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return RGB as seen in a view, shrunk by area first where it is much larger."""
    rgb_px_per_px = geometry.scale_at_centre(H_view_to_rgb, size)
    H_rgb_to_view = np.linalg.inv(H_view_to_rgb)
    if rgb_px_per_px > 1.3:
        full = geometry.size_of(rgb)
        rgb = resize_to(rgb, scaled(full, 1 / rgb_px_per_px))
        H_rgb_to_view = H_rgb_to_view @ geometry.stretch(geometry.size_of(rgb), full)
    return cv2.warpPerspective(rgb, H_rgb_to_view, size, borderMode=cv2.BORDER_REFLECT_101)


def _mask_uncovered(features: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Return features that are zero where nothing is covered."""
    if coverage.all():
        return features
    mask = resize_to(coverage.astype(np.uint8), geometry.size_of(features))
    return cv2.copyTo(features, mask)


def _steps(limit: float, step: float) -> np.ndarray:
    """Return values from -limit to limit, at most a step apart, with 0 among them."""
    count = int(np.ceil(limit / step - 1e-9))
    return np.linspace(-limit, limit, 2 * count + 1)
