# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of ``fast``: values of the losses, convergence, repeatability, and continuation."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import cv2
from ivf_ros import cli, geometry
from ivf_ros.data.sample import Dataset
import numpy as np
import pytest
from registration_trainings import check_continuation, draw_blobs, make_scenes

torch = pytest.importorskip('torch', reason='training needs PyTorch')

# These import torch, so they stand after the line that skips the tests without it.
from ivf_ros.nn import inference, weights  # noqa: E402, I100
from ivf_ros.nn.settings import NetworkParameters  # noqa: E402
from ivf_ros.registration.fast import FastParameters, FastRegistrar  # noqa: E402
from ivf_ros.registration.network_fast import FastNetwork  # noqa: E402
from ivf_ros.training import loop, realignment, registration_data as data  # noqa: E402
from ivf_ros.training import registration_fast as fast  # noqa: E402
from ivf_ros.training.settings import FastTraining  # noqa: E402

SHORT = FastTraining(steps=4, batch=2, blocks=6, save_every=2)
LEVEL = fast.MatchingLevel(side=3, reach=4, corners_px=0.0, shift_px=0.0)


@pytest.fixture(scope='module')
def scenes():
    return make_scenes()


def random_map(seed=0, channels=16, height=24, width=32):
    """Return a map (1, C, h, w) of random unit vectors."""
    torch.manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(1, channels, height, width), dim=1)


def match(thermal, rgb, H, H_start=None, sigma=0.0, stride=4, scale=200.0):
    """Return loss and recall of blocks for maps with H from thermal to RGB pixels."""
    H, H_start = (torch.tensor(np.eye(3) if matrix is None else matrix).float()[None]
                  for matrix in (H, H_start))
    loss, found = fast.block_loss(thermal, rgb, H, H_start, LEVEL, stride,
                                  torch.tensor([sigma]), torch.tensor(scale), 64)
    return float(loss), float(found)


def test_distinct_blocks_are_found():
    features = random_map()
    loss, found = match(features, features, np.eye(3))
    assert found == 1.0
    # The remaining loss is that of the label, exp(-d^2 / (2 0.4^2)) over the pixels around it.
    side = np.mgrid[-4:5, -4:5]
    assert loss == pytest.approx(np.log(np.exp(-np.square(side).sum(0) / 0.32).sum()), abs=1e-3)


def test_the_loss_of_constant_maps_is_the_logarithm_of_the_number_of_displacements():
    constant = torch.ones(1, 4, 24, 32) / 2
    loss, _ = match(constant, constant, np.eye(3), sigma=1.0, scale=0.0)
    assert loss == pytest.approx(np.log(81), abs=1e-4)


@pytest.mark.parametrize('start_px, label_px, is_true', [
    ((0, 0), (8, 4), True), ((4, 8), (8, 4), True), ((4, 8), (-4, 4), False)])
def test_a_shift_is_found_from_the_start_of_the_search(start_px, label_px, is_true):
    features = random_map()
    shifted = torch.roll(features, (1, 2), (2, 3))  # from (x, y) to (x + 2, y + 1)
    loss, found = match(features, shifted, geometry.translation(*label_px),
                        geometry.translation(*start_px))
    # A few blocks are at the border, where the map is rolled over.
    assert (found > 0.9, loss < 2) == (is_true, is_true)


def test_a_label_error_within_its_standard_deviation_has_a_small_loss():
    features = random_map()
    wrong = geometry.translation(8, 0)  # two pixels of the map
    known, unknown = (match(features, features, wrong, sigma=sigma)[0] for sigma in (2.0, 0.0))
    assert known < 4.5 and unknown > 10


