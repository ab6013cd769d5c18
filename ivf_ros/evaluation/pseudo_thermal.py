# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pseudo-thermal images computed from RGB images: other intensities, exactly the same geometry."""

from __future__ import annotations

import cv2
import numpy as np

_HALF_PERIODS = (1.0, 2.0)  # of the cosine over the range of luma
_BLUR_PX = (0.6, 1.4)  # for an image width of 640 pixels
_NOISE_LEVELS = 4.0


def pseudo_thermal(rgb: np.ndarray, seed: int) -> np.ndarray:
    """
    Return an image that a thermal camera of the same view might deliver, ``(H, W)`` uint8.

    Real pairs are aligned only to within a few pixels, which hides smaller errors. Here the
    geometry is exact, and the intensities differ as between sensors: T = 127.5 (1 + cos(a V + b)),
    where V is the smoothed luma. The sign of the contrast changes with the brightness, as it does
    between warm and cold objects. Some gradients vanish, and noise is added.

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
    angle = np.pi * random.uniform(*_HALF_PERIODS) * smooth + random.uniform(0, 2 * np.pi)
    image = 127.5 * (1 + np.cos(angle)) + random.normal(0, _NOISE_LEVELS, luma.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
