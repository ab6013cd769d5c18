# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weight files: safetensors whose metadata state network, training data and scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
from typing import Any, TypeVar

from ivf_ros.nn.errors import WeightsError
from ivf_ros.nn.onnx_file import MAX_BYTES
from ivf_ros.output import FILE_MARK
from ivf_ros.regular_files import check_regular
from safetensors import SafetensorError
from safetensors.torch import safe_open, save_file
import torch
from torch import nn

Network = TypeVar('Network', bound=nn.Module)


def save(network: nn.Module, path: Path, metadata: dict[str, Any]) -> None:
    """
    Write the weights as float16, and the metadata as JSON strings, to one file.

    Parameters
    ----------
    network:
        Its state dict is stored without the batch counters.
    path:
        The file to write.
    metadata:
        Values that can be written as JSON, by name: ``network``, ``trained_on``, ``command``,
        ``commit``, ``scores``.

    """
    state = {name: (value.half() if value.is_floating_point() else value).contiguous()
             for name, value in network.state_dict().items()
             if not name.endswith('num_batches_tracked')}
    values = {'made_by': FILE_MARK, **metadata}
    save_file(state, path, {name: json.dumps(value) for name, value in values.items()})


def load(network: Network, path: Path) -> Network:
    """
    Load weights into a network and return it, in float32 and in evaluation mode.

    A network with renamed layers maps the old names to the new ones in a class variable
    ``RENAMED_LAYERS``. It applies to every part of the dotted names of the tensors, so that older
    files can still be loaded.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network, or a weight is not finite.

    """
    with _open_weights(path) as file:
        tensors = {name: file.get_tensor(name).float() for name in list(file.keys())}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: the weights '{name}' are not finite; the file is "
                               'damaged, or its training has failed')
    renamed = getattr(network, 'RENAMED_LAYERS', {})
    state = {'.'.join(renamed.get(part, part) for part in name.split('.')): tensor
             for name, tensor in tensors.items()}
    try:
        incompatible_keys = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor has another shape than the layer of its name
        raise WeightsError(f'{path} holds the weights of another network: '
                           + str(error).strip().splitlines()[-1].strip()) from None
    missing = [name for name in incompatible_keys.missing_keys
               if not name.endswith('num_batches_tracked')]
    if missing or incompatible_keys.unexpected_keys:
        first = (missing + list(incompatible_keys.unexpected_keys))[0]
        raise WeightsError(f'{path} holds the weights of another network: '
                           f"{'no' if missing else 'unknown'} '{first}'")
    return network.eval()


@torch.no_grad()
def average_weights(network: Network, other: nn.Module, share: float) -> Network:
    """Move the weights of a network by ``share`` of the way to another's; return the network."""
    weights = other.state_dict()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(weights[name].to(tensor.device), share)
    return network


def metadata(path: Path) -> dict[str, Any]:
    """
    Return the metadata of a weight file.

    Raises
    ------
    WeightsError
        The file is missing or damaged.

    """
    with _open_weights(path) as file:
        return {name: json.loads(value) for name, value in (file.metadata() or {}).items()}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """
    Return the shapes of the tensors of a weight file, by name.

    Raises
    ------
    WeightsError
        The file is missing or damaged.

    """
    with _open_weights(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in list(file.keys())}


@contextmanager
def _open_weights(path: Path) -> Iterator[Any]:
    """Open a weight file; raise ``WeightsError`` where that is not possible."""
    try:
        check_regular(path, MAX_BYTES)
        with safe_open(path, framework='pt') as file:
            yield file
    except FileNotFoundError:
        raise WeightsError(f'no weight file at {path}') from None
    except OSError as error:
        raise WeightsError(f'cannot read {path}: {error.strerror or error}') from None
    except (SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(f'{path} is no weight file: {error}') from None
