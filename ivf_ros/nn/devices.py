# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The devices that ONNX Runtime can use on this machine, and its sessions on them.

Device          Execution provider              Package
cpu             CPUExecutionProvider            onnxruntime
openvino        OpenVINOExecutionProvider       onnxruntime-ep-openvino, a plugin
cuda            CUDAExecutionProvider           onnxruntime-gpu
tensorrt        TensorrtExecutionProvider       onnxruntime-gpu and TensorRT

A provider may be compiled in and still fail, for example without the driver. So a device counts as
working only when a session on it could be created. The choice never changes silently: every
``Placement`` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
import json
import os
from pathlib import Path
from typing import Any

from ivf_ros.nn.errors import DeviceError, WeightsError
from ivf_ros.nn.onnx_file import check_onnx
from ivf_ros.optional_imports import explain_missing

CPU, OPENVINO, CUDA, TENSORRT = 'cpu', 'openvino', 'cuda', 'tensorrt'
PROVIDERS = {CPU: 'CPUExecutionProvider', OPENVINO: 'OpenVINOExecutionProvider',
             CUDA: 'CUDAExecutionProvider', TENSORRT: 'TensorrtExecutionProvider'}
# What ``auto`` tries, in this order. TensorRT prepares a network for minutes at its first start.
_AUTOMATIC = (CUDA, OPENVINO, CPU)
# The precisions of each device; ``auto`` is the first one of which there is a file.
PRECISIONS = {CPU: ('int8', 'float32'), OPENVINO: ('int8', 'float32'), CUDA: ('float32',),
              TENSORRT: ('float16', 'float32')}
_QUIET = 3  # log level of ONNX Runtime: errors
_PLUGIN_NAME = 'ivf_ros_openvino'


@dataclass(frozen=True)
class Placement:
    """Where a network runs, in which precision, and why."""

    device: str
    precision: str
    reason: str = ''

    def __str__(self) -> str:
        """Return for example 'cpu int8 (openvino: not installed)'."""
        return f'{self.device} {self.precision}' + (f' ({self.reason})' if self.reason else '')


@dataclass(frozen=True)
class SessionRequest:
    """
    The network file of each precision, and the parameters of the session.

    Attributes
    ----------
    files:
        The file to load for 'int8', 'float16' and 'float32'; those that do not exist are left
        out.
    device, precision, threads:
        As in ``NetworkParameters``.
    allows_infinity:
        See ``onnx_file.check_onnx``.

    """

    files: dict[str, Path]
    device: str = 'auto'
    precision: str = 'auto'
    threads: int = 1
    allows_infinity: bool = False


