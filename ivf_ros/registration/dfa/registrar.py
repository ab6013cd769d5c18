# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned registration by deep features that are fused over scales and enhanced by self-attention.

After DFA-Net, "Image Alignment Based on Deep Learning to Extract Deep Feature Information from
Images", Sensors 2025, 25, 4628; docs/dfa.md describes the differences from the paper.

1. Thermal is resized to ``work_px`` width, and RGB is warped onto its grid by the prior.
2. All cells of 8 x 8 pixels of both images are compared with each other, weighted by the
   probability of being found again. Mutual best matches give a homography (MAGSAC++).
3. RGB is warped onto the grid by this homography, and step 2 is repeated.
4. Two rounds of fine matching follow: RGB is warped again, and the patch around each cell is
   compared with the area around it. The best matches, at subpixel resolution, give a homography
   (MAGSAC++). All displacement probabilities together refine it (``displacements``).
5. Fine matching in both directions gives the evidence. A homography with too little evidence is
   rejected.
6. Gauss-Newton aligns the oriented gradients of ``dense``. It is exact where both cameras show the
   same structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TYPE_CHECKING

import cv2
from ivf_ros import geometry
from ivf_ros.nn.runtime import load_network
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.registration.dfa.displacements import Displacements
from ivf_ros.registration.inputs import (
    limit_width,
    normalize_contrast,
    RegistrationError,
    RegistrationRequest,
    resize_to,
    scale_size,
    warp_to_grid,
)
from ivf_ros.registration.point_matches import fit, MIN_MATCHES
from ivf_ros.registration.refinement import refine_structure
from ivf_ros.types import Registration
import numpy as np

if TYPE_CHECKING:
    from ivf_ros.registration.dfa.network_matching import Descriptors, DfaDescriber

OUTPUT_NAMES = ('coarse', 'weight', 'fine', 'scales')  # see ``network_inference``
_SIZE_MULTIPLE_PX = 16  # of width and height of the network input
_CELL_PX = 8
# Resolution of the matching, and inlier tolerance in pixels
_MATCHING_STAGES = (('coarse', 8.0), ('coarse', 4.0), ('fine', 3.0), ('fine', 3.0))
_INLIER_PX = 3.0  # of the evidence
_REFINE_MARGIN_PX, _REFINE_CELL_PX = 4, 3  # of Gauss-Newton


@dataclass(frozen=True)
class DfaParameters:
    """Network variant, resolution and acceptance of the method ``dfa``."""

    sfm: bool = parameter(
        True, 'With the spatial information fusion module.', live=False)
    fem: bool = parameter(
        True, 'With the feature enhancement module.', live=False)
    work_px: int = parameter(
        320, 'Width of the thermal image at the network input; the network is trained for 320.',
        minimum=160, maximum=1280)
    matching: str = parameter(
        'fine', "'coarse' stops after one round of matching cells, as in the paper.",
        choices=('coarse', 'fine'))
    refinement_steps: int = parameter(
        5, 'Gauss-Newton steps at the end of fine matching; 0 for none.', minimum=0, maximum=50)
    min_confidence: float = parameter(
        0.5, 'Measurements with a lower confidence are rejected.', minimum=0.0, maximum=1.0)


