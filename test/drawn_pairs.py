# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic pairs of images with a known homography, for registration tests."""

from __future__ import annotations

import cv2
from ivf_ros import geometry
import numpy as np

SIZE = (480, 360)


def draw_scene(seed, size=(800, 640)):
    """Draw boxes and discs of random brightness: ``(H, W)`` float32 from 0 to 1."""
    random = np.random.default_rng(seed)
    image = np.full(size[::-1], 0.5, np.float32)
    for shape in random.integers(0, 2, 220):
        x, y = (int(v) for v in random.uniform((0, 0), size))
        w, h = (int(v) for v in random.uniform(10, 80, 2))
        if shape:
            cv2.circle(image, (x, y), w // 2, float(random.uniform()), -1)
        else:
            cv2.rectangle(image, (x, y), (x + w, y + h), float(random.uniform()), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


def pair(H_thermal_to_rgb, seed=0):
    """Return a 16-bit thermal image with inverted contrast and an RGB image of one scene."""
    scene, shift = draw_scene(seed), geometry.translation(-160, -140)
    thermal = geometry.warp(1 - scene, np.linalg.inv(H_thermal_to_rgb) @ shift, SIZE)
    rgb = geometry.warp(scene, shift, SIZE)
    noise = np.random.default_rng(seed).normal(0, 3, thermal.shape)
    return ((30000 + 800 * thermal + noise).astype(np.uint16),
            cv2.cvtColor((rgb * 220 + 20).astype(np.uint8), cv2.COLOR_GRAY2BGR))
