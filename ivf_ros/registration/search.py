# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Global search: feature correlation over a grid of scales and rotations and every shift."""

from __future__ import annotations

from itertools import product
from typing import Iterable

import cv2
from ivf_ros import geometry
from ivf_ros.registration.features import structure
import numpy as np

_APART_PX = 4  # two peaks of one correlation are two answers from here on


def search(thermal: np.ndarray, rgb_features: np.ndarray, margin_px: int,
           scales: Iterable[float], angles_rad: Iterable[float], max_shift_px: int,
           count: int) -> list[np.ndarray]:
    """
    Find the similarities under which the thermal image looks most like the RGB features.

    Each hypothesis of scale and rotation is correlated with the RGB features over all shifts at
    once, in the frequency domain; the score is the normalised correlation over the footprint.

    Parameters
    ----------
    thermal:
        ``(H, W)`` float32, small.
    rgb_features:
        ``(H + 2 margin, W + 2 margin, C)`` structure features of the RGB image laid onto the
        thermal grid by the prior, with a margin; zero where RGB sees nothing.
    scales, angles_rad, max_shift_px:
        What is searched, about the centre of the image.
    count:
        How many answers to return, best first, each well apart from the better ones.

    Returns
    -------
    list of ``(3, 3)`` float64
        Homographies from thermal pixels to RGB laid onto the thermal grid (without the margin).

    """
    height, width = thermal.shape
    grid = (width + 2 * margin_px, height + 2 * margin_px)
    centre = ((width - 1) / 2, (height - 1) / 2)
    rgb_spectrum = np.fft.rfft2(rgb_features, axes=(0, 1))
    rgb_energy_spectrum = np.fft.rfft2((rgb_features ** 2).sum(2))
    found = []
    for scale, angle in product(scales, angles_rad):
        turned = (geometry.rotation(angle, centre) @ geometry.translation(*centre)
                  @ geometry.scaling(scale, scale) @ geometry.translation(-centre[0], -centre[1]))
        to_grid = geometry.translation(margin_px, margin_px) @ turned
        image = cv2.warpPerspective(thermal, to_grid, grid, borderMode=cv2.BORDER_REPLICATE)
        mask = geometry.warp(np.ones_like(thermal), to_grid, grid)
        features = structure(image) * mask[..., None]
        spectrum = np.fft.rfft2(features, axes=(0, 1))
        match = np.fft.irfft2((spectrum.conj() * rgb_spectrum).sum(2), grid[::-1])
        energy = np.fft.irfft2(np.fft.rfft2(mask).conj() * rgb_energy_spectrum, grid[::-1])
        energy = np.maximum(energy, 0.1 * energy.max()) * (features ** 2).sum()
        score = match / np.sqrt(energy + 1e-9)
        found += [(value, geometry.translation(dx, dy) @ turned)
                  for value, dx, dy in _peaks(score, max_shift_px)]
    found.sort(key=lambda item: -item[0])
    return _distinct([similarity for _, similarity in found], (width, height), count)


def _peaks(score: np.ndarray, reach: int) -> list[tuple[float, int, int]]:
    """Return value and shift of the two highest peaks; the score is circular in the shift."""
    near = np.roll(score, (reach, reach), (0, 1))[:2 * reach + 1, :2 * reach + 1]
    peaks = []
    for _ in range(2):
        y, x = np.unravel_index(near.argmax(), near.shape)
        peaks.append((float(near[y, x]), int(x) - reach, int(y) - reach))
        near[max(y - _APART_PX, 0):y + _APART_PX + 1, max(x - _APART_PX, 0):x + _APART_PX + 1] = -1
    return peaks


def _distinct(similarities: list[np.ndarray], size: tuple[int, int],
              count: int) -> list[np.ndarray]:
    chosen: list[np.ndarray] = []
    for candidate in similarities:
        if all(geometry.corner_error_px(candidate, better, size) > 0.05 * size[0]
               for better in chosen):
            chosen.append(candidate)
            if len(chosen) == count:
                break
    return chosen
