# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts with a row for each box: what is recognised, and where the boxes are."""

from __future__ import annotations

import math

from hypothesis import given, settings, strategies as st
from ivf_ros import detection
from ivf_ros.detection.anchor_free import WEIGHTS
from ivf_ros.detection.onnx import single_output
from ivf_ros.detection.onnx.inputs import read_format
from ivf_ros.detection.onnx.layout import Evidence
from ivf_ros.detection.onnx.metadata import read_metadata
from ivf_ros.nn.runtime import NetworkInput
import numpy as np
from onnx_models import (
    CORNERED,
    count_cells,
    detector,
    FLOAT,
    IMAGE,
    layout_of,
    LETTERBOXED,
    one_hot,
    PERSON_EDGES,
    PERSON_XYWH,
    rows_of,
    STRETCHED,
    write_model,
)
import pytest

ONE = "{0: 'person'}"
MANY = str({index: f'class{index}' for index in range(80)})
NORMALISED_XYWH = tuple(np.array(PERSON_XYWH) / 320)
PROTOTYPES = np.zeros((1, 32, 80, 80), np.float32)


def find_one(model_detector, layout, box, score=0.9, class_name='person', within_px=1e-2):
    """Check that a detector of this layout finds this box and no other one."""
    assert layout_of(model_detector) == layout
    [found] = model_detector.detect(IMAGE)
    assert found.class_name == class_name and found.score == pytest.approx(score, abs=1e-3)
    assert found.box_xyxy_px == pytest.approx(box, abs=within_px)


@pytest.mark.parametrize('names, classes', [(ONE, 1), ("{0: 'person', 1: 'car'}", 2), (MANY, 80)])
@pytest.mark.parametrize('metadata', [
    {}, {'end2end': 'True'}, {'args': "{'nms': True}"},
    {'task': 'detect', 'args': "{'nms': False}"}],  # exporters before 8.4 do not say 'end2end'
    ids=['silent', 'end2end', 'nms', 'without'])
def test_selected_boxes_are_read_as_edges_with_one_class_or_many(tmp_path, names, classes,
                                                                 metadata):
    index = classes - 1
    output = rows_of((*PERSON_EDGES, 0.9, index), 300, 0)[None]
    found = detector(write_model(tmp_path / 'm.onnx', output, names=names, **metadata))
    name = 'person' if classes == 1 else 'car' if classes == 2 else 'class79'
    find_one(found, 'end2end', LETTERBOXED, class_name=name)


def test_selected_boxes_that_overlap_are_all_kept(tmp_path):
    output = np.zeros((1, 300, 6), np.float32)
    output[0, :2] = [(*PERSON_EDGES, 0.9, 0), (*np.add(PERSON_EDGES, 1), 0.8, 0)]
    found = detector(write_model(tmp_path / 'm.onnx', output, end2end='True')).detect(IMAGE)
    assert [one.score for one in found] == pytest.approx([0.9, 0.8])


def test_boxes_beyond_the_border_are_suppressed_by_their_own_overlap(tmp_path):
    # Inside the image both are 10 pixels wide; outside, the second is four times as wide.
    output = np.zeros((1, 6, 50), np.float32)
    output[0, :5, 0], output[0, :5, 1] = (0, 160, 20, 80, 0.9), (-30, 160, 80, 80, 0.8)
    found = detector(write_model(tmp_path / 'm.onnx', output)).detect(IMAGE)
    assert [one.score for one in found] == pytest.approx([0.9, 0.8])
    assert found[0].box_xyxy_px == found[1].box_xyxy_px == pytest.approx((0, 160, 20, 320))
    output[0, :4, 1] = 0, 160, 22, 80
    assert len(detector(write_model(tmp_path / 'n.onnx', output)).detect(IMAGE)) == 1


