# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts with the boxes in an output of their own: DETR and its family, selected boxes."""

from __future__ import annotations

from ivf_ros import detection
from ivf_ros.detection.onnx.layout import COCO_IDS
import numpy as np
from onnx_models import (
    CORNERED,
    count_cells,
    detector,
    FLOAT,
    IMAGE,
    layout_of,
    LETTERBOXED,
    onnx,
    PERSON_EDGES,
    PERSON_XYWH,
    rows_of,
    save,
    STRETCHED,
    UINT8,
    write_model,
)
import pytest

INT64 = onnx.TensorProto.INT64
ONE, COCO = "{0: 'person'}", str({index: f'class{index}' for index in range(80)})
QUERIES = rows_of(np.array(PERSON_XYWH) / 320, 300, 0)[None]
TARGET_SIZE = ('orig_target_sizes', INT64, ['N', 2])
LOGIT = float(np.log(0.9 / 0.1))


def logits(columns, index, value=LOGIT, others=-9.0):
    """Return ``(1, 300, C)`` with a high value for the first box."""
    array = np.full((1, 300, columns), others, np.float32)
    array[0, 0, index] = value
    return array


def find_one(model_detector, layout, box, score=0.9, class_name='person'):
    assert layout_of(model_detector) == layout
    [found] = model_detector.detect(IMAGE)
    assert found.class_name == class_name and found.score == pytest.approx(score, abs=1e-3)
    assert found.box_xyxy_px == pytest.approx(box, abs=1e-2)


@pytest.mark.parametrize('names, columns, index, layout, values, class_name', [
    ({'logits', 'pred_boxes'}, 1, 0, 'rtdetr', 'rgb_1', 'person'),
    ({'pred_logits', 'pred_boxes'}, 80, 79, 'rtdetr', 'rgb_1', 'class79'),
    ({'dets', 'labels'}, 2, 0, 'rfdetr', 'rgb_imagenet', 'person'),  # the last one is no class
    ({'dets', 'labels'}, 91, 1, 'rfdetr', 'rgb_imagenet', 'class0'),
    ({'dets', 'labels'}, 91, 90, 'rfdetr', 'rgb_imagenet', 'class79'),
    ({'dets', 'labels'}, 91, 13, 'rfdetr', 'rgb_imagenet', 'class11'),  # 12 is not in use
])
@pytest.mark.parametrize('is_boxes_first', [True, False])
def test_logits_of_queries_are_scores_by_the_sigmoid(tmp_path, names, columns, index, layout,
                                                     values, class_name, is_boxes_first):
    [boxes] = names & {'pred_boxes', 'dets'}
    [scores] = names - {boxes}
    outputs = {boxes: QUERIES, scores: logits(columns, index)}
    if not is_boxes_first:
        outputs = dict(reversed(outputs.items()))
    model = write_model(tmp_path / 'm.onnx', outputs, names=ONE if columns <= 2 else COCO)
    found = detector(model)
    find_one(found, layout, STRETCHED, class_name=class_name)
    assert f'stretch {values}' in found.summary


@pytest.mark.parametrize('names, columns, index', [(ONE, 2, 0), (COCO, 92, 1), (COCO, 81, 0)])
def test_detr_has_a_column_for_no_class_and_the_softmax(tmp_path, names, columns, index):
    values = logits(columns, columns - 1, 9.0, -9.0)  # no class
    values[0, 0] = -9.0
    values[0, 0, [index, columns - 1]] = 9.0 + LOGIT, 9.0
    outputs = {'logits': values, 'pred_boxes': QUERIES,
               'last_hidden_state': np.zeros((1, 300, 256), np.float32)}
    model = write_model(tmp_path / 'm.onnx', outputs, names=names, shape=[1, 3, 320, 320],
                        other_inputs=[('pixel_mask', INT64, ['batch', 'height', 'width'])])
    name = 'person' if names == ONE else 'class0'
    find_one(detector(model), 'detr', STRETCHED, class_name=name)


def test_scores_that_are_probabilities_already_stay_as_they_are(tmp_path):
    outputs = {'boxes': QUERIES, 'scores': logits(2, 0, 0.9, 0.0)}
    find_one(detector(write_model(tmp_path / 'm.onnx', outputs)), 'rtdetr', STRETCHED)


