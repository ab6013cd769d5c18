# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Checks of an ONNX file before a runtime opens it.

A model may come from anywhere, and a runtime trusts it: it reads the files that a model names, and
makes of a small file as many nodes as it says. The checks read the file itself, without a library,
as a robot has none for this: an ONNX file is a message in the format of Protocol Buffers. The
numbers of the fields are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ivf_ros.nn.errors import WeightsError
from ivf_ros.protobuf import iterate_fields, ProtobufError, Value
from ivf_ros.regular_files import check_regular, open_regular
import numpy as np

# Limits of a model. Those of detectors in use are below a tenth of them.
MAX_BYTES = 1 << 30  # with the files of external data
MAX_NODES = 50_000  # after functions are replaced by their nodes
MAX_METADATA_BYTES = 1 << 20
_MAX_FIELDS = 2_000_000  # takes about two seconds
_MAX_DEPTH = 16  # of graphs in nodes of graphs

# The domains of the operators that ONNX Runtime has.
DOMAINS = frozenset({
    '', 'ai.onnx', 'ai.onnx.ml', 'ai.onnx.preview', 'ai.onnx.preview.training', 'com.microsoft',
    'com.microsoft.dml', 'com.microsoft.experimental', 'com.microsoft.nchwc',
    'com.ms.internal.nhwc', 'org.pytorch.aten'})

_EXTERNAL = 1  # data_location
# The bits of infinity by data_type: float32, float16, float64, bfloat16. NaN is above it.
_INFINITY: dict[int, np.unsignedinteger] = {
    1: np.uint32(0x7f800000), 10: np.uint16(0x7c00), 11: np.uint64(0x7ff0 << 48),
    16: np.uint16(0x7f80)}

_Call = tuple[str, str]  # domain and name of an operator or function


def check_onnx(path: Path, allows_infinity: bool = False) -> None:
    """
    Check that a file is an ONNX model within the limits, whose weights are finite.

    Parameters
    ----------
    path:
        The file.
    allows_infinity:
        Accept infinity in the weights, which the masks of attention may hold.

    Raises
    ------
    WeightsError
        The file is missing, no ONNX model, or damaged; it exceeds a limit, names a file outside
        of its folder or an operator that ONNX Runtime does not have, or a weight is not finite.

    """
    try:
        with open_regular(path, MAX_BYTES) as file:
            # The first field of a model is its version of the format, a small number.
            if file.read(1) != b'\x08':
                raise WeightsError(f'{path} is no ONNX model')
            file.seek(0)
            content = file.read(MAX_BYTES)  # no mapping: a file that shrinks would end the process
    except FileNotFoundError:
        raise WeightsError(f'no weight file at {path}') from None
    except OSError as error:
        raise WeightsError(f'cannot read {path}: {error.strerror}') from None
    try:
        _Checker(path, allows_infinity).check_model(memoryview(content))
    except (ProtobufError, UnicodeDecodeError) as error:
        raise WeightsError(f'{path} is a damaged ONNX model: {error}') from None


