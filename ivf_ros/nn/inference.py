# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The engine ``torch``, and the modules that both engines run.

An ``InferenceModule`` is a trained network together with the conversion of its inputs and outputs:
it takes the arrays of a stage and returns those that the stage needs. ``nn.export`` writes it to
an ONNX file; the engine ``torch`` runs it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ivf_ros.nn.devices import Placement
from ivf_ros.nn.encoder import Encoder
from ivf_ros.nn.errors import DeviceError, WeightsError
from ivf_ros.nn.weights import load, read_shapes
import numpy as np
import torch
from torch import nn, Tensor

EncoderNetwork = TypeVar('EncoderNetwork', bound=Encoder)
AnyNetwork = TypeVar('AnyNetwork', bound=nn.Module)

# Precisions of the engine ``torch``; ``auto`` is the first one.
_PRECISIONS = {'cpu': ('float32',), 'cuda': ('float16', 'float32')}


class InferenceModule(nn.Module):
    """
    A trained network that takes and returns the arrays of a stage.

    ``forward`` takes one tensor for each of ``input_names`` and returns one for each of
    ``output_names``. The inputs have no batch axis. Images are ``(H, W)`` or ``(H, W, C)`` uint8.

    Attributes
    ----------
    network:
        The trained network.
    channels:
        Channels of the input image.
    input_names, output_names:
        In the order of ``forward``.
    size_multiple_px:
        The height and the width of an image are multiples of it.
    float_layers:
        Parts of the dotted names of layers that stay float32 in an int8 network, see
        ``nn.quantization``.
    class_names:
        Names of the classes that it predicts, if any.

    """

    input_names: ClassVar[tuple[str, ...]]
    output_names: ClassVar[tuple[str, ...]]
    size_multiple_px: int
    float_layers: ClassVar[tuple[str, ...]] = ()
    class_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network: Any = network
        self.channels = channels

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return black images of the usual size, for the export."""
        shape = (480, 640) if self.channels == 1 else (480, 640, self.channels)
        return tuple(torch.zeros(shape, dtype=torch.uint8) for _ in self.input_names)

    def image_axes(self) -> dict[str, tuple[int, int]]:
        """Return the axes of height and width of each input that has them."""
        return dict.fromkeys(self.input_names, (0, 1))


def choose_placement(device: str, precision: str, has_cuda: bool) -> Placement:
    """
    Return where the engine ``torch`` runs a network.

    Raises
    ------
    DeviceError
        PyTorch does not have the device, or the engine does not have the precision on it.

    """
    reason = ''
    if device == 'auto':
        device, reason = ('cuda', '') if has_cuda else ('cpu', 'cuda: PyTorch finds no GPU')
    if device not in _PRECISIONS or (device == 'cuda' and not has_cuda):
        raise DeviceError(f"engine 'torch' has device cpu{', cuda' if has_cuda else ''} here, got "
                          f"'{device}'")
    if precision == 'auto':
        precision = _PRECISIONS[device][0]
    if precision not in _PRECISIONS[device]:
        raise DeviceError(f"engine 'torch' on {device} has precision "
                          f"{' or '.join(_PRECISIONS[device])}, got '{precision}'")
    return Placement(device, precision, reason)


def make_runner(module: InferenceModule, placement: Placement, threads: int
                ) -> Callable[[tuple[np.ndarray, ...]], list[np.ndarray]]:
    """
    Return a function that runs the module on arrays.

    PyTorch has one number of threads for all its networks; the last one to be loaded sets it.
    """
    if placement.device == 'cpu':
        torch.set_num_threads(threads)
    fold_batch_norm(module)
    module.to(placement.device)
    is_half = placement.precision == 'float16'

    def run(inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        with torch.inference_mode(), torch.autocast(placement.device, torch.float16,
                                                    enabled=is_half):
            outputs = module(*(torch.from_numpy(np.ascontiguousarray(array)).to(placement.device)
                               for array in inputs))
        return [output.cpu().numpy() for output in outputs]

    return run


def load_encoder_network(make_network: Callable[[int], EncoderNetwork], path: Path
                         ) -> EncoderNetwork:
    """
    Return the network of a weight file, in float32 and in evaluation mode.

    ``make_network`` makes it from the number of its input channels.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of another network.

    """
    return load(make_network(read_in_channels(path)), path)


def read_in_channels(path: Path, prefix: str = '') -> int:
    """
    Return the number of input channels of the network of a weight file.

    ``prefix`` precedes the names of the layers of the encoder.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of a network without this encoder.

    """
    first = tuple(f'{prefix}stem.{layer}.weight' for layer in ('0.0', '0.0.0', '1.0.0'))
    channels = sum(shape[1] for name, shape in read_shapes(path).items() if name in first)
    if not channels:
        raise WeightsError(f"{path} is no weight file of this network: no '{first[0]}'")
    return channels


def to_batch(image: Tensor) -> Tensor:
    """Return an image ``(H, W, C)`` uint8 as ``(1, C, H, W)`` float32 from 0 to 1."""
    return image.permute(2, 0, 1)[None].float() / 255


def fold_batch_norm(network: AnyNetwork) -> AnyNetwork:
    """
    Fold each batch normalisation into the preceding convolution, in place.

    For inference only. The two are one linear map: ``y = g (W x - m) / s + b``.
    """
    for child in network.children():
        if isinstance(child, nn.Sequential) and len(child) > 1 \
                and isinstance(child[0], nn.Conv2d) and isinstance(child[1], nn.BatchNorm2d):
            child[0] = torch.nn.utils.fuse_conv_bn_eval(child[0], child[1])
            child[1] = nn.Identity()
        fold_batch_norm(child)
    return network
