# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Coarse-to-fine registration of two feature maps, and the evidence for its result.

The methods ``dense`` and ``fast`` share these steps and use different features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.registration.features import downsample, rotate_features
from ivf_ros.registration.inputs import RegistrationRequest
from ivf_ros.registration.matching import Blocks, correlate_blocks, fit, MIN_BLOCKS
from ivf_ros.types import Registration, RegistrationState
import numpy as np

# The model that is fitted to the blocks of a level, and the prior standard deviation in pixels of
# a displacement around the current homography.
COARSE_STAGES = (('affine', 8.0), ('homography', 4.0), ('homography', 2.0))
MEDIUM_STAGES = (('affine', 5.0), ('affine', 3.0), ('homography', 3.0), ('homography', 2.0))
FINE_STAGES = (('homography', 3.0), ('homography', 2.0), ('homography', 1.5))

_MIN_SIDE_PX = 16  # of the coarse level; smaller images have no usable structure
_INLIER_PX = 1.5  # of the level of the evidence: largest displacement of an inlier block


@dataclass(frozen=True, eq=False)
class Level:
    """
    The features of both images at one scale, and the parameters of block matching there.

    Attributes
    ----------
    thermal, rgb:
        ``(h, w, C)`` float32.
    thermal_size, rgb_size:
        Width and height of the images.
    reach_px, cell_px, block_cells:
        See ``correlate_blocks``.
    oriented:
        Whether the features are orientations, which rotate with the image.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    thermal_size: tuple[int, int]
    rgb_size: tuple[int, int]
    reach_px: int
    cell_px: int
    block_cells: int
    oriented: bool

    def warp_rgb(self, H: np.ndarray, margin_px: int) -> np.ndarray:
        """Return the RGB features warped onto the thermal grid by H, with a margin around it."""
        width, height = geometry.size_of(self.thermal)
        H_level = geometry.rescale_homography(H, _scale(self.thermal, self.thermal_size),
                                              _scale(self.rgb, self.rgb_size))
        to_grid = geometry.translation(margin_px, margin_px) @ np.linalg.inv(H_level)
        grid_size = (width + 2 * margin_px, height + 2 * margin_px)
        warped = cv2.warpPerspective(self.rgb, to_grid, grid_size)
        if not self.oriented:
            return warped
        return rotate_features(warped,
                               -_rotation_rad(H_level, ((width - 1) / 2, (height - 1) / 2)))

    def correlate(self, search_region: np.ndarray) -> Blocks:
        """Correlate the blocks of the thermal features with the RGB features around them."""
        return correlate_blocks(self.thermal, search_region, self.reach_px, self.cell_px,
                                self.block_cells)

    def compose(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step, a homography in thermal pixels of this level."""
        x, y = _scale(self.thermal, self.thermal_size)
        inverse = (1 / x, 1 / y)
        return geometry.normalize_homography(
            H @ geometry.rescale_homography(step, inverse, inverse))


def structure_levels(thermal: np.ndarray, rgb: np.ndarray, thermal_size: tuple[int, int],
                     rgb_size: tuple[int, int]) -> tuple[Level, Level, Level] | None:
    """Return fine, middle and coarse level of ``structure`` features; None for tiny images."""
    levels = []
    # block matching: reach in pixels, cell size in pixels, block size in cells
    for factor, matching in ((1, (4, 8, 6)), (2, (5, 8, 4)), (4, (6, 4, 6))):
        small, small_rgb = downsample(thermal, factor), downsample(rgb, factor)
        if min(small.shape[:2] + small_rgb.shape[:2]) < _MIN_SIDE_PX:
            return None
        levels.append(Level(small, small_rgb, thermal_size, rgb_size, *matching, oriented=True))
    return levels[0], levels[1], levels[2]


