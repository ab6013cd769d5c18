# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""External models in ONNX Runtime: real ONNX files with a known output."""

from __future__ import annotations

from ivf_ros import detection
from ivf_ros.detection.onnx import decode_nanodet, letterbox
from ivf_ros.nn.errors import DeviceError, WeightsError
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

NAMES = "{0: 'person', 1: 'car'}"
IMAGE = np.zeros((480, 640, 3), np.uint8)


def write_model(path, output, *, names=NAMES, side=320, element_type=onnx.TensorProto.FLOAT):
    """Write a model with a constant output: the mean of the input is multiplied by zero."""
    helper = onnx.helper
    dtype = helper.tensor_dtype_to_np_dtype(element_type)
    shape = ['batch', 3, 'height', 'width'] if side is None else [1, 3, side, side]
    nodes = [
        helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0),
        helper.make_node('Mul', ['mean', 'zero'], ['nothing']),
        helper.make_node('Add', ['constant', 'nothing'], ['output'])]
    graph = helper.make_graph(
        nodes, 'constant', [helper.make_tensor_value_info('images', element_type, shape)],
        [helper.make_tensor_value_info('output', element_type, list(output.shape))],
        [onnx.numpy_helper.from_array(output.astype(dtype), 'constant'),
         onnx.numpy_helper.from_array(np.array(0, dtype), 'zero')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    if names:
        helper.set_model_props(model, {'names': names})
    onnx.save(model, path)
    return str(path)


def detector(model, **parameters):
    return detection.create('onnx', **{'onnx.model': model, **{
        f'onnx.{name}': value for name, value in parameters.items()}})


# A person of 40 x 80 pixels around (100, 160) of the input, which is (200, 240) of 640 x 480:
# half the scale, and 40 gray rows above.
PERSON_XYWH, PERSON_XYXY = (100, 160, 40, 80), (160, 160, 240, 320)


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
    model = write_model(tmp_path / 'm.onnx', yolov8(), element_type=onnx.TensorProto.FLOAT16)
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
