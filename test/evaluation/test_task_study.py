# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of the benefit of fusion: closed forms, and one complete run."""

from __future__ import annotations

import json
import math

from ivf_ros.cli import main
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.results import EvaluationError, Row
from ivf_ros.evaluation.studies import task_driven
from ivf_ros.nn import weights
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.types import Detection
import numpy as np
import pytest


SEGMENTATION_METRIC = task_driven.TaskMetric('segmentation', task_driven.read_counts,
                                             task_driven.mean_iou)


def make_rows(counts_of):
    """Return rows of segmentation: input -> counts (2, 3) of each of its scenes."""
    return [Row('segmentation', f'bilateral@{name}', 'set', f'{index}', evidence={
        'counts': np.asarray(counts).tolist(), 'class_names': ['nothing', 'car'],
        'scene': f'scene {index}'}) for name, scenes in counts_of.items()
        for index, counts in enumerate(scenes)]


def test_average_precision_has_its_closed_form():
    assert task_driven.average_precision([(0.9, True), (0.8, True)], 2) == pytest.approx(1.0)
    assert task_driven.average_precision([(0.9, True)], 2) == pytest.approx(51 / 101)
    assert task_driven.average_precision([(0.9, False), (0.8, True)], 1) == pytest.approx(0.5)
    assert task_driven.average_precision([], 3) == 0.0
    assert math.isnan(task_driven.average_precision([], 0))


def test_average_precision_is_that_of_pycocotools():
    random = np.random.default_rng(0)
    images = []
    for _ in range(20):
        true = [Detection((x, 10.0, x + 20, 50.0), 'person', 1.0)
                for x in random.choice(20, random.integers(0, 6), replace=False) * 30.0]
        found = [Detection((x + random.normal(0, 4), 10.0, x + 20 + random.normal(0, 4), 50.0),
                           'person', float(random.uniform(0.05, 1)))
                 for x in random.choice(20, 6, replace=False) * 30.0]
        images.append((found, true))
    hits = [task_driven.read_hits({
        'found': [[*box.box_xyxy_px, box.class_name, box.score] for box in found],
        'true': [[*box.box_xyxy_px, box.class_name, box.score] for box in true]})
        for found, true in images]
    ours = task_driven.average_precision([hit for image in hits for hit in image['person'][1]],
                                         sum(image['person'][0] for image in hits))
    assert ours == pytest.approx(metrics.detection(images)['AP50 person'], abs=1e-6)


def test_person_recall_is_at_a_precision_of_four_of_five_boxes():
    hits = [(1 - index / 20, index != 4) for index in range(10)]  # the fifth is wrong
    no_boxes = {'vehicle': (0, []), 'bicycle': (0, [])}
    assert task_driven.person_recall([{'person': (18, hits), **no_boxes}]) == pytest.approx(9 / 18)
    wrong = [(0.9, False), (0.8, True)]
    assert task_driven.person_recall([{'person': (1, wrong), **no_boxes}]) == 0.0
    assert math.isnan(task_driven.person_recall([{'person': (0, wrong), **no_boxes}]))


def test_mean_iou_is_over_the_classes_that_occur():
    # Half of 100 car pixels are hits. The third class does not occur, but ten pixels have it.
    counts = [[790, 0, 10, 0], [50, 50, 0, 0], [0, 0, 0, 0]]
    assert task_driven.mean_iou([np.array(counts)]) == pytest.approx(
        (790 / 850 + 50 / 100) / 2)


