# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned registration by deep features that are fused over scales and enhanced by self-attention.

After DFA-Net, "Image Alignment Based on Deep Learning to Extract Deep Feature Information from
Images", Sensors 2025, 25, 4628; docs/dfa.md says where it departs from the paper.

1. Thermal is brought to ``work_px`` width, and RGB warp_to_grid onto its grid by the prior.
2. Every cell of 8 x 8 pixels of one image is compared with every cell of the other, weighed by how
   surely it would be found again. Cells that choose each other give a homography (MAGSAC++).
3. RGB is laid onto the grid anew by it, and step 2 taken once more.
4. The same again, twice, but small patches around the cells are now compared with their
   surroundings. Where they lie, to a fraction of a pixel, gives a homography (MAGSAC++), and how
   probably they lie where the best one (``displacements``).
5. Once more, in both directions, as evidence: a homography that is not well supported is reject.
6. Gauss-Newton on the oriented gradients that ``dense`` aligns is exact where both show the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from ivf_ros import geometry
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.registration.dfa.displacements import Displacements
from ivf_ros.registration.inputs import (
    normalize_contrast,
    RegistrationError,
    RegistrationRequest,
    resize_to,
    scaled,
    warp_to_grid,
)
from ivf_ros.registration.point_matches import fit, MIN_MATCHES
from ivf_ros.registration.refinement import refine_structure
from ivf_ros.types import Registration
import numpy as np

if TYPE_CHECKING:
    from ivf_ros.registration.dfa.network_matching import Descriptors, DfaDescriber

_SIZE_MULTIPLE_PX = 16  # of both sides of what the network is given
_CELL_PX = 8
_MATCHING_STAGES = (('coarse', 8.0), ('coarse', 4.0), ('fine', 3.0), ('fine', 3.0))  # and tolerance in px
_INLIER_PX = 3.0
_MARGIN_PX, _STRIDE_PX = 4, 3  # of Gauss-Newton


