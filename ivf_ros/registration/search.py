# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Global search: feature correlation over scales, rotations and all shifts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
from ivf_ros import geometry
from ivf_ros.registration.features import rotate_features
import numpy as np

_PEAK_RADIUS_PX = 4  # peaks of one correlation are farther apart than this


def search(features: np.ndarray, search_region: np.ndarray, margin_px: int,
           scales: Iterable[float], angles_rad: Iterable[float], max_shift_px: int, count: int,
           oriented: bool = True) -> list[np.ndarray]:
    """
    Find the similarity transforms with the highest correlation of thermal and RGB features.

    Each hypothesis of scale and rotation is correlated with the RGB features over all shifts at
    once, in the frequency domain. The score is the normalised correlation over the footprint.

    Parameters
    ----------
    features:
        ``(H, W, C)`` float32, thermal, small; C is even.
    search_region:
        ``(H + 2 margin, W + 2 margin, C)`` RGB features warped onto the thermal grid by the prior,
        with a margin; zero where RGB covers nothing.
    scales, angles_rad, max_shift_px:
        The search range: scales and rotations about the centre of the image, and the largest shift
        along x and y.
    count:
        Maximum number of results, best first. Their corners differ by more than 5 % of the width.
    oriented:
        Whether the features are orientations, which rotate with the image.

    Returns
    -------
    list of ``(3, 3)`` float64
        Homographies from thermal pixels to the warped RGB (in pixels without the margin).

    """
    scored = [(value, geometry.translation(dx, dy) @ similarity)
              for similarity, score in correlate_similarities(
                  features, search_region, margin_px, scales, angles_rad, max_shift_px, oriented)
              for value, dx, dy in _peaks(score, max_shift_px)]
    scored.sort(key=lambda item: -item[0])
    return _distinct([similarity for _, similarity in scored], geometry.size_of(features), count)


def correlate_similarities(features: np.ndarray, search_region: np.ndarray, margin_px: int,
                           scales: Iterable[float], angles_rad: Iterable[float],
                           max_shift_px: int, oriented: bool = True
                           ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """
    Yield each scale and rotation with its normalised correlation at all shifts; see ``search``.

    Yields
    ------
    similarity, score
        ``(3, 3)`` float64, about the centre of the image, and ``(side, side)`` float32: the
        correlation at shifts from -max_shift_px to max_shift_px along y and x.

    """
    width, height = geometry.size_of(features)
    grid = geometry.size_of(search_region)
    centre = ((width - 1) / 2, (height - 1) / 2)
    to_centre = geometry.translation(-centre[0], -centre[1])
    spectra = _spectra(search_region)
    energy = np.square(search_region).sum(2)
    angles_rad = tuple(angles_rad)
    for scale in scales:
        footprint = cv2.boxFilter(energy, -1, (round(scale * width), round(scale * height)),
                                  normalize=False, borderType=cv2.BORDER_CONSTANT)
        footprint = np.maximum(footprint, 0.1 * footprint.max()) + 1e-9
        top, left = margin_px + height // 2 - max_shift_px, margin_px + width // 2 - max_shift_px
        footprint = footprint[top:top + 2 * max_shift_px + 1, left:left + 2 * max_shift_px + 1]
        for angle_rad in angles_rad:
            similarity = (geometry.translation(*centre) @ geometry.rotation(angle_rad)
                          @ geometry.scaling(scale, scale) @ to_centre)
            to_grid = geometry.translation(margin_px, margin_px) @ similarity
            moved = cv2.warpPerspective(features, to_grid, grid)
            if oriented:
                moved = rotate_features(moved, angle_rad)
            match = _correlation(spectra, _spectra(moved), max_shift_px)
            yield similarity, match / (np.sqrt(footprint) * (cv2.norm(moved) + 1e-9))


def _spectra(features: np.ndarray) -> list[np.ndarray]:
    """Return the spectra of pairs of channels, each pair as one complex channel."""
    height, width, channels = features.shape
    pairs = features.reshape(height, width, channels // 2, 2)
    return [cv2.dft(np.ascontiguousarray(pairs[:, :, pair])) for pair in range(channels // 2)]


def _correlation(spectra: list[np.ndarray], others: list[np.ndarray], reach: int) -> np.ndarray:
    """Return the correlation ``(side, side)`` at shifts from -reach to reach."""
    product = np.zeros_like(spectra[0])
    for spectrum, other in zip(spectra, others):
        product += cv2.mulSpectrums(spectrum, other, 0, conjB=True)
    # The real part of a b* is the scalar product of the vectors a and b.
    correlation = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
    shifts = np.arange(-reach, reach + 1)  # the correlation is circular
    return correlation[shifts[:, None], shifts]


def _peaks(score: np.ndarray, reach: int) -> list[tuple[float, int, int]]:
    """Return value and shift x and y of the two highest peaks; overwrites ``score`` near them."""
    peaks = []
    for _ in range(2):
        y, x = (int(index) for index in np.unravel_index(score.argmax(), score.shape))
        peaks.append((float(score[y, x]), x - reach, y - reach))
        score[max(y - _PEAK_RADIUS_PX, 0):y + _PEAK_RADIUS_PX + 1,
              max(x - _PEAK_RADIUS_PX, 0):x + _PEAK_RADIUS_PX + 1] = -1
    return peaks


def _distinct(similarities: list[np.ndarray], size: tuple[int, int],
              count: int) -> list[np.ndarray]:
    """Return the first ``count`` similarities that differ from all better ones."""
    distinct: list[np.ndarray] = []
    for candidate in similarities:
        if all(geometry.corner_error_px(candidate, better, size) > 0.05 * size[0]
               for better in distinct):
            distinct.append(candidate)
            if len(distinct) == count:
                break
    return distinct
