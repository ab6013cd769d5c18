# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported networks give the same results in ONNX Runtime as in PyTorch."""

from __future__ import annotations

import ast

import cv2
from ivf_ros import detection, segmentation
from ivf_ros.cli import main
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.geometry import warp
from ivf_ros.thermal import Agc
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def street():
    """Return a simulated street: RGB, and thermal on its grid, both in 8 bits."""
    simulator = RigSimulator(SimulatorParameters(condition='dusk', seed=3))
    thermal, rgb, _ = simulator.pair(60)
    return rgb.image, Agc()(warp(thermal.image, simulator.H_thermal_to_rgb, rgb.size))


@pytest.mark.parametrize('both', [False, True])
def test_the_exported_detector_finds_the_same_boxes(street, tmp_path, both):
    file = tmp_path / 'detector.onnx'
    assert main(['export', 'detection', '--layout', 'common', '--out', str(file), *(['--both'] if both else [])]) == 0
    settings = {'network.precision': 'float32', 'anchor_free.min_score': 0.3}
    network = detection.create('anchor_free', **settings)
    exported = detection.create('onnx', **{'onnx.model': str(file), 'onnx.min_score': 0.3,
                                           'onnx.nms_iou': 0.6})
    assert exported.takes_thermal == both
    assert exported.class_names == detection.CLASS_NAMES
    rgb, thermal = street
    images = (rgb, thermal) if both else (rgb,)
    expected, found = network.detect(*images), exported.detect(*images)
    assert expected and [box.class_name for box in found] == [box.class_name for box in expected]
    for box, expected_box in zip(found, expected):
        assert abs(box.score - expected_box.score) < 1e-3
        np.testing.assert_allclose(box.box_xyxy_px, expected_box.box_xyxy_px, atol=0.1)
    if both:
        with pytest.raises(detection.DetectionError, match='got none'):
            exported.detect(rgb)


@pytest.mark.parametrize('both', [False, True])
def test_the_exported_segmenter_gives_the_same_labels(street, tmp_path, both):
    file = tmp_path / 'segmenter.onnx'
    assert main(['export', 'segmentation', '--layout', 'common', '--out', str(file), '--size', '320x256',
                 *(['--both'] if both else [])]) == 0
    session = onnxruntime.InferenceSession(str(file))
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map['names'])
    assert tuple(names.values()) == MFNET_CLASSES
    rgb, thermal = (cv2.resize(image, (320, 256), interpolation=cv2.INTER_AREA)
                    for image in street)
    stacked = np.dstack([rgb[..., ::-1], thermal]) if both else rgb[..., ::-1]
    batch = np.ascontiguousarray(stacked.transpose(2, 0, 1)[None], np.float32) / 255
    labels, = session.run(None, {'images': batch})
    segmenter = segmentation.create('bilateral', **{
        'network.precision': 'float32', 'bilateral.longer_side_px': 320})
    expected = segmenter.segment(rgb, *([thermal] if both else [])).labels
    assert labels.shape == (1, 256, 320)
    assert (labels[0] == expected).mean() > 0.995  # the order of the interpolation differs
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize('arguments, message', [
    (['detection', '--layout', 'common', '--size', '640x470'], 'multiples of 32, got 640x470'),
    (['detection', '--weights', 'none.safetensors'], 'no weight file at none.safetensors'),
    (['detection', '--weights', 'none.safetensors', '--both'], 'leave out --both'),
    (['segmentation', '--layout', 'common', '--size', 'large'], "the size must be WIDTHxHEIGHT, got 'large'"),
])
def test_errors_of_the_export_are_one_line(tmp_path, capsys, arguments, message):
    assert main(['export', *arguments, '--out', str(tmp_path / 'x.onnx')]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert not (tmp_path / 'x.onnx').exists()
