# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Networks that are ready to run: NumPy arrays in, NumPy arrays out.

A network of the package has three files of one name:

    NAME.onnx           float32, its weights stored as float16
    NAME.int8.onnx      int8, see ``nn.quantization``
    NAME.safetensors    as trained; only PyTorch reads it

ONNX Runtime is the default engine and needs no PyTorch. The engine ``torch`` runs the module as it
was trained, for machines that have PyTorch for their GPU. Both engines take the same arrays, as
the ONNX file is an export of the module that the engine ``torch`` runs (``nn.export``). A file is
loaded once per process and configuration, and its session is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import json
import os
from pathlib import Path
import threading
from typing import Any
from weakref import WeakValueDictionary

from ivf_ros.nn.devices import onnx_runtime, Placement, SessionRequest
from ivf_ros.nn.errors import DeviceError, InferenceError, WeightsError
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
import numpy as np

INT8_SUFFIX = '.int8.onnx'


@dataclass(frozen=True)
class NetworkInput:
    """
    An input array of a network.

    Attributes
    ----------
    name:
        As the file names it.
    shape:
        A size that is free is a name, or None.
    element_type:
        In the notation of ONNX Runtime, for example 'tensor(uint8)'.

    """

    name: str
    shape: tuple[int | str | None, ...]
    element_type: str


class Network:
    """
    A loaded network; threads may share it.

    Attributes
    ----------
    path:
        The file that it was loaded from.
    placement:
        Where it runs.
    inputs, output_names:
        In the order in which it takes and returns the arrays.
    metadata:
        See ``nn.weights``.

    """

    def __init__(self, path: Path, placement: Placement, inputs: tuple[NetworkInput, ...],
                 output_names: tuple[str, ...], metadata: dict[str, Any],
                 run: Callable[[tuple[np.ndarray, ...]], list[np.ndarray]]) -> None:
        self.path, self.placement = path, placement
        self.inputs, self.output_names = inputs, output_names
        self.metadata = metadata
        self._run = run

    @property
    def channels(self) -> int:
        """Return the channels of an input image of this package: ``(H, W)`` or ``(H, W, C)``."""
        channels = self.inputs[0].shape[2:] or (1,)
        return channels[0] if isinstance(channels[0], int) else 1

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """
        Return the outputs; the inputs are in the order of the exported module.

        Raises
        ------
        InferenceError
            ONNX Runtime cannot run the network on these inputs.

        """
        return self._run(inputs)


_networks: WeakValueDictionary[tuple[object, ...], Network] = WeakValueDictionary()
_networks_lock = threading.Lock()


def load_network(package_weights: Path, load_module: Callable[[Path], Any],
                 output_names: tuple[str, ...], parameters: NetworkParameters) -> Network:
    """
    Return the network of the parameters; the same one while it is in use elsewhere.

    Parameters
    ----------
    package_weights:
        Path of the files of the package without suffix.
    load_module:
        Returns the ``nn.inference.InferenceModule`` of a ``.safetensors`` file; imports PyTorch.
    output_names:
        Of the network; a file with other outputs is of another network.
    parameters:
        Engine, device, precision, threads, and optionally a file that replaces the network of the
        package.

    Raises
    ------
    WeightsError
        A file is missing, damaged, or of another network.
    DeviceError
        ONNX Runtime or PyTorch is not installed, or the device or the precision is not available.

    """
    key = package_weights, parameters, _modified_ns(parameters.weights)
    with _networks_lock:
        network = _networks.get(key)
        if network is None:
            network = _load(parameters, package_weights, load_module, output_names)
            _networks[key] = network
        return network


def _modified_ns(weights: str) -> int:
    """Return when a file of the user was modified, as it may change while a network is in use."""
    try:
        return os.stat(weights).st_mtime_ns if weights else 0
    except OSError:
        return 0


