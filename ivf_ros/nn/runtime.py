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
from functools import partial
import json
import math
import os
from pathlib import Path
import threading
from typing import Any
from weakref import WeakValueDictionary

from ivf_ros.nn.devices import onnx_runtime, Placement, SessionRequest, TENSORRT
from ivf_ros.nn.errors import DeviceError, InferenceError, WeightsError
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
import numpy as np

INT8_SUFFIX = '.int8.onnx'
MAX_ELEMENTS = 1 << 28  # of an input or an output
MAX_FIRST_RUN_S = 60.0  # of a model of others, which may loop for ever
_TEST_IMAGE_SHAPE = (64, 96)  # multiples of 32, which all networks of the package take


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
                 run: Callable[[tuple[np.ndarray, ...]], list[np.ndarray]],
                 allows_infinity: bool = False) -> None:
        self.path, self.placement = path, placement
        self.inputs, self.output_names = inputs, output_names
        self.metadata = metadata
        self._run, self._allows_infinity = run, allows_infinity

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
            ONNX Runtime cannot run the network on these inputs, or an output is not finite. The
            models of others may give infinity, but not NaN.

        """
        outputs = self._run(inputs)
        for name, output in zip(self.output_names, outputs, strict=True):
            if output.dtype.kind != 'f':
                continue
            if np.isnan(output).any() if self._allows_infinity else not np.isfinite(output).all():
                raise InferenceError(f"{self.path}: the output '{name}' is not finite; its "
                                     'weights or its input are wrong')
        return outputs


def check_answers(network: Network) -> None:
    """
    Check that a network of this package answers two small test images, and differently.

    Raises
    ------
    WeightsError
        An output is not finite, is the same everywhere or for both images, or the network cannot
        run.

    """
    flags = (False, True) if any(map(_is_flag, network.inputs)) else (False,)
    for flag in flags:
        try:
            answers = [
                network(*(np.array(flag) if _is_flag(node) else _make_image(node, is_inverse)
                          for node in network.inputs)) for is_inverse in (False, True)]
        except InferenceError as error:
            raise WeightsError(str(error)) from None
        for name, first, second in zip(network.output_names, *answers, strict=True):
            is_map = first.ndim > 1  # others may be constants of the network
            if is_map and ((first == second).all() or (first == first.flat[0]).all()):
                raise WeightsError(f"{network.path}: the output '{name}' does not depend on the "
                                   'image; the file is damaged, or its training has failed')


def _is_flag(node: NetworkInput) -> bool:
    return node.element_type == 'tensor(bool)'


def _make_image(node: NetworkInput, is_inverse: bool) -> np.ndarray:
    """Return a test image in which no two parts are the same."""
    sides = iter(_TEST_IMAGE_SHAPE)
    shape = tuple(side if isinstance(side, int) else next(sides) for side in node.shape)
    levels = (np.arange(math.prod(shape)) ** 2 // 7 % 256).reshape(shape)
    if is_inverse:
        levels = 255 - levels
    return levels.astype(np.uint8) if node.element_type == 'tensor(uint8)' \
        else (levels / 64 - 2).astype(np.float32)


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
            if network.placement.device != TENSORRT:  # it would prepare for this size of image
                check_answers(network)
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
    return _load_with_onnxruntime({'float32': path, 'float16': path}, parameters,
                                  is_foreign=True)


def _find_files(parameters: NetworkParameters, package_weights: Path) -> dict[str, Path]:
    """Return the ONNX file of each precision."""
    if parameters.weights:
        path = Path(parameters.weights)
        exact = path.name.endswith(INT8_SUFFIX)
        files = {'int8': path} if exact else {'float32': path, 'float16': path}
    else:
        path = Path(f'{package_weights}.onnx')
        files = {'int8': Path(f'{package_weights}{INT8_SUFFIX}'), 'float32': path, 'float16': path}
    existing = {precision: path for precision, path in files.items() if path.exists()}
    if not existing:
        raise WeightsError(f'no weight file at {path}')
    return existing


def _load_with_onnxruntime(files: dict[str, Path], parameters: NetworkParameters,
                           output_names: tuple[str, ...] = (), is_foreign: bool = False
                           ) -> Network:
    """Load a file; with ``output_names``, only a network with these outputs."""
    session, placement = onnx_runtime().create_session(SessionRequest(
        files, parameters.device, parameters.precision, parameters.threads, is_foreign))
    path = files[placement.precision]
    try:
        found = tuple(output.name for output in session.get_outputs())
        network_inputs = tuple(NetworkInput(node.name, tuple(node.shape), node.type)
                               for node in session.get_inputs())
        metadata = decode_metadata(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:  # ONNX Runtime itself takes any bytes
        raise WeightsError(f'{path} is a damaged ONNX model: {error}') from None
    if output_names and found != output_names:
        raise WeightsError(f'{path} is another network: its outputs are '
                           f'{", ".join(found)}, needed are {", ".join(output_names)}')
    for node in (*session.get_inputs(), *session.get_outputs()):
        sides = [side for side in node.shape or () if isinstance(side, int)]
        if math.prod(sides) > MAX_ELEMENTS:
            raise WeightsError(f"{path}: '{node.name[:80]}' has {'x'.join(map(str, sides))} "
                               f'elements, and at most {MAX_ELEMENTS} are allowed')
    run_session = _limit_first_run(session) if is_foreign else partial(session.run, None)

    def run(inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        arrays = {node.name: array for node, array in zip(network_inputs, inputs, strict=True)}
        try:
            return run_session(arrays)
        except Exception as error:  # ONNX Runtime does not export its error types
            shapes = ', '.join(f'{name} {array.shape}' for name, array in arrays.items())
            raise InferenceError(f'{path} cannot run on {shapes}: '
                                 f"{' '.join(str(error).split())}") from error

    return Network(path, placement, network_inputs, found, metadata, run, is_foreign)


def _limit_first_run(session: Any) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    """Return the function that runs a session; the first run is ended if it takes too long."""
    import onnxruntime

    was_run = False

    def run(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        nonlocal was_run
        if was_run:
            return session.run(None, arrays)
        options = onnxruntime.RunOptions()
        timer = threading.Timer(MAX_FIRST_RUN_S, setattr, (options, 'terminate', True))
        timer.daemon = True
        timer.start()
        try:
            outputs = session.run(None, arrays, options)
        finally:
            timer.cancel()
        was_run = True
        return outputs

    return run


def _load_with_torch(path: Path, parameters: NetworkParameters,
                     load_module: Callable[[Path], Any]) -> Network:
    with explain_missing("engine 'torch'", DeviceError):
        import torch
        from ivf_ros.nn import inference, weights
    placement = inference.choose_placement(parameters.device, parameters.precision,
                                           torch.cuda.is_available())
    module = load_module(path)
    run = inference.make_runner(module, placement, parameters.threads)
    inputs = []
    for name, example in zip(module.input_names, module.example_inputs(), strict=True):
        free_axes = module.image_axes().get(name, ())
        dtype = str(example.dtype).removeprefix('torch.').replace('float32', 'float')
        inputs.append(NetworkInput(
            name, tuple(None if axis in free_axes else side
                        for axis, side in enumerate(example.shape)), f'tensor({dtype})'))
    return Network(path, placement, tuple(inputs), module.output_names, weights.metadata(path),
                   run)


def decode_metadata(properties: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of a network from the properties of its file, values as JSON."""
    decoded = {}
    for name, value in properties.items():
        try:
            decoded[name] = json.loads(value)
        except (ValueError, RecursionError):
            decoded[name] = value
    return decoded