@pytest.mark.parametrize('anchors', [3, 1], ids=['yolov5', 'yolov6'])
def test_one_class_with_a_row_for_each_anchor_is_yolov5(tmp_path, anchors):
    output = np.zeros((1, anchors * count_cells(320), 6), np.float32)
    output[..., 4] = anchors == 1  # YOLOv6 is sure of all objects
    output[0, 7] = *PERSON_XYWH, 1 if anchors == 1 else 0.95, 0.9
    find_one(detector(write_model(tmp_path / 'm.onnx', output, names=ONE)), 'yolov5', LETTERBOXED,
             0.9 if anchors == 1 else 0.855)


def test_a_row_for_each_anchor_is_yolov5_even_where_a_gray_image_has_no_box(tmp_path):
    output = np.zeros((1, 3 * count_cells(320), 6), np.float32)
    found = detector(write_model(tmp_path / 'm.onnx', output, names=ONE))
    assert layout_of(found) == 'yolov5' and found.detect(IMAGE) == []


def test_one_class_with_fractions_in_the_last_column_is_yolov5(tmp_path):
    output = rows_of((*PERSON_XYWH, 0.95, 0.9), 300)[None]
    find_one(detector(write_model(tmp_path / 'm.onnx', output, names=ONE)), 'yolov5', LETTERBOXED,
             0.855)


def test_what_cannot_be_told_apart_is_refused_until_it_is_selected(tmp_path):
    model = write_model(tmp_path / 'm.onnx', np.zeros((1, 300, 7), np.float32))
    with pytest.raises(detection.DetectionError, match='for example to yolov5 or'):
        detector(model)
    assert layout_of(detector(model, layout='yolov5')) == 'yolov5'


@pytest.mark.parametrize('metadata', [{}, {'task': 'segment'}], ids=['silent', 'task'])
@pytest.mark.parametrize('layout, row', [
    ('yolov8', (*PERSON_XYWH, 0.9, 0.1)), ('yolov5', (*PERSON_XYWH, 1, 0.9, 0.1)),
    ('end2end', (*PERSON_EDGES, 0.9, 0))])
def test_masks_are_ignored_and_said(tmp_path, metadata, layout, row):
    rows = rows_of((*row, *np.linspace(-3, 3, 32)))
    outputs = {'output0': rows.T[None] if layout == 'yolov8' else rows[None],
               'output1': PROTOTYPES}
    found = detector(write_model(tmp_path / 'm.onnx', outputs, **metadata))
    find_one(found, layout, LETTERBOXED)
    assert found.summary.endswith('32 mask coefficients ignored')


@pytest.mark.parametrize('values, metadata', [
    (51, {}), (51, {'task': 'pose', 'kpt_shape': '[17, 3]'}),
    (10, {'task': 'pose', 'kpt_shape': '[5, 2]'}), (9, {'task': 'pose', 'kpt_shape': '[3, 3]'})])
@pytest.mark.parametrize('layout', ['yolov8', 'end2end'])
@pytest.mark.parametrize('names', [ONE, "{0: 'person', 1: 'car'}"], ids=['one', 'two'])
def test_keypoints_are_ignored_and_said(tmp_path, layout, values, metadata, names):
    keypoints = np.linspace(5, 300, values)
    scores = one_hot(names.count(':'), 0, 0.9)
    row = (*PERSON_XYWH, *scores) if layout == 'yolov8' else (*PERSON_EDGES, 0.9, 0)
    rows = rows_of((*row, *keypoints), 300)
    output = rows.T[None] if layout == 'yolov8' else rows[None]
    found = detector(write_model(tmp_path / 'm.onnx', output, names=names, **metadata))
    find_one(found, layout, LETTERBOXED)
    assert found.summary.endswith(f'{values} values of keypoints ignored')


def test_more_classes_than_names_are_not_taken_for_keypoints(tmp_path):
    scores = np.random.default_rng(0).uniform(0, 1, (1, 4 + 2 + 51, 50)).astype(np.float32)
    with pytest.raises(detection.DetectionError, match='would fit 46 classes'):
        detector(write_model(tmp_path / 'm.onnx', scores))


@pytest.mark.parametrize('degrees, sides', [(0, (40, 80)), (90, (80, 40)), (45, (84.85, 84.85)),
                                            (30, (74.64, 89.28))])
