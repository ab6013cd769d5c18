# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RIFT: keypoints with descriptors of the orientation of the phase structure around them.

After Li, Hu and Ai, RIFT: Multi-Modal Image Matching Based on Radiation-Variation Insensitive
Feature Transform, IEEE Transactions on Image Processing 29, 2020.

1. RGB is warped onto the thermal grid by the prior, or by the plain resize without a prior.
   Keypoints are found in both images (``rift.features``).
2. Their mutual nearest neighbours, by descriptors of wide patches, give a homography (MAGSAC++).
3. RGB is warped onto the grid by that homography. Keypoints are matched again, in narrow patches
   and only near the expected positions. Wide patches change little from one pixel to the next, so
   this step makes the result accurate. Gauss-Newton follows. Neither is in the paper.
4. Evidence is collected. A homography with too little evidence is rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.inputs import (
    normalize_contrast,
    RegistrationRequest,
    resize_to,
    scale_size,
    warp_to_grid,
)
from ivf_ros.registration.point_matches import fit, Matches, MIN_MATCHES
from ivf_ros.registration.refinement import refine_structure
from ivf_ros.registration.rift.features import (
    find_keypoints,
    Keypoints,
    mask_within_radius,
    match_mutually,
)
from ivf_ros.registration.rift.phase_congruency import phase_structure, PhaseStructure
from ivf_ros.types import Registration
import numpy as np

_MIN_SIDE_PX = 64  # of the resized thermal image; smaller images contain no patch

# Lengths as fractions of the long side of the thermal image
_WIDE_PATCH, _NARROW_PATCH = 0.2, 0.075
_WIDE_BORDER, _NARROW_BORDER = 0.067, 0.025
_TILE = 0.05
_WIDE_TOLERANCE = 0.0125
_NARROW_ROUNDS = ((0.033, 0.0167), (0.0167, 0.0125))  # search radius and tolerance of each round
_REFINE_SCALE = 2 / 3  # of the resized thermal image, for Gauss-Newton


@dataclass(frozen=True)
class RiftParameters:
    """Resolution, search range and acceptance of the method ``rift``."""

    work_px: int = parameter(
        480, 'Long side of the thermal image in which keypoints are found.',
        minimum=240, maximum=1280)
    keypoints: int = parameter(
        2000, 'Maximum number of keypoints in each image.', minimum=200, maximum=10000)
    turns: int = parameter(
        0, 'Rotations by multiples of 30 degrees that are tried in each direction. The one with '
        'most inliers is used. 6 covers all rotations.', minimum=0, maximum=6)
    max_shift: float = parameter(
        0.15, 'Largest distance of a match from the position that the prior predicts, as a '
        'fraction of the image width.', minimum=0.01, maximum=1.0)
    refinement_steps: int = parameter(
        5, 'Gauss-Newton steps at the end; 0 for none, as in the paper.', minimum=0, maximum=50)
    min_confidence: float = parameter(
        0.85, 'Measurements with a lower confidence are rejected.', minimum=0.0, maximum=1.0)


