# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that all networks share; this module does not import PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class NetworkParameters:
    """Weights and number format of the network of a stage; other methods ignore them."""

    weights: str = parameter('', 'Weight file; empty for the weights of the package.')
    precision: str = parameter(
        'bfloat16', 'Number format of the network. bfloat16 is two to four times as fast as '
        'float32 on CPUs that compute in it, and slower on other CPUs.',
        choices=('bfloat16', 'float32'))