def test_gains_are_against_rgb_and_the_better_sensor():
    good, bad = [[90, 0, 0], [0, 10, 0]], [[90, 0, 0], [5, 5, 0]]
    table, sentences = task_driven.compare_inputs('mIoU, all', SEGMENTATION_METRIC, make_rows(
        {'rgb': [bad] * 3, 'thermal': [bad] * 3, 'fast': [good] * 3}))
    assert table['caption'] == 'mIoU, all: 3 images of 3 scenes'
    values = {row[0]: row[1:] for row in table['rows']}
    iou = (90 / 95 + 0.5) / 2
    assert values['rgb'][:4] == [round(iou, 3), f'{iou:.3f} to {iou:.3f}', '+0 %', '+0 to +0 %']
    assert values['fast'][0] == 1.0 and values['fast'][2] == f'{100 * (1 / iou - 1):+.0f} %'
    assert sentences and 'fast 1.000' in sentences[0]


def test_an_interval_spreads_with_the_scenes_and_holds_the_value():
    good, bad = [[90, 0, 0], [0, 10, 0]], [[90, 0, 0], [10, 0, 0]]
    table, _ = task_driven.compare_inputs('x', SEGMENTATION_METRIC, make_rows(
        {'rgb': [good, bad] * 10, 'thermal': [bad] * 20}))
    low, high = (float(text) for text in table['rows'][0][2].split(' to '))
    assert low < table['rows'][0][1] < high and high - low > 0.05


def test_several_trainings_count_by_their_mean_and_widen_the_interval():
    good, bad = [[90, 0, 0], [0, 10, 0]], [[90, 0, 0], [10, 0, 0]]  # 1 and 0.45 in every scene
    table, _ = task_driven.compare_inputs('x', SEGMENTATION_METRIC, make_rows(
        {'rgb': [bad] * 3, 'thermal': [bad] * 3, 'fast': [good] * 3, 'fast.1': [bad] * 3}))
    fast, = (row for row in table['rows'] if row[0] == 'fast')
    assert fast[1:3] == [pytest.approx(0.725), '0.450 to 1.000'] and fast[-1] == '1.000, 0.450'
    rgb, = (row for row in table['rows'] if row[0] == 'rgb')
    assert rgb[2] == '0.450 to 0.450' and rgb[-1] == '0.450'
    assert table['caption'] == 'x: 3 images of 3 scenes'


def test_both_sensors_are_needed_for_comparison():
    with pytest.raises(EvaluationError, match="needs the input 'thermal'"):
        task_driven.compare_inputs('x', SEGMENTATION_METRIC, make_rows({'rgb': [np.eye(2, 3)]}))


def test_the_command_measures_networks_of_each_input_and_reports_them(tmp_path, capsys):
    networks = tmp_path / 'networks'
    networks.mkdir()
    for name, channels in (('rgb', 3), ('thermal', 3), ('rgb+thermal', 4)):
        weights.save(SegmentationNetwork(9, channels),
                     networks / f'segmentation-{name}.safetensors', {})
        weights.save(DetectionNetwork(3, channels), networks / f'detection-{name}.safetensors', {})
    weights.save(SegmentationNetwork(9, 3), networks / 'segmentation-rgb.1.safetensors', {})
    out = tmp_path / 'results'
    arguments = ['evaluate', 'simulator:seed=3,duration_s=0.1', '--study', 'task', '--limit', '2',
                 '--inputs', 'rgb,thermal,rgb+thermal', '--jobs', '1', '--out', str(out)]
    assert main([*arguments, '--networks', str(networks)]) == 0
    study = json.loads((out / 'summary.json').read_text())['studies']['task']
    assert [table['caption'].split(',')[0] for table in study['tables']] \
        == ['mIoU', 'mAP50', 'people found at precision 0.8']
    trained = {row[0]: row[-1].count(',') + 1 for row in study['tables'][0]['rows']}
    assert trained == {'rgb': 2, 'thermal': 1, 'rgb+thermal': 1}
    assert 'Benefit of fusion' in (out / 'report.html').read_text()
    capsys.readouterr()
    assert main([*arguments, '--restart', '--networks', str(tmp_path)]) == 1
    assert 'ivf train segmentation' in capsys.readouterr().err
    assert main(arguments) == 1
    assert '--networks' in capsys.readouterr().err