def test_masks_beside_the_boxes_are_ignored_and_said(tmp_path):
    outputs = {'dets': QUERIES, 'labels': logits(2, 0),
               'masks': np.zeros((1, 300, 80, 80), np.float32)}
    found = detector(write_model(tmp_path / 'm.onnx', outputs, names=ONE))
    find_one(found, 'rfdetr', STRETCHED)
    assert found.summary.endswith('masks ignored')


def test_boxes_in_pixels_with_a_row_for_each_cell_are_those_of_yolonas(tmp_path):
    count = count_cells(320)
    outputs = {'boxes': rows_of(PERSON_EDGES, count)[None],
               'scores': rows_of((0.9, 0.1), count)[None]}
    find_one(detector(write_model(tmp_path / 'm.onnx', outputs)), 'yolonas', LETTERBOXED)


def test_columns_that_do_not_fit_the_names_are_refused(tmp_path):
    model = write_model(tmp_path / 'm.onnx', {'dets': QUERIES, 'labels': logits(7, 0)})
    with pytest.raises(detection.DetectionError, match='7 columns of scores for 2 names'):
        detector(model)


def selected(boxes, labels, scores=(0.9, 0.1), names=('labels', 'boxes', 'scores')):
    """Return a person and another box with a low score."""
    boxes = np.array([boxes, (0, 0, 1, 1)], np.float32)
    return dict(zip(names, (np.array([labels] * 2), boxes, np.array(scores, np.float32))))


def batched(outputs):
    return {name: array[None] for name, array in outputs.items()}


@pytest.mark.parametrize('names', [ONE, COCO])
def test_dfine_with_post_processing_is_told_the_size_of_the_input(tmp_path, names):
    outputs = batched(selected(PERSON_EDGES, np.int64(0)))
    model = write_model(tmp_path / 'm.onnx', outputs, names=names, other_inputs=[TARGET_SIZE])
    name = 'person' if names == ONE else 'class0'
    find_one(detector(model), 'labelled', STRETCHED, class_name=name)


def test_dfine_scales_boxes_by_width_and_height(tmp_path):
    helper = onnx.helper
    size = helper.make_node('Cast', ['orig_target_sizes'], ['size'], to=FLOAT)
    twice = helper.make_node('Concat', ['size', 'size'], ['sizes'], axis=1)
    scaled = helper.make_node('Mul', ['fractions', 'sizes'], ['boxes'])
    batch = helper.make_node('Unsqueeze', ['boxes', 'axis'], ['batched'])
    unused = helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0)
    graph = helper.make_graph(
        [size, twice, scaled, unused,
         helper.make_node('Identity', ['label'], ['labels']),
         helper.make_node('Identity', ['score'], ['scores']), batch], 'dfine',
        [helper.make_tensor_value_info('images', FLOAT, ['N', 3, 256, 512]),
         helper.make_tensor_value_info('orig_target_sizes', INT64, ['N', 2])],
        [helper.make_tensor_value_info('labels', INT64, [1, 1]),
         helper.make_tensor_value_info('batched', FLOAT, [1, 1, 4]),
         helper.make_tensor_value_info('scores', FLOAT, [1, 1])],
        [onnx.numpy_helper.from_array(np.array([[0.25, 0.5, 0.5, 0.75]], np.float32),
                                      'fractions'),
         onnx.numpy_helper.from_array(np.array([[0]]), 'label'),
         onnx.numpy_helper.from_array(np.array([1]), 'axis'),
         onnx.numpy_helper.from_array(np.array([[0.9]], np.float32), 'score')])
    save(graph, tmp_path / 'm.onnx', {'names': ONE})
    find_one(detector(tmp_path / 'm.onnx'), 'labelled', (160, 240, 320, 360))


def test_selected_boxes_without_a_target_size_may_be_fractions(tmp_path):
    outputs = batched(selected(np.array(PERSON_EDGES) / 320, np.int64(0)))
    find_one(detector(write_model(tmp_path / 'm.onnx', outputs)), 'labelled', STRETCHED)


def test_boxes_with_their_number_are_letterboxed_and_cut_off(tmp_path):
    outputs = batched(selected(PERSON_EDGES, np.int32(0), (0.9, 0.8),
                               ('det_classes', 'det_boxes', 'det_scores')))
    outputs = {'num_dets': np.array([[1]], np.int32), **outputs}
    find_one(detector(write_model(tmp_path / 'm.onnx', outputs)), 'labelled', LETTERBOXED)