@pytest.mark.parametrize('layout', ['yolov8', 'end2end'])
def test_rotated_boxes_become_the_upright_boxes_around_them(tmp_path, layout, degrees, sides):
    angle = math.radians(degrees)
    tail = (0.9, 0.1, angle) if layout == 'yolov8' else (0.9, 0, angle)
    rows = rows_of((*PERSON_XYWH, *tail), 300)
    output = rows.T[None] if layout == 'yolov8' else rows[None]
    found = detector(write_model(tmp_path / 'm.onnx', output, task='obb'))
    half = np.array(sides)  # half a side of the input is a side of the image
    box = (*(np.array((200, 240)) - half), *(np.array((200, 240)) + half))
    find_one(found, layout, box, within_px=0.1)
    assert 'rotated boxes as upright ones' in found.summary


@pytest.mark.parametrize('count', [1, 3, 7, 50, count_cells(320)])  # 7 = 5 + K
def test_rows_and_columns_may_be_exchanged(tmp_path, count):
    rows = rows_of((*PERSON_XYWH, 0.9, 0.1), count, 0)
    for name, output in (('native', rows.T[None]), ('exchanged', rows[None])):
        found = detector(write_model(tmp_path / f'{name}.onnx', output))
        find_one(found, 'yolov8', LETTERBOXED)
    rows = rows_of((*PERSON_XYWH, 0.95, 0.9, 0.1), count + 1, 0)  # not a row for each cell
    for name, output in (('native5', rows[None]), ('exchanged5', rows.T[None])):
        found = detector(write_model(tmp_path / f'{name}.onnx', output))
        find_one(found, 'yolov5', LETTERBOXED, 0.855)


def test_a_last_row_that_may_be_an_angle_is_refused(tmp_path):
    output = rows_of((*PERSON_XYWH, 0.9, 0.1, 0.5), count_cells(320)).T[None]
    model = write_model(tmp_path / 'm.onnx', output)
    with pytest.raises(detection.DetectionError, match='may be an angle or a class'):
        detector(model)
    assert 'rotated' in detector(model, layout='yolov8').summary
    output[0, 6] = -0.5
    assert 'rotated' in detector(write_model(tmp_path / 'n.onnx', output)).summary


@pytest.mark.parametrize('row, metadata', [
    ((*NORMALISED_XYWH, 0.9, 0.1), {}), ((*NORMALISED_XYWH, 0.9, 0), {}),
    ((*NORMALISED_XYWH, 0.9, 0), {'head': 'RTDETRDecoder', 'end2end': 'False'}),
    ((*NORMALISED_XYWH, 0.9, 0.1), {'description': 'Ultralytics rt-detr-l model'})])
def test_rtdetr_of_ultralytics_has_fractions_of_a_stretched_image(tmp_path, row, metadata):
    output = rows_of(row, 300)[None]
    found = detector(write_model(tmp_path / 'm.onnx', output, **metadata))
    find_one(found, 'rtdetr', STRETCHED)


def test_yolov8_may_have_fractions(tmp_path):
    output = rows_of((*NORMALISED_XYWH, 0.9, 0.1), count_cells(320)).T[None]
    find_one(detector(write_model(tmp_path / 'm.onnx', output)), 'yolov8', LETTERBOXED)


def yolox(is_relative, strides=(8, 16, 32)):
    """Return a person at cell (12, 20) of the grid of 8 pixels."""
    output = np.zeros((1, count_cells(320, strides), 7), np.float32)
    box = (100 / 8 - 12, 160 / 8 - 20, np.log(40 / 8), np.log(80 / 8)) if is_relative \
        else PERSON_XYWH
    output[0, 20 * 40 + 12] = *box, 0.95, 0.9, 0.1
    return output


@pytest.mark.parametrize('is_relative', [True, False], ids=['grid', 'decoded'])
@pytest.mark.parametrize('strides', [(8, 16, 32), (8, 16, 32, 64)], ids=['p5', 'p6'])
def test_yolox_is_told_by_a_row_for_each_cell(tmp_path, is_relative, strides):
    found = detector(write_model(tmp_path / 'm.onnx', yolox(is_relative, strides)))
    find_one(found, 'yolox', CORNERED, 0.855)
    assert found.summary.endswith('input 320x320 corner bgr_255')


