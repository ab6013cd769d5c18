# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weight files that are damaged, hostile or of a failed training are refused in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
import struct
import time

from ivf_ros import detection, fusion, perception, registration, segmentation
from ivf_ros.detection import anchor_free
from ivf_ros.fusion import learned
from ivf_ros.nn import onnx_file
from ivf_ros.nn.errors import InferenceError, WeightsError
from ivf_ros.nn.onnx_file import check_onnx
from ivf_ros.nn.runtime import check_answers, load_file, Network, NetworkInput
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.perception import method as joint
from ivf_ros.registration import fast
from ivf_ros.registration.dfa.registrar import DfaParameters, package_weights
from ivf_ros.segmentation import bilateral
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
helper, numpy_helper = onnx.helper, onnx.numpy_helper

# The files of each network without suffix, and how a node makes it.
NETWORKS = {
    'fusion': (learned.WEIGHTS / 'fast', lambda **values: fusion.create('fast', **values)),
    'seafusion': (learned.WEIGHTS / 'seafusion',
                  lambda **values: fusion.create('seafusion', **values)),
    'perception': (joint.RGBT_WEIGHTS, perception.create),
    'detection': (anchor_free.WEIGHTS, detection.create),
    'segmentation': (bilateral.WEIGHTS, segmentation.create),
    'registration fast': (fast.WEIGHTS, lambda **values: registration.create('fast', **values)),
    'registration dfa': (package_weights(DfaParameters()),
                         lambda **values: registration.create('dfa', **values)),
}
FLOAT = onnx.TensorProto.FLOAT


def change_largest(model, change):
    """Change the values of the largest floating tensor of a model in place."""
    tensors = [tensor for tensor in model.graph.initializer
               if tensor.data_type in (FLOAT, onnx.TensorProto.FLOAT16)]
    tensor = max(tensors, key=lambda tensor: numpy_helper.to_array(tensor).size)
    values = numpy_helper.to_array(tensor).copy()
    change(values)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def set_last(value):
    def change(values):
        values.flat[-1] = value
    return change


def check_refused(create, path, words):
    """Check that a weight file is an error of one line that names it."""
    with pytest.raises(WeightsError, match=words) as caught:
        create(**{'network.weights': str(path)})
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('suffix', ['.onnx', '.int8.onnx', '.safetensors'])
@pytest.mark.parametrize('name', NETWORKS)
def test_weights_that_are_not_finite_are_refused(name, suffix, value, tmp_path):
    weights, create = NETWORKS[name]
    original, path = Path(f'{weights}{suffix}'), tmp_path / f'network{suffix}'
    if not original.is_file():
        pytest.skip(f'{name} has no {suffix} file')
    if suffix == '.safetensors':
        torch = pytest.importorskip('torch')
        from safetensors.torch import load_file as load_tensors, save_file
        tensors = load_tensors(original)
        max(tensors.values(), key=torch.Tensor.numel).view(-1)[-1] = value
        save_file(tensors, path)
    else:
        model = onnx.load(original)
        change_largest(model, set_last(value))
        onnx.save(model, path)
    check_refused(create, path, 'are not finite')


@pytest.mark.parametrize('factor, is_dead', [(0, True), (1, False)])
def test_a_fusion_that_gives_one_gray_is_refused(factor, is_dead, tmp_path):
    uint8, path = onnx.TensorProto.UINT8, tmp_path / 'network.onnx'
    graph = helper.make_graph(
        [helper.make_node('Mul', ['thermal', 'factor'], ['product']),
         helper.make_node('Add', ['product', 'gray'], ['fused'])], 'fusion',
        [helper.make_tensor_value_info(name, uint8, ['rows', 'columns'])
         for name in ('thermal', 'luma')],
        [helper.make_tensor_value_info('fused', uint8, ['rows', 'columns'])],
        [numpy_helper.from_array(np.array(value, np.uint8), name)
         for name, value in (('factor', factor), ('gray', 40))])
    path.write_bytes(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9).SerializeToString())
    if is_dead:
        check_refused(fusion.create, path, "the output 'fused' does not depend on the image")
    else:
        assert fusion.create(**{'network.weights': str(path)})


