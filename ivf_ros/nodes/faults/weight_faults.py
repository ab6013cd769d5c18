# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of weight files: damaged, of a failed training or of another network, and no files at all.

A node that runs refuses them and goes on with its network. A node that starts with them stays
unconfigured and says why, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import struct
import tempfile

from ivf_ros.fusion import learned
from ivf_ros.nodes.faults.camera_faults import Inject
from ivf_ros.nodes.faults.fault import ANY_MODE, BOTH, Fault, Targets
from ivf_ros.nodes.faults.services import (
    ACTIVATE,
    change_state,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    set_text,
)
from ivf_ros.perception import method as joint
from ivf_ros.protobuf import iterate_fields
import numpy as np

# Makes a weight file, or something else, at a path; takes the whole file.
Make = Callable[[Path, bytes], object]

_WEIGHTS = {'fusion': Path(f"{learned.WEIGHTS / 'fast'}.onnx"),
            'perception': Path(f'{joint.RGBT_WEIGHTS}.onnx')}
_LOAD_TIMEOUT_S = 20.0
_NOISE = np.random.default_rng(0).bytes(100_000)
_GRAPH, _INITIALIZER, _DATA_TYPE, _RAW_DATA, _FLOAT = 7, 5, 2, 9, 1  # of ONNX


def make_nan(path: Path, content: bytes) -> None:
    """Write a model whose first weight is NaN, as after a training that has failed."""
    changed = memoryview(bytearray(content))
    for number, _, graph in iterate_fields(changed):
        if number != _GRAPH or isinstance(graph, int):
            continue
        for kind, _, tensor in iterate_fields(graph):
            if kind != _INITIALIZER or isinstance(tensor, int):
                continue
            fields = {field: value for field, _, value in iterate_fields(tensor)}
            data = fields.get(_RAW_DATA, 0)
            if fields.get(_DATA_TYPE) == _FLOAT and not isinstance(data, int) and len(data) > 64:
                data[:4] = struct.pack('<f', np.nan)
                path.write_bytes(changed)
                return
    raise ValueError(f'{path.name} has no weights in float32')


_FILES: dict[str, tuple[Make, str]] = {
    'missing': (lambda path, content: None, 'no weight file at'),
    'empty': (lambda path, content: path.write_bytes(b''), 'is no ONNX model'),
    'cut off': (lambda path, content: path.write_bytes(content[:len(content) // 2]),
                'is a damaged ONNX model'),
    'noise': (lambda path, content: path.write_bytes(_NOISE), 'is no ONNX model'),
    'NaN': (make_nan, 'are not finite'),
    'of another network': (lambda path, content: path.symlink_to(_WEIGHTS['perception']),
                           'is another network'),
    'a named pipe': (lambda path, content: os.mkfifo(path), 'it is a named pipe'),
    'a device': (lambda path, content: path.symlink_to('/dev/zero'), 'it is a device'),
    'a folder': (lambda path, content: path.mkdir(), 'it is a folder'),
}


def change_weights(node: str, make: Make, reason: str) -> Inject:
    """Return an injection that gives other weights to a node that runs, which has to refuse."""
    def inject(targets: Targets) -> None:
        with tempfile.TemporaryDirectory(dir=targets.folder) as folder:
            path = Path(folder, 'network.onnx')
            make(path, _WEIGHTS[node].read_bytes())
            said = set_text(targets, node, f'{node}.network.weights', str(path), _LOAD_TIMEOUT_S)
        targets.observer.hear(node, said)
        if not said:
            raise AssertionError('the weights were not refused')

    return inject


def start_with_weights(node: str, make: Make) -> Inject:
    """Return an injection that lets a node start with other weights, which has to fail."""
    def inject(targets: Targets) -> None:
        for transition in (DEACTIVATE, CLEANUP):
            if not change_state(targets, node, transition):
                raise AssertionError(f'{node} does not stop')
        with tempfile.TemporaryDirectory(dir=targets.folder) as folder:
            path = Path(folder, 'network.onnx')
            make(path, _WEIGHTS[node].read_bytes())
            if said := set_text(targets, node, f'{node}.network.weights', str(path)):
                raise AssertionError(said)
            if change_state(targets, node, CONFIGURE):
                raise AssertionError(f'{node} runs')

    return inject


def start_again(node: str) -> Inject:
    """Return an end after which the node runs with the weights of the package."""
    def end(targets: Targets) -> None:
        if said := set_text(targets, node, f'{node}.network.weights', ''):
            raise AssertionError(said)
        for transition in (CONFIGURE, ACTIVATE):
            if not change_state(targets, node, transition):
                raise AssertionError(f'{node} does not start again')

    return end


WEIGHT_FAULTS = (
    *(Fault(f'weights of fusion: {name}', change_weights('fusion', make, said), seconds=0.0,
            said=said, said_within_s=5.0, modes=BOTH, is_short=name == 'NaN')
      for name, (make, said) in _FILES.items()),
    *(Fault(f'{node} starts with weights: {name}', start_with_weights(node, _FILES[name][0]),
            start_again(node), said=_FILES[name][1], said_within_s=5.0,
            modes=BOTH if node == 'perception' else ANY_MODE, back_within_s=5.0)
      for node in _WEIGHTS for name in ('missing', 'NaN', 'a named pipe')),
)
