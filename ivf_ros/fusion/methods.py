# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fusion methods by name."""

from __future__ import annotations

from typing import Any

from ivf_ros.fusion.fuser import Fuser
from ivf_ros.fusion.settings import DEFAULT_METHOD, FusionParameters, METHODS
from ivf_ros.parameters import build


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` accepts."""
    return METHODS


def create(method: str = DEFAULT_METHOD, **parameters: Any) -> Fuser:
    """
    Create a fuser; ``parameters`` are those of ``FusionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    WeightsError
        A weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision of the network is not available.

    """
    return Fuser(build(FusionParameters, {**parameters, 'method': method}))
