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

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')

from ivf_ros.detection.network import DetectionNetwork  # noqa: E402, I100
from ivf_ros.detection.network_inference import DetectionInference  # noqa: E402
from ivf_ros.nn import weights  # noqa: E402
from ivf_ros.nn.quantization import export_int8  # noqa: E402


@pytest.fixture(scope='module')
def street():
    """Return a simulated street: RGB, and thermal on its grid, both in 8 bits."""
    simulator = RigSimulator(SimulatorParameters(condition='dusk', seed=3))
    thermal, rgb, _ = simulator.pair(60)
    return rgb.image, Agc()(warp(thermal.image, simulator.H_thermal_to_rgb, rgb.size))


@pytest.mark.parametrize('both', [False, True])
def test_the_exported_detector_finds_the_same_boxes(street, tmp_path, both):
    file = tmp_path / 'detector.onnx'
    assert main(['export', 'detection', '--layout', 'common', '--out', str(file),
                 *(['--both'] if both else [])]) == 0
    settings = {'network.precision': 'float32', 'anchor_free.min_score': 0.3}
    network = detection.create('anchor_free', **settings)
    exported = detection.create('onnx', **{'onnx.model': str(file), 'onnx.min_score': 0.3,
                                           'onnx.nms_iou': network.parameters.nms_iou})
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
    assert main(['export', 'segmentation', '--layout', 'common', '--out', str(file),
                 '--size', '320x256', *(['--both'] if both else [])]) == 0
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
    (['fusion', '--precision', 'int8'], 'int8 needs --data'),
    (['fusion', '--layout', 'common'], 'the common layout is for segmentation and detection'),
    (['segmentation', '--layout', 'common', '--size', 'large'],
     "the size must be WIDTHxHEIGHT, got 'large'"),
])
def test_errors_of_the_export_are_one_line(tmp_path, capsys, arguments, message):
    assert main(['export', *arguments, '--out', str(tmp_path / 'x.onnx')]) == 1
    *progress, error = capsys.readouterr().err.splitlines()
    assert message in error and len(progress) <= 1
    assert not (tmp_path / 'x.onnx').exists()


def test_an_exported_network_of_the_user_is_run(tmp_path):
    path = tmp_path / 'own.safetensors'
    torch.manual_seed(0)
    weights.save(DetectionNetwork(3), path, {'network': 'DetectionNetwork', 'seed': 0})
    file = tmp_path / 'own.onnx'
    assert main(['export', 'detection', '--weights', str(path), '--out', str(file)]) == 0
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3)).astype(np.uint8)
    detectors = [detection.create(**{'network.weights': str(name), 'anchor_free.min_score': 0.01})
                 for name in (path, file)]
    assert detectors[1].networks[0].metadata['seed'] == 0
    scores = [[box.score for box in detector.detect(image)] for detector in detectors]
    assert scores[0] and scores[1] == pytest.approx(scores[0], abs=1e-3)


def test_an_int8_network_is_calibrated_and_its_outputs_stay_float(tmp_path):
    torch.manual_seed(0)
    module = DetectionInference(DetectionNetwork(3).eval(), 3)
    path = tmp_path / 'own.int8.onnx'
    images = [np.random.default_rng(seed).integers(0, 256, (64, 96, 3)).astype(np.uint8)
              for seed in range(3)]
    export_int8(module, path, {'precision': 'int8'}, ((image,) for image in images))
    model = onnx.load(path)
    quantized = {output for node in model.graph.node if node.op_type == 'DequantizeLinear'
                 for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    in_float = [node for node in convolutions if node.input[1] not in quantized]
    assert len(in_float) == 8  # the stem, and class_logits and box_distances of three grids
    assert len(convolutions) > 30
    text = path.read_bytes()
    assert b'/ivf_ros/' not in text and b'site-packages' not in text  # no path of this machine
    detector = detection.create(**{'network.weights': str(path), 'anchor_free.min_score': 0.01})
    exact = load_torch_scores(module, images[0])
    scores, _ = detector.networks[0](images[0])
    assert np.abs(scores - exact).max() < 0.02


def load_torch_scores(module, image):
    with torch.inference_mode():
        return module(torch.from_numpy(image))[0].numpy()
