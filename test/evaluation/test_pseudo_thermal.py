# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pseudo-thermal images have the geometry of RGB and other intensities."""

from __future__ import annotations

import cv2
from ivf_ros.evaluation.pseudo_thermal import pseudo_thermal
import numpy as np
import pytest

SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (96, 128)).astype(np.float32),
                          (0, 0), 6)
SCENE = cv2.equalizeHist(cv2.normalize(SMOOTH, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8))


def test_shape_type_and_repetition():
    colour = cv2.cvtColor(SCENE, cv2.COLOR_GRAY2BGR)
    pseudo = pseudo_thermal(colour, 5)
    assert pseudo.shape == SCENE.shape and pseudo.dtype == np.uint8
    np.testing.assert_array_equal(pseudo, pseudo_thermal(colour, 5))
    assert not np.array_equal(pseudo, pseudo_thermal(colour, 6))


def test_intensities_are_unlike_but_depend_on_luma_alone():
    correlations = []
    for seed in range(40):
        pseudo = pseudo_thermal(SCENE, seed)
        correlations.append(np.corrcoef(SCENE.ravel(), pseudo.ravel())[0, 1])
        # The spread at one luma, where the scene is smooth, is the noise.
        level = np.abs(SCENE.astype(int) - 128) <= 1
        assert pseudo[level].astype(float).std() < 20
    assert min(correlations) < -0.3 and max(correlations) > 0.3
    assert np.median(np.abs(correlations)) < 0.8


def test_edges_lie_where_they_were():
    step = np.full((64, 96), 40, np.uint8)
    step[:, 48:] = 200
    strongest = []
    for seed in range(20):
        slope = np.abs(cv2.Sobel(pseudo_thermal(step, seed).astype(np.float32), cv2.CV_32F, 1, 0))
        profile = slope[8:-8].mean(axis=0)
        if profile.max() > 60:  # the cosine gives both brightnesses nearly one value now and then
            strongest.append(int(profile.argmax()))
    assert len(strongest) > 10
    assert strongest == pytest.approx([47.5] * len(strongest), abs=1.0)
