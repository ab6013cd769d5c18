# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration: how thermal pixels map to RGB pixels.

>>> registrar = create()                               # doctest: +SKIP
>>> answer = registrar.register(thermal, rgb)          # doctest: +SKIP
>>> cv2.warpPerspective(thermal, answer.H_thermal_to_rgb, answer.rgb_size)  # doctest: +SKIP

A method measures one pair and remembers nothing; ``RegistrationTracker`` makes of it an answer
that holds over time.
"""

from __future__ import annotations

from typing import Any

from ivf_ros.parameters import build
from ivf_ros.registration.calibrated import CalibratedParameters, CalibratedRegistrar
from ivf_ros.registration.dense import DenseParameters, DenseRegistrar
from ivf_ros.registration.dfa import DfaParameters, DfaRegistrar
from ivf_ros.registration.fast import FastParameters, FastRegistrar
from ivf_ros.registration.inputs import RegistrationError
from ivf_ros.registration.rift import RiftParameters, RiftRegistrar
from ivf_ros.registration.tracking import Registrar, RegistrationTracker, TrackerParameters

__all__ = ['CalibratedParameters', 'CalibratedRegistrar', 'create', 'DEFAULT_METHOD',
           'DenseParameters', 'DenseRegistrar', 'DfaParameters', 'DfaRegistrar', 'FastParameters',
           'FastRegistrar', 'methods', 'Registrar', 'RegistrationError', 'RegistrationTracker',
           'RiftParameters', 'RiftRegistrar', 'TrackerParameters']

_METHODS: dict[str, tuple[type, type]] = {
    'calibrated': (CalibratedRegistrar, CalibratedParameters),
    'dense': (DenseRegistrar, DenseParameters),
    'fast': (FastRegistrar, FastParameters),
    'dfa': (DfaRegistrar, DfaParameters),
    'rift': (RiftRegistrar, RiftParameters),
}


DEFAULT_METHOD = 'fast'


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` knows."""
    return tuple(_METHODS)


def create(method: str = DEFAULT_METHOD, **parameters: Any) -> Registrar:
    """
    Make a registrar.

    Parameters
    ----------
    method:
        One of ``methods()``.
    parameters:
        Fields of the parameter class of the method, for example of ``DenseParameters``.

    Raises
    ------
    RegistrationError
        The method is unknown.
    ParameterError
        A parameter is unknown or out of range.

    """
    if method not in _METHODS:
        raise RegistrationError(f"unknown method '{method}'; known: {', '.join(_METHODS)}")
    registrar, declared = _METHODS[method]
    return registrar(build(declared, parameters))
