# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of ``dfa``: values of the losses, convergence, repeatability, and continuation."""

from __future__ import annotations

from dataclasses import replace
import json

import cv2
from ivf_ros import geometry
import numpy as np
import pytest
from registration_trainings import check_continuation, make_scenes

torch = pytest.importorskip('torch', reason='training needs PyTorch')

# These import torch, so they stand after the line that skips the tests without it.
from ivf_ros.nn import weights  # noqa: E402, I100
from ivf_ros.registration.dfa.network import DfaNetwork  # noqa: E402
from ivf_ros.training import registration_dfa as dfa  # noqa: E402
from ivf_ros.training.settings import DfaTraining  # noqa: E402

SHORT = DfaTraining(steps=4, batch=2, coarse_points=64, fine_points=8, save_every=2)


@pytest.fixture(scope='module')
def scenes():
    return make_scenes()


def one_hot_features(height, width):
    """Return orthogonal descriptors (1, h * w, h, w), one for each cell."""
    return torch.eye(height * width).reshape(height, width, -1).permute(2, 0, 1)[None]


def to_batch(matrix):
    return torch.tensor(matrix).float()[None]


def test_unique_descriptors_have_no_coarse_loss():
    features, logits = one_hot_features(6, 8), torch.full((1, 6, 8), 20.0)
    loss, weight_loss, found = dfa.coarse_loss(features, logits, features, torch.eye(3)[None],
                                               torch.tensor(60.0), 48)
    assert float(loss) < 1e-3 and float(weight_loss) < 1e-3 and float(found) == 1.0


def test_the_loss_of_constant_descriptors_is_the_logarithm_of_the_number_of_cells():
    constant = torch.ones(1, 4, 6, 8) / 2
    loss, _, _ = dfa.coarse_loss(constant, torch.zeros(1, 6, 8), constant, torch.eye(3)[None],
                                 torch.tensor(10.0), 48)
    assert float(loss) == pytest.approx(np.log(48), abs=1e-4)


def test_a_shift_of_whole_cells_is_found():
    features, logits = one_hot_features(6, 8), torch.zeros(1, 6, 8)
    shifted = torch.roll(features, (1, 2), (2, 3))  # from (x, y) to (x + 2, y + 1)
    H = to_batch(geometry.translation(2 * dfa.COARSE_STRIDE, dfa.COARSE_STRIDE))
    loss, _, found = dfa.coarse_loss(features, logits, shifted, H, torch.tensor(60.0), 200)
    assert float(loss) < 1e-3 and float(found) == 1.0
    wrong, _, _ = dfa.coarse_loss(features, logits, shifted, torch.eye(3)[None],
                                  torch.tensor(60.0), 200)
    assert float(wrong) > 10


def test_cells_outside_the_other_image_are_labelled_as_not_found():
    features = one_hot_features(6, 8)
    H = to_batch(geometry.translation(1000, 0))
    for logit, expected in ((-20.0, 0.0), (20.0, 20.0)):
        loss, weight_loss, _ = dfa.coarse_loss(
            features, torch.full((1, 6, 8), logit), features, H, torch.tensor(60.0), 48)
        assert float(loss) == 0 and float(weight_loss) == pytest.approx(expected, abs=1e-3)


def smooth_features(seed, height=48, width=64):
    torch.manual_seed(seed)
    noise = torch.nn.functional.avg_pool2d(torch.randn(1, 16, height + 2, width + 2), 3, 1)
    return torch.nn.functional.normalize(noise, dim=1)


@pytest.mark.parametrize('seed', range(3))
def test_fine_loss_is_smallest_at_the_true_homography(seed):
    features = smooth_features(seed)
    shifted = torch.roll(features, (-1, 3), (2, 3))
    losses = {}
    for dx in (2, 3, 4):
        H = to_batch(geometry.translation(dx * dfa.FINE_STRIDE, -dfa.FINE_STRIDE))
        torch.manual_seed(seed)
        losses[dx], placed = dfa.fine_loss(features, shifted, H, torch.zeros(1),
                                           torch.tensor(40.0), 100)
        if dx == 3:
            assert float(placed) > 0.95
    assert losses[3] + 2 < min(losses[2], losses[4])