class OnnxRuntime:
    """
    ONNX Runtime with its plugins.

    Parameters
    ----------
    library:
        The module ``onnxruntime``.
    import_plugin:
        Returns the module of the OpenVINO plugin, or raises ``ImportError``.

    """

    def __init__(self, library: Any, import_plugin: Callable[[], Any]) -> None:
        self._library = library
        library.set_default_logger_severity(_QUIET)
        self._openvino_devices, self._openvino_problem = _register_openvino(
            library, import_plugin)

    @property
    def version(self) -> str:
        """Return the version of ONNX Runtime."""
        return str(self._library.__version__)

    def explain_absence(self, device: str) -> str:
        """Return why a device cannot be used here, or '' if it may work."""
        if device == OPENVINO:
            return self._openvino_problem
        if PROVIDERS[device] in self._library.get_available_providers():
            return ''
        return 'not in this ONNX Runtime'

    def create_session(self, request: SessionRequest) -> tuple[Any, Placement]:
        """
        Return a session for a network, and where it runs.

        Raises
        ------
        DeviceError
            The requested device or precision is not available.
        WeightsError
            See ``onnx_file.check_onnx``; or ONNX Runtime cannot load the network at all.

        """
        if request.device != 'auto':
            return self._create_on(request.device, request, '')
        reasons: list[str] = []
        for device in _AUTOMATIC[:-1]:
            try:
                return self._create_on(device, request, '; '.join(reasons))
            except DeviceError as error:
                reasons.append(f'{device}: {error.reason}')
        return self._create_on(_AUTOMATIC[-1], request, '; '.join(reasons))

    def _create_on(self, device: str, request: SessionRequest, reason: str
                   ) -> tuple[Any, Placement]:
        """Return a session on a device; ``reason`` says why a better one was not taken."""
        problem = self.explain_absence(device)
        if problem:
            raise DeviceError(f"device '{device}' is not available: {problem}", problem)
        precision = _choose_precision(device, request)
        options = self._library.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads, options.inter_op_num_threads = request.threads, 1
        # A thread that waits by spinning takes a core from the other nodes.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        path = request.files[precision]
        check_onnx(path, request.allows_infinity)
        try:
            session = self._open(str(path), options, device, precision, request.threads)
        except Exception as error:  # ONNX Runtime does not export its error types
            if device == CPU:  # which runs every model
                raise WeightsError(f'ONNX Runtime cannot load {path}: '
                                   f"{' '.join(str(error).split())}") from None
            raise DeviceError(f"device '{device}' cannot run {path}: "
                              f"{' '.join(str(error).split())}", _first_line(error)) from None
        in_use = session.get_providers()
        if PROVIDERS[device] not in in_use:
            problem = f'ONNX Runtime fell back to {", ".join(in_use)}'
            raise DeviceError(f"device '{device}' does not work: {problem}", problem)
        return session, Placement(device, precision, reason)

    def _open(self, path: str, options: Any, device: str, precision: str, threads: int) -> Any:
        if device == OPENVINO:
            options.add_provider_for_devices(self._openvino_devices,
                                             {'load_config': _openvino_config(threads)})
            return self._library.InferenceSession(path, options)
        cpu = PROVIDERS[CPU]
        providers = {
            CPU: [cpu], CUDA: [PROVIDERS[CUDA], cpu],
            TENSORRT: [(PROVIDERS[TENSORRT], _tensorrt_options(precision)), PROVIDERS[CUDA], cpu],
        }[device]
        return self._library.InferenceSession(path, options, providers=providers)


@cache
def onnx_runtime() -> OnnxRuntime:
    """
    Return the ONNX Runtime of this process.

    Raises
    ------
    DeviceError
        It is not installed.

    """
    with explain_missing('this network', DeviceError):
        import onnxruntime
    return OnnxRuntime(onnxruntime, _import_openvino_plugin)


def _import_openvino_plugin() -> Any:
    import onnxruntime_ep_openvino
    return onnxruntime_ep_openvino


def _register_openvino(library: Any, import_plugin: Callable[[], Any]) -> tuple[list[Any], str]:
    """Return the CPU devices of the OpenVINO plugin, or why there are none."""
    try:
        plugin = import_plugin()
    except ImportError:
        return [], 'onnxruntime-ep-openvino is not installed'
    try:
        library.register_execution_provider_library(_PLUGIN_NAME, plugin.get_library_path())
        found = [device for device in library.get_ep_devices()
                 if device.ep_name == plugin.get_ep_name()
                 and device.ep_metadata.get('ov_device') == 'CPU']
    except Exception as error:  # the library cannot be loaded; its error types are not exported
        return [], f'the plugin cannot be loaded: {_first_line(error)}'
    return found, '' if found else 'the plugin supports no processor of this machine'


def _choose_precision(device: str, request: SessionRequest) -> str:
    possible = [name for name in PRECISIONS[device] if name in request.files]
    if request.precision == 'auto' and possible:
        return possible[0]
    if request.precision not in possible:
        have = ', '.join(request.files)
        raise DeviceError(f"device '{device}' runs {' or '.join(PRECISIONS[device])}, and there "
                          f"are files for {have}; got precision '{request.precision}'")
    return request.precision


def _openvino_config(threads: int) -> str:
    """Return the configuration: float32 for the layers that are not int8, and few threads."""
    return json.dumps({'CPU': {'INFERENCE_PRECISION_HINT': 'f32', 'NUM_STREAMS': '1',
                               'INFERENCE_NUM_THREADS': str(threads)}})


def _tensorrt_options(precision: str) -> dict[str, object]:
    """Return the options; the prepared networks are kept in the cache folder of the user."""
    cache_folder = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'ivf_ros'
    return {'trt_fp16_enable': precision == 'float16', 'trt_engine_cache_enable': True,
            'trt_engine_cache_path': str(cache_folder)}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
