# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
RIFT: keypoints that are described by the orientation of the phase structure around them.

After Li, Hu and Ai, RIFT: Multi-Modal Image Matching Based on Radiation-Variation Insensitive
Feature Transform, IEEE Transactions on Image Processing 29, 2020.

1. RGB is laid onto the thermal grid by the prior, or by the stretch where there is none, and
   keypoints are found in both (``rift_features``).
2. Their mutual nearest neighbours, in wide patches, give a homography by MAGSAC++.
3. RGB is laid onto the grid by that homography, and keypoints are matched again, in narrow patches
   and only near the expected place. This is not in the paper; it makes the answer accurate, for
   wide patches differ little from one pixel to the next. Gauss-Newton at the end does the rest.
4. Evidence is collected, and a homography that is not well supported is refused.
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
    scaled,
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

_MIN_SIDE_PX = 64  # of the thermal image at work; there is no patch in less

# Lengths as shares of the long side of the thermal image
_WIDE_PATCH, _NARROW_PATCH = 0.2, 0.075
_WIDE_BORDER, _NARROW_BORDER = 0.067, 0.025
_TILE = 0.05
_WIDE_TOLERANCE = 0.0125
_GUIDED = ((0.033, 0.0167), (0.0167, 0.0125))  # reach and tolerance, one round after the other
_SCALE_REFINED = 2 / 3  # of the image at work, at which Gauss-Newton aligns


