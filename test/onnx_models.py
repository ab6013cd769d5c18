# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes ONNX models with known outputs, for tests of the method ``onnx``."""

from __future__ import annotations

from ivf_ros import detection
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

NAMES = "{0: 'person', 1: 'car'}"
FLOAT, HALF, UINT8 = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8)
IMAGE = np.zeros((480, 640, 3), np.uint8)
# A person of 40 x 80 pixels around (100, 160) of an input of 320 x 320. In an image of 640 x 480,
# which is letterboxed at half the scale with 40 gray rows above, the box is (160, 160, 240, 320).
# In a stretched one, the scale is 1/2 and 2/3.
PERSON_XYWH = (100, 160, 40, 80)
PERSON_EDGES = (80, 120, 120, 200)
LETTERBOXED, STRETCHED, CORNERED = (160, 160, 240, 320), (160, 180, 240, 300), (160, 240, 240, 400)


def write_model(path, outputs, *, names=NAMES, side=320, element_type=FLOAT, shape=None,
                other_inputs=(), **metadata):
    """
    Write a model with constant outputs: the mean of the input is multiplied by zero.

    ``outputs`` is one array, or arrays by name. ``shape`` is that of the input; without it the
    input is ``(1, 3, side, side)``, or of any size if ``side`` is None. ``other_inputs`` are
    (name, element type, shape).
    """
    helper = onnx.helper
    outputs = outputs if isinstance(outputs, dict) else {'output': outputs}
    if shape is None:
        shape = ['batch', 3, 'height', 'width'] if side is None else [1, 3, side, side]
    nodes = [helper.make_node('Cast', ['images'], ['image'], to=FLOAT),
             helper.make_node('ReduceMean', ['image'], ['mean'], keepdims=0),
             helper.make_node('Mul', ['mean', 'zero'], ['nothing'])]
    constants, results = [onnx.numpy_helper.from_array(np.array(0, np.float32), 'zero')], []
    for name, constant in outputs.items():
        is_half = constant.dtype == np.float32 and element_type == HALF
        array = constant.astype(np.float16) if is_half else constant
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes += [helper.make_node('Cast', ['nothing'], [f'{name}_nothing'], to=kind),
                  helper.make_node('Add', [f'{name}_constant', f'{name}_nothing'], [name])]
        constants.append(onnx.numpy_helper.from_array(array, f'{name}_constant'))
        results.append(helper.make_tensor_value_info(name, kind, list(array.shape)))
    inputs = [('images', element_type, shape), *other_inputs]
    graph = helper.make_graph(nodes, 'constant',
                              [helper.make_tensor_value_info(*node) for node in inputs],
                              results, constants)
    save(graph, path, {'names': names, **metadata})
    return str(path)


def save(graph, path, metadata):
    """Save a graph as a model with this metadata; empty values are left out."""
    helper = onnx.helper
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9)
    properties = {name: str(value) for name, value in metadata.items() if value}
    if properties:
        helper.set_model_props(model, properties)
    onnx.save(model, path)


def detector(model, **parameters):
    """Return the detector of a model; ``parameters`` are those of the method."""
    return detection.create('onnx', **{'onnx.model': str(model), **{
        f'onnx.{name}': value for name, value in parameters.items()}})


def layout_of(model_detector):
    """Return the name of the layout that was recognised."""
    return model_detector.summary.split(',')[0].removeprefix('layout ')


def count_cells(side, strides=(8, 16, 32)):
    """Return the number of cells of square grids."""
    return sum((side // stride) ** 2 for stride in strides)


def one_hot(classes, index, score):
    """Return the scores of a box of one class."""
    scores = np.zeros(classes, np.float32)
    scores[index] = score
    return scores


def rows_of(row, count=50, at=7):
    """Return ``(count, F)`` rows of zeros with one other row."""
    rows = np.zeros((count, len(row)), np.float32)
    rows[at] = row
    return rows