def _load(parameters: NetworkParameters, package_weights: Path,
          load_module: Callable[[Path], Any], output_names: tuple[str, ...]) -> Network:
    suffix = Path(parameters.weights).suffix
    if suffix not in ('', '.onnx', '.safetensors'):
        raise WeightsError(f'a network file is .onnx or .safetensors, got {parameters.weights}')
    engine = parameters.engine
    if engine == 'auto':
        engine = 'torch' if suffix == '.safetensors' else 'onnxruntime'
    needed = '.safetensors' if engine == 'torch' else '.onnx'
    if suffix not in ('', needed):
        raise WeightsError(f"engine '{engine}' needs a {needed} file, got {parameters.weights}"
                           + ('' if engine == 'torch' else '; ivf export converts it'))
    if engine == 'torch':
        path = Path(parameters.weights or f'{package_weights}.safetensors')
        return _load_with_torch(path, parameters, load_module)
    return _load_with_onnxruntime(_find_files(parameters, package_weights), parameters,
                                  output_names)


def load_file(path: Path, parameters: NetworkParameters) -> Network:
    """
    Return the network of an ONNX file of any origin; its input may have any layout.

    Raises
    ------
    WeightsError
        The file is no ONNX model.
    DeviceError
        ONNX Runtime is not installed, or the device is not available.

    """
    return _load_with_onnxruntime({'float32': path, 'float16': path}, parameters)


def _find_files(parameters: NetworkParameters, package_weights: Path) -> dict[str, Path]:
    """Return the ONNX file of each precision."""
    if parameters.weights:
        path = Path(parameters.weights)
        exact = path.name.endswith(INT8_SUFFIX)
        files = {'int8': path} if exact else {'float32': path, 'float16': path}
    else:
        path = Path(f'{package_weights}.onnx')
        files = {'int8': Path(f'{package_weights}{INT8_SUFFIX}'), 'float32': path, 'float16': path}
    existing = {precision: path for precision, path in files.items() if path.is_file()}
    if not existing:
        raise WeightsError(f'no weight file at {path}')
    return existing


def _load_with_onnxruntime(files: dict[str, Path], parameters: NetworkParameters,
                           output_names: tuple[str, ...] = ()) -> Network:
    """Load a file; with ``output_names``, only a network with these outputs."""
    runtime = onnx_runtime()
    for path in set(files.values()):
        _check_onnx(path)
    session, placement = runtime.create_session(SessionRequest(
        files, parameters.device, parameters.precision, parameters.threads))
    found = tuple(output.name for output in session.get_outputs())
    if output_names and found != output_names:
        raise WeightsError(f'{files[placement.precision]} is another network: its outputs are '
                           f'{", ".join(found)}, needed are {", ".join(output_names)}')
    network_inputs = tuple(NetworkInput(node.name, tuple(node.shape), node.type)
                           for node in session.get_inputs())
    path = files[placement.precision]

    def run(inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        arrays = {node.name: array for node, array in zip(network_inputs, inputs, strict=True)}
        try:
            return session.run(None, arrays)
        except Exception as error:  # ONNX Runtime does not export its error types
            shapes = ', '.join(f'{name} {array.shape}' for name, array in arrays.items())
            raise InferenceError(f'{path} cannot run on {shapes}: '
                                 f"{' '.join(str(error).split())}") from error

    return Network(path, placement, network_inputs, found,
                   decode_metadata(session.get_modelmeta().custom_metadata_map), run)


def _check_onnx(path: Path) -> None:
    """Raise ``WeightsError`` for a file that cannot be an ONNX model of this package."""
    # The first field of a model is its version of the format, a small number.
    if path.open('rb').read(1) != b'\x08':
        raise WeightsError(f'{path} is no ONNX model')


def _load_with_torch(path: Path, parameters: NetworkParameters,
                     load_module: Callable[[Path], Any]) -> Network:
    with explain_missing("engine 'torch'", DeviceError):
        import torch
        from ivf_ros.nn import inference, weights
    placement = inference.choose_placement(parameters.device, parameters.precision,
                                           torch.cuda.is_available())
    module = load_module(path)
    run = inference.make_runner(module, placement, parameters.threads)
    inputs = tuple(NetworkInput(name, tuple(example.shape), f'tensor({example.dtype})')
                   for name, example in zip(module.input_names, module.example_inputs(),
                                            strict=True))
    return Network(path, placement, inputs, module.output_names, weights.metadata(path), run)


def decode_metadata(properties: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of a network from the properties of its file, values as JSON."""
    decoded = {}
    for name, value in properties.items():
        try:
            decoded[name] = json.loads(value)
        except ValueError:
            decoded[name] = value
    return decoded