class RiftRegistrar:
    """
    Registers by keypoints with RIFT descriptors; the module describes the steps.

    It has no state except its parameters.
    """

    def __init__(self, parameters: RiftParameters = RiftParameters()) -> None:
        self.parameters = parameters

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """
        Measure one pair of images; see ``Registrar``.

        Matches farther than ``max_shift`` from the prior are excluded. Without a prior, the images
        may differ by any shift, and by some scale and rotation.
        """
        request = RegistrationRequest.from_images(thermal, rgb, prior)
        reason = request.check_input()
        if reason:
            return request.reject(reason)
        pair = _WorkingPair.of(thermal, rgb, self.parameters.work_px)
        if pair is None:
            return request.reject('textureless')
        wide = self._match_wide_patches(pair, pair.to_working_size(request.initial_homography),
                                        near=request.prior is not None)
        narrow = None if wide is None else self._match_narrow_patches(pair, wide.H)
        if wide is None or narrow is None:
            return request.reject('too few matches')
        H = pair.to_full_size(_refine_homography(pair, narrow.H, self.parameters.refinement_steps))

        reason = request.check(H)
        if reason:
            return request.reject(f'implausible: {reason}')
        evidence = _collect_evidence(pair, wide, narrow)
        confidence = evidence.estimate_confidence()
        if confidence < self.parameters.min_confidence:
            return request.reject(
                f'low confidence: {confidence:.2f}, worst is {evidence.worst()}')
        return request.accept(H, confidence, evidence.inliers)

    def _match_wide_patches(self, pair: _WorkingPair, H: np.ndarray, *, near: bool) -> _Fit | None:
        """Do steps 1 and 2, in the whole image or only near the positions that H predicts."""
        p, side_px = self.parameters, pair.side_px
        reach_px = round(p.max_shift * pair.thermal.shape[1]) if near else 0
        thermal, rgb = self._find_keypoints(pair, H, reach_px, _WIDE_BORDER)
        allowed = 1 if not near else mask_within_radius(
            thermal.points_px + reach_px, rgb.points_px, reach_px)
        rgb_descriptors = rgb.describe(_WIDE_PATCH * side_px)
        fits = []
        for turn in range(-p.turns, p.turns + 1):
            similarity = thermal.describe(_WIDE_PATCH * side_px, turn) @ rgb_descriptors.T
            matches = match_mutually(thermal, rgb, similarity * allowed)
            fitted = _fit_matches(H, matches, reach_px, _WIDE_TOLERANCE * side_px)
            if fitted is not None:
                fits.append(fitted)
        return max(fits, key=lambda fitted: fitted.inliers.sum(), default=None)

    def _match_narrow_patches(self, pair: _WorkingPair, H: np.ndarray) -> _Fit | None:
        """Do step 3 without Gauss-Newton, from an approximate homography."""
        if geometry.check(pair.to_full_size(H), *pair.sizes):
            return None
        side_px = pair.side_px
        margin_px = round(_NARROW_ROUNDS[0][0] * side_px)
        thermal, rgb = self._find_keypoints(pair, H, margin_px, _NARROW_BORDER)
        similarity = (thermal.describe(_NARROW_PATCH * side_px)
                      @ rgb.describe(_NARROW_PATCH * side_px).T)
        expected_px = thermal.points_px + margin_px
        fitted = None
        for radius, tolerance in _NARROW_ROUNDS:
            allowed = mask_within_radius(expected_px, rgb.points_px, radius * side_px)
            matches = match_mutually(thermal, rgb, similarity * allowed)
            fitted = _fit_matches(H, matches, margin_px, tolerance * side_px)
            if fitted is None:
                break
            expected_px = geometry.transform_points(fitted.step, thermal.points_px)
        return fitted

    def _find_keypoints(self, pair: _WorkingPair, H: np.ndarray, margin_px: int,
                        border: float) -> tuple[Keypoints, Keypoints]:
        """Find keypoints in the thermal image and in RGB warped onto its grid by H."""
        rgb, rgb_coverage = pair.warp_rgb(H, margin_px)
        thermal_coverage = np.ones(pair.thermal.shape, np.bool_)
        border_px, tile_px = round(border * pair.side_px), _TILE * pair.side_px
        thermal_keypoints, rgb_keypoints = (
            find_keypoints(structure, coverage, border_px, tile_px, self.parameters.keypoints)
            for structure, coverage in ((pair.structure, thermal_coverage),
                                        (phase_structure(rgb), rgb_coverage)))
        return thermal_keypoints, rgb_keypoints


