# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned registration for a rig: descriptors that do not depend on which camera took the image.

1. Thermal is brought to ``work_px`` width, and RGB laid onto its grid by the prior.
2. Coarse: every cell of 8 x 8 pixels of one image is compared with every cell of the other. Cells
   that choose each other give a homography (MAGSAC++).
3. RGB is laid onto the grid anew by it, and compared once more; what is left is small.
4. Fine: Gauss-Newton on the descriptors of 2 x 2 pixels.
5. The more cells agree in the last comparison, the more certain the answer; an uncertain one is
   refused.

It does not beat ``dense`` yet (docs/registration.md), so no weights come with the package and
``registration.create`` does not know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.inputs import contrast, Question, resized, scaled
from ivf_ros.registration.point_matches import fit, Matches
from ivf_ros.registration.refinement import refine
from ivf_ros.types import Registration
import numpy as np

if TYPE_CHECKING:
    from ivf_ros.registration.network_fast import Descriptors

_MULTIPLE_PX = 32  # of both sides of what the network is given
_COARSE_PX, _FINE_PX = 8, 2
_MARGIN, _STRIDE = 4, 3  # fine cells


@dataclass(frozen=True)
class FastParameters:
    """At which size the method ``fast`` compares, and how critically."""

    weights: str = parameter(
        '', 'Weight file, as written by ivf train registration --weights.', live=False)
    work_px: int = parameter(
        320, 'Width of the thermal image that the network is given; it was trained for 320.',
        minimum=160, maximum=1280)
    refinement_steps: int = parameter(
        6, 'Gauss-Newton steps at the end; 0 for none.', minimum=0, maximum=50)
    precision: str = parameter(
        'bfloat16', 'Of the network; bfloat16 is several times faster than float32 on processors '
        'that compute in it, and slower on others.', choices=('bfloat16', 'float32'), live=False)
    min_confidence: float = parameter(
        0.5, 'Measurements less certain than this are rejected.', minimum=0.0, maximum=1.0)


class FastRegistrar:
    """
    Registers by learned descriptors; see the module for the steps.

    Raises
    ------
    WeightsError
        The weight file is missing or damaged.

    """

    def __init__(self, parameters: FastParameters = FastParameters()) -> None:
        from ivf_ros.registration.network_fast import Describer  # PyTorch, only where it is used

        self.parameters = parameters
        self._network = Describer(Path(parameters.weights), parameters.precision)

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
        question = Question.about(thermal, rgb, prior)
        reason = question.flaw(question.start)
        if reason:
            return question.refused(f'implausible prior: {reason}')
        thermal, rgb = contrast(thermal), contrast(rgb)
        if not (thermal.any() and rgb.any()):
            return question.refused('textureless')

        grid = _grid_size(question.thermal_size, self.parameters.work_px)
        H_thermal_to_grid = geometry.stretch(question.thermal_size, grid)
        H_grid_to_rgb = geometry.normalized(question.start @ np.linalg.inv(H_thermal_to_grid))
        of_thermal = self._network.describe(resized(thermal, grid), 'thermal')
        for tolerance_px, fine in ((8.0, False), (4.0, True)):
            of_rgb = self._network.describe(_laid(rgb, H_grid_to_rgb, grid), 'rgb', fine)
            matches = self._matches(of_thermal, of_rgb)
            step, inliers = fit(matches, tolerance_px, 'homography')
            if step is None:
                return question.refused(f'{len(matches.distinct)} matches are too few')
            H_grid_to_rgb = geometry.normalized(H_grid_to_rgb @ step)
            reason = question.flaw(H_grid_to_rgb @ H_thermal_to_grid)
            if reason:
                return question.refused(f'implausible: {reason}')
        assert step is not None
        rest = _refined(of_thermal.fine, of_rgb.fine, step, self.parameters.refinement_steps)
        H = geometry.normalized(H_grid_to_rgb @ rest @ H_thermal_to_grid)
        confidence = _confidence(matches, inliers)
        if confidence < self.parameters.min_confidence:
            return question.refused(f'low confidence: {confidence:.2f}')
        return question.answered(H, confidence, int(inliers.sum()))

    def _matches(self, thermal: Descriptors, rgb: Descriptors) -> Matches:
        """Compare every cell with every other; return those that choose each other, in pixels."""
        from_cells, to_cells, certainty = self._network.matches(thermal, rgb)
        offset = (_COARSE_PX - 1) / 2
        return Matches(from_cells * _COARSE_PX + offset, to_cells * _COARSE_PX + offset,
                       np.sqrt(certainty), thermal.cells[0] * thermal.cells[1])


def _grid_size(size: tuple[int, int], work_px: int) -> tuple[int, int]:
    """Return width and height, multiples of 32, near ``work_px`` and the aspect of the image."""
    width = max(round(work_px / _MULTIPLE_PX), 2) * _MULTIPLE_PX
    height = max(round(width * size[1] / size[0] / _MULTIPLE_PX), 2) * _MULTIPLE_PX
    return width, height


def _laid(rgb: np.ndarray, H_grid_to_rgb: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return RGB as seen on the grid, shrunk by area first where it is much larger."""
    rgb_px_per_grid_px = geometry.scale_in_middle(H_grid_to_rgb, grid)
    H_rgb_to_grid = np.linalg.inv(H_grid_to_rgb)
    if rgb_px_per_grid_px > 1.3:
        size = geometry.size_of(rgb)
        rgb = resized(rgb, scaled(size, 1 / rgb_px_per_grid_px))
        H_rgb_to_grid = H_rgb_to_grid @ geometry.stretch(geometry.size_of(rgb), size)
    return cv2.warpPerspective(rgb, H_rgb_to_grid, grid, borderMode=cv2.BORDER_REFLECT_101)


def _refined(thermal: np.ndarray, rgb: np.ndarray, step: np.ndarray, steps: int) -> np.ndarray:
    """Return the homography near the identity, in pixels, that fits the fine descriptors best."""
    if not steps:
        return np.eye(3)
    height, width = rgb.shape[:2]
    moved = geometry.rescaled(step, 1 / _FINE_PX, 1 / _FINE_PX)
    around = cv2.warpPerspective(
        rgb, geometry.translation(_MARGIN, _MARGIN) @ np.linalg.inv(moved),
        (width + 2 * _MARGIN, height + 2 * _MARGIN))
    found = refine(thermal, around, _MARGIN, _STRIDE, steps)
    return geometry.rescaled(found, _FINE_PX, _FINE_PX)


def _confidence(matches: Matches, inliers: np.ndarray) -> float:
    """Return 0 where no cell has a match that agrees, 1 where a fifth of them or more has one."""
    return float(np.clip(5 * inliers.sum() / matches.looked_for, 0, 1))
