# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned registration: the coarse-to-fine matching of ``dense`` in learned feature maps.

1. Thermal is resized to ``work_px`` width and RGB is warped to the same scale. The network makes
   two feature maps of each image, in which both cameras give similar features (``network_fast``).
2. Without a prior, or if the prior is not confirmed: global search over scale, rotation and shift
   in the maps at 1/8 (``search``).
3. Blocks of the maps at 1/4 are matched (``matching``). The learned maps come first, because they
   distinguish places that are similar for ``dense``.
4. Blocks of the structure features of ``dense`` are matched, which are more exact.
5. Evidence is collected in the maps at 1/4, which are not used in the last rounds. A homography
   with too little evidence is rejected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import geometry
from ivf_ros.nn.runtime import load_network
from ivf_ros.nn.settings import NetworkParameters
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
    limit_width,
    normalize_contrast,
    RegistrationRequest,
    resize_to,
    scale_size,
)
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.registration.search import search
from ivf_ros.types import Registration
import numpy as np

WEIGHTS = Path(__file__).parent / 'weights' / 'fast'  # without suffix
OUTPUT_NAMES = ('eighth', 'quarter')  # see ``network_inference``
_SIZE_MULTIPLE_PX = 32  # of width and height of the network input
_MARGIN = 0.2  # of RGB around the thermal image, as a fraction of the width
_SCALE_STEP = 0.075  # of the logarithm
_ROTATION_STEP_RAD = np.deg2rad(4.0)
# Block matching: reach in pixels, cell size in pixels, block size in cells
_EIGHTH_MATCHING = (4, 4, 2)
_QUARTER_MATCHING = (6, 4, 3)

# Coefficients of ``evidence_features``, from ``training.confidence``.
_CONFIDENCE = (-7.87, 8.05, 2.39, 2.55, 0.07, -4.13)


@dataclass(frozen=True)
class FastParameters:
    """Resolution, search range and acceptance of the method ``fast``."""

    work_px: int = parameter(
        320, 'Width of the thermal image at the network input; the network is trained for 320.',
        minimum=160, maximum=1280)
    global_search: str = parameter(
        'auto', "Global search: 'auto' without a prior, or if the prior is not confirmed.",
        choices=('auto', 'always', 'never'))
    max_scale: float = parameter(
        1.25, 'Global search: largest scale factor against the prior, larger or smaller.',
        minimum=1.0, maximum=2.0)
    max_rotation_deg: float = parameter(
        4.0, 'Global search: largest rotation against the prior. One degree more is found too.',
        minimum=0.0, maximum=45.0)
    max_shift: float = parameter(
        0.15, 'Global search: largest shift against the prior, as a fraction of the image width.',
        minimum=0.0, maximum=0.25)
    candidates: int = parameter(
        3, 'Global search: number of results that are refined.', minimum=1, maximum=20)
    refinement_steps: int = parameter(
        2, 'Rounds of block matching at the finest level; 0 for none.', minimum=0, maximum=10)
    min_confidence: float = parameter(
        0.5, 'Measurements with a lower confidence are rejected.', minimum=0.0, maximum=1.0)


