# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Random photometric augmentation of camera images, for training across sensors.

Every function takes and returns ``(H, W)`` float32 from 0 to 1. It draws from the given random
generator, so a seed reproduces a training. The geometry is not changed.
"""

from __future__ import annotations

import cv2
import numpy as np


def augment_thermal(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Simulate another scene temperature, camera or gain control in a thermal image."""
    if random.random() < 0.35:
        image = 1 - image  # contrast inverts between night and day, and in black-hot palettes
    image = remap_levels(image, random, 0.5 if random.random() < 0.85 else 1.2)
    image = blur(image, random, 1.6)
    if random.random() < 0.3:
        image = add_blobs(image, random, max_blobs=4)
    return add_noise(image, random, 0.05)


def augment_rgb(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Simulate another illumination, exposure or camera in the luma of an RGB image."""
    if random.random() < 0.3:  # night: low light
        image = image ** random.uniform(1.0, 2.5) * random.uniform(0.15, 0.8)
    else:
        image = remap_levels(image, random, 0.35)
    if random.random() < 0.35:  # lamps, glare, shadows
        image = add_blobs(image, random, max_blobs=4)
    image = blur(image, random, 1.0)
    return add_noise(image, random, 0.06)


def simulate_thermal(luma: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Simulate a thermal image from luma: blur, then a smooth non-monotone tone curve."""
    half_periods, phase = random.uniform(0.5, 1.6), random.uniform(0, 2 * np.pi)
    smooth = cv2.GaussianBlur(luma, (0, 0), random.uniform(0.4, 1.4))
    image = 0.5 * (1 + np.cos(np.pi * half_periods * smooth + phase))
    return _stretch_to_unit_range(image.astype(np.float32))


def remap_levels(image: np.ndarray, random: np.random.Generator, strength: float) -> np.ndarray:
    """Apply a random smooth tone curve; up to a strength of 1 it is nearly monotone."""
    knots = np.linspace(0, 1, 6)
    heights = knots + random.uniform(-strength, strength, 6) * 0.35
    curve = np.interp(np.linspace(0, 1, 256), knots, heights).astype(np.float32)
    curve = cv2.blur(curve[None], (25, 1), borderType=cv2.BORDER_REPLICATE)[0]
    return _stretch_to_unit_range(curve[np.clip(image * 255, 0, 255).astype(np.uint8)])


def blur(image: np.ndarray, random: np.random.Generator, max_sigma_px: float) -> np.ndarray:
    """Blur with a sigma of up to ``max_sigma_px``, in half of all cases."""
    sigma_px = random.uniform(-max_sigma_px, max_sigma_px)
    return cv2.GaussianBlur(image, (0, 0), sigma_px) if sigma_px > 0.3 else image


def add_noise(image: np.ndarray, random: np.random.Generator, max_sigma: float) -> np.ndarray:
    """Add pixel noise, and sometimes the column noise of uncooled sensors."""
    sigma = random.uniform(0, max_sigma)
    image = image + sigma * random.standard_normal(image.shape, dtype=np.float32)
    if random.random() < 0.2:
        image = image + 0.5 * sigma * random.standard_normal((1, image.shape[1]),
                                                             dtype=np.float32)
    return image


def add_blobs(image: np.ndarray, random: np.random.Generator, max_blobs: int) -> np.ndarray:
    """Blend soft or hard ellipses into the image: structures visible to one camera only."""
    height, width = image.shape
    for _ in range(random.integers(1, max_blobs + 1)):
        mask = np.zeros_like(image)
        centre = int(random.integers(width)), int(random.integers(height))
        axes = [int(random.uniform(0.02, 0.16) * width) + 1 for _ in range(2)]
        cv2.ellipse(mask, centre, axes, random.uniform(0, 180), 0, 360, 1.0, -1)
        if random.random() < 0.6:
            mask = cv2.blur(mask, (2 * (axes[0] // 2) + 1,) * 2)
        mask *= random.uniform(0.3, 1.0)
        image = image * (1 - mask) + mask * np.float32(random.random())
    return image


def _stretch_to_unit_range(image: np.ndarray) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def darken(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Reduce the brightness, down to nearly black."""
    return image * np.float32(random.uniform(0.02, 0.4))


def add_glare(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add one or two saturated lamps with a wide halo."""
    height, width = image.shape
    row, column = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(random.integers(1, 3)):
        distance = np.hypot(row - random.uniform(0, height), column - random.uniform(0, width))
        radius = random.uniform(0.03, 0.2) * width
        image = image + np.clip(1.2 * np.exp(1 - distance / radius), 0, 1.2).astype(np.float32)
    return np.clip(image, 0, 1)


def add_smoke(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Blend the image with smoke: clouds of one gray level, thin or dense."""
    height, width = image.shape
    coarse = random.uniform(-0.6, 1.6, (random.integers(2, 6), random.integers(2, 6)))
    cloud = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    opacity = np.clip(cloud, 0, random.uniform(0.6, 1.0))
    return image * (1 - opacity) + opacity * np.float32(random.uniform(0.3, 0.9))


def saturate(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Increase gain and offset so that parts of the image saturate."""
    gain, level = random.uniform(1.2, 4.0), random.uniform(0.2, 0.8)
    return np.clip((image - np.float32(level)) * np.float32(gain) + 0.5, 0, 1)
