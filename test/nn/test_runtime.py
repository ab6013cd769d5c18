# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The networks of the package give the same outputs in ONNX Runtime as in PyTorch."""

from __future__ import annotations

import gc
from itertools import product
from pathlib import Path
import weakref

from ivf_ros import detection, fusion, segmentation
from ivf_ros.detection import anchor_free
from ivf_ros.fusion import learned
from ivf_ros.nn import inference, weights
from ivf_ros.nn.errors import DeviceError, WeightsError
from ivf_ros.nn.runtime import INT8_SUFFIX, load_network
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.perception import method as joint
from ivf_ros.registration import fast
from ivf_ros.registration.dfa.registrar import DfaParameters, package_weights
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.segmentation import bilateral
import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnxruntime = pytest.importorskip('onnxruntime')

from ivf_ros.detection.network_inference import load_module as load_detector  # noqa: E402, I100
from ivf_ros.fusion.network_inference import load_module as load_fusion  # noqa: E402
from ivf_ros.perception.network_inference import load_module as load_perception  # noqa: E402
from ivf_ros.registration.dfa.network_inference import load_module as load_dfa  # noqa: E402
from ivf_ros.registration.network_inference import load_module as load_fast  # noqa: E402
from ivf_ros.segmentation.network_inference import load_module as load_segmenter  # noqa: E402

SIZE = 96, 160  # another one than that of the export


def image(channels=0, seed=0):
    shape = (*SIZE, channels) if channels else SIZE
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def registration_input(is_thermal):
    return normalized_input(image(seed=1)), np.array(is_thermal)


NETWORKS = {
    **{f'fusion {method}': (learned.WEIGHTS / method,
                            lambda path, method=method: load_fusion(method, path),
                            (image(), image(seed=1))) for method in fusion.settings.LEARNED},
    'perception': (joint.WEIGHTS, load_perception, (image(3),)),
    'perception both': (joint.RGBT_WEIGHTS, load_perception, (image(4),)),
    'detection': (anchor_free.WEIGHTS, load_detector, (image(3),)),
    'detection both': (anchor_free.RGBT_WEIGHTS, load_detector, (image(4),)),
    'segmentation': (bilateral.WEIGHTS, load_segmenter, (image(3),)),
    'segmentation both': (bilateral.RGBT_WEIGHTS, load_segmenter, (image(4),)),
    **{f'registration fast {is_thermal}': (fast.WEIGHTS, load_fast,
                                           registration_input(is_thermal))
       for is_thermal in (False, True)},
    **{f'registration dfa {sfm} {fem}': (
        package_weights(DfaParameters(sfm=sfm, fem=fem)),
        lambda path, sfm=sfm, fem=fem: load_dfa(path, sfm=sfm, fem=fem), registration_input(True))
       for sfm, fem in product((False, True), repeat=2)},
}


@pytest.mark.parametrize('name', NETWORKS)
def test_both_engines_give_the_same_outputs(name):
    path, load_module, inputs = NETWORKS[name]
    with_torch, with_onnx = (
        load_network(path, load_module, (), NetworkParameters(engine=engine,
                                                              precision='float32'))
        for engine in ('torch', 'onnxruntime'))
    for actual, expected in zip(with_onnx(*inputs), with_torch(*inputs), strict=True):
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        # The files hold float16: PyTorch folds batch normalisation after that, the export before.
        tolerance = 1 if expected.dtype == np.uint8 else 5e-3 * np.abs(expected).max()
        assert np.abs(actual.astype(float) - expected).max() <= tolerance


IN_INT8 = [name for name, (path, *_) in NETWORKS.items()
           if Path(f'{path}{INT8_SUFFIX}').is_file()]


def test_the_networks_of_the_default_methods_have_int8_files():
    assert {name.split()[0] for name in IN_INT8} == {'fusion', 'perception', 'detection',
                                                     'segmentation', 'registration'}
    assert len(IN_INT8) == 9