def fit_at_level(hypotheses: list[np.ndarray], level: Level,
                 stages: tuple[tuple[str, float], ...]) -> list[np.ndarray]:
    """Match blocks of a level from each homography; return the homographies that were fitted."""
    fitted = []
    for H in hypotheses:
        step = fit(level.correlate(level.warp_rgb(H, level.reach_px)), stages)
        if step is not None:
            fitted.append(level.compose(H, step))
    return fitted


def refine_to_fine(hypotheses: list[np.ndarray], middle: Level, fine: Level, rounds: int
                   ) -> list[np.ndarray]:
    """Fit homographies three times at the middle level, then ``rounds`` times at the fine one."""
    for stages in (MEDIUM_STAGES, FINE_STAGES, FINE_STAGES):
        hypotheses = fit_at_level(hypotheses, middle, stages)
    for _ in range(rounds):
        hypotheses = fit_at_level(hypotheses, fine, FINE_STAGES)
    return hypotheses


def keep_most_similar(hypotheses: list[np.ndarray], level: Level, count: int) -> list[np.ndarray]:
    """Return the ``count`` homographies with the most similar features at a level, best first."""
    if len(hypotheses) <= 1:
        return hypotheses
    return sorted(hypotheses, key=lambda H: -_similarity(level, H))[:count]


@dataclass(frozen=True)
class Evidence:
    """Evidence for a homography, measured at one level."""

    inliers: int  # blocks whose best displacement without prior agrees with the homography
    inlier_ratio: float  # inliers over all blocks
    coverage: float  # fraction of the tiles of a 4 x 4 grid that contain an inlier
    correlation_gain: float  # correlation of the features minus that of shifted features
    residual_shift: float  # mean shift of the corners in one more fit, over the image width
    jackknife_scatter: float  # of the corners, if a quarter of the blocks is left out, over width


ScoredRegistration = tuple[Registration, Evidence | None]


def collect_evidence(level: Level, H: np.ndarray) -> Evidence:
    """Return the evidence for a homography at a level."""
    reach = level.reach_px
    width, height = geometry.size_of(level.thermal)
    search_region = level.warp_rgb(H, reach)
    blocks = level.correlate(search_region)
    step = fit(blocks, FINE_STAGES)
    if step is None:
        return Evidence(0, 0.0, 0.0, 0.0, 1.0, 1.0)
    inlier_mask = np.square(blocks.displacement_px()).sum(1) < _INLIER_PX ** 2
    shifted = [_correlation(level.thermal, search_region[y:y + height, x:x + width])
               for x, y in ((0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))]
    shift_px = geometry.corner_error_px(step, np.eye(3), (width, height))
    return Evidence(
        int(inlier_mask.sum()), float(inlier_mask.sum() / blocks.n_searched),
        len(np.unique(_tiles(blocks.centres_px[inlier_mask], width, height), axis=0)) / 16,
        _similarity(level, H) - float(np.mean(shifted)), min(shift_px / width, 1.0),
        min(_jackknife_scatter_px(blocks, width, height) / width, 1.0))


def estimate_confidence(evidence: Evidence, coefficients: Sequence[float]) -> float:
    """
    Return the probability that a homography repeats, a logistic function of the evidence.

    A homography repeats if a registration of the same scene from another angle agrees within 3 px
    of an image 640 wide. ``training.confidence`` fits the coefficients.
    """
    if evidence.inliers < MIN_BLOCKS:
        return 0.0
    return float(1 / (1 + np.exp(-evidence_features(evidence) @ coefficients)))


def accept_or_reject(request: RegistrationRequest, H_thermal_to_rgb: np.ndarray, level: Level,
                     H_level: np.ndarray, coefficients: Sequence[float],
                     min_confidence: float) -> ScoredRegistration:
    """
    Accept a homography, or reject it as implausible or as too uncertain.

    ``H_level`` is the same homography between the images of ``level``, where the evidence is
    collected.
    """
    reason = request.check(H_thermal_to_rgb)
    if reason:
        return request.reject(f'implausible: {reason}'), None
    evidence = collect_evidence(level, H_level)
    confidence = estimate_confidence(evidence, coefficients)
    if confidence < min_confidence:
        return request.reject(f'low confidence: {confidence:.2f}'), evidence
    return request.accept(H_thermal_to_rgb, confidence, evidence.inliers), evidence


