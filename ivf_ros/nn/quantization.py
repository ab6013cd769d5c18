# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Post-training quantisation of a network to int8, with the quantiser of ONNX Runtime.

Weights are int8 with a scale for each output channel. Activations are uint8 with one scale and one
zero point, from the extremes over calibration images. Only convolutions and their ReLUs compute in
int8. The first layers and those that compute the outputs stay float32: they lose most, and take
hardly more time in float32, as they have few channels. Weights use 7 of their 8 bits: processors
without VNNI add pairs of products in 16 bits, which 8 bits would overflow.
"""

from __future__ import annotations

from collections.abc import Iterable
import logging
from pathlib import Path
import tempfile
from typing import Any

from ivf_ros.nn.export import describe_classes, ExportError, make_model, write_model
from ivf_ros.nn.inference import InferenceModule
from ivf_ros.optional_imports import explain_missing
import numpy as np

# The exporter of PyTorch stores the path of the layer of each node here.
_LAYER_OF_NODE = 'pkg.torch.onnx.name_scopes'


def export_int8(module: InferenceModule, path: Path, metadata: dict[str, Any],
                calibration: Iterable[tuple[np.ndarray, ...]]) -> None:
    """
    Write the int8 network that the engine ``onnxruntime`` runs.

    Parameters
    ----------
    module, path, metadata:
        As in ``nn.export.export``.
    calibration:
        Inputs of the module, from training data only.

    Raises
    ------
    ExportError
        onnx, onnxscript or onnxruntime is not installed.

    """
    with explain_missing('export in int8', ExportError, 'onnx onnxscript onnxruntime'):
        import onnx
        from onnxruntime import quantization
    model = make_model(module)
    excluded = [node.name for node in model.graph.node if node.op_type == 'Conv'
                and any(f'.{layer}.' in f'.{_layer_of(node)}.' for layer in module.float_layers)]

    class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Yields the calibration inputs by name."""

        def __init__(self) -> None:
            self._inputs = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            arrays = next(self._inputs, None)
            return None if arrays is None else dict(zip(module.input_names, arrays, strict=True))

    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises steps that the export has already done
    try:
        with tempfile.TemporaryDirectory() as folder:
            quantized = Path(folder) / 'int8.onnx'
            quantization.quantize_static(
                model, quantized, _Reader(), quant_format=quantization.QuantFormat.QDQ,
                per_channel=True, reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8, op_types_to_quantize=['Conv', 'Relu'],
                nodes_to_exclude=excluded)
            result = onnx.load(quantized)
    finally:
        logging.disable(previous)
    write_model(result, path, {**metadata, **describe_classes(module)})


def _layer_of(node: Any) -> str:
    """Return the dotted name of the innermost layer that a node belongs to."""
    scopes = [entry.value for entry in node.metadata_props if entry.key == _LAYER_OF_NODE]
    names = [name.strip(" '\"") for name in scopes[0].strip('[]').split(',')] if scopes else []
    layers = [name for name in names[:-1] if name]  # the last entry is the operation
    return layers[-1] if layers else ''