def test_fine_loss_compensates_scale_and_rotation():
    """RGB descriptors are warped by the homography before patches are matched."""
    features = smooth_features(0)
    H = geometry.rotation(0.15, (60, 40)) @ geometry.scaling(1.2, 1.2)
    H_cells = geometry.rescale_homography(H, 1 / dfa.FINE_STRIDE, 1 / dfa.FINE_STRIDE)
    warped = cv2.warpPerspective(features[0].permute(1, 2, 0).numpy(), H_cells, (64, 48))
    warped = torch.from_numpy(warped).permute(2, 0, 1)[None]
    for matrix, low, high in ((H, 0.9, 1.0), (np.eye(3), 0.0, 0.3)):
        _, placed = dfa.fine_loss(features, warped, to_batch(matrix), torch.zeros(1),
                                  torch.tensor(40.0), 200)
        assert low <= float(placed) <= high


def test_an_exact_label_between_cells_gives_the_bilinear_cross_entropy():
    torch.manual_seed(1)
    logits = torch.randn(1, 11, 11)
    log_probability = logits.flatten().log_softmax(0).view(11, 11)
    expected = -(0.7 * 0.6 * log_probability[4, 6] + 0.3 * 0.6 * log_probability[4, 7]
                 + 0.7 * 0.4 * log_probability[5, 6] + 0.3 * 0.4 * log_probability[5, 7])
    loss = dfa.label_loss(logits, torch.tensor([[6.3, 4.4]]), torch.zeros(1))
    assert float(loss) == pytest.approx(float(expected), abs=1e-4)


def test_an_inexact_label_tolerates_errors_within_its_deviation_only():
    def loss(x, sigma):
        logits = torch.full((1, 11, 11), -20.0)
        logits[0, 5, x] = 20.0
        return float(dfa.label_loss(logits, torch.tensor([[5.0, 5.0]]), torch.tensor([sigma])))

    assert loss(5, 0.0) < 1e-3 and loss(7, 0.0) > 30
    assert loss(7, 2.0) < 5 and loss(7, 2.0) - loss(5, 2.0) == pytest.approx(0.5, abs=0.05)
    assert loss(10, 1.0) > 10


def test_the_loss_decreases_on_one_batch(scenes, tmp_path):
    settings = replace(SHORT, steps=40, warmup=5, learning_rate=3e-3, save_every=100, seed=1)
    dfa.train(scenes, tmp_path, settings, overfit=True)
    log = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    total = [record['coarse'] + record['fine'] for record in log]
    assert total[-1] < 0.9 * total[0]


def test_an_interrupted_training_continues_with_the_same_result(scenes, tmp_path, monkeypatch):
    check_continuation(dfa, scenes, tmp_path, SHORT, monkeypatch)


def test_variants_start_as_the_network_without_modules(scenes, tmp_path):
    path = tmp_path / 'baseline.safetensors'
    baseline = dfa.train(scenes, tmp_path / 'a', replace(SHORT, steps=2, sfm=False, fem=False))
    weights.save(baseline, path, {})
    settings = replace(SHORT, steps=0, start_from=str(path))
    both = dfa.train(scenes, tmp_path / 'b', settings).eval()
    baseline = weights.load(DfaNetwork(sfm=False, fem=False), path)
    image = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        for a, b in zip(baseline(image, image), both(image, image)):
            torch.testing.assert_close(a, b)


def test_a_start_from_another_network_is_an_error(scenes, tmp_path):
    path = tmp_path / 'both.safetensors'
    weights.save(DfaNetwork(), path, {})
    with pytest.raises(weights.WeightsError, match='weights of another network'):
        dfa.train(scenes, tmp_path, replace(SHORT, start_from=str(path)))
