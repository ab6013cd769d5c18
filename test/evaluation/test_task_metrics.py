# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of segmentation and detection have values that are counted by hand."""

from __future__ import annotations

import math

from ivf_ros.boxes import iou
from ivf_ros.data.sample import IGNORED
from ivf_ros.evaluation.metrics.detection import count_hits, detection
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.evaluation.metrics.segmentation import confusion_matrix, segmentation
from ivf_ros.types import Detection, Segmentation
import numpy as np
import pytest

NAMES = ('unlabelled', 'car', 'person')


def make_labels(rows, names=NAMES):
    return Segmentation(np.array(rows, np.uint8), names)


def make_box(left, top, right, bottom, name='person', score=0.9):
    return Detection((left, top, right, bottom), name, score)


def test_pixels_are_counted_by_true_and_found_class():
    counts = confusion_matrix(make_labels([[0, 1, 1], [2, 2, 0]]),
                              make_labels([[0, 1, 2], [2, 255, 1]]))
    assert counts.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]


def test_iou_and_accuracy_by_hand():
    values = segmentation(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]), NAMES)
    assert values['accuracy'] == pytest.approx(3 / 5)
    assert values['IoU unlabelled'] == pytest.approx(1 / 2)
    assert values['IoU car'] == pytest.approx(1 / 3)
    assert values['IoU person'] == pytest.approx(1 / 2)
    assert values['mIoU'] == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 3)
    assert values['Acc car'] == values['Acc person'] == pytest.approx(1 / 2)
    assert values['mAcc'] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    # Foreground: four true or found pixels, three of them both.
    assert values['foreground_IoU'] == pytest.approx(3 / 4)


def test_the_truth_itself_is_perfect_and_absent_classes_do_not_count():
    true = make_labels([[0, 1], [1, 1]])
    values = segmentation(confusion_matrix(true, true), NAMES)
    assert values['mIoU'] == values['mAcc'] == values['accuracy'] == 1.0
    assert math.isnan(values['IoU person'])


def test_classes_go_by_name_and_unknown_ones_are_wrong_but_foreground():
    predicted = make_labels([[0, 1, 2]], ('background', 'person', 'tree'))
    counts = confusion_matrix(predicted, make_labels([[0, 2, 1]]))
    assert counts.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    values = segmentation(counts, NAMES)
    assert values['IoU person'] == 1.0 and values['IoU car'] == 0.0
    assert values['foreground_IoU'] == 1.0


def test_counts_of_images_add_up():
    first = confusion_matrix(make_labels([[1, 1]]), make_labels([[1, 0]]))
    second = confusion_matrix(make_labels([[0, 0]]), make_labels([[1, 0]]))
    assert segmentation(first + second, NAMES)['IoU car'] == pytest.approx(1 / 3)


def test_nothing_labelled_gives_nan_and_no_warning(recwarn):
    values = segmentation(confusion_matrix(make_labels([[1]]), make_labels([[255]])), NAMES)
    assert all(math.isnan(value) for value in values.values()) and not recwarn.list


@pytest.mark.parametrize('predicted, true, message', [
    ([[0, 1]], [[0], [1]], 'one shape'),
    ([[0]], [[7]], 'true label 7 has no class name'),
    ([[9]], [[0]], 'predicted label 9 has no class name'),
])
def test_labels_that_cannot_be_compared_are_refused(predicted, true, message):
    with pytest.raises(MetricError, match=message):
        confusion_matrix(make_labels(predicted), make_labels(true))


def test_counts_must_fit_the_names():
    with pytest.raises(MetricError, match=r'3 classes must have shape \(3, 4\)'):
        segmentation(np.zeros((2, 3), int), NAMES)


def test_intersection_over_union_by_hand():
    assert iou(make_box(0, 0, 10, 10), make_box(0, 0, 10, 10)) == 1.0
    assert iou(make_box(0, 0, 10, 10), make_box(5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert iou(make_box(0, 0, 10, 10), make_box(10, 0, 20, 10)) == 0.0


def test_hits_need_the_class_and_half_the_overlap_and_take_a_box_once():
    true = [make_box(0, 0, 10, 10), make_box(100, 0, 120, 40, 'car')]
    predicted = [make_box(0, 0, 10, 9, score=0.9), make_box(0, 1, 10, 10, score=0.8),
                 make_box(100, 0, 120, 40, 'person')]
    counted = count_hits(predicted, true)
    assert counted == pytest.approx({'true': 2, 'found': 3, 'hits': 1, 'precision': 1 / 3,
                                     'recall': 1 / 2, 'F1': 2 / 5})


def test_the_box_with_the_highest_score_takes_the_best_true_box():
    true = [make_box(0, 0, 10, 10), make_box(4, 0, 14, 10)]
    predicted = [make_box(3, 0, 13, 10, score=0.5), make_box(3.5, 0, 13.5, 10, score=0.9)]
    assert count_hits(predicted, true)['hits'] == 2


def test_ignored_boxes_count_neither_as_found_nor_as_missed():
    true = [make_box(0, 0, 10, 10), make_box(50, 0, 90, 40, IGNORED)]
    predicted = [make_box(0, 0, 10, 10), make_box(60, 10, 70, 20, score=0.5)]
    assert count_hits(predicted, true)['precision'] == count_hits(predicted, true)['recall'] == 1.0
    assert detection([(predicted, true)])['mAP50'] == pytest.approx(1.0)
    mostly_outside = make_box(85, 10, 105, 20)
    assert count_hits([*predicted, mostly_outside], true)['precision'] == 0.5


def test_empty_images():
    nothing = count_hits([], [])
    assert nothing['F1'] == 1.0 and math.isnan(nothing['precision'])
    assert count_hits([make_box(0, 0, 1, 1)], [])['F1'] == 0.0
    assert math.isnan(count_hits([], [make_box(0, 0, 1, 1)])['precision'])


def test_perfect_and_absent_detections():
    true = [make_box(0, 0, 40, 80), make_box(100, 0, 150, 50, 'car')]
    assert detection([(true, true)]) == pytest.approx(
        {'mAP': 1.0, 'mAP50': 1.0, 'mAP75': 1.0, 'AR': 1.0, 'AP50 car': 1.0,
         'AP50 person': 1.0})
    assert detection([([], true)])['mAP50'] == 0.0
    assert math.isnan(detection([([make_box(0, 0, 9, 9)], [])])['mAP'])


def test_average_precision_of_a_false_box_before_a_true_one():
    # By falling score: wrong, right. Precision is 1/2 at every recall up to 1.
    true = [make_box(0, 0, 40, 80)]
    predicted = [make_box(200, 0, 240, 80, score=0.9), make_box(0, 0, 40, 80, score=0.8)]
    assert detection([(predicted, true)])['mAP50'] == pytest.approx(0.5)


def test_overlap_decides_at_which_thresholds_a_box_counts():
    # IoU 0.8 is a hit at 0.50, 0.55 ... 0.80, seven of ten thresholds.
    values = detection([([make_box(0, 0, 80, 100)], [make_box(0, 0, 100, 100)])])
    assert values['mAP50'] == values['mAP75'] == pytest.approx(1.0)
    assert values['mAP'] == pytest.approx(0.7)


def test_classes_without_annotation_are_left_out():
    true = [make_box(0, 0, 40, 80)]
    assert detection([([*true, make_box(0, 0, 9, 9, 'dog')], true)])['mAP50'] == pytest.approx(1.0)


def test_no_images_are_refused():
    with pytest.raises(MetricError, match='at least one image'):
        detection([])