def test_correlation_is_the_sum_of_products_at_each_displacement():
    torch.manual_seed(3)
    side, reach = 3, 2
    block, region = torch.randn(1, 2, 9, 5), torch.randn(1, 2, 49, 5)
    correlation = fast._correlation(block, region, side, reach).reshape(1, 2, 5, 5)
    small, large = block.reshape(1, 2, 3, 3, 5), region.reshape(1, 2, 7, 7, 5)
    for dy in range(5):
        for dx in range(5):
            expected = (small * large[:, :, dy:dy + 3, dx:dx + 3]).sum((2, 3, 4))
            torch.testing.assert_close(correlation[:, :, dy, dx], expected)


def test_the_common_displacement_of_a_rig_is_found_and_removed():
    row, column = np.mgrid[:480, :640].astype(np.float32)
    x, y = column / 320 - 1, row / 240 - 1
    true_px = np.stack([6 * x * x * y - 2, 4 * y - 5 * x * y], 2)  # from thermal to RGB
    pairs = [(cv2.remap(draw_blobs(seed), column + true_px[..., 0], row + true_px[..., 1],
                        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
              255 - draw_blobs(seed))
             for seed in range(12)]
    displacement_px = realignment.common_displacement_px(pairs, (640, 480))
    inner = np.s_[40:-40, 40:-40]
    assert np.abs(displacement_px - true_px)[inner].max() < 1.5
    before, after = (np.abs(255 - luma.astype(float) - image)[inner].mean()
                     for thermal, luma in pairs[:1]
                     for image in (thermal, realignment.displace(thermal, displacement_px)))
    assert after < 0.4 * before


@pytest.mark.parametrize('seed', range(6))
def test_the_homography_of_an_example_aligns_its_images(scenes, seed, monkeypatch):
    """Without augmentation, thermal is the inverse of RGB at the mapped position."""
    monkeypatch.setattr(data.augmentation, 'augment_thermal', lambda image, random: image)
    monkeypatch.setattr(data.augmentation, 'augment_rgb', lambda image, random: image)
    monkeypatch.setattr(data.augmentation, 'simulate_thermal', lambda image, random: 1 - image)
    monkeypatch.setattr(data, 'normalized_input', lambda image: np.stack([image, image]))
    example = data.draw_example(scenes[0], np.random.default_rng(seed))
    H = example.H_thermal_to_rgb
    size = data.WIDTH_PX, data.HEIGHT_PX
    warped = geometry.warp(example.thermal[0], H, size)
    inside = cv2.erode(geometry.coverage(H, size, size).astype(np.uint8), np.ones((9, 9))) > 0
    assert inside.mean() > 0.2
    assert np.abs(warped + example.rgb[0] - 1)[inside].mean() < 0.03
    assert 0 < example.label_sigma_px < 0.3


def test_examples_repeat_with_the_seed(scenes):
    a, b, c = (data.draw_example(scenes[1], np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(a.thermal, b.thermal)
    assert not np.array_equal(a.thermal, c.thermal)


def test_the_loss_decreases_on_one_batch(scenes, tmp_path):
    settings = replace(SHORT, steps=40, warmup=5, learning_rate=3e-3, save_every=100, seed=1)
    fast.train(scenes, tmp_path, settings, overfit=True)
    log = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    total = [record['eighth'] + record['quarter'] + record['half'] for record in log]
    assert total[-1] < 0.8 * total[0]


def test_an_interrupted_training_continues_with_the_same_result(scenes, tmp_path, monkeypatch):
    check_continuation(fast, scenes, tmp_path, SHORT, monkeypatch)


@pytest.mark.parametrize('changes, overfit, message', [
    ({'learning_rate': 0.5}, False, 'learning_rate was .*, is 0.5'),
    ({'seed': 9, 'batch': 1}, False, 'batch was .*, is 1; seed was 0, is 9'),
    ({}, True, 'overfit was False, is True')])
def test_a_checkpoint_of_other_settings_is_an_error(changes, overfit, message, scenes, tmp_path):
    fast.train(scenes, tmp_path, SHORT)
    before = (tmp_path / 'checkpoint.pt').read_bytes()
    with pytest.raises(loop.CheckpointError, match=message):
        fast.train(scenes, tmp_path, replace(SHORT, **changes), overfit)
    assert (tmp_path / 'checkpoint.pt').read_bytes() == before
    fast.train(scenes, tmp_path, replace(SHORT, save_every=1, threads=2))


def test_a_checkpoint_without_settings_is_an_error(scenes, tmp_path):
    fast.train(scenes, tmp_path, SHORT)
    state = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    del state['settings']
    torch.save(state, tmp_path / 'checkpoint.pt')
    with pytest.raises(loop.CheckpointError, match='does not say with which settings'):
        fast.train(scenes, tmp_path, SHORT)


def test_trained_weights_can_be_used_for_registration(scenes, tmp_path):
    path = tmp_path / 'fast.safetensors'
    weights.save(fast.train(scenes, tmp_path, SHORT), path, {'trained_on': {'synthetic': 3}})
    assert weights.metadata(path)['trained_on'] == {'synthetic': 3}
    registrar = FastRegistrar(network=NetworkParameters(str(path)))
    result = registrar.register(scenes[0].thermal, scenes[0].luma)
    assert result.H_thermal_to_rgb.shape == (3, 3) and result.rgb_size == (640, 480)
    assert result.reason or result.confidence >= FastParameters().min_confidence
    assert registrar.register(np.zeros((90, 120), np.uint8), draw_blobs(1)).reason == 'textureless'


def test_the_command_trains_and_writes_metadata_into_the_weights(tmp_path, capsys):
    for camera, draw in (('ir', lambda seed: 255 - draw_blobs(seed)), ('vi', draw_blobs)):
        (tmp_path / 'data' / 'test' / camera).mkdir(parents=True)
        for seed in range(3):
            cv2.imwrite(str(tmp_path / 'data' / 'test' / camera / f'0000{seed}D.png'), draw(seed))
    path = tmp_path / 'fast.safetensors'
    arguments = ['train', 'registration-fast', '--data', str(tmp_path / 'data'), '--out',
                 str(tmp_path / 'run'), '--weights', str(path)]
    for setting in ('steps=2', 'batch=1', 'blocks=4', 'simulated=0'):
        arguments += ['--set', setting]
    assert cli.main(arguments) == 0
    metadata = weights.metadata(path)
    assert (metadata['network'], metadata['settings']['blocks']) == ('FastNetwork', 4)
    assert sum(metadata['trained_on'].values()) == 3 and 'steps=2' in metadata['command']
    assert cli.main([*arguments, '--set', 'speed=2']) == 1
    assert "unknown parameter 'speed'" in capsys.readouterr().err
    assert cli.main([*arguments, '--set', 'seed=5']) == 1
    assert 'seed was 0, is 5' in capsys.readouterr().err
    (tmp_path / 'data' / 'test' / 'ir' / '00002D.png').unlink()
    assert cli.main(arguments) == 1
    assert "trained_on was {'msrs/test': 3}, is {'msrs/test': 2}" in capsys.readouterr().err


@pytest.mark.parametrize('content, message', [
    (None, 'no weight file at'), (b'x' * 100, 'is no weight file')])
def test_a_missing_or_damaged_weight_file_is_an_error(content, message, tmp_path):
    path = tmp_path / 'fast.safetensors'
    if content:
        path.write_bytes(content)
    with pytest.raises(weights.WeightsError, match=message):
        FastRegistrar(network=NetworkParameters(str(path)))


def test_folding_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    network = FastNetwork().eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        before = network(image, image)[1]
        after = inference.fold_batch_norm(network)(image, image)[1]
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_every_fourth_block_is_held_back():
    numbered = Dataset('numbers', 'none', Path(), tuple(range(112)))
    assert numbered.held_back == (*range(42, 56), *range(98, 112))
    assert sorted(numbered.held_back + numbered.for_training) == list(range(112))
