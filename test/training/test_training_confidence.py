# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evidence separates right from wrong homographies; its coefficients can be estimated."""

from __future__ import annotations

import json

import cv2
from ivf_ros import cli, geometry
from ivf_ros.registration.coarse_to_fine import (
    collect_evidence,
    estimate_confidence,
    Evidence,
    structure_levels,
)
from ivf_ros.registration.features import structure
import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs PyTorch')

from ivf_ros.training.confidence import Comparison, fit_coefficients  # noqa: E402, I100

SIZE = (640, 480)
TRUE = (-4.0, 5.0, 1.0, 8.0, -1.0, -1.5)


def blobs(seed, size=SIZE):
    noise = np.random.default_rng(seed).uniform(0, 1, (size[1], size[0])).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 1, cv2.NORM_MINMAX)


def middle_level(thermal, rgb):
    thermal, rgb = (structure(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA))
                    for image in (thermal, rgb))
    return structure_levels(thermal, rgb, SIZE, SIZE)[1]


def test_the_true_homography_has_more_evidence_than_wrong_ones_and_other_scenes():
    level = middle_level(1 - blobs(1), blobs(1))
    right = collect_evidence(level, np.eye(3))
    shifted = collect_evidence(level, geometry.translation(14, 10))
    other_scene = collect_evidence(middle_level(1 - blobs(1), blobs(2)), np.eye(3))
    assert right.inlier_ratio > 0.95 and right.coverage == 1.0 and right.inliers > 100
    assert 640 * right.residual_shift < 0.2 and 640 * right.jackknife_scatter < 0.2
    for wrong in (shifted, other_scene):
        assert wrong.inlier_ratio < 0.3 and wrong.correlation_gain < 0.3 * right.correlation_gain
        assert estimate_confidence(wrong, TRUE) < 0.1 < 0.9 < estimate_confidence(right, TRUE)
    assert shifted.residual_shift > 5 * right.residual_shift


def test_images_without_texture_give_no_evidence():
    level = middle_level(np.zeros((480, 640), np.float32), blobs(1))
    assert collect_evidence(level, np.eye(3)).inliers == 0
    assert estimate_confidence(collect_evidence(level, np.eye(3)), TRUE) == 0.0


def draw_comparison(random):
    """Return a comparison whose results are right with the probability of ``TRUE``."""
    evidence = tuple(Evidence(100, *random.uniform(0, 1, 2), random.uniform(0, 0.4),
                              *np.exp(random.uniform(-7, -4, 2)))
                     for _ in range(random.integers(1, 3)))
    right = all(random.random() < estimate_confidence(item, TRUE) for item in evidence)
    return Comparison(evidence, right and len(evidence) == 2)


def test_coefficients_are_recovered_from_comparisons():
    random = np.random.default_rng(0)
    pairs = [comparison for comparison in (draw_comparison(random) for _ in range(6000))
             if len(comparison.evidence) == 2]
    fitted = fit_coefficients(pairs)
    estimated, true = (np.array([estimate_confidence(comparison.evidence[0], coefficients)
                                 for comparison in pairs])
                       for coefficients in (fitted, TRUE))
    assert np.abs(estimated - true).mean() < 0.03
    np.testing.assert_allclose(fitted, TRUE, atol=0.8)


def test_results_of_other_scenes_lower_the_confidence():
    random = np.random.default_rng(1)
    pairs = [comparison for comparison in (draw_comparison(random) for _ in range(400))
             if len(comparison.evidence) == 2]
    single = [Comparison((Evidence(100, 0.5, 0.5, 0.2, 0.005, 0.005),), False)] * 100
    without, with_single = fit_coefficients(pairs), fit_coefficients(pairs + single)
    evidence = single[0].evidence[0]
    assert estimate_confidence(evidence, with_single) < estimate_confidence(evidence, without)


def test_the_command_calibrates_dense(tmp_path, capsys):
    for camera, convert in (('ir', lambda image: 1 - image), ('vi', lambda image: image)):
        (tmp_path / 'data' / 'test' / camera).mkdir(parents=True)
        for seed in range(2):
            cv2.imwrite(str(tmp_path / 'data' / 'test' / camera / f'0000{seed}D.png'),
                        255 * convert(blobs(seed)))
    assert cli.main(['train', 'registration-confidence', '--data', str(tmp_path / 'data'),
                     '--out', str(tmp_path / 'run'), '--set', 'method=dense', '--json']) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / 'run' / 'confidence.json').read_text())
    assert result['pairs'] == 2 and result['comparisons'] == 7  # 2 x 3, and 1 of another scene
    assert len(result['coefficients']) == 6
