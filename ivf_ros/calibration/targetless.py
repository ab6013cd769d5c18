# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A prior without a board: the median of the registrations of a drive.

Each accepted measurement gives the positions of the four corners of thermal on RGB. Measurements
far from the median of the others are left out, and the corners of the prior are the medians of the
rest. The spread, 1.4826 MAD of a corner coordinate, says how much the scene and the method vary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.outlying import find_outlying
from ivf_ros.calibration.view_collection import CollectionParameters, paired_frames
from ivf_ros.data.sources import Source
from ivf_ros.images import as_bgr8
from ivf_ros.registration import Registrar
from ivf_ros.thermal import SIGMA_PER_MAD
import numpy as np

MIN_ACCEPTED = 5
# Fractions of the width of RGB: a measurement this close never lies off, and the largest spread.
_MIN_SPREAD, _MAX_SPREAD = 0.002, 0.05


@dataclass(frozen=True, eq=False)
class TargetlessPrior:
    """
    A prior from registrations.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64.
    spread_px:
        ``(4,)`` robust standard deviation of each corner in RGB pixels, clockwise from the origin.
    measured, accepted, used:
        Number of pairs that were registered, that the method accepted, and that were averaged.
    thermal_size, rgb_size:
        Width and height in pixels.

    """

    H_thermal_to_rgb: np.ndarray
    spread_px: np.ndarray
    measured: int
    accepted: int
    used: int
    thermal_size: tuple[int, int]
    rgb_size: tuple[int, int]


def average_registrations(source: Source, registrar: Registrar,
                          parameters: CollectionParameters,
                          prior: np.ndarray | None = None,
                          report: Callable[[str], None] = lambda text: None) -> TargetlessPrior:
    """
    Register the pairs of a source and average the accepted homographies.

    Parameters
    ----------
    source:
        A source of frames of one rig.
    registrar:
        The registration method.
    parameters:
        Which pairs are registered.
    prior:
        ``(3, 3)`` homography to start from, or None.
    report:
        Called with a line of progress from time to time.

    Raises
    ------
    CalibrationError
        Fewer than ``MIN_ACCEPTED`` measurements are accepted and agree, or they scatter by more
        than 5 % of the width of RGB.

    """
    corners: list[np.ndarray] = []
    measured = 0
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None
    for _, thermal, rgb in paired_frames(source, parameters):
        sizes = sizes or (thermal.size, rgb.size)
        if (thermal.size, rgb.size) != sizes:
            raise CalibrationError(f'the size of the images changes from {sizes} to '
                                   f'{(thermal.size, rgb.size)}; a rig has one')
        measured += 1
        result = registrar.register(thermal.image, as_bgr8(rgb.image), prior)
        if result.confidence > 0 and not result.reason:
            corners.append(geometry.transform_points(result.H_thermal_to_rgb,
                                                     geometry.corners_px(thermal.size)))
        if measured % 10 == 0:
            report(f'{measured} pairs registered, {len(corners)} accepted')
        if len(corners) >= parameters.max_views:
            break
    if len(corners) < MIN_ACCEPTED or sizes is None:
        raise CalibrationError(f'{len(corners)} of {measured} registrations were accepted, need '
                               f'{MIN_ACCEPTED}; choose a drive with more texture in both images, '
                               'or calibrate with a board')
    used = _agreeing(np.stack(corners), _MIN_SPREAD * sizes[1][0])
    if len(used) < max(MIN_ACCEPTED, len(corners) / 2):
        raise CalibrationError(f'{len(used)} of {len(corners)} accepted registrations agree, need '
                               f'{max(MIN_ACCEPTED, -(-len(corners) // 2))}; is it one rig?')
    median = np.median(used, axis=0)
    deviations_px = SIGMA_PER_MAD * np.median(np.abs(used - median), axis=0)
    spread_px = np.linalg.norm(deviations_px, axis=1) / np.sqrt(2)
    limit_px = _MAX_SPREAD * sizes[1][0]
    if spread_px.max() > limit_px:
        raise CalibrationError(f'the corners of {len(used)} accepted registrations scatter by '
                               f'{spread_px.max():.0f} px, the limit is {limit_px:.0f} px; choose '
                               'a drive with a more distant scene, or calibrate with a board')
    return TargetlessPrior(geometry.from_corners(geometry.corners_px(sizes[0]), median), spread_px,
                           measured, len(corners), len(used), *sizes)


def _agreeing(corners_px: np.ndarray, accepted_px: float) -> np.ndarray:
    """Return the sets of corners ``(N, 4, 2)`` that do not lie off."""
    while True:
        offsets_px = np.linalg.norm(corners_px - np.median(corners_px, axis=0), axis=2).mean(1)
        outlying = find_outlying([str(index) for index in range(len(corners_px))], offsets_px,
                                 accepted_px)
        if not outlying:
            return corners_px
        corners_px = corners_px[[str(index) not in outlying
                                 for index in range(len(corners_px))]]