@dataclass(frozen=True)
class RiftParameters:
    """How finely, how widely and how critically the method ``rift`` searches."""

    work_px: int = parameter(
        480, 'Long side of the thermal image in which keypoints are found.',
        minimum=240, maximum=1280)
    keypoints: int = parameter(
        2000, 'Most keypoints of each image.', minimum=200, maximum=10000)
    turns: int = parameter(
        0, 'Turns by 30 degrees either way of which the one with most matches counts; 6 finds any '
        'rotation.', minimum=0, maximum=6)
    max_shift: float = parameter(
        0.15, 'Greatest distance of a match from where the prior expects it, as a share of the '
        'image width.', minimum=0.01, maximum=1.0)
    refinement_steps: int = parameter(
        5, 'Gauss-Newton steps at the end; 0 for none, as in the paper.', minimum=0, maximum=50)
    min_confidence: float = parameter(
        0.85, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


class RiftRegistrar:
    """
    Registers by keypoints with RIFT descriptors; see the module for the steps.

    It is made from ``RiftParameters`` and keeps nothing else.
    """

    def __init__(self, parameters: RiftParameters = RiftParameters()) -> None:
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
            ``(3, 3)`` H_thermal_to_rgb; matches farther than ``max_shift`` from it do not count.
            Where None, the images may differ by any shift, and by some scale and rotation.

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
        request = RegistrationRequest.from_images(thermal, rgb, prior)
        reason = request.check(request.initial_homography)
        if reason:
            return request.reject(f'implausible prior: {reason}')
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
        evidence = _evidence(pair, wide, narrow)
        confidence = evidence.confidence()
        if confidence < self.parameters.min_confidence:
            return request.reject(
                f'low confidence: {confidence:.2f}, worst is {evidence.worst()}')
        return request.accept(H, confidence, evidence.inliers)

    def _match_wide_patches(self, pair: _WorkingPair, H: np.ndarray, *, near: bool) -> _Fit | None:
        """Take steps 1 and 2, everywhere or only near where H puts the keypoints."""
        p, side_px = self.parameters, pair.side_px
        reach_px = round(p.max_shift * pair.thermal.shape[1]) if near else 0
        thermal, rgb = self._keypoints(pair, H, reach_px, _WIDE_BORDER)
        allowed = mask_within_radius(thermal.points_px + reach_px, rgb.points_px, reach_px) if near else 1
        describe = rgb.describe(_WIDE_PATCH * side_px)
        fits = []
        for turn in range(-p.turns, p.turns + 1):
            similarity = thermal.describe(_WIDE_PATCH * side_px, turn) @ describe.T
            matches = match_mutually(thermal, rgb, similarity * allowed)
            found = _fit_matches(H, matches, reach_px, _WIDE_TOLERANCE * side_px)
            if found is not None:
                fits.append(found)
        return max(fits, key=lambda found: found.inliers.sum(), default=None)

    def _match_narrow_patches(self, pair: _WorkingPair, H: np.ndarray) -> _Fit | None:
        """Take step 3 but for Gauss-Newton, from a homography that is not far off."""
        if geometry.check(pair.to_full_size(H), *pair.sizes):
            return None
        side_px = pair.side_px
        margin_px = round(_GUIDED[0][0] * side_px)
        thermal, rgb = self._keypoints(pair, H, margin_px, _NARROW_BORDER)
        similarity = (thermal.describe(_NARROW_PATCH * side_px)
                      @ rgb.describe(_NARROW_PATCH * side_px).T)
        expected_px = thermal.points_px + margin_px
        found = None
        for reach, tolerance in _GUIDED:
            allowed = mask_within_radius(expected_px, rgb.points_px, reach * side_px)
            matches = match_mutually(thermal, rgb, similarity * allowed)
            found = _fit_matches(H, matches, margin_px, tolerance * side_px)
            if found is None:
                break
            expected_px = geometry.transform_points(found.step, thermal.points_px)
        return found

    def _keypoints(self, pair: _WorkingPair, H: np.ndarray, margin_px: int,
                   border: float) -> tuple[Keypoints, Keypoints]:
        """Find keypoints in the thermal image and in RGB laid onto its grid by H."""
        rgb, coverage = pair.warp_rgb(H, margin_px)
        everywhere = np.ones(pair.thermal.shape, np.bool_)
        views = (pair.structure, everywhere), (phase_structure(rgb), coverage)
        found = [find_keypoints(phases, coverage, round(border * pair.side_px), _TILE * pair.side_px,
                                self.parameters.keypoints) for phases, coverage in views]
        return found[0], found[1]


@dataclass(frozen=True, eq=False)
class _WorkingPair:
    """The thermal image at the size for work, and RGB as it was given."""

    thermal: np.ndarray  # (H, W) float32
    structure: PhaseStructure  # of it
    rgb: np.ndarray  # (H, W) float32
    thermal_size: tuple[int, int]  # as it was given

    @classmethod
    def of(cls, thermal: np.ndarray, rgb: np.ndarray, side_px: int) -> _WorkingPair | None:
        """Return the images to work on, or None where there is nothing to see."""
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        full_size = geometry.size_of(thermal)
        size = scaled(full_size, side_px / max(full_size))
        if min(size) < _MIN_SIDE_PX or not (thermal.any() and rgb.any()):
            return None
        thermal = resize_to(thermal, size)
        return cls(thermal, phase_structure(thermal), rgb, full_size)

    @property
    def side_px(self) -> int:
        """Return the long side of the thermal image at work."""
        return max(self.thermal.shape)

    @property
    def sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the sizes of the images as they were given."""
        return self.thermal_size, geometry.size_of(self.rgb)

    @property
    def _to_full(self) -> np.ndarray:
        return geometry.stretch(geometry.size_of(self.thermal), self.thermal_size)

    def to_working_size(self, H: np.ndarray) -> np.ndarray:
        """Return H_thermal_to_rgb as it is from the thermal image at work."""
        return geometry.normalize_homography(H @ self._to_full)

    def to_full_size(self, H: np.ndarray) -> np.ndarray:
        """Return the inverse of ``to_working_size``."""
        return geometry.normalize_homography(H @ np.linalg.inv(self._to_full))

    def warp_rgb(self, H: np.ndarray, margin_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Return RGB laid onto the thermal grid by H, with a margin, and where it was seen."""
        return warp_to_grid(self.rgb, H, geometry.size_of(self.thermal), margin_px, cv2.BORDER_REPLICATE)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A homography from the thermal image at work to RGB, and what it was fitted to."""

    H: np.ndarray
    matches: Matches  # thermal at work -> RGB laid onto its grid by the homography before
    inliers: np.ndarray  # (N,) bool
    step: np.ndarray  # from the thermal image at work to that grid


def _fit_matches(H: np.ndarray, matches: Matches, margin_px: int, tolerance_px: float) -> _Fit | None:
    """Fit to matches that were found after RGB had been laid onto the thermal grid by H."""
    step, inliers = fit(matches, tolerance_px)
    if step is None:
        return None
    try:
        moved = geometry.normalize_homography(H @ geometry.translation(-margin_px, -margin_px) @ step)
    except geometry.GeometryError:
        return None
    return _Fit(moved, matches, inliers, step)


def _refine_homography(pair: _WorkingPair, H: np.ndarray, steps: int) -> np.ndarray:
    """Align the oriented gradients that ``dense`` aligns, by Gauss-Newton."""
    if not steps or geometry.check(pair.to_full_size(H), *pair.sizes):
        return H
    margin_px, stride_px = 4, 3
    size = scaled(geometry.size_of(pair.thermal), _SCALE_REFINED)
    small = replace(pair, thermal=resize_to(pair.thermal, size))
    H_small = small.to_working_size(pair.to_full_size(H))
    image, coverage = small.warp_rgb(H_small, margin_px)
    step = refine_structure(small.thermal, image, coverage, margin_px, stride_px, steps)
    return pair.to_working_size(small.to_full_size(H_small @ step))


@dataclass(frozen=True)
class _Evidence:
    """What speaks for a homography."""

    inliers: int  # of the last matches, those that agree
    inlier_share: float  # of the last matches
    spread: float  # area over which the inliers lie; 1 is evenly over the image
    wide_share: float  # of the first matches, those that agree; few agree by chance
    step: float  # how far narrow patches moved the answer of wide ones, as a share of the width

    def _scores(self) -> dict[str, float]:
        """Rate each kind of evidence from 0, as between unrelated images, to 1, convincing."""
        ranges = {'inliers': (20, 120), 'inlier_share': (0.3, 0.7), 'spread': (0.15, 0.5),
                  'wide_share': (0.03, 0.15), 'step': (0.04, 0.01)}
        return {name: float(np.clip((getattr(self, name) - bad) / (good - bad), 0, 1))
                for name, (bad, good) in ranges.items()}

    def confidence(self) -> float:
        """Return the geometric mean of the marks, so that no kind may be missing."""
        scores = self._scores()
        return float(np.prod(list(scores.values())) ** (1 / len(scores)))

    def worst(self) -> str:
        """Name the kind of evidence with the lowest mark."""
        scores = self._scores()
        return min(scores, key=lambda name: scores[name]).replace('_', ' ')


def _evidence(pair: _WorkingPair, wide: _Fit, narrow: _Fit) -> _Evidence:
    width, height = geometry.size_of(pair.thermal)
    places = narrow.matches.from_px[narrow.inliers]
    if len(places) < MIN_MATCHES:
        return _Evidence(len(places), 0.0, 0.0, 0.0, 1.0)
    area = np.sqrt(max(np.linalg.det(np.cov(places.T)), 0.0))
    rgb_px_per_px = np.sqrt(abs(np.linalg.det(wide.H[:2, :2])))
    moved_px = geometry.corner_error_px(wide.H, narrow.H, (width, height)) / rgb_px_per_px
    return _Evidence(len(places), float(narrow.inliers.mean()), area / (width * height / 12),
                     float(wide.inliers.mean()), min(moved_px / width, 1.0))