# Without weights, the fusion network gives the mean of both images.
@pytest.mark.parametrize('name', [name for name in NETWORKS if name != 'fusion'])
def test_a_network_without_an_answer_is_refused(name, tmp_path):
    weights, create = NETWORKS[name]
    model, path = onnx.load(f'{weights}.onnx'), tmp_path / 'network.onnx'
    for tensor in model.graph.initializer:
        if tensor.data_type in (FLOAT, onnx.TensorProto.FLOAT16):
            values = numpy_helper.to_array(tensor)
            if values.size >= 16:  # smaller ones are factors of sizes
                tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(values), tensor.name))
    onnx.save(model, path)
    check_refused(create, path, 'does not depend on the image')


def test_both_inputs_of_a_flag_are_tried():
    def run(inputs):
        image, is_thermal = inputs
        return [np.where(is_thermal, image, 0)]

    inputs = (NetworkInput('image', (2, None, 'columns'), 'tensor(float)'),
              NetworkInput('is_thermal', (), 'tensor(bool)'))
    network = Network(Path('n.onnx'), None, inputs, ('map',), {}, run)
    with pytest.raises(WeightsError, match="the output 'map' does not depend on the image"):
        check_answers(network)


@pytest.mark.parametrize('value, allows_infinity, is_error', [
    (np.nan, False, True), (np.inf, False, True), (np.nan, True, True), (np.inf, True, False),
    (0.0, False, False)])
def test_an_answer_that_is_not_finite_is_an_error(value, allows_infinity, is_error):
    def run(inputs):
        return [np.array([1.0, value]), np.array([1, 2])]

    network = Network(Path('n.onnx'), None, (), ('map', 'count'), {}, run, allows_infinity)
    if is_error:
        with pytest.raises(InferenceError, match=r"n\.onnx: the output 'map' is not finite"):
            network()
    else:
        assert network()[0][1] == value


# Files that are no network


