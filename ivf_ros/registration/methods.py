# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registration methods by name."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from ivf_ros.parameters import build
from ivf_ros.registration.calibrated import CalibratedRegistrar
from ivf_ros.registration.dense import DenseRegistrar
from ivf_ros.registration.dfa.registrar import DfaRegistrar
from ivf_ros.registration.fast import FastRegistrar
from ivf_ros.registration.inputs import Registrar
from ivf_ros.registration.rift.registrar import RiftRegistrar
from ivf_ros.registration.settings import DEFAULT_METHOD, METHODS, RegistrationParameters

# Method to its class, which takes the parameters of the method.
_REGISTRARS: dict[str, Callable[..., Registrar]] = {
    'calibrated': CalibratedRegistrar,
    'dense': DenseRegistrar,
    'fast': FastRegistrar,
    'dfa': DfaRegistrar,
    'rift': RiftRegistrar,
}
_WITH_NETWORK = ('fast', 'dfa')  # these take the parameters of a network, too


def methods() -> tuple[str, ...]:
    """Return the method names that ``create`` accepts."""
    return METHODS


def create(method: str = DEFAULT_METHOD, **parameters: Any) -> Registrar:
    """
    Make a registrar.

    Parameters
    ----------
    method:
        One of ``methods()``.
    parameters:
        Parameters of ``RegistrationParameters`` by dotted name. The fields of the parameter class
        of the method, and ``weights`` and ``precision`` of its network, need no prefix.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    RegistrationError
        The method needs PyTorch, which is not installed.
    WeightsError
        A weight file is missing, damaged, or belongs to another network.
    DeviceError
        The engine, the device or the precision of the network is not available.

    """
    defaults = build(RegistrationParameters, {'method': method})
    dotted = {field.name: f'{group}.{field.name}' for group in ('network', method)
              for field in dataclasses.fields(getattr(defaults, group))}
    return create_from(build(RegistrationParameters, {
        'method': method, **{dotted.get(name, name): value
                             for name, value in parameters.items()}}))


def create_from(parameters: RegistrationParameters) -> Registrar:
    """Make the registrar of ``parameters.method``; see ``create``."""
    network = [parameters.network] if parameters.method in _WITH_NETWORK else []
    return _REGISTRARS[parameters.method](parameters.of_method, *network)
