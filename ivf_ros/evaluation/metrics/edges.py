# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion metrics that compare the edges of the fused image with those of the sources: Qabf and Nabf.

A and B are the sources, F is the fused image; g is the magnitude of a Sobel gradient.
"""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.metrics.inputs import ImageTriple
from ivf_ros.evaluation.metrics.local import divide_or
import numpy as np


def edge_transfer(triple: ImageTriple, *, equal_is_one: bool = False) -> float:
    """
    Return Qabf, the fraction of the source edges that F preserves (Xydeas and Petrovic 2000).

    Qabf = sum (QAF gA + QBF gB) / sum (gA + gB), with zero padding, where
    QXF = Qg Qa, Qg = 0.9994 / (1 + exp(-15 (G - 0.5))) of the ratio G of the smaller to
    the larger magnitude, and Qa = 0.9879 / (1 + exp(-22 (A - 0.8))) of the agreement A of the
    angles. As in published code, G is the magnitude itself where both are equal;
    ``equal_is_one`` uses 1 instead, as the paper intends. If the sources have no edges, the result
    is 0.
    """
    fused_edges = _edges(triple.fused)
    preserved_sum = weight_sum = 0.0
    for source in triple.sources:
        edges = _edges(source)
        preserved = _edge_preservation(edges, fused_edges, equal_is_one)
        preserved_sum += float((preserved * edges[0]).sum())
        weight_sum += float(edges[0].sum())
    return preserved_sum / weight_sum if weight_sum > 0 else 0.0


def fusion_artifacts(triple: ImageTriple, *, modified: bool = True, min_weight: float = 0.001,
                     as_tang: bool = False) -> float:
    """
    Return Nabf, edges of F that neither source has (Petrovic and Xydeas 2005).

    Nabf = sum_n ((1 - QAF) wA + (1 - QBF) wB) / sum (wA + wB), where n are the pixels at which gF
    exceeds gA and gB (mirrored border, Sobel over 8), wX = gX^1.5 where gX >= 2 and
    ``min_weight`` elsewhere, and QXF = sqrt(Qg Qa), Qg = 0.9999 / (1 + exp(-19 (G - 0.5))),
    Qa = 0.9995 / (1 + exp(-22 (A - 0.5))). This is the form of Kumar (2013), which papers
    report; ``modified=False`` gives the older sum_n (2 - QAF - QBF) (wA + wB) / sum (wA + wB).
    The Python tools use the weight 0 instead of 0.001 below the threshold. If the sum of weights
    is 0, the result is 0.

    The MATLAB code of Tang et al. passes the images to the function of Kumar in the wrong order.
    So it reports the artifacts of A as if A were fused from B and F: ``as_tang``.
    """
    thermal, rgb, result = triple.images
    images = (rgb, result, thermal) if as_tang else triple.images
    magnitudes, angles = zip(*(_mirrored_edges(image) for image in images), strict=True)
    fused, angle = magnitudes[-1], angles[-1]
    new = (fused > magnitudes[0]) & (fused > magnitudes[1])
    losses, weights = [], []
    for source, source_angle in zip(magnitudes[:2], angles[:2], strict=True):
        weights.append(np.where(source >= 2.0, source * np.sqrt(source), min_weight))
        smaller, larger = np.minimum(source, fused)[new], np.maximum(source, fused)[new]
        agreement = np.abs(np.abs(source_angle[new] - angle[new]) - np.pi / 2) * (2 / np.pi)
        strength = 0.9999 / (1 + np.exp(-19 * (smaller / larger - 0.5)))
        orientation = 0.9995 / (1 + np.exp(-22 * (agreement - 0.5)))
        losses.append(1 - np.sqrt(strength * orientation))
    total = float(weights[0].sum() + weights[1].sum())
    if total <= 0:
        return 0.0
    if modified:
        return float(sum((loss * weight[new]).sum()
                         for loss, weight in zip(losses, weights, strict=True))) / total
    return float(((losses[0] + losses[1]) * (weights[0] + weights[1])[new]).sum()) / total


def _edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude and angle, from -pi/2 to pi/2, of the Sobel gradient, with zero padding."""
    along_x, along_y = (cv2.Sobel(image, cv2.CV_64F, *order, borderType=cv2.BORDER_CONSTANT)
                        for order in ((1, 0), (0, 1)))
    vertical = along_x == 0
    # y points up, as in published code. This matters close to vertical gradients, whose angle is
    # always +pi/2.
    angle = np.arctan(-along_y / np.where(vertical, 1.0, along_x))
    return np.sqrt(along_x ** 2 + along_y ** 2), np.where(vertical, np.pi / 2, angle)


def _edge_preservation(source: tuple[np.ndarray, np.ndarray], fused: tuple[np.ndarray, np.ndarray],
                       equal_is_one: bool) -> np.ndarray:
    """Return QXF of each pixel."""
    (magnitude, angle), (fused_magnitude, fused_angle) = source, fused
    magnitude_ratio = divide_or(np.minimum(magnitude, fused_magnitude),
                                np.maximum(magnitude, fused_magnitude),
                                default=0.0)
    if not equal_is_one:
        equal = magnitude == fused_magnitude
        magnitude_ratio[equal] = fused_magnitude[equal]
    agreement = 1 - np.abs(angle - fused_angle) / (np.pi / 2)
    strength = 0.9994 / (1 + np.exp(-15 * (magnitude_ratio - 0.5)))
    orientation = 0.9879 / (1 + np.exp(-22 * (agreement - 0.8)))
    return strength * orientation


def _mirrored_edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return magnitude and angle, from -pi/2 to pi/2, of an eighth of the Sobel gradient."""
    along_x, along_y = (cv2.Sobel(image, cv2.CV_64F, *order, scale=1 / 8,
                                  borderType=cv2.BORDER_REFLECT_101)
                        for order in ((1, 0), (0, 1)))
    with np.errstate(divide='ignore', invalid='ignore'):
        angle = np.arctan(along_x / along_y)
    angle[np.isnan(angle)] = 0.0  # zero gradient
    return np.sqrt(along_x ** 2 + along_y ** 2), angle