@pytest.mark.parametrize('suffix', ['.onnx', '.safetensors'])
@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder', 'empty', 'cut', 'noise'])
def test_other_files_are_refused_at_once(name, suffix, kind, tmp_path):
    weights, create = NETWORKS[name]
    content = Path(f'{weights}{suffix}').read_bytes()
    path = tmp_path / f'network{suffix}'
    if suffix == '.safetensors':
        pytest.importorskip('torch')
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'folder':
        path.mkdir()
    else:
        path.write_bytes({'empty': b'', 'cut': content[:len(content) // 2],
                          'noise': np.random.default_rng(0).bytes(100_000)}[kind])
    check_refused(create, path, {
        'pipe': 'a named pipe', 'device': 'a device', 'folder': 'a folder'}.get(
            kind, 'is no weight file|is no ONNX model|is a damaged ONNX model'))


@pytest.mark.parametrize('length', [2 ** 32, 2 ** 63, 2 ** 64 - 1, 0])
def test_a_safetensors_header_of_any_length_is_refused(length, tmp_path):
    pytest.importorskip('torch')
    path = tmp_path / 'network.safetensors'
    path.write_bytes(struct.pack('<Q', length) + b'{}' * 100)
    check_refused(fusion.create, path, 'is no weight file')


def test_deep_metadata_of_a_weight_file_are_refused(tmp_path):
    torch = pytest.importorskip('torch')
    from ivf_ros.nn import weights
    from safetensors.torch import save_file
    path = tmp_path / 'network.safetensors'
    save_file({'a': torch.zeros(1)}, path, {'scores': '[' * 100_000})
    with pytest.raises(WeightsError, match='is no weight file'):
        weights.metadata(path)


def test_weights_of_another_network_or_architecture_are_refused(tmp_path):
    pytest.importorskip('torch')
    other = Path(f'{bilateral.WEIGHTS}.safetensors')
    for name in ('fusion', 'detection', 'perception', 'registration fast', 'registration dfa'):
        check_refused(NETWORKS[name][1], other, 'of another network|of this network')


# Models of others


def make_model(path, *, nodes=(), initializers=(), functions=(), domains=(), properties=None):
    """Write a model whose output is its input, beside further nodes."""
    image = helper.make_tensor_value_info('images', FLOAT, [1, 3, 32, 32])
    output = helper.make_tensor_value_info('output', FLOAT, [1, 3, 32, 32])
    graph = helper.make_graph([helper.make_node('Identity', ['images'], ['output']), *nodes],
                              'graph', [image], [output], list(initializers))
    imports = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in ('', *domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9,
                              functions=list(functions))
    if properties:
        helper.set_model_props(model, properties)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize('dtype', [FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16,
                                   onnx.TensorProto.BFLOAT16])
@pytest.mark.parametrize('raw', [False, True])
@pytest.mark.parametrize('value, is_finite', [
    (np.nan, False), (np.inf, False), (-np.inf, False), (-1.5, True), (3e4, True), (0.0, True)])
def test_weights_of_every_type_and_form_are_read(dtype, raw, value, is_finite, tmp_path):
    values = np.array([0.5, value, -0.25], np.float32)
    if raw:
        tensor = helper.make_tensor('w', dtype, [3], {
            FLOAT: values, onnx.TensorProto.DOUBLE: values.astype(np.float64),
            onnx.TensorProto.FLOAT16: values.astype(np.float16),
            onnx.TensorProto.BFLOAT16: (values.view(np.uint32) >> 16).astype(np.uint16),
        }[dtype].tobytes(), raw=True)
    else:
        tensor = helper.make_tensor('w', dtype, [3], values)
    constant = helper.make_node('Constant', [], ['c'], value=tensor)
    in_branch = helper.make_node('If', ['b'], ['d'], then_branch=helper.make_graph(
        [constant], 'then', [], [helper.make_tensor_value_info('c', dtype, [3])]))
    for content in ({'initializers': [tensor]}, {'nodes': [constant]}, {'nodes': [in_branch]}):
        path = make_model(tmp_path / 'model.onnx', **content)
        if is_finite:
            check_onnx(path)
        else:
            with pytest.raises(WeightsError, match="the weights 'w' are not finite"):
                check_onnx(path)
            if np.isinf(value):
                check_onnx(path, allows_infinity=True)
            else:
                with pytest.raises(WeightsError, match='are not finite'):
                    check_onnx(path, allows_infinity=True)


def external(location, **place):
    tensor = onnx.TensorProto(name='w', data_type=FLOAT, dims=[2],
                              data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {'location': location, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.mark.parametrize('location', ['/etc/passwd', '../secret', 'sub/../../secret', 'link', '',
                                      '..'])
def test_weights_outside_of_the_folder_are_not_read(location, tmp_path):
    folder = tmp_path / 'models'
    folder.mkdir()
    (tmp_path / 'secret').write_bytes(bytes(8))
    (folder / 'link').symlink_to(tmp_path / 'secret')
    path = make_model(folder / 'model.onnx', initializers=[external(location)])
    with pytest.raises(WeightsError, match='outside of its folder'):
        load_file(path, NetworkParameters(device='cpu'))


def test_weights_in_a_file_of_the_folder_are_checked(tmp_path):
    path = make_model(tmp_path / 'model.onnx', initializers=[external('w.bin', offset=4)])
    with pytest.raises(WeightsError, match='No such file'):
        check_onnx(path)
    (tmp_path / 'w.bin').write_bytes(np.array([np.nan, 1, 2], np.float32).tobytes())
    check_onnx(path)
    (tmp_path / 'w.bin').write_bytes(np.array([0, 1, np.nan], np.float32).tobytes())
    with pytest.raises(WeightsError, match='are not finite'):
        check_onnx(path)
    for place in ({'offset': 4, 'length': 12}, {'offset': 99}, {'offset': -1}, {'length': -4},
                  {'offset': 'a'}):
        make_model(path, initializers=[external('w.bin', **place)])
        with pytest.raises(WeightsError, match='is a damaged ONNX model'):
            check_onnx(path)
    make_model(path, initializers=[external('w.pipe')])
    os.mkfifo(tmp_path / 'w.pipe')
    with pytest.raises(WeightsError, match='a named pipe'):
        check_onnx(path)


def test_the_files_of_a_model_have_a_limit_together(tmp_path, monkeypatch):
    path = make_model(tmp_path / 'model.onnx', initializers=[external('w.bin')])
    (tmp_path / 'w.bin').write_bytes(bytes(8))
    size = path.stat().st_size
    monkeypatch.setattr(onnx_file, 'MAX_BYTES', size + 8)
    check_onnx(path)
    monkeypatch.setattr(onnx_file, 'MAX_BYTES', size + 7)
    with pytest.raises(WeightsError, match='has more bytes'):
        check_onnx(path)
    monkeypatch.setattr(onnx_file, 'MAX_BYTES', size - 1)
    with pytest.raises(WeightsError, match=f'it has {size} bytes'):
        check_onnx(path)


def test_operators_of_other_domains_are_refused(tmp_path):
    node = helper.make_node('Decode', ['images'], ['boxes'], domain='evil.ops')
    path = make_model(tmp_path / 'model.onnx', nodes=[node], domains=['evil.ops'])
    with pytest.raises(WeightsError, match=r"'Decode' of 'evil\.ops', which ONNX Runtime"):
        load_file(path, NetworkParameters(device='cpu'))
    known = helper.make_node('Gelu', ['images'], ['boxes'], domain='com.microsoft')
    check_onnx(make_model(path, nodes=[known], domains=['com.microsoft']))
    function = helper.make_function(
        'evil.ops', 'Decode', ['x'], ['y'], [helper.make_node('Identity', ['x'], ['y'])],
        [helper.make_opsetid('', 17)])
    check_onnx(make_model(path, nodes=[node], functions=[function], domains=['evil.ops']))


@pytest.mark.parametrize('device', ['cpu', 'auto'])
def test_a_model_that_onnx_runtime_refuses_is_no_problem_of_the_device(device, tmp_path):
    node = helper.make_node('Add', ['images'], ['sum'])  # of one term
    path = make_model(tmp_path / 'model.onnx', nodes=[node])
    with pytest.raises(WeightsError, match=r'ONNX Runtime cannot load .*model\.onnx') as error:
        load_file(path, NetworkParameters(device=device))
    assert '\n' not in str(error.value)


def test_metadata_that_are_not_utf_8_are_damage(tmp_path):
    path = make_model(tmp_path / 'model.onnx', properties={'names': 'a property'})
    path.write_bytes(path.read_bytes().replace(b'a property', b'\x8c' * 10))
    with pytest.raises(WeightsError, match='is a damaged ONNX model'):
        load_file(path, NetworkParameters(device='cpu'))


def test_functions_that_double_each_other_are_refused(tmp_path):
    domain = 'own'
    imports = [helper.make_opsetid('', 17), helper.make_opsetid(domain, 1)]

    def function(number, called, called_domain):
        nodes = [helper.make_node(called, ['x'], ['z'], domain=called_domain),
                 helper.make_node(called, ['z'], ['y'], domain=called_domain)]
        return helper.make_function(domain, f'f{number}', ['x'], ['y'], nodes, imports)

    functions = [function(0, 'Identity', '')]
    functions += [function(number, f'f{number - 1}', domain) for number in range(1, 16)]
    node = helper.make_node('f15', ['images'], ['boxes'], domain=domain)
    path = make_model(tmp_path / 'model.onnx', nodes=[node], functions=functions,
                      domains=[domain])
    with pytest.raises(WeightsError, match='has more nodes than the 50000'):
        check_onnx(path)
    make_model(path, nodes=[helper.make_node('f0', ['images'], ['boxes'], domain=domain)],
               functions=[function(0, 'f0', domain)], domains=[domain])
    with pytest.raises(WeightsError, match='functions call each other more than'):
        check_onnx(path)


def test_a_model_of_too_many_nodes_is_refused_soon(tmp_path):
    nodes = [helper.make_node('Relu', ['images'], [f'r{number}']) for number in range(50_000)]
    path = make_model(tmp_path / 'model.onnx', nodes=nodes)
    start_s = time.monotonic()
    with pytest.raises(WeightsError, match='has more nodes than the 50000'):
        check_onnx(path)
    assert time.monotonic() - start_s < 20


def test_a_file_of_nothing_but_fields_is_refused_soon(tmp_path):
    path = tmp_path / 'model.onnx'
    path.write_bytes(b'\x08\x07' * 5_000_000)
    start_s = time.monotonic()
    with pytest.raises(WeightsError, match='has more than 2000000 fields'):
        check_onnx(path)
    assert time.monotonic() - start_s < 60


def test_graphs_in_graphs_have_a_limit(tmp_path):
    graph = helper.make_graph([helper.make_node('Identity', ['a'], ['b'])], 'g', [], [])
    for _ in range(30):
        graph = helper.make_graph([helper.make_node('If', ['c'], ['b'], then_branch=graph)], 'g',
                                  [], [])
    path = make_model(tmp_path / 'model.onnx', nodes=list(graph.node))
    with pytest.raises(WeightsError, match='graphs lie in graphs'):
        check_onnx(path)


def test_metadata_have_a_limit(tmp_path):
    path = make_model(tmp_path / 'model.onnx', properties={'names': 'x' * (1 << 20)})
    with pytest.raises(WeightsError, match='has more bytes of metadata than the 1048576'):
        check_onnx(path)


def test_deep_metadata_are_text(tmp_path):
    deep = '[' * 100_000
    path = make_model(tmp_path / 'model.onnx', properties={'scores': deep})
    network = load_file(path, NetworkParameters(device='cpu'))
    assert network.metadata == {'scores': deep}
    assert json.dumps(network.metadata)


@pytest.mark.parametrize('content', [
    b'\x08', b'\x08\x07\x3a', b'\x08\x07\x3a\xff\xff\xff\xff\x7f', b'\x08' + b'\xff' * 20,
    b'\x08\x07\x38\x01', b'\x08\x07\x0b', b'\x08\x07\x3a\x02\x2a\x00\x3a\x04\x0a\x02\x22\xff',
    b'\x08\x07\x3a\x02\x08\x01', b'\x08\x07\x3a\x04\x0a\x02\x3a\x00\x3a\x05\x0a\x03\x3a\x01\xff'])
def test_any_bytes_are_a_model_or_an_error(content, tmp_path):
    path = tmp_path / 'model.onnx'
    path.write_bytes(content)
    with pytest.raises(WeightsError, match='is a damaged ONNX model'):
        check_onnx(path)


def test_changed_bytes_of_a_model_are_a_model_or_an_error(tmp_path):
    original = Path(f'{learned.WEIGHTS / "fast"}.onnx').read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / 'model.onnx'
    refused = 0
    for _ in range(200):
        content = bytearray(original[:20_000])
        for place in random.integers(1, len(content), 8):
            content[place] = random.integers(256)
        path.write_bytes(content)
        try:
            check_onnx(path)
        except WeightsError as error:
            refused += '\n' not in str(error)
    assert refused == 200  # all are cut off, at least
