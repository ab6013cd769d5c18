# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exported networks answer in ONNX Runtime as they do in PyTorch."""

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
    """Return a simulated street: RGB, and thermal on its grid, both of 8 bits."""
    simulator = RigSimulator(SimulatorParameters(condition='dusk', seed=3))
    thermal, rgb, _ = simulator.pair(60)
    return rgb.image, Agc()(warp(thermal.image, simulator.H_thermal_to_rgb, rgb.size))


@pytest.mark.parametrize('both', [False, True])
def test_the_exported_detector_finds_what_the_network_finds(street, tmp_path, both):
    file = tmp_path / 'detector.onnx'
    assert main(['export', 'detection', '--out', str(file), *(['--both'] if both else [])]) == 0
    settings = {'network.precision': 'float32', 'anchor_free.min_score': 0.3}
    network = detection.create('anchor_free', **settings)
    exported = detection.create('onnx', **{'onnx.model': str(file), 'onnx.min_score': 0.3,
                                           'onnx.nms_iou': 0.6})
    assert exported.takes_thermal == both
    assert exported.class_names == detection.CLASS_NAMES
    rgb, thermal = street
    given = (rgb, thermal) if both else (rgb,)
    expected, found = network.detect(*given), exported.detect(*given)
    assert expected and [one.class_name for one in found] == [one.class_name for one in expected]
    for one, other in zip(found, expected):
        assert abs(one.score - other.score) < 1e-3
        np.testing.assert_allclose(one.box_xyxy_px, other.box_xyxy_px, atol=0.1)
    if both:
        with pytest.raises(detection.DetectionError, match='got none'):
            exported.detect(rgb)


@pytest.mark.parametrize('both', [False, True])
def test_the_exported_segmenter_labels_as_the_network_labels(street, tmp_path, both):
    file = tmp_path / 'segmenter.onnx'
    assert main(['export', 'segmentation', '--out', str(file), '--size', '320x256',
                 *(['--both'] if both else [])]) == 0
    session = onnxruntime.InferenceSession(str(file))
    names = ast.literal_eval(session.get_modelmeta().custom_metadata_map['names'])
    assert tuple(names.values()) == MFNET_CLASSES
    rgb, thermal = (cv2.resize(image, (320, 256), interpolation=cv2.INTER_AREA)
                    for image in street)
    seen = np.dstack([rgb[..., ::-1], thermal]) if both else rgb[..., ::-1]
    batch = np.ascontiguousarray(seen.transpose(2, 0, 1)[None], np.float32) / 255
    labels, = session.run(None, {'images': batch})
    segmenter = segmentation.create('bilateral', **{
        'network.precision': 'float32', 'bilateral.longer_side_px': 320})
    expected = segmenter.segment(rgb, *([thermal] if both else [])).labels
    assert labels.shape == (1, 256, 320)
    assert (labels[0] == expected).mean() > 0.995  # interpolated in another order
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize('arguments, message', [
    (['detection', '--size', '640x470'], 'multiples of 32, got 640x470'),
    (['detection', '--weights', 'none.safetensors'], 'no weight file at none.safetensors'),
    (['detection', '--weights', 'none.safetensors', '--both'], 'leave out --both'),
    (['segmentation', '--size', 'large'], "a size is WIDTHxHEIGHT, got 'large'"),
])
def test_what_cannot_be_exported_is_told_in_one_line(tmp_path, capsys, arguments, message):
    assert main(['export', *arguments, '--out', str(tmp_path / 'x.onnx')]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    assert not (tmp_path / 'x.onnx').exists()
