# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX files, for ONNX Runtime, TensorRT and whatever else reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import io
from pathlib import Path
from typing import TypeVar

from ivf_ros.nn.encoder import Encoder, SIZE_MULTIPLE_PX
from ivf_ros.nn.inference import fold_batch_norm, load_network
from ivf_ros.output import FILE_MARK
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=Encoder)


class ExportError(RuntimeError):
    """A network cannot be exported here, or not for such images."""


def export(weights: Path, path: Path, size: tuple[int, int], *,
           make_network: Callable[[int], Network], wrap_for_export: Callable[[Network], nn.Module],
           output: str, class_names: Sequence[str]) -> None:
    """
    Write a network as a model of ``images`` ``(1, 3 or 4, H, W)``, RGB and thermal from 0 to 1.

    Parameters
    ----------
    weights:
        Weight file, for an image or for both cameras.
    path:
        The ONNX file.
    size:
        Width and height of the input.
    network_of:
        Makes the network for so many channels, BGR and thermal.
    exported:
        Makes of the network the module that is written.
    output:
        Name of its output.
    class_names:
        Go into the metadata, as Ultralytics writes them.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.
    ExportError
        A side is no multiple of 32, or onnx or onnxscript is not installed.

    """
    if any(side < SIZE_MULTIPLE_PX or side % SIZE_MULTIPLE_PX for side in size):
        raise ExportError(f'the sides of the input are multiples of {SIZE_MULTIPLE_PX}, '
                          f'got {size[0]}x{size[1]}')
    network = load_network(make_network, weights)
    module = wrap_for_export(fold_batch_norm(network)).eval()
    try:
        import onnx
        import onnxscript  # noqa: F401, what torch.onnx.export needs
    except ModuleNotFoundError as error:
        raise ExportError(f"export needs '{error.name}'; pip install onnx onnxscript") from None
    example_input = torch.zeros(1, network.channels, size[1], size[0])
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():  # it tells its steps
        program = torch.onnx.export(module, (example_input,), dynamo=True, input_names=['images'],
                                    output_names=[output])
    model = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, {'names': str(dict(enumerate(class_names)))})
    model.producer_name = FILE_MARK
    path.write_bytes(model.SerializeToString())


def rgb_to_bgr(image: Tensor) -> Tensor:
    """Turn ``(B, 3 or 4, H, W)`` from RGB, with or without thermal, to BGR, and back."""
    return image[:, [2, 1, 0, *range(3, image.shape[1])]]
