# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""After calibration a score is a probability; boxes, their order and the labels stay."""

from __future__ import annotations

import json

import cv2
from ivf_ros import cli, perception
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.thermal import Agc
from labelled_pairs import write_labelled_pairs
import numpy as np
import pytest

for needed in ('torch', 'safetensors'):
    pytest.importorskip(needed, reason='training needs it')

from ivf_ros.detection.network import DetectionNetwork  # noqa: E402, I100
from ivf_ros.evaluation.studies.reliability import expected_calibration_error  # noqa: E402
from ivf_ros.nn import weights  # noqa: E402
from ivf_ros.training.detection_scores import (  # noqa: E402
    fit_scaling,
    scale_scores,
    ScoreScaling,
)
import torch  # noqa: E402

JOINT = perception.method.RGBT_WEIGHTS.with_suffix('.safetensors')


def logistic(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(('slope', 'offset'), [(1.0, 0.0), (1.6, 1.2), (0.5, -1.0)])
def test_a_known_scaling_is_found_and_other_boxes_are_calibrated(slope, offset):
    random = np.random.default_rng(3)
    logits = random.normal(-0.5, 1.5, 8000)
    hits = random.uniform(size=8000) < logistic(slope * logits + offset)
    found = fit_scaling(logistic(logits[:4000]), hits[:4000])
    assert found.slope == pytest.approx(slope, abs=0.12)
    assert found.offset == pytest.approx(offset, abs=0.12)
    others = logistic(found.slope * logits[4000:] + found.offset)
    assert expected_calibration_error(others, hits[4000:]) < 0.03


def test_few_boxes_change_little():
    found = fit_scaling(np.array([0.3, 0.4]), np.array([False, True]))
    assert found.slope == pytest.approx(1, abs=0.1) and abs(found.offset) < 1
    assert fit_scaling(np.empty(0), np.empty(0, bool)) == ScoreScaling(1.0, 0.0)


def test_higher_scores_that_are_wrong_more_often_keep_the_order():
    scores = np.linspace(0.1, 0.9, 400)
    assert fit_scaling(scores, scores < 0.4).slope > 0


def test_the_scaling_becomes_part_of_the_last_layer():
    network = DetectionNetwork(3).eval()
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, boxes_px = network(image)
        scale_scores(network, [ScoreScaling(2.0, 0.5), ScoreScaling(), ScoreScaling(0.5, -1.0)])
        scaled, same_boxes_px = network(image)
    expected = logits * torch.tensor([2.0, 1.0, 0.5]) + torch.tensor([0.5, 0.0, -1.0])
    assert torch.allclose(scaled, expected, atol=1e-4) and torch.equal(same_boxes_px, boxes_px)


@pytest.fixture
def drawn(tmp_path):
    """Return pairs of streets, and a file where every other pair has the boxes found in it."""
    data = write_labelled_pairs(tmp_path / 'streets', 2)
    detector = perception.create(**{'network.weights': str(JOINT), 'min_score': 0.05})
    frames = []
    for number, condition in enumerate(('day', 'night')):
        simulator = RigSimulator(SimulatorParameters(condition=condition, seed=number))
        thermal, rgb, truth = simulator.pair(60)
        thermal = cv2.warpPerspective(Agc()(thermal.image), truth.H_thermal_to_rgb, rgb.size)
        for folder, image in (('thermal', thermal), ('visible', rgb.image)):
            assert cv2.imwrite(str(data / folder / f'{number:06d}.png'), image)
        boxes = [{'box': box.box_xyxy_px, 'class': box.class_name}
                 for box in detector.detect(rgb.image, thermal) if number]
        frames.append({'dataset': 'streets', 'sample': f'{number:06d}', 'half': 'choosing',
                       'size': rgb.size, 'boxes': boxes})
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps({'format': 'ivf_ros drawn boxes 1', 'frames': frames}))
    return data, path


def test_the_command_writes_weights_with_other_scores_and_says_what_it_did(drawn, tmp_path):
    data, boxes = drawn
    out, path = tmp_path / 'out', tmp_path / 'calibrated.safetensors'
    assert cli.main(['train', 'detection-scores', '--data', str(data), '--out', str(out),
                     '--weights', str(path), '--set', f'start_from={JOINT}',
                     '--set', f'boxes={boxes}']) == 0
    result = json.loads((out / 'scores.json').read_text())
    assert result['pairs'] == 2 and result['half'] == 'choosing' and max(result['boxes'].values())
    metadata = weights.metadata(path)
    assert metadata['score_calibration']['scaling'] == result['scaling']
    assert metadata['trained_on'] == weights.metadata(JOINT)['trained_on']
    image, thermal = (np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
                      for shape in ((128, 160, 3), (128, 160)))
    before, after = (perception.create(**{'network.weights': str(each), 'min_score': 0.01})
                     for each in (JOINT, path))
    assert (before.segment(image, thermal).labels == after.segment(image, thermal).labels).all()
    changed = [name for name, scaling in result['scaling'].items()
               if scaling != {'slope': 1.0, 'offset': 0.0}]
    assert changed and set(changed) == {name for name, n in result['boxes'].items() if n}


def test_missing_settings_are_named(tmp_path, capsys):
    assert cli.main(['train', 'detection-scores', '--data', str(tmp_path),
                     '--out', str(tmp_path / 'out')]) == 2
    assert 'boxes=FILE' in capsys.readouterr().err
