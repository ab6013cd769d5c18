# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Published fusion rules with the constants of their papers, as baselines.

A rule takes thermal and the luma of RGB, both ``(H, W)`` uint8, and returns a new ``(H, W)`` uint8
image. ``Fuser`` handles colour and the pixels that thermal does not cover.
"""

from __future__ import annotations

from typing import Callable

from ivf_ros.fusion.gradient_transfer import gradient_transfer
from ivf_ros.fusion.multiscale import anisotropic, guided_filter, pyramid, two_scale, wavelet
from ivf_ros.fusion.pixelwise import average, maximum, pca
import numpy as np

RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    'average': average,
    'max': maximum,
    'pca': pca,
    'pyramid': pyramid,
    'wavelet': wavelet,
    'guided_filter': guided_filter,
    'two_scale': two_scale,
    'anisotropic': anisotropic,
    'gradient_transfer': gradient_transfer,
}
