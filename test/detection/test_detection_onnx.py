# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""External models in ONNX Runtime: real ONNX files with a known output."""

from __future__ import annotations

import re

import cv2
from hypothesis import given, settings, strategies as st
from ivf_ros import detection
from ivf_ros.cli.main import main
from ivf_ros.detection.onnx import decode_nanodet, letterbox
from ivf_ros.detection.onnx.inputs import fit_image, InputFormat, to_network_inputs
from ivf_ros.detection.onnx.metadata import read_metadata
from ivf_ros.nn.errors import DeviceError, WeightsError
import numpy as np
from onnx_models import (
    detector,
    FLOAT,
    HALF,
    IMAGE,
    LETTERBOXED as PERSON_XYXY,
    onnx,
    PERSON_XYWH,
    rows_of,
    save,
    UINT8,
    write_model,
)
import pytest


def yolov8(scores=(0.9, 0.1)):
    rows = np.zeros((50, 6), np.float32)
    rows[7] = *PERSON_XYWH, *scores
    return rows.T[None]


def yolov5(scores=(0.95, 0.1), objectness=0.8):
    rows = np.zeros((50, 7), np.float32)
    rows[7] = *PERSON_XYWH, objectness, *scores
    return rows[None]


def nanodet(side=320, classes=2):
    """Return a person at cell (12, 20) of the grid of 8 pixels, 20 or 40 pixels to each edge."""
    cells = sum((side // stride) ** 2 for stride in (8, 16, 32, 64))
    rows = np.zeros((1, cells, classes + 32), np.float32)
    cell = 20 * (side // 8) + 12
    rows[0, cell, 0] = 0.7
    for edge, bins in enumerate((2.5, 5.0, 2.5, 5.0)):
        low = int(bins)
        logits = np.full(8, -50.0)
        fraction = bins - low
        logits[low] = np.log(1 - fraction) if fraction < 1 else -50
        logits[low + 1] = np.log(fraction) if fraction else -50
        rows[0, cell, classes + 8 * edge:classes + 8 * (edge + 1)] = logits
    return rows


@pytest.mark.parametrize('output, score', [(yolov8(), 0.9), (yolov5(), 0.76)],
                         ids=['yolov8', 'yolov5'])
def test_boxes_are_in_pixels_of_the_image(tmp_path, output, score):
    [found] = detector(write_model(tmp_path / 'm.onnx', output)).detect(IMAGE)
    assert found.class_name == 'person' and found.score == pytest.approx(score, abs=1e-5)
    assert found.box_xyxy_px == pytest.approx(PERSON_XYXY, abs=1e-3)


def test_nanodet_boxes_are_means_of_distributions(tmp_path):
    [found] = detector(write_model(tmp_path / 'm.onnx', nanodet())).detect(IMAGE)
    assert found.score == pytest.approx(0.7)
    # Cell (12, 20) is at (96, 160) of the input.
    assert found.box_xyxy_px == pytest.approx((152, 160, 232, 320), abs=0.1)


def test_nanodet_of_another_size_is_an_error():
    with pytest.raises(detection.DetectionError, match='cells for 416x416'):
        decode_nanodet(nanodet()[0], 2, (416, 416))


def test_a_model_of_any_size_gets_the_configured_size(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), side=None)
    [found] = detector(model, input_px=320).detect(IMAGE)
    assert found.box_xyxy_px == pytest.approx(PERSON_XYXY, abs=1e-3)
    [large] = detector(model, input_px=640).detect(IMAGE)  # the same box in a larger input
    assert large.box_xyxy_px == pytest.approx((80, 40, 120, 120), abs=1e-3)


def test_half_precision_models_get_half_precision_inputs(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), element_type=HALF)
    [found] = detector(model).detect(IMAGE)
    assert found.score == pytest.approx(0.9, abs=1e-3)


def test_low_scores_are_dropped_and_parameters_are_live(tmp_path):
    onnx_detector = detector(write_model(tmp_path / 'm.onnx', yolov8((0.4, 0.1))), min_score=0.5)
    assert onnx_detector.detect(IMAGE) == []
    onnx_detector.parameters = detection.OnnxParameters(min_score=0.3)
    assert len(onnx_detector.detect(IMAGE)) == 1


def test_class_names_come_from_a_file_if_the_model_has_none(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), names='')
    with pytest.raises(detection.DetectionError, match=r'set onnx\.classes'):
        detector(model)
    (tmp_path / 'names.txt').write_text('pedestrian\n\ncar\n')
    [found] = detector(model, classes=str(tmp_path / 'names.txt')).detect(IMAGE)
    assert found.class_name == 'pedestrian'