@dataclass(frozen=True, eq=False)
class _WorkingPair:
    """The thermal image at the working size, and RGB at its original size."""

    thermal: np.ndarray  # (H, W) float32
    structure: PhaseStructure  # of ``thermal``
    rgb: np.ndarray  # (H, W) float32
    thermal_size: tuple[int, int]  # original width and height

    @classmethod
    def of(cls, thermal: np.ndarray, rgb: np.ndarray, side_px: int) -> _WorkingPair | None:
        """Resize thermal to this long side; return None if an image is tiny or has no texture."""
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        full_size = geometry.size_of(thermal)
        size = scale_size(full_size, side_px / max(full_size))
        if min(size) < _MIN_SIDE_PX or not (thermal.any() and rgb.any()):
            return None
        thermal = resize_to(thermal, size)
        return cls(thermal, phase_structure(thermal), rgb, full_size)

    @property
    def side_px(self) -> int:
        """Return the long side of the resized thermal image."""
        return max(self.thermal.shape)

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the original sizes of thermal and RGB."""
        return self.thermal_size, geometry.size_of(self.rgb)

    @property
    def _to_full(self) -> np.ndarray:
        return geometry.stretch(geometry.size_of(self.thermal), self.thermal_size)

    def to_working_size(self, H: np.ndarray) -> np.ndarray:
        """Convert a homography from the original thermal image to one from the resized image."""
        return geometry.normalize_homography(H @ self._to_full)

    def to_full_size(self, H: np.ndarray) -> np.ndarray:
        """Convert a homography from the resized thermal image to one from the original image."""
        return geometry.normalize_homography(H @ np.linalg.inv(self._to_full))

    def warp_rgb(self, H: np.ndarray, margin_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Return RGB warped onto the thermal grid by H, with a margin, and its coverage."""
        return warp_to_grid(self.rgb, H, geometry.size_of(self.thermal), margin_px,
                            cv2.BORDER_REPLICATE)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A homography from the resized thermal image to RGB, with the matches it is fitted to."""

    H: np.ndarray
    matches: Matches  # from resized thermal to RGB warped by the previous homography
    inliers: np.ndarray  # (N,) bool
    step: np.ndarray  # (3, 3), fitted to the matches


def _fit_matches(H: np.ndarray, matches: Matches, margin_px: int,
                 tolerance_px: float) -> _Fit | None:
    """Fit to matches from thermal to RGB that is warped onto the thermal grid by H."""
    step, inliers = fit(matches, tolerance_px)
    if step is None:
        return None
    try:
        H_fitted = geometry.normalize_homography(
            H @ geometry.translation(-margin_px, -margin_px) @ step)
    except geometry.GeometryError:
        return None
    return _Fit(H_fitted, matches, inliers, step)


def _refine_homography(pair: _WorkingPair, H: np.ndarray, steps: int) -> np.ndarray:
    """Align the oriented gradients of ``dense`` by Gauss-Newton."""
    if not steps or geometry.check(pair.to_full_size(H), *pair.sizes):
        return H
    margin_px, cell_px = 4, 3
    size = scale_size(geometry.size_of(pair.thermal), _REFINE_SCALE)
    small = replace(pair, thermal=resize_to(pair.thermal, size))
    H_small = small.to_working_size(pair.to_full_size(H))
    rgb, coverage = small.warp_rgb(H_small, margin_px)
    step = refine_structure(small.thermal, rgb, coverage, margin_px, cell_px, steps)
    return pair.to_working_size(small.to_full_size(H_small @ step))


@dataclass(frozen=True)
class _Evidence:
    """Evidence for a homography. The names of the fields appear in the reason of a rejection."""

    inliers: int  # of the narrow matches
    inlier_share: float  # inliers over all narrow matches
    spread: float  # area of the inliers; 1 if evenly distributed over the image
    wide_share: float  # inliers over all wide matches; small for matches by chance
    step: float  # mean corner shift from wide to narrow matching, over the image width

    def _scores(self) -> dict[str, float]:
        """Rate each field from 0, as for unrelated images, to 1."""
        ranges = {'inliers': (20, 120), 'inlier_share': (0.3, 0.7), 'spread': (0.15, 0.5),
                  'wide_share': (0.03, 0.15), 'step': (0.04, 0.01)}
        return {name: float(np.clip((getattr(self, name) - bad) / (good - bad), 0, 1))
                for name, (bad, good) in ranges.items()}

    def estimate_confidence(self) -> float:
        """Return the geometric mean of the scores, which is 0 if any score is 0."""
        scores = self._scores()
        return float(np.prod(list(scores.values())) ** (1 / len(scores)))

    def worst(self) -> str:
        """Return the name of the field with the lowest score."""
        scores = self._scores()
        return min(scores, key=lambda name: scores[name]).replace('_', ' ')


def _collect_evidence(pair: _WorkingPair, wide: _Fit, narrow: _Fit) -> _Evidence:
    width, height = geometry.size_of(pair.thermal)
    points_px = narrow.matches.from_px[narrow.inliers]
    if len(points_px) < MIN_MATCHES:
        return _Evidence(len(points_px), 0.0, 0.0, 0.0, 1.0)
    area_px2 = np.sqrt(max(np.linalg.det(np.cov(points_px.T)), 0.0))
    rgb_px_per_thermal_px = np.sqrt(abs(np.linalg.det(wide.H[:2, :2])))
    shift_px = geometry.corner_error_px(wide.H, narrow.H, (width, height)) / rgb_px_per_thermal_px
    return _Evidence(len(points_px), float(narrow.inliers.mean()),
                     area_px2 / (width * height / 12), float(wide.inliers.mean()),
                     min(shift_px / width, 1.0))
