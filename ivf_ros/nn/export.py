# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of networks to ONNX files, for ONNX Runtime, TensorRT and other readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
import io
import json
import logging
from pathlib import Path
from typing import Any
import warnings

from ivf_ros.nn.inference import fold_batch_norm, InferenceModule
from ivf_ros.optional_imports import explain_missing
from ivf_ros.output import FILE_MARK
import numpy as np
import torch
from torch import nn, Tensor

_MAX_SIDE_PX = 8192
_MIN_STORED_VALUES = 256  # smaller tensors stay float32 in the file


class ExportError(RuntimeError):
    """A network cannot be exported: the input size is wrong, or a library is missing."""


def export(module: InferenceModule, path: Path, metadata: dict[str, Any]) -> None:
    """
    Write the float32 network that the engine ``onnxruntime`` runs.

    Images may have any size that is a multiple of ``size_multiple_px``. The weights are stored as
    float16, as in the weight file, and become float32 when the file is loaded.

    Parameters
    ----------
    module:
        It is changed: batch normalisation is folded.
    path:
        The ONNX file to write.
    metadata:
        Values that can be written as JSON, see ``nn.weights``.

    Raises
    ------
    ExportError
        onnx or onnxscript is not installed.

    """
    model = make_model(module)
    store_as_float16(model)
    write_model(model, path, {**metadata, **describe_classes(module)})


def make_model(module: InferenceModule) -> Any:
    """Return the module as an ``onnx.ModelProto`` in float32, for images of any size."""
    multiple = module.size_multiple_px
    dynamic_shapes = {}
    for name in module.input_names:
        axes = module.image_axes().get(name, ())
        dynamic_shapes[name] = {
            axis: multiple * torch.export.Dim(f'{side}_{index}', min=1,
                                              max=_MAX_SIDE_PX // multiple)
            for index, (axis, side) in enumerate(zip(axes, ('rows', 'columns')))}
    return _convert(module, module.example_inputs(), module.input_names, module.output_names,
                    dynamic_shapes)


def export_fixed_size(network: nn.Module, path: Path, example_input: Tensor, output_name: str,
                      metadata: dict[str, Any]) -> None:
    """
    Write a module of one batch ``images`` and one output, for other programs.

    Raises
    ------
    ExportError
        onnx or onnxscript is not installed.

    """
    write_model(_convert(network, (example_input,), ('images',), (output_name,), None), path,
                metadata)


def _convert(module: nn.Module, example_inputs: tuple[Tensor, ...], input_names: tuple[str, ...],
             output_names: tuple[str, ...], dynamic_shapes: Any) -> Any:
    with explain_missing('export', ExportError, 'onnx onnxscript'):
        import onnx  # noqa: F401, torch.onnx.export needs both
        import onnxscript  # noqa: F401
    module = fold_batch_norm(module).eval()
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            module, example_inputs, dynamo=True, input_names=input_names,
            output_names=output_names, dynamic_shapes=dynamic_shapes)
    return program.model_proto  # type: ignore[union-attr]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress and the internal warnings of torch.onnx.export from the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(previous)


def store_as_float16(model: Any) -> None:
    """
    Store large float32 constants of a model as float16 with a cast, in place.

    A runtime computes the cast once, when it loads the model.
    """
    import onnx

    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _MIN_STORED_VALUES:
            continue
        stored = f'{tensor.name}_float16'
        casts.append(onnx.helper.make_node('Cast', [stored], [tensor.name],
                                           to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def write_model(model: Any, path: Path, metadata: dict[str, Any]) -> None:
    """Write a model with its metadata; values that are no strings become JSON."""
    import onnx

    onnx.helper.set_model_props(model, {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in metadata.items()})
    model.producer_name = FILE_MARK
    _remove_debug_information(model)
    path.write_bytes(model.SerializeToString())


def _remove_debug_information(model: Any) -> None:
    """Remove the notes of the exporter, which hold stack traces with paths of this machine."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer,
                 graph):
        del part.metadata_props[:]
        part.ClearField('doc_string')


def describe_classes(module: InferenceModule) -> dict[str, str]:
    """Return the class names in the format of Ultralytics, if there are any."""
    return {'names': str(dict(enumerate(module.class_names)))} if module.class_names else {}


def rgb_to_bgr(image: Tensor) -> Tensor:
    """Swap red and blue of ``(B, 3 or 4, H, W)``; a fourth channel, thermal, stays last."""
    return image[:, [2, 1, 0, *range(3, image.shape[1])]]
