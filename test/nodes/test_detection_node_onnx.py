# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection node with a model of others: what it refuses, and what it says."""

from __future__ import annotations

import numpy as np
from onnx_models import PERSON_EDGES, rows_of, write_model
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402, I100
from ivf_ros.nodes.graph.health import describe_backend  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402


def add_node(live_graph, model):
    return live_graph.add(DetectionNode, parameter_overrides=[
        Parameter('autostart', value=False), Parameter('detection.method', value='onnx'),
        Parameter('detection.onnx.model', value=model)])


def test_a_classifier_fails_to_configure(live_graph, tmp_path):
    node = add_node(live_graph, write_model(tmp_path / 'm.onnx', np.zeros((1, 9), np.float32)))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE


def test_the_layout_is_in_the_diagnostics(live_graph, tmp_path):
    output = rows_of((*PERSON_EDGES, 0.9, 0), 300)[None]
    node = add_node(live_graph, write_model(tmp_path / 'm.onnx', output, end2end='True'))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert describe_backend(node.stage.method)['network'] == \
        'layout end2end, 2 classes, input 320x320 letterbox rgb_1'
