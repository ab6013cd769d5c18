# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX files, for ONNX Runtime, TensorRT and whatever else reads them."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import io
from pathlib import Path

import torch
from torch import nn, Tensor


class ExportError(RuntimeError):
    """A network cannot be exported here, or not for such images."""


def check_size(size: tuple[int, int], multiple_px: int) -> None:
    """
    Refuse a size of images (width, height) that a network cannot take as it is.

    Raises
    ------
    ExportError
        A side is no multiple of ``multiple_px``.

    """
    if any(side < multiple_px or side % multiple_px for side in size):
        raise ExportError(f'the sides of the input are multiples of {multiple_px}, '
                          f'got {size[0]}x{size[1]}')


def rgb_to_bgr(image: Tensor) -> Tensor:
    """Turn ``(B, 3 or 4, H, W)`` from RGB, with or without thermal, to BGR, and back."""
    return image[:, [2, 1, 0, *range(3, image.shape[1])]]


def write_onnx(network: nn.Module, given: Tensor, output: str, path: Path,
               metadata: Mapping[str, str]) -> None:
    """
    Write a network of one input, ``images``, and one output, for input of the shape of ``given``.

    Parameters
    ----------
    network:
        Trained.
    given:
        An input.
    output:
        Name of the output.
    path:
        The file.
    metadata:
        Goes into the metadata of the model.

    Raises
    ------
    ExportError
        onnx or onnxscript is not installed.

    """
    try:
        import onnx
        import onnxscript  # noqa: F401, what torch.onnx.export needs
    except ModuleNotFoundError as error:
        raise ExportError(f"export needs '{error.name}'; pip install onnx onnxscript") from None
    with contextlib.redirect_stdout(io.StringIO()), torch.inference_mode():  # it tells its steps
        program = torch.onnx.export(network.eval(), (given,), dynamo=True,
                                    input_names=['images'], output_names=[output])
    model = program.model_proto  # type: ignore[union-attr]
    onnx.helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
