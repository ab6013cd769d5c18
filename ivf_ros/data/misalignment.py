# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Known misalignments of aligned pairs, identical for all methods in a comparison.

There are three sets, defined at 640x480 and scaled in proportion for other sizes. ``medium`` moves
each corner by up to 32 pixels along either axis, ``large`` by up to 64. ``rig`` models two cameras
on one mount: scale 0.8 to 1.25, rotation within 5 degrees, shift within 10 % of the size, mild
perspective.
"""

from __future__ import annotations

import cv2
from ivf_ros import geometry
import numpy as np

WARP_SETS = ('medium', 'large', 'rig')

_MAX_CORNER_SHIFT = {'medium': 32 / 640, 'large': 64 / 640}  # as a fraction of the width
_RIG_MAX_SCALE = 1.25
_RIG_MAX_ROTATION_RAD = np.deg2rad(5.0)
_RIG_MAX_SHIFT = 0.1  # as a fraction of width and height
_RIG_MAX_PERSPECTIVE = 0.05  # change of scale from the centre to the border


class WarpError(ValueError):
    """The set of misalignments is unknown."""


def random_homography(warp_set: str, size: tuple[int, int], seed: int) -> np.ndarray:
    """
    Return the homography ``(3, 3)`` float64 from thermal to RGB pixels for a seed.

    Parameters
    ----------
    warp_set:
        One of ``WARP_SETS``.
    size:
        Width and height in pixels of the aligned images.
    seed:
        The same seed gives the same homography; different sets give different ones.

    Raises
    ------
    WarpError
        The set is unknown.

    """
    if warp_set not in WARP_SETS:
        raise WarpError(f"unknown set '{warp_set}'; known: {', '.join(WARP_SETS)}")
    random = np.random.default_rng([WARP_SETS.index(warp_set), seed])
    if warp_set == 'rig':
        return _random_rig_homography(size, random)
    corners_px = geometry.corners_px(size)
    max_shift_px = _MAX_CORNER_SHIFT[warp_set] * size[0]
    return geometry.from_corners(corners_px,
                                 corners_px + random.uniform(-max_shift_px, max_shift_px, (4, 2)))


def misalign(thermal: np.ndarray, H_thermal_to_rgb: np.ndarray) -> np.ndarray:
    """
    Return the thermal image of a camera that is misaligned by a homography.

    ``thermal`` ``(H, W)`` of any depth is on the RGB grid. Registration of the result gives
    ``H_thermal_to_rgb``. Beyond the border the image is mirrored, because a black border would
    reveal the homography.
    """
    return cv2.warpPerspective(thermal, np.linalg.inv(H_thermal_to_rgb),
                               geometry.size_of(thermal),
                               flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _random_rig_homography(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    width, height = size
    scale = np.exp(random.uniform(-np.log(_RIG_MAX_SCALE), np.log(_RIG_MAX_SCALE)))
    angle_rad = random.uniform(-_RIG_MAX_ROTATION_RAD, _RIG_MAX_ROTATION_RAD)
    shift_px = random.uniform(-_RIG_MAX_SHIFT, _RIG_MAX_SHIFT, 2) * size
    tilt = np.eye(3)
    perspective = random.uniform(-_RIG_MAX_PERSPECTIVE, _RIG_MAX_PERSPECTIVE, 2)
    tilt[2, :2] = perspective / (width / 2, height / 2)
    centre = geometry.translation((width - 1) / 2, (height - 1) / 2)
    about_centre = geometry.rotation(angle_rad) @ geometry.scaling(scale, scale) @ tilt
    return geometry.normalize_homography(geometry.translation(*shift_px) @ centre @ about_centre
                                         @ np.linalg.inv(centre))