@dataclass(frozen=True)
class DfaParameters:
    """Which variant of the network the method ``dfa`` uses, at which size, and how critically."""

    sfm: bool = parameter(
        True, 'With the spatial information fusion module.', live=False)
    fem: bool = parameter(
        True, 'With the feature enhancement module.', live=False)
    work_px: int = parameter(
        320, 'Width of the thermal image that the network is given; it was trained for 320.',
        minimum=160, maximum=1280)
    matching: str = parameter(
        'fine', "How exactly: 'coarse' ends after cells were matched once, as in the paper.",
        choices=('coarse', 'fine'))
    refinement_steps: int = parameter(
        5, 'Gauss-Newton steps at the end of fine matching; 0 for none.', minimum=0, maximum=50)
    min_confidence: float = parameter(
        0.5, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


class DfaRegistrar:
    """
    Registers by learned descriptors; see the module for the steps.

    It is made from ``DfaParameters`` and reads the weights, of ``weight_files``.

    Raises
    ------
    RegistrationError
        PyTorch or safetensors is not installed.
    WeightsError
        The weight file is missing, damaged, or of another variant.

    """

    def __init__(self, parameters: DfaParameters = DfaParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        with explain_missing('dfa', RegistrationError):  # PyTorch, only where it is used
            from ivf_ros.registration.dfa.network_matching import DfaDescriber

        self.parameters = parameters
        path = weight_file(parameters, network)
        self._network = DfaDescriber(path, sfm=parameters.sfm, fem=parameters.fem,
                                     precision=network.precision)
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
            ``(3, 3)`` H_thermal_to_rgb near which to look; the stretch of the thermal image over
            the RGB grid where None.

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
        thermal, rgb = normalize_contrast(thermal), normalize_contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return request.reject('textureless')

        pair = _DescribedPair.of(self._network, thermal, rgb, self.parameters.work_px)
        H = request.initial_homography
        coarse = self.parameters.matching == 'coarse'
        for resolution, tolerance_px in _MATCHING_STAGES[:1] if coarse else _MATCHING_STAGES:
            found, inliers = pair.match_and_fit(H, resolution, tolerance_px)
            if found is None:
                return request.reject(f'too few {resolution} matches')
            H = found
            reason = request.check(H)
            if reason:
                return request.reject(f'implausible: {reason}')
        finer, evidence = pair.verify(H)
        confidence = evidence.confidence()
        if confidence < self.parameters.min_confidence:
            return request.reject(f'low confidence: {confidence:.2f}')
        if not coarse:
            H, inliers = pair.refine(finer, self.parameters.refinement_steps), evidence.inliers
        reason = request.check(H)
        if reason:
            return request.reject(f'implausible: {reason}')
        return request.accept(geometry.normalize_homography(H), confidence, inliers)


def weight_file(parameters: DfaParameters, network: NetworkParameters = NetworkParameters()
                ) -> Path:
    """Return the weight file that is named, or the packaged one of the variant."""
    if network.weights:
        return Path(network.weights)
    modules = ['_sfm'] * parameters.sfm + ['_fem'] * parameters.fem
    folder = Path(__file__).parent.parent / 'weights'
    return folder / f'dfa{"".join(modules) or "_baseline"}.safetensors'


def _grid_size(size: tuple[int, int], work_px: int) -> tuple[int, int]:
    """Return width and height, multiples of 16, near ``work_px`` and the aspect of the image."""
    width = max(round(work_px / _SIZE_MULTIPLE_PX), 4) * _SIZE_MULTIPLE_PX
    height = max(round(width * size[1] / size[0] / _SIZE_MULTIPLE_PX), 4) * _SIZE_MULTIPLE_PX
    return width, height


@dataclass(frozen=True, eq=False)
class _DescribedPair:
    """The thermal image on the grid on which the network works, described, and RGB."""

    network: DfaDescriber
    image: np.ndarray  # (H, W) float32, thermal
    thermal: Descriptors  # of it
    rgb: np.ndarray  # (H, W) float32, as it was given
    grid: tuple[int, int]  # width and height of the thermal image here
    H_thermal_to_grid: np.ndarray

    @classmethod
    def of(cls, network: DfaDescriber, thermal: np.ndarray, rgb: np.ndarray,
           work_px: int) -> _DescribedPair:
        """Describe the thermal image at the size for work."""
        size = geometry.size_of(thermal)
        grid = _grid_size(size, work_px)
        image = resize_to(thermal, grid)
        described = network.describe(image, 'thermal', fine=True)
        return cls(network, image, described, rgb, grid, geometry.stretch(size, grid))

    def match_and_fit(self, H: np.ndarray, resolution: str,
                      tolerance_px: float) -> tuple[np.ndarray | None, int]:
        """
        Return the homography after one more look, None where matches are too few; and inliers.

        ``resolution`` is ``'coarse'``, which compares all cells with all, or ``'fine'``, which compares
        patches with their surroundings.
        """
        rgb, covered_cells = self._describe_rgb(H, fine=resolution == 'fine')
        if resolution == 'fine':
            displacements = self.network.displacements(self.thermal, rgb, covered_cells)
            step, inliers = _fit_homography(displacements, tolerance_px)
        else:
            matches = self.network.coarse_matches(self.thermal, rgb, covered_cells)
            step, inliers = fit(matches, tolerance_px)
        return None if step is None else self._compose(H, step), int(inliers.sum())

    def verify(self, H: np.ndarray) -> tuple[np.ndarray, _Evidence]:
        """Look once more, in both directions; return the homography, and what speaks for it."""
        rgb, covered_cells = self._describe_rgb(H, fine=True)
        forward = self.network.displacements(self.thermal, rgb, covered_cells)
        backward, _ = _fit_homography(self.network.displacements(rgb, self.thermal, covered_cells), _INLIER_PX)
        step, _ = _fit_homography(forward, _INLIER_PX)
        matches = forward.matches()
        agrees = np.square(matches.to_px - matches.from_px).sum(1) < _INLIER_PX ** 2
        places = matches.from_px[agrees]
        if len(places) < MIN_MATCHES or step is None or backward is None:
            return H, _Evidence(len(places), 0.0, 0.0, 0.0, 1.0, 1.0)
        width, height = self.grid
        area = np.sqrt(max(np.linalg.det(np.cov(places.T)), 0.0))
        return self._compose(H, step), _Evidence(
            len(places), float(agrees.mean()), area / (width * height / 12),
            float(matches.distinctiveness[agrees].mean()),
            min(geometry.corner_error_px(step, np.eye(3), self.grid) / width, 1.0),
            min(geometry.corner_error_px(backward @ step, np.eye(3), self.grid) / width, 1.0))

    def refine(self, H: np.ndarray, steps: int) -> np.ndarray:
        """Align the oriented gradients that ``dense`` aligns, by Gauss-Newton."""
        if not steps:
            return H
        rgb, covered = self._warp_rgb(H, _MARGIN_PX)
        return self._compose(H, refine_structure(self.image, rgb, covered, _MARGIN_PX, _STRIDE_PX,
                                                 steps))

    def _describe_rgb(self, H: np.ndarray, *, fine: bool) -> tuple[Descriptors, np.ndarray]:
        """Describe RGB as laid onto the grid by H; tell which cells of 8 x 8 pixels it covers."""
        image, covered = self._warp_rgb(H)
        covered_cells = cv2.resize(covered.astype(np.float32), scaled(self.grid, 1 / _CELL_PX),
                                   interpolation=cv2.INTER_AREA) > 0.99
        return self.network.describe(image, 'rgb', fine=fine), covered_cells

    def _warp_rgb(self, H: np.ndarray, margin_px: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return RGB as seen on the grid and in a margin around it, and where it is seen."""
        return warp_to_grid(self.rgb, H @ np.linalg.inv(self.H_thermal_to_grid), self.grid, margin_px,
                            cv2.BORDER_REFLECT_101)

    def _compose(self, H: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return H after a step that was found on the grid."""
        return H @ np.linalg.inv(self.H_thermal_to_grid) @ step @ self.H_thermal_to_grid


def _fit_homography(displacements: Displacements,
                    tolerance_px: float) -> tuple[np.ndarray | None, np.ndarray]:
    """Fit a homography to the best displacement of each point, then to all; tell inliers."""
    step, inliers = fit(displacements.matches(), tolerance_px)
    return None if step is None else displacements.fitted(step), inliers


@dataclass(frozen=True)
class _Evidence:
    """What speaks for a homography, when the pair is looked at once more."""

    inliers: int  # cells that lie best where the homography puts them
    inlier_ratio: float  # of all that both images show
    spread: float  # area over which they lie; 1 is evenly over the image
    certainty: float  # mean over them
    residual_shift: float  # how far one more look moves the corners, as a share of the width
    cycle_error: float  # how far RGB to thermal is from the inverse of thermal to RGB, likewise

    def confidence(self) -> float:
        """
        Return the probability that the homography is right.

        Two right answers for one scene from two angles lie within 3 px of 640 of each other.
        Logistic regression over 126 RoadScene pairs, each misaligned in three ways, and over 252
        pairs of scenes that do not belong together; see docs/dfa.md.
        """
        if self.inliers < MIN_MATCHES:
            return 0.0
        score = (-6.96 + 2.01 * self.inlier_ratio + 7.13 * self.spread + 4.97 * self.certainty
                 - 1.06 * np.log(640 * self.residual_shift + 0.3) - 1.94 * np.log(640 * self.cycle_error + 0.3))
        return float(1 / (1 + np.exp(-score)))
