# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training of ``fast`` learns, repeats itself, goes on where it stopped; losses are right."""

from __future__ import annotations

from dataclasses import replace
import json

import cv2
from ivf_ros import geometry
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs PyTorch')

# These import torch, so they stand after the line that skips the tests without it.
from ivf_ros.nn import weights  # noqa: E402, I100
from ivf_ros.registration.fast import FastParameters, FastRegistrar  # noqa: E402
from ivf_ros.registration.network_fast import FastNetwork  # noqa: E402
from ivf_ros.training import registration_data as data  # noqa: E402, I100
from ivf_ros.training import registration_fast as fast  # noqa: E402
from ivf_ros.training.settings import FastTraining  # noqa: E402

SHORT = FastTraining(steps=4, batch=2, coarse_points=64, fine_points=64, save_every=2)


def blobs(seed, size=(640, 480)):
    noise = np.random.default_rng(seed).uniform(0, 1, (size[1], size[0])).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.fixture(scope='module')
def scenes():
    return [data.Scene(str(seed), 'made', 255 - blobs(seed), blobs(seed), True)
            for seed in range(3)]


def one_hot_features(height, width):
    """Return descriptors (1, h * w, h, w) by which each cell is like itself only."""
    return torch.eye(height * width).reshape(height, width, -1).permute(2, 0, 1)[None]


def test_descriptors_that_know_their_place_have_no_coarse_loss():
    features = one_hot_features(6, 8)
    loss, found = fast.coarse_loss(features, features, torch.eye(3)[None], torch.tensor(60.0), 48)
    assert float(loss) < 1e-3 and float(found) == 1.0


def test_descriptors_that_are_all_alike_lose_the_logarithm_of_the_number_of_cells():
    same = torch.ones(1, 4, 6, 8) / 2
    loss, _ = fast.coarse_loss(same, same, torch.eye(3)[None], torch.tensor(10.0), 48)
    assert float(loss) == pytest.approx(np.log(48), abs=1e-4)


def test_a_shift_of_whole_cells_is_followed():
    features = one_hot_features(6, 8)
    shifted = torch.roll(features, (1, 2), (2, 3))  # what was at (x, y) is at (x + 2, y + 1)
    H = torch.tensor(geometry.translation(2 * fast.COARSE_STRIDE, fast.COARSE_STRIDE)).float()
    loss, found = fast.coarse_loss(features, shifted, H[None], torch.tensor(60.0), 200)
    assert float(loss) < 1e-3 and float(found) == 1.0
    wrong, _ = fast.coarse_loss(features, shifted, torch.eye(3)[None], torch.tensor(60.0), 200)
    assert float(wrong) > 10


def test_fine_loss_is_least_at_the_true_displacement():
    torch.manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(1, 16, 40, 48), dim=1)
    shifted = torch.roll(features, (-1, 3), (2, 3))
    losses = {dx: float(fast.fine_loss(
        features, shifted, torch.tensor(geometry.translation(dx * fast.FINE_STRIDE,
                                                             -fast.FINE_STRIDE)).float()[None],
        torch.tensor(20.0), 200)) for dx in (2, 3, 4)}
    assert losses[3] < 0.1 < 5 < min(losses[2], losses[4])


@pytest.mark.parametrize('seed', range(6))
def test_an_example_is_what_its_homography_says(scenes, seed, monkeypatch):
    """Without its looks, thermal is the negative of what RGB shows at the mapped place."""
    monkeypatch.setattr(data.augmentation, 'thermal_look', lambda image, random: image)
    monkeypatch.setattr(data.augmentation, 'rgb_look', lambda image, random: image)
    monkeypatch.setattr(data.augmentation, 'pseudo_look', lambda image, random: 1 - image)
    monkeypatch.setattr(data, 'normalized_input', lambda image: np.stack([image, image]))
    drawn = data.example(scenes[0], np.random.default_rng(seed))
    H = drawn.H_thermal_to_rgb
    size = data.WIDTH_PX, data.HEIGHT_PX
    back = geometry.warp(drawn.thermal[0], H, size)
    inside = cv2.erode(geometry.coverage(H, size, size).astype(np.uint8), np.ones((9, 9))) > 0
    assert inside.mean() > 0.2
    assert np.abs(back + drawn.rgb[0] - 1)[inside].mean() < 0.03
    assert drawn.fine != drawn.coarse


def test_examples_repeat_with_the_seed(scenes):
    a, b, c = (data.example(scenes[1], np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(a.thermal, b.thermal)
    assert not np.array_equal(a.thermal, c.thermal)


def test_the_loss_falls_on_one_batch(scenes, tmp_path):
    settings = replace(SHORT, steps=40, warmup=5, learning_rate=3e-3, save_every=100, seed=1)
    fast.train(scenes, tmp_path, settings, overfit=True)
    log = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    total = [record['coarse'] + record['fine'] for record in log]
    assert total[-1] < 0.8 * total[0]


def test_training_goes_on_where_it_stopped_as_if_it_had_not(scenes, tmp_path, monkeypatch):
    whole = fast.train(scenes, tmp_path / 'whole', SHORT)
    calls, loss = [], fast.loss

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:  # step 2, of which nothing is saved, was done
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(fast, 'loss', interrupted)
    with pytest.raises(KeyboardInterrupt):
        fast.train(scenes, tmp_path / 'cut', SHORT)
    assert torch.load(tmp_path / 'cut' / 'checkpoint.pt', weights_only=True)['step'] == 2
    resumed = fast.train(scenes, tmp_path / 'cut', SHORT)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()):
        torch.testing.assert_close(a, b)


def test_what_was_trained_registers_by_its_weight_file(scenes, tmp_path):
    path = tmp_path / 'fast.safetensors'
    weights.save(fast.train(scenes, tmp_path, SHORT), path, {'trained_on': {'made': 3}})
    assert weights.metadata(path) == {'trained_on': {'made': 3}}
    registrar = FastRegistrar(FastParameters(weights=str(path), precision='float32'))
    answer = registrar.register(scenes[0].thermal, scenes[0].luma)
    assert answer.H_thermal_to_rgb.shape == (3, 3) and answer.rgb_size == (640, 480)
    assert answer.reason or answer.confidence >= FastParameters().min_confidence
    assert registrar.register(np.zeros((90, 120), np.uint8), blobs(1)).reason == 'textureless'


@pytest.mark.parametrize('content, message', [
    (None, 'no weight file at'), (b'x' * 100, 'is no weight file')])
def test_a_missing_or_damaged_weight_file_is_said(content, message, tmp_path):
    path = tmp_path / 'fast.safetensors'
    if content:
        path.write_bytes(content)
    with pytest.raises(weights.WeightsError, match=message):
        FastRegistrar(FastParameters(weights=str(path)))


def test_folding_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    network = FastNetwork().eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        before = network(image, 'rgb')
        after = weights.folded(network)(image, 'rgb')
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_every_fourth_block_is_held_back():
    held = [index for index in range(112) if data.is_held_back(index)]
    assert held == [*range(42, 56), *range(98, 112)]