@pytest.mark.parametrize('output', [np.zeros((1, 9, 50)), np.zeros((2, 6, 50)), np.zeros((1, 6))])
def test_an_unknown_layout_of_the_output_is_an_error(tmp_path, output):
    model = write_model(tmp_path / 'm.onnx', output.astype(np.float32))
    with pytest.raises(detection.DetectionError, match=r'must be \(1, 6, N\)'):
        detector(model).detect(IMAGE)


def test_a_missing_model_or_provider_is_an_error(tmp_path):
    with pytest.raises(detection.DetectionError, match='must be an ONNX file'):
        detection.create('onnx')
    (tmp_path / 'broken.onnx').write_bytes(b'nothing')
    with pytest.raises(WeightsError, match='no ONNX model'):
        detector(str(tmp_path / 'broken.onnx'))
    model = write_model(tmp_path / 'm.onnx', yolov8())
    with pytest.raises(DeviceError, match="'cuda' is not available: not in this ONNX Runtime"):
        detector(model, provider='cuda')


def test_letterboxing_keeps_the_aspect_ratio_and_centres():
    letterboxed, scale, corner = letterbox(np.full((480, 640, 3), 200, np.uint8), (320, 320))
    assert (scale, corner) == (0.5, (0, 40)) and letterboxed.shape == (320, 320, 3)
    assert (letterboxed[40:280] == 200).all()
    assert (letterboxed[:40] == 114).all() and (letterboxed[280:] == 114).all()


@pytest.mark.parametrize('values, expected', [
    ('rgb_1', (0.4, 0.2, 0.0)), ('bgr_1', (0.0, 0.2, 0.4)), ('rgb_255', (102, 51, 0)),
    ('bgr_255', (0, 51, 102)),
    ('rgb_imagenet', ((0.4 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, -0.406 / 0.225)),
    ('bgr_imagenet', (-0.406 / 0.225, (0.2 - 0.456) / 0.224, (0.4 - 0.485) / 0.229))])
@pytest.mark.parametrize('is_channels_last', [False, True])
def test_values_of_the_input(values, expected, is_channels_last):
    image = np.full((2, 4, 3), (0, 51, 102), np.uint8)
    [array] = to_network_inputs(image, values, InputFormat(
        (4, 2), 3, is_channels_last, True, np.float32, (None,)))
    assert array.dtype == np.float32 and array.flags.c_contiguous
    assert array.shape == ((1, 2, 4, 3) if is_channels_last else (1, 3, 2, 4))
    pixel = array[0, 1, 2] if is_channels_last else array[0, :, 1, 2]
    assert pixel == pytest.approx(expected, abs=1e-5)


def test_thermal_stays_the_last_channel_and_gray_is_one():
    image = np.full((2, 4, 4), (0, 51, 102, 255), np.uint8)
    [array] = to_network_inputs(image, 'rgb_1', InputFormat(
        (4, 2), 4, False, True, np.float32, (None,)))
    assert array[0, :, 0, 0] == pytest.approx((0.4, 0.2, 0, 1))
    [gray] = to_network_inputs(np.full((2, 4, 3), 51, np.uint8), 'rgb_1', InputFormat(
        (4, 2), 1, False, False, np.float16, (None,)))
    assert gray.shape == (1, 2, 4) and gray.dtype == np.float16
    assert gray == pytest.approx(0.2, abs=1e-3)


def write_colour_model(path, element_type=FLOAT, shape=(1, 3, 320, 320), factor=1.0):
    """Write a model whose scores of three classes are the channels of pixel (160, 160)."""
    helper = onnx.helper
    last = shape[-1] == 3
    starts, axes = [160, 160], [1, 2] if last else [2, 3]
    constants = {'starts': np.array(starts), 'ends': np.array(starts) + 1, 'axes': np.array(axes),
                 'factor': np.array(factor, np.float32), 'shape': np.array([1, 3, 1]),
                 'box': np.array(PERSON_XYWH, np.float32).reshape(1, 4, 1)}
    nodes = [helper.make_node('Slice', ['images', 'starts', 'ends', 'axes'], ['pixel']),
             helper.make_node('Cast', ['pixel'], ['floats'], to=FLOAT),
             helper.make_node('Mul', ['floats', 'factor'], ['scaled']),
             helper.make_node('Reshape', ['scaled', 'shape'], ['scores']),
             helper.make_node('Concat', ['box', 'scores'], ['output'], axis=1)]
    graph = helper.make_graph(
        nodes, 'colours', [helper.make_tensor_value_info('images', element_type, shape)],
        [helper.make_tensor_value_info('output', FLOAT, [1, 7, 1])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()])
    save(graph, path, {'names': ['red', 'green', 'blue'], 'task': 'detect'})
    return str(path)


@pytest.mark.parametrize('element_type, shape, factor', [
    (FLOAT, (1, 3, 320, 320), 1.0), (HALF, (1, 3, 320, 320), 1.0),
    (UINT8, (1, 3, 320, 320), 1 / 255), (UINT8, (1, 320, 320, 3), 1 / 255),
    (FLOAT, (1, 320, 320, 3), 1.0)])
def test_a_model_sees_the_colours_of_the_image(tmp_path, element_type, shape, factor):
    model = write_colour_model(tmp_path / 'm.onnx', element_type, shape, factor)
    for colour, bgr in (('red', (0, 51, 204)), ('blue', (204, 51, 0))):
        image = np.full((480, 640, 3), bgr, np.uint8)
        [found] = detector(model).detect(image)
        assert found.class_name == colour and found.score == pytest.approx(0.8, abs=1e-3)
        assert found.box_xyxy_px == pytest.approx(PERSON_XYXY, abs=1e-3)
    swapped = 'bgr_255' if element_type == UINT8 else 'bgr_1'
    [found] = detector(model, input_values=swapped).detect(image)
    assert found.class_name == 'red'


def test_values_that_an_input_cannot_have_are_an_error(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), element_type=UINT8)
    with pytest.raises(detection.DetectionError, match='must be rgb_255 or bgr_255'):
        detector(model, input_values='rgb_1')
    model = write_model(tmp_path / 'n.onnx', yolov8(), shape=[1, 4, 320, 320])
    with pytest.raises(detection.DetectionError, match='is for 3 channels'):
        detector(model, input_values='rgb_imagenet')


