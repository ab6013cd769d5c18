# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that all networks share."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter

ENGINES = ('auto', 'onnxruntime', 'torch')
DEVICES = ('auto', 'cpu', 'openvino', 'cuda', 'tensorrt')
PRECISIONS = ('auto', 'int8', 'float16', 'float32')


@dataclass(frozen=True)
class NetworkParameters:
    """What runs the network of a stage, and where; methods without a network ignore them."""

    weights: str = parameter(
        '', 'Network file: .onnx, or .safetensors for the engine torch. Empty for the network of '
        'the package.')
    engine: str = parameter(
        'auto', 'Library that runs the network. auto is onnxruntime, and torch for a '
        '.safetensors file.', choices=ENGINES)
    device: str = parameter(
        'auto', 'Device. auto takes the first that works of cuda, openvino and cpu; tensorrt '
        'prepares a network for minutes at its first start. The engine torch has cpu and cuda.',
        choices=DEVICES)
    precision: str = parameter(
        'auto', 'Number format. auto is int8 on cpu and openvino, float16 on tensorrt and '
        'float32 elsewhere. cpu and openvino have int8 and float32, cuda has float32.',
        choices=PRECISIONS)
    threads: int = parameter(
        1, 'Threads of the network on a CPU. With 1, the stages of a composed graph share the '
        'cores best.', minimum=1, maximum=64)
