# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registration methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from ivf_ros.parameters import build
from ivf_ros.registration.calibrated import CalibratedRegistrar
from ivf_ros.registration.dense import DenseRegistrar
from ivf_ros.registration.dfa.registrar import DfaRegistrar
from ivf_ros.registration.fast import FastRegistrar
from ivf_ros.registration.rift.registrar import RiftRegistrar
from ivf_ros.registration.settings import DEFAULT_METHOD, METHODS, RegistrationParameters
from ivf_ros.registration.tracking import Registrar


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes."""
    return METHODS


def create(method: str = DEFAULT_METHOD, **parameters: Any) -> Registrar:
    """
    Make a registrar.

    Parameters
    ----------
    method:
        One of ``methods()``.
    parameters:
        Those of ``RegistrationParameters`` by dotted name. Fields of the parameter class of the
        method, and ``weights`` and ``precision`` of its network, may be named alone.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    RegistrationError
        The method is a network, and PyTorch or safetensors is not installed.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    chosen = build(RegistrationParameters, {'method': method})
    short = {field.name: f'{group}.{field.name}' for group in ('network', method)
             for field in dataclasses.fields(getattr(chosen, group))}
    return create_from(build(RegistrationParameters, {
        'method': method, **{short.get(name, name): value
                             for name, value in parameters.items()}}))


def create_from(parameters: RegistrationParameters) -> Registrar:
    """Make the registrar that the parameters choose; see ``create``."""
    if parameters.method == 'calibrated':
        return CalibratedRegistrar(parameters.calibrated)
    if parameters.method == 'dense':
        return DenseRegistrar(parameters.dense)
    if parameters.method == 'rift':
        return RiftRegistrar(parameters.rift)
    if parameters.method == 'dfa':
        return DfaRegistrar(parameters.dfa, parameters.network)
    return FastRegistrar(parameters.fast, parameters.network)
