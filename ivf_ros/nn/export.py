# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Export of networks to ONNX files, for ONNX Runtime, TensorRT and other readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import io
from pathlib import Path
from typing import TypeVar

from ivf_ros.nn.encoder import Encoder, SIZE_MULTIPLE_PX
from ivf_ros.nn.inference import fold_batch_norm, load_network
from ivf_ros.optional_imports import explain_missing
from ivf_ros.output import FILE_MARK
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=Encoder)


class ExportError(RuntimeError):
    """A network cannot be exported: the input size is wrong, or a library is missing."""


def export(weights: Path, path: Path, size: tuple[int, int], *,
           make_network: Callable[[int], Network],
           wrap_for_export: Callable[[Network], nn.Module],
           output_name: str, class_names: Sequence[str]) -> None:
    """
    Write a trained network as an ONNX model.

    The input ``images`` is ``(1, 3 or 4, H, W)`` from 0 to 1: RGB, or RGB and thermal.

    Parameters
    ----------
    weights:
        Weight file of a network for one image or for both cameras.
    path:
        The ONNX file to write.
    size:
        Width and height of the input in pixels; both are multiples of 32.
    make_network:
        Makes the network from the number of its input channels.
    wrap_for_export:
        Returns the module to export; it contains the network.
    output_name:
        Name of the output of the model.
    class_names:
        Stored in the metadata as ``names``, in the format of Ultralytics.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.
    ExportError
        The height or the width is not a multiple of 32, or onnx or onnxscript is not installed.

    """
    if any(side < SIZE_MULTIPLE_PX or side % SIZE_MULTIPLE_PX for side in size):
        raise ExportError('width and height of the input must be multiples of '
                          f'{SIZE_MULTIPLE_PX}, got {size[0]}x{size[1]}')
    network = load_network(make_network, weights)
    module = wrap_for_export(fold_batch_norm(network)).eval()
    with explain_missing('export', ExportError, 'onnx onnxscript'):
        import onnx
        import onnxscript  # noqa: F401, torch.onnx.export needs it
    example_input = torch.zeros(1, network.channels, size[1], size[0])
    # torch.onnx.export prints its progress to stdout.
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():
        program = torch.onnx.export(module, (example_input,), dynamo=True, input_names=['images'],
                                    output_names=[output_name])
    model = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {'names': str(dict(enumerate(class_names)))})
    model.producer_name = FILE_MARK
    path.write_bytes(model.SerializeToString())


def rgb_to_bgr(image: Tensor) -> Tensor:
    """Swap red and blue of ``(B, 3 or 4, H, W)``; a fourth channel, thermal, stays last."""
    return image[:, [2, 1, 0, *range(3, image.shape[1])]]
