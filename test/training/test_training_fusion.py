# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trainings for fusion learn and are reproducible; the losses have their closed forms."""

from __future__ import annotations

from dataclasses import replace
import json

import cv2  # noqa: E402, I100
from ivf_ros import cli, fusion  # noqa: E402
from ivf_ros.evaluation import metrics  # noqa: E402
from ivf_ros.types import MFNET_CLASSES  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

torch = pytest.importorskip('torch', reason='training needs PyTorch')

# These import torch, so they stand after the line that skips the tests without it.
from ivf_ros.fusion.network_cs2fusion import (  # noqa: E402, I100
    CompensationPerception,
    Cs2FusionNetwork,
    self_correlation_and_saliency,
    stretch_to_unit_range,
)
from ivf_ros.nn import weights  # noqa: E402
from ivf_ros.segmentation.network import SegmentationNetwork  # noqa: E402
from ivf_ros.training import (  # noqa: E402
    fusion_cs2fusion,
    fusion_data as data,
    fusion_fast,
    fusion_losses as losses,
    fusion_seafusion,
)
from ivf_ros.training.settings import (  # noqa: E402
    Cs2FusionTraining,
    FastFusionTraining,
    SeaFusionTraining,
)

SHORT = {
    fusion_fast: FastFusionTraining(steps=4, batch=2, save_every=2),
    fusion_seafusion: SeaFusionTraining(steps=2, round_steps=1, rounds=2, batch=1),
    fusion_cs2fusion: Cs2FusionTraining(steps=2, batch=2),
}


def make_blobs(seed, size=(220, 210), sigma=4):
    noise = np.random.default_rng(seed).uniform(0, 1, size[::-1]).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def to_tensor(image):
    return torch.from_numpy(image.astype(np.float32) / 255)[None, None]


@pytest.fixture(scope='module')
def scenes():
    return [data.FusionScene(str(seed), 'made', make_blobs(seed + 9),
                             np.dstack([make_blobs(seed)] * 3),
                             (make_blobs(seed, sigma=12) > 128).astype(np.uint8))
            for seed in range(3)]


@pytest.fixture(scope='module')
def triple():
    """Return two images that show different things, and what a rule makes of them."""
    thermal, luma = make_blobs(1), make_blobs(2, sigma=2)
    return thermal, luma, fusion.create('laplacian').fuse(thermal, luma)


# Losses that approximate a fusion metric


@pytest.mark.parametrize('name, tolerance, loss', [
    ('VIF', 0.01, lambda t, v, f: losses.visual_fidelity(t, f) + losses.visual_fidelity(v, f)),
    ('SSIM', 0.001, lambda t, v, f: (losses.structural_similarity(t, f)
                                     + losses.structural_similarity(v, f)) / 2),
    ('SCD', 0.01, lambda t, v, f: losses.correlation(f - v, t) + losses.correlation(f - t, v)),
    ('MI', 0.01, lambda t, v, f: losses.mutual_information_bits(t, f, 256)
     + losses.mutual_information_bits(v, f, 256)),
    ('EN', 0.01, lambda *images: losses.entropy_bits(images[2], 256)),
    ('SD', 0.001, lambda t, v, f: losses.deviation(f) * 255),
    ('SF', 0.01, lambda t, v, f: losses.spatial_frequency(f) * 255),
    ('Qabf', 0.1, losses.edge_preservation),  # without a sign of direction
])
def test_a_loss_has_the_value_of_the_metric(name, tolerance, loss, triple):
    expected = metrics.fusion(*triple, [name])[name]
    assert float(loss(*map(to_tensor, triple))) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize('measure', [
    losses.visual_fidelity, losses.structural_similarity, losses.mutual_information_bits,
    losses.correlation, lambda source, fused: losses.edge_preservation(source, source, fused)])
def test_an_image_is_most_similar_to_itself(measure, triple):
    source, other = to_tensor(triple[0]), to_tensor(triple[1])
    assert measure(source, source) > measure(source, 0.5 * source + 0.5 * other)


def test_every_loss_has_a_finite_gradient_where_images_are_flat():
    flat, ramp = torch.full((1, 1, 64, 64), 0.5), torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    for source in (flat, ramp):
        for start in (flat, ramp):
            fused = start.clone().requires_grad_()
            logged = fusion_fast.compute_metrics(source, flat, fused)
            (sum(logged.values()) + losses.texture_loss(source, flat, fused)
             + losses.map_loss(source, flat, fused, flat)
             + losses.structure_loss(source, flat, fused)).backward()
            assert torch.isfinite(fused.grad).all()


