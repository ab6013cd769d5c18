# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a confidence is made of tells right from wrong, and its coefficients are found again."""

from __future__ import annotations

import json

import cv2
from ivf_ros import cli, geometry
from ivf_ros.registration.coarse_to_fine import confidence, Evidence, evidence, structure_levels
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


def test_the_truth_has_better_evidence_than_what_is_off_and_than_another_scene():
    level = middle_level(1 - blobs(1), blobs(1))
    right = evidence(level, np.eye(3))
    off = evidence(level, geometry.translation(14, 10))
    other = evidence(middle_level(1 - blobs(1), blobs(2)), np.eye(3))
    assert right.inlier_ratio > 0.95 and right.coverage == 1.0 and right.inliers > 100
    assert 640 * right.residual_shift < 0.2 and 640 * right.jackknife_scatter < 0.2
    for wrong in (off, other):
        assert wrong.inlier_ratio < 0.3 and wrong.correlation_gain < 0.3 * right.correlation_gain
        assert confidence(wrong, TRUE) < 0.1 < 0.9 < confidence(right, TRUE)
    assert off.residual_shift > 5 * right.residual_shift


def test_nothing_to_see_is_no_evidence():
    level = middle_level(np.zeros((480, 640), np.float32), blobs(1))
    assert evidence(level, np.eye(3)).inliers == 0
    assert confidence(evidence(level, np.eye(3)), TRUE) == 0.0


def made_comparison(random):
    """Return a comparison whose answers are right as often as ``TRUE`` says."""
    shown = tuple(Evidence(100, *random.uniform(0, 1, 2), random.uniform(0, 0.4),
                           *np.exp(random.uniform(-7, -4, 2)))
                  for _ in range(random.integers(1, 3)))
    right = all(random.random() < confidence(one, TRUE) for one in shown)
    return Comparison(shown, right and len(shown) == 2)


def test_coefficients_are_found_again_from_what_repeats():
    random = np.random.default_rng(0)
    made = [one for one in (made_comparison(random) for _ in range(6000))
            if len(one.evidence) == 2]
    found = fit_coefficients(made)
    told, true = (np.array([confidence(one.evidence[0], coefficients) for one in made])
                  for coefficients in (found, TRUE))
    assert np.abs(told - true).mean() < 0.03
    np.testing.assert_allclose(found, TRUE, atol=0.8)


def test_other_scenes_pull_the_confidence_down():
    random = np.random.default_rng(1)
    pairs = [one for one in (made_comparison(random) for _ in range(400))
             if len(one.evidence) == 2]
    alone = [Comparison((Evidence(100, 0.5, 0.5, 0.2, 0.005, 0.005),), False)] * 100
    without, with_them = fit_coefficients(pairs), fit_coefficients(pairs + alone)
    shown = alone[0].evidence[0]
    assert confidence(shown, with_them) < confidence(shown, without)


def test_the_command_calibrates_dense(tmp_path, capsys):
    for kind, look in (('ir', lambda image: 1 - image), ('vi', lambda image: image)):
        (tmp_path / 'data' / 'test' / kind).mkdir(parents=True)
        for seed in range(2):
            cv2.imwrite(str(tmp_path / 'data' / 'test' / kind / f'0000{seed}D.png'),
                        255 * look(blobs(seed)))
    assert cli.main(['train', 'registration-confidence', '--data', str(tmp_path / 'data'),
                     '--out', str(tmp_path / 'run'), '--set', 'method=dense', '--json']) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / 'run' / 'confidence.json').read_text())
    assert told['pairs'] == 2 and told['comparisons'] == 7  # 2 x 3 that repeat, and 1 that cannot
    assert len(told['coefficients']) == 6
