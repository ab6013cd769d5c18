# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the registration stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.registration.calibrated import CalibratedParameters
from ivf_ros.registration.dense import DenseParameters
from ivf_ros.registration.dfa.registrar import DfaParameters
from ivf_ros.registration.fast import FastParameters
from ivf_ros.registration.rift.registrar import RiftParameters
from ivf_ros.registration.tracking import TrackerParameters
from ivf_ros.thermal import FreezeParameters

METHODS = ('calibrated', 'dense', 'fast', 'dfa', 'rift')
DEFAULT_METHOD = 'fast'


@dataclass(frozen=True)
class RegistrationParameters:
    """The registration method and the parameters of all methods."""

    method: str = parameter(DEFAULT_METHOD, 'Registration method.', choices=METHODS, live=False)
    network: NetworkParameters = group(NetworkParameters)
    calibrated: CalibratedParameters = group(CalibratedParameters)
    dense: DenseParameters = group(DenseParameters)
    fast: FastParameters = group(FastParameters)
    dfa: DfaParameters = group(DfaParameters)
    rift: RiftParameters = group(RiftParameters)

    RENAMED: ClassVar = {'fast.weights': 'network.weights', 'fast.precision': 'network.precision',
                         'dfa.weights': 'network.weights', 'dfa.precision': 'network.precision'}

    @property
    def of_method(self) -> Any:
        """Parameters of the selected method."""
        return getattr(self, self.method)


@dataclass(frozen=True)
class RegistrationStageParameters:
    """Parameters of the registration stage: method, rate, tracker and freeze detector."""

    max_rate_hz: float = parameter(
        2.0, 'Maximum measurements per second. Frames between them use the latest result.',
        minimum=0.01, maximum=1000.0)
    registration: RegistrationParameters = group(RegistrationParameters)
    tracker: TrackerParameters = group(TrackerParameters)
    freeze: FreezeParameters = group(FreezeParameters)

    RENAMED: ClassVar = {'method': 'registration.method',
                         **{f'{method}.': f'registration.{method}.' for method in METHODS}}