# Losses of the papers, in closed form


def test_intensity_and_texture_of_the_brighter_image_cost_nothing():
    thermal, luma = torch.rand(2, 1, 1, 9, 9) * torch.tensor([0.5, 0.4])[:, None, None, None, None]
    brighter = torch.maximum(thermal, luma)
    assert losses.intensity_loss(thermal, luma, brighter) == 0
    assert losses.intensity_loss(thermal, luma, brighter + 0.25) == pytest.approx(0.25)
    assert losses.texture_loss(thermal, 0 * thermal, thermal) == 0


def test_the_gradient_of_a_ramp_is_eight_times_its_slope():
    ramp = torch.arange(8.0).expand(1, 1, 6, 8) * 0.1
    inner = losses.sobel_magnitude(ramp)[0, 0, 1:-1, 1:-1]
    torch.testing.assert_close(inner, torch.full((4, 6), 0.8))


def test_hard_cross_entropy_leaves_out_what_is_easy_and_what_is_unknown():
    logits = torch.zeros(1, 2, 4, 8)
    logits[:, 0] = 10.0  # sure of class 0
    labels = torch.zeros(1, 4, 8, dtype=torch.long)
    labels[0, 0, :2] = 1  # wrong at two pixels of 32, a sixteenth
    wrong = torch.nn.functional.cross_entropy(torch.tensor([[10.0, 0.0]]), torch.tensor([1]))
    assert losses.hard_cross_entropy(logits, labels) == pytest.approx(float(wrong), rel=1e-4)
    assert losses.hard_cross_entropy(logits, torch.full_like(labels, 255)) == 0


def test_the_map_says_which_camera_counts():
    thermal, luma = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    expected = torch.where(left > 0, thermal, luma)
    assert losses.map_loss(thermal, luma, expected, left) < 0.01
    assert losses.map_loss(thermal, luma, 1 - expected, left) == pytest.approx(
        2 * 0.5 ** 0.5, 1e-4)


def test_attraction_of_equal_and_repulsion_of_orthogonal_vectors_are_0():
    a, b = torch.eye(2, 4), torch.eye(4)[2:]
    assert losses.repulsion(a, b) == pytest.approx(0, abs=1e-3)
    assert losses.attraction(a[:1], a[:1]) == pytest.approx(0, abs=1e-3)
    assert losses.repulsion(a[:1], a[:1]) > 7
    assert losses.attraction(a[:1], b[:1]) > 7


def test_flicker_is_what_changes_more_than_the_livelier_source():
    still, brighter = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.1)
    same = (still, still)
    assert losses.flicker_loss(same, (still, brighter), (still, brighter)) == 0
    double = losses.flicker_loss(same, (still, brighter), (still, 2 * brighter))
    assert float(double) == pytest.approx(1, abs=0.02)


def test_self_correlation_doubles_a_single_channel():
    features = torch.rand(1, 1, 4, 4)
    salient = stretch_to_unit_range((features - features.mean()).clamp_min(0))
    torch.testing.assert_close(self_correlation_and_saliency(features), 2 * features + salient)


# The trainings


def test_perception_changes_nothing_in_the_backbone():
    backbone, perception = Cs2FusionNetwork(), CompensationPerception()
    compensation = perception(backbone.encoded(torch.rand(2, 1, 24, 24), torch.rand(2, 1, 24, 24)))
    (compensation.of_thermal.sum() + compensation.luma_specific.sum()
     + compensation.thermal_map.sum()).backward()
    assert all(one.grad is None for one in backbone.parameters())
    assert all(one.grad is not None for one in perception.parameters())
    assert 0 < compensation.thermal_map.min() < 0.5 < compensation.thermal_map.max() < 1


@pytest.mark.parametrize('training, settings, name', [
    (fusion_fast, FastFusionTraining(steps=100, batch=1, warmup=5), 'brighter'),
    (fusion_seafusion, SeaFusionTraining(steps=100, batch=1, warmup=5, rounds=1,
                                         learning_rate=3e-3), 'intensity'),
    (fusion_cs2fusion, Cs2FusionTraining(steps=40, batch=2, warmup=5), 'map')])
def test_the_loss_falls_on_one_batch(training, settings, name, scenes, tmp_path):
    training.train(scenes, tmp_path, settings, overfit=True)
    path = next(tmp_path.rglob('log.jsonl'))
    log = [json.loads(line)[name] for line in path.read_text().splitlines()]
    assert log[-1] < 0.8 * log[0]