@pytest.mark.parametrize('name', IN_INT8)
def test_int8_is_close_to_float32_and_the_metadata_are_those_of_the_weights(name):
    path, load_module, inputs = NETWORKS[name]
    exact, quick = (load_network(path, load_module, (), NetworkParameters(precision=precision))
                    for precision in ('float32', 'int8'))
    expected_metadata = weights.metadata(Path(f'{path}.safetensors'))
    for network, precision in ((exact, 'float32'), (quick, 'int8')):
        assert network.placement.precision == network.metadata['precision'] == precision
        assert network.metadata.items() >= expected_metadata.items()
    for actual, expected in zip(quick(*inputs), exact(*inputs), strict=True):
        assert actual.shape == expected.shape and actual.dtype == expected.dtype
        deviation = np.sqrt(np.mean((actual.astype(float) - expected) ** 2))
        assert deviation <= 0.15 * np.sqrt(np.mean(expected.astype(float) ** 2)) + 1e-4


def test_a_network_is_loaded_once_while_it_is_in_use():
    first = detection.create()
    second = detection.create(**{'anchor_free.min_score': 0.9})
    assert first.networks == second.networks
    other = detection.create(**{'network.threads': 2})
    assert other.networks[0] is not first.networks[0]
    freed = weakref.ref(other.networks[0])
    del other
    gc.collect()
    assert freed() is None


def test_the_suffix_of_a_file_determines_the_engine(tmp_path):
    with pytest.raises(WeightsError, match=r'\.onnx or \.safetensors, got weights.pt'):
        segmentation.create(**{'network.weights': 'weights.pt'})
    file = f'{bilateral.WEIGHTS}.safetensors'
    with pytest.raises(WeightsError, match=r'needs a \.onnx file, got .*; ivf export'):
        segmentation.create(**{'network.weights': file, 'network.engine': 'onnxruntime'})
    with pytest.raises(WeightsError, match=r"engine 'torch' needs a \.safetensors file"):
        segmentation.create(**{'network.weights': 'a.onnx', 'network.engine': 'torch'})
    segmenter = segmentation.create(**{'network.weights': file})
    assert str(segmenter.networks[0].placement) == 'cpu float32 (cuda: PyTorch finds no GPU)'
    exported = segmentation.create(**{'network.weights': f'{bilateral.WEIGHTS}.int8.onnx'})
    assert exported.networks[0].placement.precision == 'int8' and not exported.takes_thermal


@pytest.mark.parametrize('content, message', [
    (None, 'no weight file at'), (b'nothing', 'is no ONNX model')])
def test_a_missing_or_damaged_file_is_an_error(tmp_path, content, message):
    path = tmp_path / 'network.onnx'
    if content:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        fusion.create(**{'network.weights': str(path)})


def test_a_file_of_another_network_is_an_error():
    weights_file = f'{bilateral.WEIGHTS}.onnx'
    with pytest.raises(WeightsError, match='its outputs are logits, needed are fused'):
        fusion.create(**{'network.weights': weights_file})
    with pytest.raises(WeightsError, match='needed are scores, boxes_px'):
        detection.create(**{'network.weights': weights_file})


@pytest.mark.parametrize('device, precision, has_cuda, expected', [
    ('auto', 'auto', False, 'cpu float32 (cuda: PyTorch finds no GPU)'),
    ('auto', 'auto', True, 'cuda float16'), ('cuda', 'float32', True, 'cuda float32'),
    ('cpu', 'auto', True, 'cpu float32')])
def test_the_engine_torch_has_cpu_and_cuda(device, precision, has_cuda, expected):
    assert str(inference.choose_placement(device, precision, has_cuda)) == expected


@pytest.mark.parametrize('device, precision, has_cuda, message', [
    ('cuda', 'auto', False, "has device cpu here, got 'cuda'"),
    ('openvino', 'auto', True, "cpu, cuda here, got 'openvino'"),
    ('cpu', 'int8', False, "on cpu has precision float32, got 'int8'")])
def test_other_devices_and_precisions_of_the_engine_torch_are_errors(device, precision, has_cuda,
                                                                     message):
    with pytest.raises(DeviceError, match=message):
        inference.choose_placement(device, precision, has_cuda)