@pytest.mark.parametrize('shape, got', [
    ([1, 5, 320, 320], r'\(1, 5, 320, 320\)'), ([4, 3, 320, 320], r'\(4, 3, 320, 320\)'),
    ([1, 1000], r'\(1, 1000\)')])
def test_an_input_that_is_no_image_is_an_error(tmp_path, shape, got):
    with pytest.raises(detection.DetectionError, match=got):
        detector(write_model(tmp_path / 'm.onnx', yolov8(), shape=shape))


@pytest.mark.parametrize('shape', [[1, 3, 320, 320], ['n', 'c', 'h', 'w'], [None, 3, None, None],
                                   [1, 1, 320, 320], ['batch', 'h', 'w', 3]])
def test_axes_may_be_open(tmp_path, shape):
    model = write_model(tmp_path / 'm.onnx', yolov8(), shape=shape)
    [found] = detector(model, input_px=320).detect(IMAGE)
    assert found.box_xyxy_px == pytest.approx(PERSON_XYXY, abs=1e-3)


def test_an_open_size_comes_from_the_metadata_unless_it_is_set(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), side=None, imgsz='[256, 320]')
    assert 'input 320x256' in detector(model).summary
    assert 'input 640x640' in detector(model, input_px=640).summary
    model = write_model(tmp_path / 'n.onnx', yolov8(), side=None)
    assert 'input 640x640' in detector(model).summary
    with pytest.raises(detection.DetectionError, match='must be 0, or at least 32, got 31'):
        detector(model, input_px=31)


def test_a_rectangular_input_is_letterboxed(tmp_path):
    model = write_model(tmp_path / 'm.onnx', yolov8(), shape=[1, 3, 256, 512])
    [found] = detector(model).detect(IMAGE)  # 8 / 15 of the size, 85 columns to the left
    assert found.box_xyxy_px == pytest.approx((0, 225, (120 - 85) * 1.875, 375), abs=1e-3)


