# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Models of strangers are refused in one line, in bounded time, or work."""

from __future__ import annotations

import json
import os
import time

from ivf_ros.detection import DetectionError
from ivf_ros.detection.onnx.metadata import MAX_CLASSES, MAX_NAME_CHARACTERS
from ivf_ros.nn import runtime
from ivf_ros.nn.errors import WeightsError
import numpy as np
from onnx_models import (
    detector,
    FLOAT,
    IMAGE,
    layout_of,
    onnx,
    PERSON_EDGES,
    rows_of,
    save,
    write_model,
)
import pytest

ROWS = rows_of((*PERSON_EDGES, 0.9, 0))[None]  # of the layout end2end
DEEP = '[' * 50_000 + ']' * 50_000


def check_refused(model, words, **parameters):
    start_s = time.monotonic()
    with pytest.raises((DetectionError, WeightsError), match=words) as caught:
        detector(model, **parameters)
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 1000
    assert time.monotonic() - start_s < 30


@pytest.mark.parametrize('names, words', [
    (str({0: 'x' * 100_000, 1: 'car'}), 'a class name of 100000 characters, and at most 200'),
    (str([f'class {number}' for number in range(MAX_CLASSES + 1)]),
     'has 10001 class names, and at most 10000'),
    ('x' * 100_000, 'has no class names'),
    (DEEP, 'has no class names'),
    (f'{{0: {DEEP}}}', 'has no class names'),
    ('{' * 50_000, 'has no class names'),
    ('-' * 100_000 + '1', 'has no class names'),
    ('(' * 100_000, 'has no class names'),
    ('9' * 100_000, 'has no class names'),
    ('{1e999: "a"}', 'has no class names'),
    (json.dumps({'0': [[['a']]]}), 'has no class names')])
def test_class_names_have_limits(names, words, tmp_path):
    check_refused(write_model(tmp_path / 'model.onnx', ROWS, names=names), words)


def test_class_names_at_the_limits_are_accepted(tmp_path):
    names = ['x' * MAX_NAME_CHARACTERS, *(f'class {number}' for number in range(MAX_CLASSES - 1))]
    model = detector(write_model(tmp_path / 'model.onnx', ROWS, names=str(names)))
    assert layout_of(model) == 'end2end' and len(model.detect(IMAGE)) == 1


@pytest.mark.parametrize('lines, words', [
    ('x' * 201, 'a class name of 201 characters'), ('a\n' * 10_001, 'has 10001 class names'),
    ('a' * (9 << 20), 'at most 8388608 are read')])
def test_class_files_have_limits(lines, words, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text(lines)
    check_refused(write_model(tmp_path / 'model.onnx', ROWS), words, classes=str(names))


def test_a_pipe_is_no_class_file_and_no_model(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    check_refused(write_model(tmp_path / 'model.onnx', ROWS), 'a named pipe',
                  classes=str(tmp_path / 'pipe'))
    check_refused(str(tmp_path / 'pipe'), 'must be an ONNX file')


@pytest.mark.parametrize('name', ['imgsz', 'kpt_shape', 'nms', 'end2end', 'head',
                                  'description', 'args'])
@pytest.mark.parametrize('value', [
    DEEP, '[' * 500 + ']' * 500, 'x' * 100_000, str([10 ** 4000] * 200), '1e999', '-5',
    '{"nms": [[[]]]}', str(list(range(100_000)))])
def test_other_metadata_may_be_anything(name, value, tmp_path):
    model = detector(write_model(tmp_path / 'model.onnx', ROWS, **{name: value}))
    assert layout_of(model) == 'end2end'


def test_a_task_of_any_length_is_refused_in_one_line(tmp_path):
    check_refused(write_model(tmp_path / 'model.onnx', ROWS, task='x' * 100_000),
                  "it is for the task 'x{80}';")


@pytest.mark.parametrize('metadata', [{'imgsz': '[100000, 100000]'}, {'imgsz': str(10 ** 30)}])
def test_sizes_of_the_metadata_have_a_limit(metadata, tmp_path):
    check_refused(write_model(tmp_path / 'model.onnx', ROWS, side=None, **metadata),
                  'at most 4096 pixels a side')


@pytest.mark.parametrize('shape, words', [
    ([1, 3, 100_000, 100_000], 'elements, and at most 268435456'),
    ([1, 3, 1, 8192], 'at most 4096 pixels a side'),
    ([1, 3, 2 ** 62, 2 ** 62], 'elements, and at most'),
    ([1, 2 ** 40, 'h', 'w'], 'elements, and at most'),
    ([2 ** 20, 3, 64, 64], 'elements, and at most'),
    ([64, 3, 64, 64], 'export the model for a batch of 1'),
    ([], 'a detector has an image'),
    (['a'] * 40, 'a detector has an image')])
def test_absurd_inputs_are_refused(shape, words, tmp_path):
    check_refused(write_model(tmp_path / 'model.onnx', ROWS, shape=shape), words)


def test_an_endless_loop_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, 'MAX_FIRST_RUN_S', 1.0)
    helper = onnx.helper
    true = onnx.numpy_helper.from_array(np.array(True), 'true')
    trips = onnx.numpy_helper.from_array(np.array(2 ** 62, np.int64), 'trips')
    body = helper.make_graph(
        [helper.make_node('Identity', ['go'], ['going']),
         helper.make_node('Add', ['x', 'one'], ['y'])], 'body',
        [helper.make_tensor_value_info('number', onnx.TensorProto.INT64, []),
         helper.make_tensor_value_info('go', onnx.TensorProto.BOOL, []),
         helper.make_tensor_value_info('x', FLOAT, [])],
        [helper.make_tensor_value_info('going', onnx.TensorProto.BOOL, []),
         helper.make_tensor_value_info('y', FLOAT, [])],
        [onnx.numpy_helper.from_array(np.array(1, np.float32), 'one')])
    graph = helper.make_graph(
        [helper.make_node('ReduceMean', ['images'], ['mean'], keepdims=0),
         helper.make_node('Loop', ['trips', 'true', 'mean'], ['last'], body=body)], 'endless',
        [helper.make_tensor_value_info('images', FLOAT, [1, 3, 320, 320])],
        [helper.make_tensor_value_info('last', FLOAT, [])], [true, trips])
    save(graph, tmp_path / 'model.onnx', {'names': "{0: 'a'}"})
    check_refused(str(tmp_path / 'model.onnx'), 'terminate.*check the model')


def test_a_model_that_answers_nan_is_refused(tmp_path):
    path = tmp_path / 'model.onnx'
    rows = ROWS.copy()
    rows[0, 7, 4] = -1
    model = onnx.load(write_model(path, rows))
    root = onnx.helper.make_node('Sqrt', ['raw'], ['output'])
    next(node for node in model.graph.node if node.output[0] == 'output').output[0] = 'raw'
    model.graph.node.append(root)
    onnx.save(model, path)
    check_refused(str(path), "the output 'output' is not finite")