class _Checker:
    """Checks one model; counts what it has seen."""

    def __init__(self, path: Path, allows_infinity: bool) -> None:
        self._path, self._allows_infinity = path, allows_infinity
        self._fields = self._nodes = 0
        self._external_bytes: dict[Path, int] = {}

    def check_model(self, model: memoryview) -> None:
        graphs, functions, metadata_bytes = [], [], 0
        for number, value in self._fields_of(model):
            if isinstance(value, int):
                continue
            if number == 7:
                graphs.append(value)
            elif number == 14:
                metadata_bytes += len(value)
            elif number == 25:
                functions.append(value)
        self._require(metadata_bytes, MAX_METADATA_BYTES, 'bytes of metadata')
        if not graphs:
            raise ProtobufError('it has no graph')
        bodies = {}
        for function in functions:
            name, domain = '', ''
            calls: list[_Call] = []
            for number, value in self._fields_of(function):
                if number == 1:
                    name = _text(value)
                elif number == 10:
                    domain = _text(value)
                elif number == 7:
                    calls += self._check_node(value, 0)
            bodies[domain, name] = calls
        calls = [call for graph in graphs for call in self._check_graph(graph, 0)]
        self._check_calls(calls, bodies)

    def _check_calls(self, calls: list[_Call], bodies: dict[_Call, list[_Call]]) -> None:
        """Check the operators, each (domain, name), and the nodes that functions expand to."""
        sizes: dict[_Call, int] = {}

        def count(names: list[_Call], depth: int) -> int:
            if depth > _MAX_DEPTH:
                raise WeightsError(f'{self._path}: functions call each other more than '
                                   f'{_MAX_DEPTH} levels deep')
            total = 0
            for name in names:
                if name in bodies:
                    if name not in sizes:
                        sizes[name] = count(bodies[name], depth + 1)
                    total += sizes[name]
                elif name[0] not in DOMAINS:
                    raise WeightsError(f"{self._path} needs the operator '{name[1][:80]}' of "
                                       f"'{name[0][:80]}', which ONNX Runtime does not have; "
                                       'export the model with standard operators')
                total += 1
            return total

        self._require(count(calls, 0), MAX_NODES, 'nodes')

    def _check_graph(self, graph: Value, depth: int) -> list[_Call]:
        """Check the weights of a graph; return domain and name of the operators."""
        if depth > _MAX_DEPTH:
            raise WeightsError(f'{self._path}: graphs lie in graphs more than {_MAX_DEPTH} levels '
                               'deep')
        calls: list[_Call] = []
        for number, value in self._fields_of(graph):
            if number == 1:
                calls += self._check_node(value, depth)
            elif number == 5:
                self._check_tensor(value)
            elif number == 15:
                self._check_sparse_tensor(value)
        return calls

    def _check_node(self, node: Value, depth: int) -> list[_Call]:
        self._nodes += 1
        self._require(self._nodes, MAX_NODES, 'nodes')
        name, domain = '', ''
        calls: list[_Call] = []
        for number, value in self._fields_of(node):
            if number == 4:
                name = _text(value)
            elif number == 7:
                domain = _text(value)
            elif number == 5:
                for part, content in self._fields_of(value):
                    if part in (5, 10):
                        self._check_tensor(content)
                    elif part in (22, 23):
                        self._check_sparse_tensor(content)
                    elif part in (6, 11):
                        calls += self._check_graph(content, depth + 1)
        return [(domain, name), *calls]

    def _check_sparse_tensor(self, tensor: Value) -> None:
        for number, value in self._fields_of(tensor):
            if number == 1:
                self._check_tensor(value)

    def _check_tensor(self, tensor: Value) -> None:
        data_type, is_external, name = 0, False, ''
        external: list[Value] = []
        fields = list(self._fields_of(tensor))
        for number, value in fields:
            if number == 2 and isinstance(value, int):
                data_type = value
            elif number == 8:
                name = _text(value)
            elif number == 13:
                external.append(value)
            elif number == 14:
                is_external = value == _EXTERNAL
        infinity = _INFINITY.get(data_type)
        place = self._find_external(external) if is_external or external else None
        if infinity is None:
            return
        if place:
            values = [_read_external(place, infinity.dtype)]
        else:
            values = [_bits(infinity.dtype, number, value) for number, value in fields
                      if number in (4, 5, 9, 10)]
        for bits in values:
            magnitude = (bits & bits.dtype.type(np.iinfo(bits.dtype).max >> 1)).max(initial=0)
            if magnitude > infinity or (magnitude == infinity and not self._allows_infinity):
                raise WeightsError(f"{self._path}: the weights '{name[:80]}' are not finite; the "
                                   'file is damaged, or its training has failed')

    def _find_external(self, entries: list[Value]) -> tuple[Path, int, int]:
        """Return the file of the folder that holds a tensor, and the first byte and the length."""
        described = {}
        for entry in entries:
            texts = {number: _text(value) for number, value in self._fields_of(entry)}
            described[texts.get(1, '')] = texts.get(2, '')
        location = described.get('location', '')
        folder = self._path.resolve().parent
        path = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not path.is_relative_to(folder):
            raise WeightsError(f"{self._path} reads its weights from '{location[:200]}', which is "
                               'outside of its folder')
        try:
            offset, length = int(described.get('offset') or 0), int(described.get('length') or 0)
        except ValueError:
            raise ProtobufError(f"the place of weights in '{location[:200]}' is no number"
                                ) from None
        if path not in self._external_bytes:
            try:
                check_regular(path, MAX_BYTES)
            except OSError as error:
                raise WeightsError(f"{self._path} reads its weights from '{location[:200]}': "
                                   f'{error.strerror}') from None
            self._external_bytes[path] = path.stat().st_size
            self._require(self._path.stat().st_size + sum(self._external_bytes.values()),
                          MAX_BYTES, 'bytes')
        size = self._external_bytes[path]
        length = length or size - offset
        if not (offset >= 0 and length >= 0 and offset + length <= size):
            raise ProtobufError(f"weights lie behind the end of '{location[:200]}'")
        return path, offset, length

    def _require(self, count: int, limit: int, what: str) -> None:
        if count > limit:
            raise WeightsError(f'{self._path} has more {what} than the {limit} that are allowed, '
                               f'{count} or more')

    def _fields_of(self, message: Value) -> Iterator[tuple[int, Value]]:
        """Yield the fields of a message."""
        if isinstance(message, int):
            raise ProtobufError('a number is in the place of a message')
        for number, _, value in iterate_fields(message):
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise WeightsError(f'{self._path} has more than {_MAX_FIELDS} fields, which is no '
                                   'model for images')
            yield number, value


def _text(value: Value) -> str:
    if isinstance(value, int):
        raise ProtobufError('a number is in the place of a text')
    return bytes(value).decode()


def _bits(dtype: np.dtype, number: int, value: Value) -> np.ndarray:
    """Return the bits of the floats in a field of a tensor."""
    if number == 5:  # each of the integers holds the bits of one value
        return (np.array([value]) if isinstance(value, int) else _varints(value)).astype(dtype)
    if isinstance(value, int) or len(value) % dtype.itemsize:
        raise ProtobufError('weights are cut off')
    return np.frombuffer(value, dtype)


def _varints(packed: memoryview) -> np.ndarray:
    """Return the lowest 21 bits of packed numbers."""
    padded = np.append(np.frombuffer(packed, np.uint8), np.zeros(2, np.uint8)).astype(np.uint32)
    starts = np.flatnonzero(np.append(True, padded[:len(packed) - 1] < 0x80)[:len(packed)])
    first, second, third = (padded[starts + place] for place in range(3))
    value = first & 0x7f
    value |= np.where(first >= 0x80, (second & 0x7f) << 7, 0).astype(np.uint32)
    value |= np.where((first >= 0x80) & (second >= 0x80), (third & 0x7f) << 14, 0
                      ).astype(np.uint32)
    return value


def _read_external(place: tuple[Path, int, int], dtype: np.dtype) -> np.ndarray:
    path, offset, length = place
    with open_regular(path) as file:
        file.seek(offset)
        content = file.read(length)
    return np.frombuffer(content, dtype, len(content) // dtype.itemsize)
