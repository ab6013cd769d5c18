# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Random changes of what a camera makes of a scene, for training across sensors.

Every function takes and returns ``(H, W)`` float32 from 0 to 1 and draws from the generator that
it is given, so that a seed repeats a training. Geometry is left alone.
"""

from __future__ import annotations

import cv2
import numpy as np


def augment_thermal(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change a thermal image as another scene temperature, camera or gain control would."""
    if random.random() < 0.35:
        image = 1 - image  # cold is hot: night is not day, and some cameras show black hot
    image = remap_levels(image, random, 0.5 if random.random() < 0.85 else 1.2)
    image = blur(image, random, 1.6)
    if random.random() < 0.3:
        image = add_blobs(image, random, most=4)
    return add_noise(image, random, 0.05)


def augment_rgb(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change the luma of an RGB image as another light, exposure or camera would."""
    if random.random() < 0.3:  # night: little light, much noise
        image = image ** random.uniform(1.0, 2.5) * random.uniform(0.15, 0.8)
    else:
        image = remap_levels(image, random, 0.35)
    if random.random() < 0.35:  # lamps, glare, shadows
        image = add_blobs(image, random, most=4)
    image = blur(image, random, 1.0)
    return add_noise(image, random, 0.06)


def simulate_thermal(luma: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return another sensor's view of RGB: a smooth map that is not monotone, smoothed."""
    turns, phase = random.uniform(0.5, 1.6), random.uniform(0, 2 * np.pi)
    smooth = cv2.GaussianBlur(luma, (0, 0), random.uniform(0.4, 1.4))
    image = 0.5 * (1 + np.cos(np.pi * turns * smooth + phase))
    return _stretched(image.astype(np.float32))


def remap_levels(image: np.ndarray, random: np.random.Generator, strength: float) -> np.ndarray:
    """Map gray levels by a random smooth curve; up to a strength of 1 it is nearly monotone."""
    knots = np.linspace(0, 1, 6)
    heights = knots + random.uniform(-strength, strength, 6) * 0.35
    curve = np.interp(np.linspace(0, 1, 256), knots, heights).astype(np.float32)
    curve = cv2.blur(curve[None], (25, 1), borderType=cv2.BORDER_REPLICATE)[0]
    return _stretched(curve[np.clip(image * 255, 0, 255).astype(np.uint8)])


def blur(image: np.ndarray, random: np.random.Generator, most_px: float) -> np.ndarray:
    """Blur by up to ``most_px``, in half of all cases."""
    sigma_px = random.uniform(-most_px, most_px)
    return cv2.GaussianBlur(image, (0, 0), sigma_px) if sigma_px > 0.3 else image


def add_noise(image: np.ndarray, random: np.random.Generator, most: float) -> np.ndarray:
    """Add noise of each pixel, and in some cases of each column, as uncooled sensors have."""
    sigma = random.uniform(0, most)
    image = image + sigma * random.standard_normal(image.shape, dtype=np.float32)
    if random.random() < 0.2:
        image = image + 0.5 * sigma * random.standard_normal((1, image.shape[1]),
                                                             dtype=np.float32)
    return image


def add_blobs(image: np.ndarray, random: np.random.Generator, most: int) -> np.ndarray:
    """Lay soft or hard ellipses over the image: what one camera sees and the other does not."""
    height, width = image.shape
    for _ in range(random.integers(1, most + 1)):
        mask = np.zeros_like(image)
        centre = int(random.integers(width)), int(random.integers(height))
        axes = [int(random.uniform(0.02, 0.16) * width) + 1 for _ in range(2)]
        cv2.ellipse(mask, centre, axes, random.uniform(0, 180), 0, 360, 1.0, -1)
        if random.random() < 0.6:
            mask = cv2.blur(mask, (2 * (axes[0] // 2) + 1,) * 2)
        mask *= random.uniform(0.3, 1.0)
        image = image * (1 - mask) + mask * np.float32(random.random())
    return image


def _stretched(image: np.ndarray) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def darken(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Take away light, down to next to nothing."""
    return image * np.float32(random.uniform(0.02, 0.4))


def add_glare(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Lay one or two saturated lamps with a wide halo over the image."""
    height, width = image.shape
    row, column = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(random.integers(1, 3)):
        distance = np.hypot(row - random.uniform(0, height), column - random.uniform(0, width))
        radius = random.uniform(0.03, 0.2) * width
        image = image + np.clip(1.2 * np.exp(1 - distance / radius), 0, 1.2).astype(np.float32)
    return np.clip(image, 0, 1)


def add_smoke(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Hide the image behind clouds of one gray, thin or dense."""
    height, width = image.shape
    coarse = random.uniform(-0.6, 1.6, (random.integers(2, 6), random.integers(2, 6)))
    cloud = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(cloud, 0, random.uniform(0.6, 1.0))
    return image * (1 - share) + share * np.float32(random.uniform(0.3, 0.9))


def saturate(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Raise gain and offset beyond what the camera can tell apart."""
    gain, level = random.uniform(1.2, 4.0), random.uniform(0.2, 0.8)
    return np.clip((image - np.float32(level)) * np.float32(gain) + 0.5, 0, 1)
