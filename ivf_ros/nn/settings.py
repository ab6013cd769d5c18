# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters that all networks share; this module imports no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class NetworkParameters:
    """How the network of a stage is run; methods without a network ignore it."""

    weights: str = parameter('', 'Weight file; that of the package where empty.')
    precision: str = parameter(
        'bfloat16', 'Number format of the network. bfloat16 is two to four times as fast as '
        'float32 on processors that compute in it, and slower on others.',
        choices=('bfloat16', 'float32'))