@pytest.mark.parametrize('strides, offset_px', [((8, 16, 32), 4), ((8, 16, 32, 64), 0)],
                         ids=['nanodet', 'nanodet-plus'])
@pytest.mark.parametrize('bins', [8, 11])
def test_nanodet_of_other_strides_and_bins(tmp_path, strides, offset_px, bins):
    output = np.zeros((1, count_cells(320, strides), 2 + 4 * bins), np.float32)
    distances = np.full((4, bins), -50.0, np.float32)
    distances[:, 3] = 50  # three cells, 24 pixels
    output[0, 20 * 40 + 12] = 0.7, 0, *distances.ravel()
    x, y = 96 + offset_px, 160 + offset_px
    box = (2 * (x - 24), 2 * (y - 24 - 40), 2 * (x + 24), 2 * (y + 24 - 40))
    find_one(detector(write_model(tmp_path / 'm.onnx', output)), 'nanodet', box, 0.7)


def test_rows_that_start_with_the_number_of_the_image(tmp_path):
    output = np.array([[0, *PERSON_EDGES, 0, 0.9]], np.float32)
    find_one(detector(write_model(tmp_path / 'm.onnx', output)), 'yolov7_nms', LETTERBOXED)


def test_other_outputs_beside_the_boxes_do_not_matter(tmp_path):
    boxes = rows_of((*PERSON_XYWH, 1, 0.9, 0.1), 3 * count_cells(320))[None]
    heads = {f'head{side}': np.zeros((1, 3, side, side, 7), np.float32) for side in (40, 20, 10)}
    for number, outputs in enumerate(({'output': boxes, **heads}, {**heads, 'output': boxes})):
        found = detector(write_model(tmp_path / f'{number}.onnx', outputs))
        find_one(found, 'yolov5', LETTERBOXED)


def test_yolox_relative_to_cells_needs_a_row_for_each_cell(tmp_path):
    output = yolox(is_relative=True)[:, :-1]
    model = write_model(tmp_path / 'm.onnx', output)
    with pytest.raises(detection.DetectionError, match='an input of 320x320 has 2100 or 2125'):
        detector(model, layout='yolox')


def test_a_network_of_the_package_is_refused_with_the_method_that_takes_it():
    with pytest.raises(detection.DetectionError, match='use the method anchor_free with'):
        detector(f'{WEIGHTS}.onnx')


@pytest.mark.parametrize('side', [320, None])
def test_paddle_is_told_the_size_and_counts_its_boxes(tmp_path, side):
    rows = np.array([[0, 0.9, *PERSON_EDGES], [-1, 0, 0, 0, 0, 0]], np.float32)
    outputs = {'boxes': rows, 'count': np.array([1], np.int32)}
    others = [('im_shape', FLOAT, [1, 2]), ('scale_factor', FLOAT, [1, 2])]
    model = write_model(tmp_path / 'm.onnx', outputs, side=side, other_inputs=others)
    find_one(detector(model, input_px=320), 'paddle', STRETCHED)


def test_the_other_inputs_of_paddle_are_height_and_width_and_no_scale():
    nodes = [NetworkInput('im_shape', (1, 2), 'tensor(float)'),
             NetworkInput('image', (None, 3, 256, 512), 'tensor(float)'),
             NetworkInput('scale_factor', (1, 2), 'tensor(float)')]
    shape, image, scale = read_format(nodes, (640, 640)).others
    assert image is None and shape.tolist() == [[256, 512]] and scale.tolist() == [[1, 1]]


