# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The choice of a device, with an ONNX Runtime whose devices the test decides.

No GPU is at hand, so the library is replaced where its devices matter.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from ivf_ros.nn import devices
from ivf_ros.nn.devices import (
    CPU,
    CUDA,
    onnx_runtime,
    OnnxRuntime,
    OPENVINO,
    PROVIDERS,
    SessionRequest,
    TENSORRT,
)
from ivf_ros.nn.errors import DeviceError
import pytest

FILES = {'int8': Path('n.int8.onnx'), 'float32': Path('n.onnx'), 'float16': Path('n.onnx')}


@pytest.fixture(autouse=True)
def unchecked_files(monkeypatch):
    """Skip the check of the files, which do not exist in these tests."""
    monkeypatch.setattr(devices, 'check_onnx', lambda path, allows_infinity: None)


class FakeLibrary:
    """An ONNX Runtime with the given providers; those in ``broken`` fail, or fall back."""

    __version__ = '1.0'

    def __init__(self, *devices, fails=(), falls_back=(), ep_devices=()):
        self._providers = [PROVIDERS[device] for device in (*devices, CPU)]
        self._fails, self._falls_back = ([PROVIDERS[device] for device in names]
                                         for names in (fails, falls_back))
        self._ep_devices = ep_devices
        self.sessions = []

    def set_default_logger_severity(self, level):
        pass

    def get_available_providers(self):
        return self._providers

    def register_execution_provider_library(self, name, path):
        self.registered = path

    def get_ep_devices(self):
        return self._ep_devices

    def SessionOptions(self):  # noqa: N802, a name of the library
        def add_provider_for_devices(devices, options):
            settings.devices, settings.plugin_options = devices, options

        settings = SimpleNamespace(
            entries={}, devices=[], plugin_options={},
            add_provider_for_devices=add_provider_for_devices,
            add_session_config_entry=lambda key, value: settings.entries.update({key: value}))
        return settings

    def InferenceSession(self, path, options, providers=None):  # noqa: N802
        names = [PROVIDERS[OPENVINO]] if options.devices else [
            provider if isinstance(provider, str) else provider[0] for provider in providers]
        if names[0] in self._fails:
            raise RuntimeError('driver is too old\nsecond line')
        in_use = [PROVIDERS[CPU]] if names[0] in self._falls_back else names
        self.sessions.append(SimpleNamespace(path=path, options=options, providers=providers,
                                             get_providers=lambda: in_use))
        return self.sessions[-1]


def not_installed():
    raise ModuleNotFoundError("No module named 'onnxruntime_ep_openvino'")


def plugin():
    return SimpleNamespace(get_library_path=lambda: '/plugin.so',
                           get_ep_name=lambda: PROVIDERS[OPENVINO])


def cpu_of_plugin(device='CPU'):
    return SimpleNamespace(ep_name=PROVIDERS[OPENVINO], ep_metadata={'ov_device': device})


def place(library, import_plugin=not_installed, files=FILES, **request):
    _, placement = OnnxRuntime(library, import_plugin).create_session(
        SessionRequest(files, **request))
    return placement


def test_auto_takes_the_cpu_in_int8_and_says_why_no_better_device():
    library = FakeLibrary()
    placement = place(library, threads=2)
    assert str(placement) == ('cpu int8 (cuda: not in this ONNX Runtime; '
                              'openvino: onnxruntime-ep-openvino is not installed)')
    session, = library.sessions
    assert session.path == 'n.int8.onnx' and session.options.intra_op_num_threads == 2
    assert session.options.entries == {'session.intra_op.allow_spinning': '0'}


def test_auto_prefers_cuda_which_computes_in_float32():
    library = FakeLibrary(TENSORRT, CUDA)
    assert str(place(library)) == 'cuda float32'
    assert library.sessions[0].path == 'n.onnx'


@pytest.mark.parametrize('problem, reason', [
    ('fails', 'cuda: driver is too old'),
    ('falls_back', 'cuda: ONNX Runtime fell back to CPUExecutionProvider')])
def test_a_device_that_does_not_work_is_named(problem, reason):
    library = FakeLibrary(CUDA, **{problem: [CUDA]})
    placement = place(library)
    assert placement.device == CPU and reason in placement.reason
    with pytest.raises(DeviceError, match="'cuda'"):
        place(library, device=CUDA)


def test_openvino_runs_through_its_plugin_with_the_given_threads():
    devices = cpu_of_plugin('GPU'), cpu_of_plugin()
    library = FakeLibrary(ep_devices=devices)
    placement = place(library, plugin, threads=2)
    assert str(placement) == 'openvino int8 (cuda: not in this ONNX Runtime)'
    options = library.sessions[0].options
    assert options.devices == [devices[1]] and library.registered == '/plugin.so'
    assert json.loads(options.plugin_options['load_config'])['CPU'] == {
        'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': '2', 'NUM_STREAMS': '1'}


def test_a_plugin_without_a_processor_of_this_machine_is_not_used():
    placement = place(FakeLibrary(), plugin)
    assert placement.device == CPU
    assert 'openvino: the plugin supports no processor of this machine' in placement.reason
    with pytest.raises(DeviceError, match='supports no processor of this machine'):
        place(FakeLibrary(), plugin, device=OPENVINO)


def test_tensorrt_is_used_on_request_only_and_keeps_its_prepared_networks(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/cache')
    library = FakeLibrary(TENSORRT, CUDA)
    assert str(place(library, device=TENSORRT)) == 'tensorrt float16'
    name, options = library.sessions[0].providers[0]
    assert name == PROVIDERS[TENSORRT] and options['trt_fp16_enable']
    assert options['trt_engine_cache_path'] == '/cache/ivf_ros'


@pytest.mark.parametrize('request_, message', [
    ({'device': CPU, 'precision': 'float16'}, "runs int8 or float32, .* precision 'float16'"),
    ({'device': CUDA, 'precision': 'int8'}, "'cuda' runs float32, .* precision 'int8'"),
    ({'device': CPU, 'precision': 'int8', 'files': {'float32': Path('n.onnx')}},
     'there are files for float32')])
def test_a_precision_that_a_device_lacks_is_an_error(request_, message):
    with pytest.raises(DeviceError, match=message):
        place(FakeLibrary(CUDA), **request_)


def test_without_an_int8_file_auto_is_float32():
    assert place(FakeLibrary(), files={'float32': Path('n.onnx')}).precision == 'float32'


def test_the_installed_onnx_runtime_has_a_cpu():
    pytest.importorskip('onnxruntime')
    assert onnx_runtime().explain_absence(CPU) == ''
