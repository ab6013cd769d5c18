# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The modules of ``dfa`` compute their formulas; the method finds known homographies."""

from __future__ import annotations

import sys

from drawn_pairs import pair, SIZE
from ivf_ros import geometry
from ivf_ros.registration import RegistrationError
from ivf_ros.types import RegistrationState
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the network needs PyTorch')

# These import torch, so they stand after the line that skips the tests without it.
from ivf_ros.nn import inference, weights  # noqa: E402, I100
from ivf_ros.nn.settings import NetworkParameters  # noqa: E402
from ivf_ros.registration.dfa.network import (  # noqa: E402
    DfaNetwork,
    FeatureEnhancement,
    SpatialFusion,
)
from ivf_ros.registration.dfa.network_matching import (  # noqa: E402
    cell_similarity,
    Descriptors,
    dual_softmax,
    mutual_cells,
    patch_similarity,
)
from ivf_ros.registration.dfa.registrar import (  # noqa: E402
    DfaParameters,
    DfaRegistrar,
    package_weights,
)

VARIANTS = [(False, False), (True, False), (False, True), (True, True)]


def untrained(module):
    """Return a module with random parameters, also in the layers that are initially zero."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


@pytest.fixture(scope='module', params=VARIANTS, ids=('baseline', 'sfm', 'fem', 'both'))
def registrar(request):
    """Return a registrar of each variant, with the weights of the package."""
    sfm, fem = request.param
    return DfaRegistrar(DfaParameters(sfm=sfm, fem=fem))


def test_spatial_fusion_of_a_constant_map_is_constant():
    """Padding has no effect: the means exclude it."""
    torch.manual_seed(0)
    fused = untrained(SpatialFusion(6))(torch.randn(1, 6, 1, 1).expand(2, 6, 9, 12))
    torch.testing.assert_close(fused, fused[:, :, :1, :1].expand_as(fused))
    assert fused.std(1).min() > 0.1


def test_spatial_fusion_is_the_weighted_sum_of_means_over_four_windows():
    torch.manual_seed(1)
    module, x = untrained(SpatialFusion(6)), torch.randn(1, 6, 11, 11)
    weights_of_scales = module.scale_logits(x).softmax(1)[0, :, 5, 5]
    expected = x[0, :, 5, 5].clone()
    for weight, reach, conv in zip(weights_of_scales, (0, 1, 2, 4), module.scale_convs):
        mean = x[0, :, 5 - reach:6 + reach, 5 - reach:6 + reach].mean((1, 2))
        expected += weight * (conv.weight[:, :, 0, 0] @ mean)
    torch.testing.assert_close(module(x)[0, :, 5, 5], expected)


def test_feature_enhancement_has_no_positional_encoding():
    """A permutation of the cells permutes the output only."""
    torch.manual_seed(2)
    module, x = untrained(FeatureEnhancement(20)), torch.randn(2, 20, 4, 6)
    order = torch.randperm(24)

    def permute(features):
        return features.flatten(2)[:, :, order].unflatten(2, (4, 6))

    torch.testing.assert_close(module(permute(x)), permute(module(x)), atol=1e-5, rtol=1e-4)


def test_feature_enhancement_has_a_global_receptive_field():
    torch.manual_seed(3)
    module, x = untrained(FeatureEnhancement(20)), torch.randn(1, 20, 4, 6)
    changed = x.clone()
    changed[:, 0, 3, 5] += 1
    assert (module(changed) - module(x))[0, :, 0, 0].abs().max() > 1e-4


def test_each_module_can_be_left_out():
    sizes = [sum(parameter.numel() for parameter in DfaNetwork(*variant).parameters())
             for variant in VARIANTS]
    baseline, sfm, fem, both = sizes
    assert baseline < sfm < fem < both == sfm + fem - baseline


def test_shapes_and_unit_length_for_one_camera_and_for_both():
    network = DfaNetwork().eval()
    image = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        both, rgb_only = network(image, image), network(None, image)
    for of_both, of_rgb in zip(both, rgb_only):
        torch.testing.assert_close(of_both[1:], of_rgb)
    coarse, weight, fine = rgb_only
    assert coarse.shape == (1, 64, 8, 12) and weight.shape == (1, 8, 12)
    assert fine.shape == (1, 16, 32, 48)
    torch.testing.assert_close(fine.norm(dim=1), torch.ones(1, 32, 48))


def test_folding_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    network = DfaNetwork().eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 2, 64, 96)
    with torch.inference_mode():
        before = network(image, image)
        after = inference.fold_batch_norm(network)(image, image)
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def one_hot(height, width):
    """Return orthogonal descriptors, one for each cell, all with weight 1."""
    coarse = torch.eye(height * width).reshape(-1, height, width)
    return Descriptors(coarse, torch.ones(height, width), coarse[:, :0])


def test_cells_are_matched_after_a_known_shift():
    thermal = one_hot(6, 8)
    rgb = Descriptors(torch.roll(thermal.coarse, (1, 2), (1, 2)), thermal.weight, thermal.fine)
    probability = dual_softmax(thermal, rgb, 60.0, torch.ones(6, 8, dtype=torch.bool))
    cells, matched, certainty = mutual_cells(probability, 8)
    inner = (cells[:, 0] < 5) & (cells[:, 1] < 4) & (certainty > 0.99)
    assert inner.sum() == 20
    np.testing.assert_allclose((matched - cells)[inner], np.tile((2.0, 1.0), (20, 1)), atol=1e-6)


def test_cells_without_coverage_or_weight_have_no_match():
    thermal, covered_cells = one_hot(6, 8), torch.ones(6, 8, dtype=torch.bool)
    covered_cells[:, :3] = False
    rgb = Descriptors(thermal.coarse, torch.ones(6, 8), thermal.fine)
    rgb.weight[2:] = 0
    cells, _, _ = mutual_cells(dual_softmax(thermal, rgb, 60.0, covered_cells), 8)
    assert sorted(map(tuple, cells.tolist())) == [(x, y) for x in range(3, 8) for y in range(2)]
    none, _, _ = mutual_cells(dual_softmax(thermal, thermal, 60.0, covered_cells & False), 8)
    assert len(none) == 0


def test_patches_are_compared_at_every_displacement():
    torch.manual_seed(4)
    patches, windows = torch.randn(3, 5, 2, 2), torch.randn(3, 5, 6, 6)
    similarity = patch_similarity(patches, windows)
    assert similarity.shape == (3, 5, 5)
    for y, x in ((0, 0), (3, 1), (4, 4)):
        expected = (patches * windows[:, :, y:y + 2, x:x + 2]).sum(1).mean((1, 2))
        torch.testing.assert_close(similarity[:, y, x], expected)


def test_patches_of_fine_descriptors_find_a_shift():
    torch.manual_seed(5)
    thermal = torch.nn.functional.normalize(torch.randn(16, 24, 32), dim=0)
    similarity = cell_similarity(thermal, torch.roll(thermal, (-2, 4), (1, 2)))
    assert similarity.shape == (6, 8, 11, 11)
    best = similarity[2:-2, 2:-3].flatten(0, 1).flatten(1).argmax(1)
    assert (best == (5 - 2) * 11 + (5 + 4)).all()


@pytest.mark.parametrize('H_true', [
    np.eye(3),
    geometry.translation(37.5, -22.0),
    geometry.rotation(np.deg2rad(4), (240, 180)),
    geometry.translation(240, 180) @ geometry.scaling(1.15, 1.15)
    @ geometry.translation(-240, -180),
])
def test_a_known_homography_is_found(registrar, H_true):
    result = registrar.register(*pair(H_true))
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.5
    assert result.inliers > 100


def test_a_prior_far_from_the_plain_resize_is_used(registrar):
    """A narrow lens: thermal covers a small part of the RGB image only."""
    thermal, rgb = pair(np.eye(3))
    H_true = geometry.translation(100, 70) @ geometry.scaling(0.4, 0.4)
    narrow = geometry.warp(thermal, np.linalg.inv(H_true), SIZE, border_value=30000)
    prior = geometry.translation(92, 76) @ geometry.scaling(0.41, 0.41)
    result = registrar.register(narrow, rgb, prior)
    assert result.state is RegistrationState.TRACKING, result.reason
    assert geometry.corner_error_px(result.H_thermal_to_rgb, H_true, SIZE) < 1.5


@pytest.mark.parametrize('seed', range(3))
def test_unrelated_scenes_are_rejected(registrar, seed):
    thermal, _ = pair(np.eye(3), seed=seed)
    _, rgb = pair(np.eye(3), seed=10 + seed)
    result = registrar.register(thermal, rgb)
    assert result.state is RegistrationState.LOST and result.reason
    np.testing.assert_array_equal(result.H_thermal_to_rgb, np.eye(3))


def test_textureless_images_and_implausible_priors_are_rejected(registrar):
    thermal, rgb = pair(np.eye(3))
    assert registrar.register(np.full((120, 160), 7, np.uint16), rgb).reason == 'textureless'
    assert registrar.register(thermal, np.zeros_like(rgb)).reason == 'textureless'
    with pytest.raises(RegistrationError, match='rgb must be'):
        registrar.register(thermal, rgb.astype(np.float32))
    prior = geometry.scaling(-1, 1)
    result = registrar.register(thermal, rgb, prior)
    assert result.state is RegistrationState.PRIOR
    assert result.reason.startswith('implausible prior')


def test_noise_is_rejected(registrar):
    noise = np.random.default_rng(0).integers(0, 255, (360, 480), np.uint8)
    assert registrar.register(noise, pair(np.eye(3))[1]).reason
    assert registrar.register(pair(np.eye(3))[0], noise).reason


def test_types_and_odd_sizes(registrar):
    thermal, rgb = pair(geometry.translation(8, 5))
    result = registrar.register(thermal[:355, :471].astype(np.float32), rgb[:, :, 0].copy())
    assert geometry.corner_error_px(result.H_thermal_to_rgb, geometry.translation(8, 5),
                                    (471, 355)) < 2


def test_without_pytorch_the_error_names_the_package(monkeypatch):
    monkeypatch.delitem(sys.modules, 'ivf_ros.registration.dfa.network_matching')
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(RegistrationError, match="dfa needs 'torch'; pip install torch"):
        DfaRegistrar()


def test_weights_of_another_variant_are_errors(tmp_path):
    path = tmp_path / 'sfm.safetensors'
    weights.save(DfaNetwork(sfm=True, fem=False), path, {})
    with pytest.raises(weights.WeightsError, match='weights of another network'):
        DfaRegistrar(network=NetworkParameters(weights=str(path)))


def test_packaged_weights_name_their_training_data():
    for sfm, fem in VARIANTS:
        path = package_weights(DfaParameters(sfm=sfm, fem=fem)).with_suffix('.safetensors')
        metadata = weights.metadata(path)
        assert (metadata['settings']['sfm'], metadata['settings']['fem']) == (sfm, fem)
        assert metadata['network'] == 'DfaNetwork'
        assert 'roadscene/train' in metadata['trained_on']
