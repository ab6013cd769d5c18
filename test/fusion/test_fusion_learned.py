# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Learned fusion: sizes of the networks, any image size, and robustness to bad images.

The tests of all methods of the stage are in test_fusion.py.
"""

from __future__ import annotations

import itertools
import sys

import cv2
from ivf_ros import fusion
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.fusion.learned import WEIGHTS
from ivf_ros.fusion.settings import LEARNED
from ivf_ros.nn.errors import DeviceError
from ivf_ros.parameters import build
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='learned fusion needs PyTorch')

# These modules import torch, so the imports follow the importorskip.
from ivf_ros.fusion.network_cs2fusion import Cs2FusionNetwork  # noqa: E402, I100
from ivf_ros.fusion.network_fast import FastFusionNetwork  # noqa: E402
from ivf_ros.fusion.network_seafusion import SeaFusionNetwork, SobelMagnitude  # noqa: E402
from ivf_ros.nn import weights  # noqa: E402

SIZES = [(1, 1), (3, 50), (33, 17), (64, 80), (121, 163)]


def texture(seed, shape=(240, 320), sigma=2.0):
    noise = np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), sigma), None, 20, 235,
                         cv2.NORM_MINMAX).astype(np.uint8)


def similarity(a, b):
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def detail(image):
    image = image.astype(np.float32)
    return image - cv2.GaussianBlur(image, (0, 0), 4)


# Networks


@pytest.mark.parametrize('network, published', [(SeaFusionNetwork, 167_113),
                                                (Cs2FusionNetwork, 191_732)])
def test_published_networks_have_the_published_number_of_parameters(network, published):
    count = sum(parameter.numel() for parameter in network().parameters())
    assert count == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize('network', [SeaFusionNetwork, Cs2FusionNetwork, FastFusionNetwork])
def test_a_network_returns_one_gray_image_in_float32(network):
    thermal, luma = torch.rand(2, 2, 1, 32, 48)
    fused = network().eval()(thermal, luma)
    assert fused.shape == (2, 1, 32, 48) and fused.dtype == torch.float32


def test_the_gradient_is_computed_per_channel():
    ramp = torch.arange(8.0).expand(1, 1, 6, 8)
    channels = torch.cat([ramp, 3 * ramp], 1)
    inner = SobelMagnitude(2)(channels)[0, :, 2, 3]
    torch.testing.assert_close(inner, torch.tensor([8.0, 24.0]))


def test_fast_blends_by_weight_and_adds_the_offset():
    network = FastFusionNetwork()
    torch.nn.init.zeros_(network.last.weight)
    thermal, luma = torch.rand(2, 1, 1, 16, 16)
    with torch.no_grad():
        network.last.bias[:] = torch.tensor([0.0] * 16 + [0.3] * 16)
        torch.testing.assert_close(network(thermal, luma), (thermal + luma) / 2
                                   + 0.4 * torch.tanh(torch.tensor(0.3)))
        network.last.bias[:] = torch.tensor([99.0] * 16 + [0.0] * 16)
        torch.testing.assert_close(network(thermal, luma), thermal)


# Methods


@pytest.mark.parametrize('method', LEARNED)
@pytest.mark.parametrize('shape', SIZES)
def test_images_of_any_size_are_fused_in_gray_and_colour(method, shape):
    fuser = fusion.create(method)
    thermal, luma = texture(1, shape), texture(2, shape)
    assert fuser.fuse(thermal, luma).shape == shape
    assert fuser.fuse(thermal, np.dstack([luma] * 3)).shape == (*shape, 3)


def test_int8_differs_by_less_than_a_gray_level():
    images = texture(1), texture(2)
    fused = [fusion.create('fast', **{'network.precision': precision}).fuse(*images).astype(int)
             for precision in ('int8', 'float32')]
    assert np.abs(fused[0] - fused[1]).mean() < 1.0


@pytest.mark.parametrize('method', ['seafusion', 'cs2fusion'])
def test_published_networks_stay_float32(method):
    network, = fusion.create(method).networks  # int8 costs them 7 and 16 % of VIF
    assert network.placement.precision == 'float32'
    with pytest.raises(DeviceError, match='there are files for float32'):
        fusion.create(method, **{'network.precision': 'int8'})


def test_method_and_weights_can_change_at_run_time(tmp_path):
    images = texture(1), texture(2)
    fuser = fusion.create('average')
    fuser.parameters = build(fusion.FusionParameters, {'method': 'fast'})
    assert np.array_equal(fuser.fuse(*images), fusion.create('fast').fuse(*images))
    path = tmp_path / 'other.safetensors'
    weights.save(SeaFusionNetwork(), path, {})
    with pytest.raises(weights.WeightsError, match='weights of another network'):
        fuser.parameters = build(fusion.FusionParameters, {'network.weights': str(path)})
    assert fuser.parameters.network.weights == ''  # the old network stays in use
    assert np.array_equal(fuser.fuse(*images), fusion.create('fast').fuse(*images))


def test_pytorch_is_needed_by_its_engine_only(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    fusion.create('fast', **{'network.threads': 2})
    with pytest.raises(DeviceError, match="engine 'torch' needs 'torch'; pip install torch"):
        fusion.create('fast', **{'network.engine': 'torch'})


@pytest.mark.parametrize('method', LEARNED)
def test_weight_files_have_metadata(method):
    path = WEIGHTS / f'{method}.safetensors'
    metadata = weights.metadata(path)
    assert {'network', 'trained_on', 'command', 'settings', 'commit'} <= set(metadata)
    test_sets = 'tno', 'vifb', 'm3svd'
    assert not [name for name in metadata['trained_on'] if name.startswith(test_sets)]
    assert path.stat().st_size < 1.4e6


# Robustness of `fast` to bad images


@pytest.mark.parametrize('level', [0, 6])
def test_black_rgb_gives_thermal(level):
    thermal = texture(1)
    fused = fusion.create('fast').fuse_gray(thermal, np.full(thermal.shape, level, np.uint8))
    assert similarity(fused, thermal) > 0.9 and similarity(detail(fused), detail(thermal)) > 0.9


@pytest.mark.parametrize('level', [255, 0])
def test_saturated_thermal_gives_rgb(level):
    luma = texture(2)
    fused = fusion.create('fast').fuse(np.full(luma.shape, level, np.uint8), luma)
    assert similarity(detail(fused), detail(luma)) > 0.85


def test_thermal_details_are_visible_in_glare_and_smoke():
    thermal, luma = texture(1), texture(2)
    impaired = np.s_[60:180, 80:240]
    for level in (255, 170):
        bad = luma.copy()
        bad[impaired] = level
        fused = fusion.create('fast').fuse(thermal, bad)
        inner = np.s_[80:160, 100:220]
        assert similarity(detail(fused)[inner], detail(thermal)[inner]) > 0.75


def test_an_edge_with_an_offset_of_three_pixels_is_not_drawn_twice():
    """The outline of a hot object is one step in each row, not two."""
    luma, thermal = np.full((96, 128), 60, np.uint8), np.full((96, 128), 40, np.uint8)
    luma[:, 64:] = 110
    thermal[:, 67:] = 220
    fused = cv2.blur(fusion.create('fast').fuse(thermal, luma), (1, 9))[48].astype(int)
    steps = np.diff(fused)[40:90]
    assert steps.max() > 40
    near_edge = steps[steps.argmax() - 4:steps.argmax() + 5]
    assert near_edge.min() > -0.25 * steps.max()  # no dark line beside the edge


def test_a_static_scene_does_not_flicker():
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    thermal, rgb, _ = simulator.render(1.0, 0)
    luma = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    gray = cv2.resize(cv2.normalize(thermal, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8),
                      luma.shape[::-1])
    random, fuser = np.random.default_rng(0), fusion.create('fast')

    def add_noise(image):
        return np.clip(image + random.normal(0, 2, image.shape), 0, 255).astype(np.uint8)

    frames = [(add_noise(gray), add_noise(luma)) for _ in range(4)]
    changes = np.array([[np.abs(np.diff(np.stack(pair).astype(int), axis=0)).mean()
                         for pair in zip(a + (fuser.fuse(*a),), b + (fuser.fuse(*b),))]
                        for a, b in itertools.pairwise(frames)]).mean(0)
    assert changes[2] < 1.05 * max(changes[:2])