def test_a_size_that_the_model_cannot_take_is_a_line(tmp_path):
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node('Reshape', ['images', 'shape'], ['output'])], 'fixed',
        [helper.make_tensor_value_info('images', FLOAT, [1, 3, 'h', 'w'])],
        [helper.make_tensor_value_info('output', FLOAT, [1, 6, 50])],
        [onnx.numpy_helper.from_array(np.array([1, 6, 50]), 'shape')])
    save(graph, tmp_path / 'm.onnx', {'names': ['person', 'car']})
    with pytest.raises(detection.DetectionError, match=r'cannot run on images \(1, 3, 640, 640\)'
                       ) as caught:
        detector(tmp_path / 'm.onnx')
    assert '\n' not in str(caught.value) and 'onnx.input_px' in str(caught.value)


@pytest.mark.parametrize('fit, box', [
    ('letterbox', PERSON_XYXY), ('corner', (160, 240, 240, 400)),
    ('stretch', (160, 180, 240, 300))])
def test_the_fit_may_be_set(tmp_path, fit, box):
    model = write_model(tmp_path / 'm.onnx', yolov8())
    [found] = detector(model, input_fit=fit).detect(IMAGE)
    assert found.box_xyxy_px == pytest.approx(box, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(width=st.integers(200, 900), height=st.integers(200, 900),
       size=st.sampled_from([(320, 320), (640, 352), (96, 416)]),
       fit=st.sampled_from(['letterbox', 'corner', 'stretch']))
def test_a_bright_square_is_where_the_scale_and_the_offset_say(width, height, size, fit):
    image = np.zeros((height, width, 3), np.uint8)
    left, top = width // 4, height // 3
    image[top:top + height // 3, left:left + width // 2] = 255
    fitted, scale, offset_px = fit_image(image, size, fit)
    assert fitted.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(fitted[..., 0] > 200)
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    edges = np.array([left, top, left + width // 2, top + height // 3])
    expected = edges * np.tile(scale, 2) + np.tile(offset_px, 2)
    np.testing.assert_allclose(found, expected, atol=1 + 0.5 * max(1, *scale))


def test_metadata_of_exporters():
    read = read_metadata({'names': "{0: 'a', 1: 'b'}", 'task': 'pose', 'kpt_shape': '[17, 3]',
                          'imgsz': [480, 640], 'end2end': 'False', 'args': "{'nms': True}"})
    assert (read.class_names, read.task, read.keypoint_values) == (('a', 'b'), 'pose', 51)
    assert read.size == (640, 480) and read.is_end2end is True
    assert read_metadata({'end2end': False}).is_end2end is False
    assert read_metadata({'args': "{'nms': False}"}).is_end2end is None
    for names in ({'0': 'a', '1': 'b'}, ['a', 'b'], '["a", "b"]'):  # JSON is decoded before
        assert read_metadata({'names': names}).class_names == ('a', 'b')
    for names in ("{1: 'a'}", 'nonsense', 7, '', '{'):
        assert read_metadata({'names': names}).class_names == ()
    assert read_metadata({'names': "{0: 'a'}", 'kpt_shape': 'x', 'imgsz': '(0,)'}) \
        == read_metadata({'names': ['a']})


@pytest.mark.parametrize('content, reason', [(b'\n\n', 'has none'), (b'\xff\xfe', 'no text')])
def test_a_file_without_names_is_an_error(tmp_path, content, reason):
    (tmp_path / 'names.txt').write_bytes(content)
    model = write_model(tmp_path / 'm.onnx', yolov8())
    with pytest.raises(detection.DetectionError, match=reason):
        detector(model, classes=str(tmp_path / 'names.txt'))


def test_the_command_says_what_was_recognised(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / 'image.png'), IMAGE)
    model = write_model(tmp_path / 'm.onnx', rows_of((80, 120, 120, 200, 0.9, 0), 300)[None],
                        names="{0: 'person'}", end2end='True')
    assert main(['detect', str(tmp_path / 'image.png'), '--method', 'onnx', '--set',
                 f'onnx.model={model}']) == 0
    captured = capsys.readouterr()
    assert captured.out == 'person 0.90 160.0 160.0 240.0 320.0\n'
    assert re.fullmatch(r'm\.onnx: layout end2end, 1 class, input 320x320 letterbox rgb_1\n',
                        captured.err)
