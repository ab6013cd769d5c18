# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thermal images made of RGB ones: another look at the same scene with exact geometry."""

from __future__ import annotations

import cv2
import numpy as np

_TURNS = (1.0, 2.0)  # half periods of the cosine over the range of luma
_BLUR_PX = (0.6, 1.4)  # of an image 640 wide
_NOISE_LEVELS = 4.0


def pseudo_thermal(rgb: np.ndarray, seed: int) -> np.ndarray:
    """
    Return what a thermal camera of the same view might show, ``(H, W)`` uint8.

    Real pairs are aligned to a few pixels at best, which hides smaller errors. Here the geometry
    is exact, and the intensities are as unlike as between sensors: T = 127.5 (1 + cos(a V + b)),
    V the smoothed luma, changes the sign of the contrast from one brightness to another, as warm
    and cold do; some gradients vanish, and there is noise.

    Parameters
    ----------
    rgb:
        ``(H, W, 3)`` BGR or ``(H, W)``, uint8.
    seed:
        The same seed gives the same image.

    """
    random = np.random.default_rng([3, seed])
    luma = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY) if rgb.ndim == 3 else rgb
    sigma_px = random.uniform(*_BLUR_PX) * max(luma.shape[1] / 640, 0.3)
    smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), sigma_px) / 255
    angle = np.pi * random.uniform(*_TURNS) * smooth + random.uniform(0, 2 * np.pi)
    image = 127.5 * (1 + np.cos(angle)) + random.normal(0, _NOISE_LEVELS, luma.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