def search_near_then_globally(request: RegistrationRequest, global_search: str,
                              search_near: Callable[[], ScoredRegistration],
                              search_far: Callable[[], ScoredRegistration]
                              ) -> ScoredRegistration:
    """
    Search near the initial homography, and globally if that is rejected.

    ``global_search`` is the parameter of the method: ``'auto'`` searches near only with a prior,
    ``'always'`` never searches near, and ``'never'`` never searches globally.
    """
    if global_search == 'never' or (global_search == 'auto' and request.prior is not None):
        scored = search_near()
        if scored[0].state is RegistrationState.TRACKING or global_search == 'never':
            return scored
    return search_far()


def first_accepted(request: RegistrationRequest,
                   register_from: Callable[[np.ndarray], ScoredRegistration]
                   ) -> ScoredRegistration:
    """Register from each initial homography until a result is accepted; return the last result."""
    for H_initial in request.initial_homographies:
        scored = register_from(H_initial)
        if scored[0].state is RegistrationState.TRACKING:
            break
    return scored


def evidence_features(evidence: Evidence) -> np.ndarray:
    """Return the inputs ``(6,)`` float64 of the logistic function: 1 and the evidence."""
    return np.array([1.0, evidence.inlier_ratio, evidence.coverage, evidence.correlation_gain,
                     np.log(640 * evidence.residual_shift + 0.3),
                     np.log(640 * evidence.jackknife_scatter + 0.3)])


def _tiles(points_px: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return column and row ``(N, 2)`` of the tile of a 4 x 4 grid that contains each point."""
    return (points_px // (width / 4, height / 4)).astype(int)


def _jackknife_scatter_px(blocks: Blocks, width: int, height: int) -> float:
    """
    Return the RMS distance of the corners from their mean over four fits.

    Each fit leaves out a quarter of the blocks. The tiles of a 4 x 4 grid are assigned to the
    quarters in a repeating pattern of 2 x 2, so that each fit still covers the whole image.
    Infinite if a fit fails.
    """
    column, row = _tiles(blocks.centres_px, width, height).T
    quarter = (column % 2) + 2 * (row % 2)
    corners_px = geometry.corners_px((width, height))
    fitted_px = []
    for left_out in range(4):
        kept = quarter != left_out
        step = fit(Blocks(blocks.centres_px[kept], blocks.correlation[kept], blocks.n_searched),
                   FINE_STAGES[-1:])
        if step is None:
            return float('inf')
        fitted_px.append(geometry.transform_points(step, corners_px))
    residual_px = np.array(fitted_px) - np.mean(fitted_px, axis=0)
    return float(np.sqrt(np.square(residual_px).sum(2).mean()))


def _similarity(level: Level, H: np.ndarray) -> float:
    """Return the correlation of the features in the overlap, times the root of its fraction."""
    warped = level.warp_rgb(H, 0)
    valid = (np.square(warped).sum(2) > 1e-3).astype(np.uint8)
    return _correlation(cv2.copyTo(level.thermal, valid), warped) * float(np.sqrt(valid.mean()))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel(), b.ravel()
    return float((a @ b) / (np.sqrt((a @ a) * (b @ b)) + 1e-9))


def _scale(image: np.ndarray, full_size: tuple[int, int]) -> tuple[float, float]:
    """Return new size / old size along x and y."""
    return image.shape[1] / full_size[0], image.shape[0] / full_size[1]


def _rotation_rad(H: np.ndarray, point_px: tuple[float, float]) -> float:
    """Return the local rotation of H at a point."""
    x, y = point_px
    here, right, down = geometry.transform_points(H, np.array([(x, y), (x + 1, y), (x, y + 1)]))
    (a, b), (c, d) = right - here, down - here
    return float(np.arctan2(b - c, a + d))