@pytest.mark.parametrize('names, label, class_name', [
    (ONE, 1, 'person'), ("['background', 'car', 'person']", 2, 'person'),
    (COCO, 90, 'class79'), (COCO, 13, 'class11')])
@pytest.mark.parametrize('shape', [[3, 320, 320], [3, 'height', 'width'], [1, 3, 320, 320]])
def test_torchvision_counts_classes_from_one(tmp_path, names, label, class_name, shape):
    outputs = selected(PERSON_EDGES, np.int64(label), names=('1', '0', '2'))
    outputs = {name: outputs[name] for name in '012'}
    model = write_model(tmp_path / 'm.onnx', outputs, names=names, shape=shape)
    find_one(detector(model, input_px=320), 'torchvision', LETTERBOXED, class_name=class_name)


def test_a_torchvision_model_may_find_nothing(tmp_path):
    outputs = {'boxes': np.zeros((0, 4), np.float32), 'labels': np.zeros(0, np.int64),
               'scores': np.zeros(0, np.float32)}
    found = detector(write_model(tmp_path / 'm.onnx', outputs))
    assert layout_of(found) == 'torchvision' and found.detect(IMAGE) == []


def test_tensorflow_has_channels_last_and_y_first(tmp_path):
    left, top, right, bottom = np.array(PERSON_EDGES) / 320
    outputs = batched(selected((top, left, bottom, right), np.float32(1), names=(
        'detection_classes', 'detection_boxes', 'detection_scores')))
    outputs |= {'num_detections': np.array([2], np.float32),
                'raw_detection_boxes': np.zeros((1, 9, 4), np.float32),
                'raw_detection_scores': np.zeros((1, 9, 3), np.float32),
                'detection_anchor_indices': np.zeros((1, 2), np.float32)}
    for element_type in (UINT8, FLOAT):
        model = write_model(tmp_path / 'm.onnx', outputs, shape=[1, 320, 320, 3],
                            element_type=element_type)
        found = detector(model)
        find_one(found, 'tensorflow', STRETCHED)
        assert 'rgb_255' in found.summary


def test_mmdeploy_has_the_score_beside_the_box(tmp_path):
    outputs = {'dets': np.array([[(*PERSON_EDGES, 0.9)]], np.float32),
               'labels': np.array([[0]])}
    find_one(detector(write_model(tmp_path / 'm.onnx', outputs)), 'mmdeploy', CORNERED)


def test_a_label_without_a_name_is_an_error(tmp_path):
    outputs = batched(selected(PERSON_EDGES, np.int64(2)))
    found = detector(write_model(tmp_path / 'm.onnx', outputs, other_inputs=[TARGET_SIZE]))
    with pytest.raises(detection.DetectionError, match='found class 2, and there are 2 names'):
        found.detect(IMAGE)


def test_an_unknown_input_is_an_error(tmp_path):
    outputs = batched(selected(PERSON_EDGES, np.int64(0)))
    model = write_model(tmp_path / 'm.onnx', outputs,
                        other_inputs=[('template', FLOAT, [1, 2])])
    with pytest.raises(detection.DetectionError, match=r"needs an input 'template' \(1, 2\)"):
        detector(model)


def test_coco_has_80_numbers_from_1_to_90():
    assert len(COCO_IDS) == 80 and COCO_IDS[0] == 1 and COCO_IDS[-1] == 90
    assert len(set(COCO_IDS)) == 80 and (np.diff(COCO_IDS) > 0).all()


@pytest.mark.parametrize('boxes, columns', [
    (np.random.default_rng(0).normal(0, 0.3, (1, 300, 4)), 2),  # offsets from anchors
    (np.random.default_rng(0).uniform(0, 1, (1, 4420, 4)), 2),  # too many for queries
    (np.random.default_rng(0).uniform(0, 300, (1, 300, 4)), 1)])  # pixels, and no grid
def test_boxes_that_are_not_those_of_queries_are_refused(tmp_path, boxes, columns):
    scores = np.full((1, boxes.shape[1], columns), 0.5, np.float32)
    model = write_model(tmp_path / 'm.onnx', {'loc': boxes.astype(np.float32), 'conf': scores},
                        names=ONE)
    with pytest.raises(detection.DetectionError, match=r'at most 1000 in fractions of the image'):
        detector(model)
