# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Known misalignments for aligned pairs: the same for every method that is compared.

Three sets, at 640x480 and in proportion at other sizes: ``medium`` moves each corner by up to 32
pixels along either axis, ``large`` by up to 64; ``rig`` is what two cameras on one mount differ
by: scale 0.8 to 1.25, rotation within 5 degrees, shift within 10 % of the size, mild perspective.
"""

from __future__ import annotations

import cv2
from ivf_ros import geometry
import numpy as np

WARP_SETS = ('medium', 'large', 'rig')

_CORNER_REACH = {'medium': 32 / 640, 'large': 64 / 640}  # as a share of the width
_RIG_MAX_SCALE = 1.25
_RIG_ROTATION_RAD = np.deg2rad(5.0)
_RIG_SHIFT = 0.1  # as a share of width and height
_RIG_PERSPECTIVE = 0.05  # change of scale from the middle to the border


class WarpError(ValueError):
    """There is no such set of misalignments."""


def random_homography(warp_set: str, size: tuple[int, int], seed: int) -> np.ndarray:
    """
    Return the homography ``(3, 3)`` float64, from thermal to RGB pixels, that a seed stands for.

    Parameters
    ----------
    warp_set:
        One of ``WARP_SETS``.
    size:
        Width and height in pixels of the images, which show the same view before.
    seed:
        The same seed gives the same homography; sets share none.

    Raises
    ------
    WarpError
        There is no such set.

    """
    if warp_set not in WARP_SETS:
        raise WarpError(f"unknown set '{warp_set}'; known: {', '.join(WARP_SETS)}")
    random = np.random.default_rng([WARP_SETS.index(warp_set), seed])
    if warp_set == 'rig':
        return _rig(size, random)
    corners_px = geometry.corners_px(size)
    reach_px = _CORNER_REACH[warp_set] * size[0]
    return geometry.from_corners(corners_px,
                                 corners_px + random.uniform(-reach_px, reach_px, (4, 2)))


def misalign(thermal: np.ndarray, H_thermal_to_rgb: np.ndarray) -> np.ndarray:
    """
    Return the thermal image as a camera that is off by a homography would see it.

    ``thermal`` ``(H, W)`` of any depth lies on the RGB grid; registering the result gives
    ``H_thermal_to_rgb`` back. Beyond the border the image is mirrored, as a black border would
    give the homography away.
    """
    return cv2.warpPerspective(thermal, np.linalg.inv(H_thermal_to_rgb),
                               geometry.size_of(thermal),
                               flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def _rig(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    width, height = size
    scale = np.exp(random.uniform(-np.log(_RIG_MAX_SCALE), np.log(_RIG_MAX_SCALE)))
    angle_rad = random.uniform(-_RIG_ROTATION_RAD, _RIG_ROTATION_RAD)
    shift_px = random.uniform(-_RIG_SHIFT, _RIG_SHIFT, 2) * size
    tilt = np.eye(3)
    tilt[2, :2] = random.uniform(-_RIG_PERSPECTIVE, _RIG_PERSPECTIVE, 2) / (width / 2, height / 2)
    middle = geometry.translation((width - 1) / 2, (height - 1) / 2)
    about_middle = geometry.rotation(angle_rad) @ geometry.scaling(scale, scale) @ tilt
    return geometry.normalize_homography(geometry.translation(*shift_px) @ middle @ about_middle
                                         @ np.linalg.inv(middle))
