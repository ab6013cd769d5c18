# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison of two detectors has values that are counted by hand, and those of COCO."""

from __future__ import annotations

from ivf_ros.data.sample import IGNORED
from ivf_ros.evaluation import detector_comparison
from ivf_ros.evaluation.detector_comparison import (
    BETTER,
    compare_boxes,
    compare_outcomes,
    describe_outcomes,
    EQUAL,
    WORSE,
)
from ivf_ros.evaluation.metrics.detection import detection
from ivf_ros.types import Detection, Segmentation
import numpy as np
import pytest

CLASSES = ('person', 'vehicle')


def box(left, score=1.0, name='person') -> Detection:
    return Detection((float(left), 0.0, left + 10.0, 20.0), name, score)


def test_recall_precision_and_average_precision_by_hand():
    images = [([box(0, 0.9), box(50, 0.3)], [box(0), box(50)]),
              ([box(100, 0.8), box(200, 0.5)],
               [box(200), Detection((90.0, 0.0, 120.0, 30.0), IGNORED, 1.0)])]
    table = describe_outcomes(compare_boxes(images, CLASSES), 0.35)
    # of 3 objects: found at 0.9 and 0.5, and one below the threshold; the box in the ignored
    # region counts neither way
    assert table['person'] == {'objects': 3, 'recall': pytest.approx(2 / 3), 'precision': 1.0,
                               'AP50': 1.0}
    assert table['all'] == table['person'] and set(table) == {'person', 'all'}


def test_without_a_box_precision_is_not_defined():
    table = describe_outcomes(compare_boxes([([], [box(0)])], CLASSES), 0.35)
    assert np.isnan(table['person']['precision']) and table['person']['recall'] == 0
    assert table['person']['AP50'] == 0


@pytest.mark.parametrize('seed', range(5))
def test_average_precision_is_that_of_coco(seed):
    pytest.importorskip('pycocotools', reason='pycocotools is not installed')
    random = np.random.default_rng(seed)

    def draw(count, scores):
        return [Detection((x, y, x + 20.0, y + 30.0), CLASSES[random.integers(2)],
                          float(random.random()) if scores else 1.0)
                for x, y in random.integers(0, 60, (count, 2)).astype(float)]

    images = [(draw(12, True), draw(5, False)) for _ in range(8)]
    table = describe_outcomes(compare_boxes(images, CLASSES), 0.5)
    expected = detection(images)
    for name in CLASSES:
        assert table[name]['AP50'] == pytest.approx(expected[f'AP50 {name}'], abs=1e-9)
    assert table['all']['AP50'] == pytest.approx(expected['mAP50'], abs=1e-9)


def test_a_clear_difference_is_told_from_none():
    true = [[box(0), box(50), box(100, name='vehicle')] for _ in range(20)]
    full = compare_boxes([(boxes, boxes) for boxes in true], CLASSES)
    half = compare_boxes([(boxes[1:], boxes) for boxes in true], CLASSES)
    one_less = compare_boxes([(boxes[index == 0:], boxes) for index, boxes in enumerate(true)],
                             CLASSES)
    verdict, difference, (low, high) = compare_outcomes(half, full)
    assert verdict == BETTER and difference == pytest.approx(0.25, abs=0.01)
    assert low == pytest.approx(difference) == pytest.approx(high)  # the same in each image
    assert compare_outcomes(full, half)[0] == WORSE
    assert compare_outcomes(full, full)[:2] == (EQUAL, 0.0)
    assert compare_outcomes(one_less, full)[0] == EQUAL  # a single image shows it


def test_the_labels_of_two_networks_are_compared(monkeypatch):
    class Labelling:
        label_names = ('unlabelled', 'car', 'person')

        def __init__(self, column):
            self.column = column

        def segment(self, image):
            labels = np.zeros((4, 4), np.uint8)
            labels[:, self.column] = 2
            return Segmentation(labels, self.label_names)

    monkeypatch.setattr(detector_comparison, '_read_images', lambda sample, given: (sample,))
    first, second = Labelling([0, 1]), Labelling([1, 2])
    kept = detector_comparison.measure_kept_labels(first, second, [None, None], 'rgb')
    assert kept['IoU person'] == pytest.approx(1 / 3) and kept['accuracy'] == 0.5
    same = detector_comparison.measure_kept_labels(first, first, [None], 'rgb')
    assert same['IoU person'] == same['accuracy'] == 1 and np.isnan(same['IoU car'])