class FastRegistrar:
    """
    Registers by learned feature maps; the module describes the steps.

    Attributes
    ----------
    networks:
        The loaded network, in a tuple.

    Raises
    ------
    WeightsError
        The weight file is missing or damaged.
    DeviceError
        The engine, the device or the precision is not available.

    """

    def __init__(self, parameters: FastParameters = FastParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        self.parameters = parameters
        self._network = load_network(WEIGHTS, _load_module, OUTPUT_NAMES, network)
        self.networks = (self._network,)

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
        view = _View.of(thermal, rgb, H_initial, self.parameters.work_px)
        structures = structure_levels(
            structure(view.thermal), _mask_uncovered(structure(view.rgb), view.coverage),
            geometry.size_of(view.thermal), geometry.size_of(view.rgb))
        if structures is None:
            return request.reject('textureless'), None
        eighth, quarter = self._extract_levels(view)
        levels = (quarter, *structures)
        return search_near_then_globally(
            request, self.parameters.global_search,
            search_near=lambda: self._measure(
                levels, [view.H_initial], near=True, view=view, request=request),
            search_far=lambda: self._measure(
                levels, self._search_globally(eighth, view.H_initial), near=False, view=view,
                request=request))

    def _extract_levels(self, view: _View) -> tuple[Level, Level]:
        """Do step 1: return the feature maps at 1/8 and 1/4."""
        thermal_maps, rgb_maps = (
            self._network(normalized_input(image), np.array(is_thermal))
            for image, is_thermal in ((view.thermal, True), (view.rgb, False)))
        eighth, quarter = (
            Level(thermal_map, _mask_uncovered(rgb_map, view.coverage),
                  geometry.size_of(view.thermal), geometry.size_of(view.rgb), *matching,
                  oriented=False)
            for thermal_map, rgb_map, matching in zip(thermal_maps, rgb_maps,
                                                      (_EIGHTH_MATCHING, _QUARTER_MATCHING)))
        return eighth, quarter

    def _search_globally(self, level: Level, H_initial: np.ndarray) -> list[np.ndarray]:
        """Do step 2: return the homographies with the most similar maps."""
        p = self.parameters
        width = level.thermal.shape[1]
        margin = width // 4
        scales = np.exp(_spaced(np.log(p.max_scale), _SCALE_STEP))
        angles_rad = _spaced(np.deg2rad(p.max_rotation_deg), _ROTATION_STEP_RAD)
        steps = search(level.thermal, level.warp_rgb(H_initial, margin), margin, scales,
                       angles_rad, int(p.max_shift * width), p.candidates, oriented=False)
        return [level.compose(H_initial, step) for step in steps]

    def _measure(self, levels: tuple[Level, Level, Level, Level], hypotheses: list[np.ndarray],
                 *, near: bool, view: _View, request: RegistrationRequest) -> ScoredRegistration:
        """
        Do steps 3 to 5: refine the best hypothesis from coarse to fine, then check it.

        A hypothesis from a prior (``near``) needs fewer rounds. In a video this is the usual case.
        """
        quarter, fine, middle, coarse = levels
        if near:
            hypotheses = fit_at_level(hypotheses, quarter, MEDIUM_STAGES)
        else:
            hypotheses = fit_at_level(hypotheses, quarter, COARSE_STAGES)
            hypotheses = keep_most_similar(hypotheses, quarter, 1)
            hypotheses = fit_at_level(hypotheses, quarter, MEDIUM_STAGES)
            hypotheses = fit_at_level(hypotheses, coarse, MEDIUM_STAGES)
        hypotheses = refine_to_fine(hypotheses, middle, fine, self.parameters.refinement_steps)
        if not hypotheses:
            return request.reject('too few blocks'), None
        return accept_or_reject(request, view.to_full_image(hypotheses[0]), quarter,
                                hypotheses[0], _CONFIDENCE, self.parameters.min_confidence)


@dataclass(frozen=True, eq=False)
class _View:
    """
    The network input of a pair.

    Thermal at its working size, and the part of RGB around it, warped by the prior. The warp
    removes the scale and the rotation of the prior, and the view excludes distant parts of RGB.

    Attributes
    ----------
    thermal, rgb:
        ``(h, w)`` float32 from 0 to 1; sides are multiples of 32.
    coverage:
        ``(h, w)`` bool: where RGB covers ``rgb``. Elsewhere ``rgb`` has mirrored pixels.
    H_initial:
        ``(3, 3)`` from ``thermal`` to ``rgb`` pixels, by the prior: a translation.
    H_thermal_to_view, H_view_to_rgb:
        ``(3, 3)`` from the thermal image to ``thermal``, and from ``rgb`` to the RGB image.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    coverage: np.ndarray
    H_initial: np.ndarray
    H_thermal_to_view: np.ndarray
    H_view_to_rgb: np.ndarray

    @classmethod
    def of(cls, thermal: np.ndarray, rgb: np.ndarray, prior: np.ndarray, work_px: int) -> _View:
        """Return the view of a pair of gray images ``(H, W)`` float32."""
        thermal_size, rgb_size = geometry.size_of(thermal), geometry.size_of(rgb)
        width = limit_width(work_px, thermal_size)
        grid_size = _round_to_multiple((width, width * thermal_size[1] / thermal_size[0]), round)
        H_thermal_to_grid = geometry.stretch(thermal_size, grid_size)
        H_grid_to_rgb = geometry.normalize_homography(prior @ np.linalg.inv(H_thermal_to_grid))
        corners = geometry.transform_points(np.linalg.inv(H_grid_to_rgb),
                                            geometry.corners_px(rgb_size))
        margin = _MARGIN * grid_size[0]
        left, top = np.maximum(np.floor(corners.min(0)), -margin).astype(int)
        right, bottom = np.minimum(np.ceil(corners.max(0)) + 1, np.array(grid_size) + margin)
        view_size = _round_to_multiple((right - left, bottom - top), np.ceil)
        H_initial = geometry.translation(-left, -top)
        H_view_to_rgb = geometry.normalize_homography(H_grid_to_rgb @ np.linalg.inv(H_initial))
        return cls(resize_to(thermal, grid_size), _warp_to_view(rgb, H_view_to_rgb, view_size),
                   geometry.coverage(np.linalg.inv(H_view_to_rgb), rgb_size, view_size),
                   H_initial, H_thermal_to_grid, H_view_to_rgb)

    def to_full_image(self, H: np.ndarray) -> np.ndarray:
        """Convert a homography between the views to one between the images."""
        return geometry.normalize_homography(self.H_view_to_rgb @ H @ self.H_thermal_to_view)


def _load_module(path: Path) -> Any:
    from ivf_ros.registration.network_inference import load_module  # imports PyTorch
    return load_module(path)


def _round_to_multiple(size: tuple[float, float],
                       rounding: Callable[[float], float]) -> tuple[int, int]:
    """Return width and height as multiples of ``_SIZE_MULTIPLE_PX``, at least twice as large."""
    width, height = (max(int(rounding(side / _SIZE_MULTIPLE_PX)), 2) * _SIZE_MULTIPLE_PX
                     for side in size)
    return width, height


def _warp_to_view(rgb: np.ndarray, H_view_to_rgb: np.ndarray,
                  view_size: tuple[int, int]) -> np.ndarray:
    """Return RGB warped to a view. A much larger RGB image is first resized by area."""
    rgb_px_per_view_px = geometry.scale_at_centre(H_view_to_rgb, view_size)
    H_rgb_to_view = np.linalg.inv(H_view_to_rgb)
    if rgb_px_per_view_px > 1.3:
        full_size = geometry.size_of(rgb)
        rgb = resize_to(rgb, scale_size(full_size, 1 / rgb_px_per_view_px))
        H_rgb_to_view = H_rgb_to_view @ geometry.stretch(geometry.size_of(rgb), full_size)
    return cv2.warpPerspective(rgb, H_rgb_to_view, view_size, borderMode=cv2.BORDER_REFLECT_101)


def _mask_uncovered(features: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Return features that are zero where there is no coverage."""
    if coverage.all():
        return features
    mask = resize_to(coverage.astype(np.uint8), geometry.size_of(features))
    return cv2.copyTo(features, mask)


def _spaced(limit: float, step: float) -> np.ndarray:
    """Return equally spaced values from -limit to limit, with 0, at most ``step`` apart."""
    count = int(np.ceil(limit / step - 1e-9))
    return np.linspace(-limit, limit, 2 * count + 1)