class DfaRegistrar:
    """
    Registers by learned descriptors; the module describes the steps.

    Attributes
    ----------
    networks:
        The loaded network, in a tuple.

    Raises
    ------
    RegistrationError
        PyTorch, which matches the descriptors, is not installed.
    WeightsError
        The weight file is missing, damaged, or belongs to another variant.
    DeviceError
        The engine, the device or the precision is not available.

    """

    def __init__(self, parameters: DfaParameters = DfaParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        with explain_missing('dfa', RegistrationError):  # imports PyTorch only for this method
            from ivf_ros.registration.dfa.network_matching import DfaDescriber

        self.parameters = parameters
        load_module = partial(_load_module, sfm=parameters.sfm, fem=parameters.fem)
        loaded = load_network(package_weights(parameters), load_module, OUTPUT_NAMES, network)
        self._network = DfaDescriber(loaded)
        self.networks = (loaded,)

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Measure one pair of images; see ``Registrar``."""
        request = RegistrationRequest.from_images(thermal, rgb, prior)
        reason = request.check_input()
        if reason:
            return request.reject(reason)
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return request.reject('textureless')

        pair = _DescribedPair.of(self._network, thermal, rgb, self.parameters.work_px)
        H = request.initial_homography
        coarse = self.parameters.matching == 'coarse'
        for resolution, tolerance_px in _MATCHING_STAGES[:1] if coarse else _MATCHING_STAGES:
            H_fitted, inliers = pair.match_and_fit(H, resolution, tolerance_px)
            if H_fitted is None:
                return request.reject(f'too few {resolution} matches')
            H = H_fitted
            reason = request.check(H)
            if reason:
                return request.reject(f'implausible: {reason}')
        H_verified, evidence = pair.verify(H)
        confidence = evidence.estimate_confidence()
        if confidence < self.parameters.min_confidence:
            return request.reject(f'low confidence: {confidence:.2f}')
        if not coarse:
            H = pair.refine(H_verified, self.parameters.refinement_steps)
            inliers = evidence.inliers
        reason = request.check(H)
        if reason:
            return request.reject(f'implausible: {reason}')
        return request.accept(geometry.normalize_homography(H), confidence, inliers)


def _load_module(path: Path, *, sfm: bool, fem: bool) -> Any:
    from ivf_ros.registration.dfa.network_inference import load_module
    return load_module(path, sfm=sfm, fem=fem)


def package_weights(parameters: DfaParameters) -> Path:
    """Return the files of the package for a variant, without suffix."""
    modules = ['_sfm'] * parameters.sfm + ['_fem'] * parameters.fem
    folder = Path(__file__).parent.parent / 'weights'
    return folder / f'dfa{"".join(modules) or "_baseline"}'


def _grid_size(size: tuple[int, int], work_px: int) -> tuple[int, int]:
    """Return width and height, multiples of 16, near ``work_px`` wide and the aspect ratio."""
    width = max(round(limit_width(work_px, size) / _SIZE_MULTIPLE_PX), 4) * _SIZE_MULTIPLE_PX
    height = max(round(width * size[1] / size[0] / _SIZE_MULTIPLE_PX), 4) * _SIZE_MULTIPLE_PX
    return width, height


@dataclass(frozen=True, eq=False)
class _DescribedPair:
    """The thermal image at the size of the network input with its descriptors, and RGB."""

    network: DfaDescriber
    thermal: np.ndarray  # (H, W) float32, resized
    thermal_descriptors: Descriptors
    rgb: np.ndarray  # (H, W) float32, of the original size
    grid_size: tuple[int, int]  # width and height of ``thermal``
    H_thermal_to_grid: np.ndarray  # (3, 3)

    @classmethod
    def of(cls, network: DfaDescriber, thermal: np.ndarray, rgb: np.ndarray,
           work_px: int) -> _DescribedPair:
        """Resize the thermal image to about ``work_px`` width and compute its descriptors."""
        size = geometry.size_of(thermal)
        grid_size = _grid_size(size, work_px)
        thermal = resize_to(thermal, grid_size)
        descriptors = network.describe(thermal, 'thermal')
        return cls(network, thermal, descriptors, rgb, grid_size,
                   geometry.stretch(size, grid_size))

    def match_and_fit(self, H: np.ndarray, resolution: str,
                      tolerance_px: float) -> tuple[np.ndarray | None, int]:
        """
        Match once and fit a homography; return it, None for too few matches, and the inliers.

        ``resolution`` is ``'coarse'``, which compares all cells with each other, or ``'fine'``,
        which compares patches with the area around them.
        """
        rgb, covered_cells = self._describe_rgb(H)
        if resolution == 'fine':
            displacements = self.network.displacements(self.thermal_descriptors, rgb,
                                                       covered_cells)
            step, inliers = _fit_homography(displacements, tolerance_px)
        else:
            matches = self.network.coarse_matches(self.thermal_descriptors, rgb, covered_cells)
            step, inliers = fit(matches, tolerance_px)
        return None if step is None else self._compose(H, step), int(inliers.sum())

    def verify(self, H: np.ndarray) -> tuple[np.ndarray, _Evidence]:
        """Match once more, in both directions; return the new homography and the evidence."""
        rgb, covered_cells = self._describe_rgb(H)
        forward = self.network.displacements(self.thermal_descriptors, rgb, covered_cells)
        backward = self.network.displacements(rgb, self.thermal_descriptors, covered_cells)
        backward_step, _ = _fit_homography(backward, _INLIER_PX)
        step, _ = _fit_homography(forward, _INLIER_PX)
        matches = forward.matches()
        inlier_mask = np.square(matches.to_px - matches.from_px).sum(1) < _INLIER_PX ** 2
        points_px = matches.from_px[inlier_mask]
        if len(points_px) < MIN_MATCHES or step is None or backward_step is None:
            return H, _Evidence(len(points_px), 0.0, 0.0, 0.0, 1.0, 1.0)
        width, height = self.grid_size
        area_px2 = np.sqrt(max(np.linalg.det(np.cov(points_px.T)), 0.0))
        shift_px = geometry.corner_error_px(step, np.eye(3), self.grid_size)
        cycle_px = geometry.corner_error_px(backward_step @ step, np.eye(3), self.grid_size)
        return self._compose(H, step), _Evidence(
            len(points_px), float(inlier_mask.mean()), area_px2 / (width * height / 12),
            float(matches.distinctiveness[inlier_mask].mean()),
            min(shift_px / width, 1.0), min(cycle_px / width, 1.0))

    def refine(self, H: np.ndarray, steps: int) -> np.ndarray:
        """Align the oriented gradients of ``dense`` by Gauss-Newton."""
        if not steps:
            return H
        rgb, coverage = self._warp_rgb(H, _REFINE_MARGIN_PX)
        step = refine_structure(self.thermal, rgb, coverage, _REFINE_MARGIN_PX, _REFINE_CELL_PX,
                                steps)
        return self._compose(H, step)

    def _describe_rgb(self, H: np.ndarray) -> tuple[Descriptors, np.ndarray]:
        """Return the descriptors of RGB warped onto the grid by H, and the cells it covers."""
        image, coverage = self._warp_rgb(H)
        cells_size = scale_size(self.grid_size, 1 / _CELL_PX)
        covered_cells = cv2.resize(coverage.astype(np.float32), cells_size,
                                   interpolation=cv2.INTER_AREA) > 0.99
        return self.network.describe(image, 'rgb'), covered_cells

    def _warp_rgb(self, H: np.ndarray, margin_px: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return RGB warped onto the grid with a margin, and its coverage."""
        return warp_to_grid(self.rgb, H @ np.linalg.inv(self.H_thermal_to_grid), self.grid_size,
                            margin_px, cv2.BORDER_REFLECT_101)

    def _compose(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step, a homography in pixels of the grid."""
        return H @ np.linalg.inv(self.H_thermal_to_grid) @ step @ self.H_thermal_to_grid


def _fit_homography(displacements: Displacements,
                    tolerance_px: float) -> tuple[np.ndarray | None, np.ndarray]:
    """Fit to the best displacement of each point, then to all; return homography and inliers."""
    step, inliers = fit(displacements.matches(), tolerance_px)
    return None if step is None else displacements.fit_homography(step), inliers


@dataclass(frozen=True)
class _Evidence:
    """Evidence for a homography, from one more round of matching."""

    inliers: int  # cells whose best match agrees with the homography
    inlier_ratio: float  # inliers over all covered cells
    spread: float  # area of the inliers; 1 if evenly distributed over the image
    certainty: float  # mean distinctiveness of the inliers
    residual_shift: float  # mean shift of the corners in this round, over the image width
    cycle_error: float  # mean corner error of forward and backward homography, over the width

    def estimate_confidence(self) -> float:
        """
        Return the probability that the homography is right.

        Right homographies of one scene from two angles agree within 3 px of an image 640 wide. The
        coefficients are a logistic regression over 126 RoadScene pairs, each misaligned in three
        ways, and over 252 pairs of unrelated scenes; see docs/dfa.md.
        """
        if self.inliers < MIN_MATCHES:
            return 0.0
        score = (-6.96 + 2.01 * self.inlier_ratio + 7.13 * self.spread + 4.97 * self.certainty
                 - 1.06 * np.log(640 * self.residual_shift + 0.3)
                 - 1.94 * np.log(640 * self.cycle_error + 0.3))
        return float(1 / (1 + np.exp(-score)))