@pytest.mark.parametrize('training', SHORT, ids=lambda one: one.__name__.split('_')[-1])
def test_a_training_is_reproducible_and_not_run_again(training, scenes, tmp_path):
    first, again, resumed = (
        training.train(scenes, tmp_path / name, SHORT[training]).state_dict()
        for name in ('first', 'again', 'first'))
    for name, value in first.items():
        torch.testing.assert_close(again[name], value)
        assert torch.equal(resumed[name], value)


def test_segmentation_learns_between_the_rounds_of_fusion(scenes, tmp_path):
    fusion_seafusion.train(scenes, tmp_path, SHORT[fusion_seafusion])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'fusion_0', 'fusion_1', 'segmentation_0']
    unlabelled = [replace(scene, labels=None) for scene in scenes]
    fusion_seafusion.train(unlabelled, tmp_path / 'none', SHORT[fusion_seafusion])
    assert [path.name for path in (tmp_path / 'none').iterdir()] == ['fusion_0']


def test_the_input_of_fast_is_worse_than_the_images_for_the_metrics(scenes):
    random = np.random.default_rng(0)
    examples = [fusion_fast.draw_example(scenes[0], random) for _ in range(20)]
    assert all(example.thermal.shape == (1, 192, 192) and example.luma.dtype == np.float32
               for example in examples)
    assert any(not np.array_equal(example.thermal, example.thermal_input)
               for example in examples)
    assert any(np.array_equal(example.luma, example.luma_input) for example in examples)
    assert all(np.abs(example.luma_next - example.luma_input).mean() < 0.05
               for example in examples)


# Data


@pytest.fixture
def pairs(tmp_path):
    """Return a folder with 60 MSRS pairs and 3 of TNO."""
    for name, count in (('test', 60), ('tno', 3)):
        for kind, seeds in (('ir', 100), ('vi', 200)):
            folder = tmp_path / 'data' / name / ({'ir': 'thermal', 'vi': 'visible'}[kind]
                                                 if name == 'tno' else kind)
            folder.mkdir(parents=True)
            for seed in range(count):
                cv2.imwrite(str(folder / f'{seed:05}D.png'), make_blobs(seeds + seed, (160, 140)))
    return tmp_path / 'data'


def test_held_out_and_evaluation_data_are_not_used(pairs):
    scenes = data.fusion_scenes(pairs)
    assert {scene.dataset for scene in scenes} == {'msrs/test'}
    assert sorted({int(scene.name[:5]) for scene in scenes}) == [*range(42), *range(56, 60)]
    assert all(scene.labels is None and scene.rgb.shape == (140, 160, 3) for scene in scenes)


def test_the_command_trains_and_records_the_data_in_the_weights(pairs, tmp_path, capsys):
    path = tmp_path / 'fast.safetensors'
    arguments = ['train', 'fusion', '--data', str(pairs), '--out', str(tmp_path / 'run'),
                 '--weights', str(path), '--set', 'steps=1', '--set', 'batch=1']
    assert cli.main([*arguments, '--method', 'fast']) == 0
    metadata = weights.metadata(path)
    assert (metadata['network'], metadata['settings']['steps']) == ('FastFusionNetwork', 1)
    assert metadata['trained_on'] == {'msrs/test': 46}
    image = make_blobs(0)
    fused = fusion.create('fast', **{'network.weights': str(path)}).fuse(image, image)
    assert fused.shape == image.shape
    assert cli.main([*arguments, '--set', 'speed=2']) == 1
    assert "unknown parameter 'speed'" in capsys.readouterr().err


def test_joint_training_keeps_both_networks_and_starts_from_a_trained_segmenter(
        pairs, tmp_path, capsys):
    start, path = tmp_path / 'start.safetensors', tmp_path / 'joint.safetensors'
    weights.save(SegmentationNetwork(len(MFNET_CLASSES)), start, {})
    arguments = ['train', 'joint', '--data', str(pairs), '--out', str(tmp_path / 'run'),
                 '--weights', str(path), '--set', 'steps=1', '--set', 'batch=1',
                 '--set', 'rounds=1', '--set', f'start_from={start}']
    assert cli.main(arguments) == 0, capsys.readouterr().err
    assert weights.metadata(path)['network'] == 'SeaFusionNetwork'
    beside = path.with_suffix('.segmentation.safetensors')
    assert weights.metadata(beside)['network'] == 'SegmentationNetwork'
    kept, given = (weights.load(SegmentationNetwork(len(MFNET_CLASSES)), one).state_dict()
                   for one in (beside, start))  # there are no labels to learn from
    assert all(torch.equal(kept[name], value) for name, value in given.items())