@pytest.mark.parametrize('outputs, hint', [
    (np.random.default_rng(0).normal(size=(1, 7)), 'classifier'),
    (np.zeros((1, 7)), 'classifier'), (np.zeros((1, 1000)), 'classifier'),
    (np.zeros((1, 512, 7, 7)), 'segmentation'),
    (np.zeros((1, 21, 320, 320)), 'segmentation'), (np.zeros((1, 320, 320)), 'segmentation'),
    (np.zeros((1, 3, 40, 40, 7)), 'not decoded'), (np.zeros((1, 197, 768)), 'check onnx.classes'),
    (np.zeros((1, 84, 2100)), 'would fit 80 classes'),
    (np.full((1, 6, 2100), 7.0), 'not from 0 to 1'), (np.zeros((1,)), 'classifier')])
@pytest.mark.parametrize('names', ['', "{0: 'person', 1: 'car'}"], ids=['unnamed', 'named'])
def test_what_is_no_detector_is_refused_when_it_is_loaded(tmp_path, outputs, hint, names):
    model = write_model(tmp_path / 'm.onnx', outputs.astype(np.float32), names=names)
    with pytest.raises(detection.DetectionError) as caught:
        detector(model)
    assert '\n' not in str(caught.value)
    if names or outputs.ndim != 3:
        assert hint in str(caught.value) and 'the output must be' in str(caught.value)
    else:
        assert 'set onnx.classes' in str(caught.value)


def test_the_task_of_the_metadata_refuses_a_classifier(tmp_path):
    model = write_model(tmp_path / 'm.onnx', np.zeros((1, 2), np.float32), task='classify')
    with pytest.raises(detection.DetectionError, match="for the task 'classify'"):
        detector(model)


def test_a_class_without_a_name_is_refused(tmp_path):
    output = rows_of((*PERSON_EDGES, 0.9, 5), 300, 0)[None]
    with pytest.raises(detection.DetectionError, match='the output must be'):
        detector(write_model(tmp_path / 'm.onnx', output))
    forced = detector(write_model(tmp_path / 'n.onnx', output), layout='end2end')
    with pytest.raises(detection.DetectionError, match='found class 5, and there are 2 names'):
        forced.detect(IMAGE)


def test_a_requested_layout_that_does_not_fit_is_refused(tmp_path):
    model = write_model(tmp_path / 'm.onnx', rows_of((*PERSON_XYWH, 0.9, 0.1)).T[None])
    for layout in ('yolov5', 'end2end', 'nanodet', 'detr', 'labelled', 'yolov7_nms'):
        with pytest.raises(detection.DetectionError, match=f"for onnx.layout '{layout}'"):
            detector(model, layout=layout)


@settings(max_examples=150, deadline=None)
@given(classes=st.integers(1, 90), count=st.integers(2, 40), seed=st.integers(0, 2 ** 32 - 1),
       layout=st.sampled_from(['yolov8', 'yolov8 exchanged', 'yolov5', 'end2end']))
def test_any_number_of_classes_and_boxes_is_read_as_what_it_is(classes, count, seed, layout):
    random = np.random.default_rng(seed)
    centres, sides = random.uniform(60, 260, (count, 2)), random.uniform(10, 50, (count, 2))
    scores = random.uniform(0.01, 0.99, (count, classes))
    if layout == 'end2end':
        ids = random.integers(0, classes, count)
        columns = [centres - sides, centres + sides, scores[:, :1], ids[:, None]]
    else:
        objectness = [random.uniform(0.01, 0.99, (count, 1))] if layout == 'yolov5' else []
        columns = [centres, sides, *objectness, scores]
    rows = np.concatenate(columns, axis=1).astype(np.float32)
    output = rows.T[None] if layout == 'yolov8' else rows[None]
    evidence = Evidence({'output0': output}, read_metadata({}),
                        tuple(map(str, range(classes))), (320, 320))
    recognised = single_output.recognise(evidence, 'auto')
    assert recognised is not None and recognised.name == layout.split()[0]
    found = recognised.decode(evidence.outputs)
    assert found.scores.shape == found.class_ids.shape == (count,)
    middles = (found.boxes_xyxy_px[:, :2] + found.boxes_xyxy_px[:, 2:]) / 2
    np.testing.assert_allclose(middles, centres, atol=1e-3)
