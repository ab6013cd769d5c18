# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration: how thermal pixels map to RGB pixels.

>>> registrar = create()                               # doctest: +SKIP
>>> result = registrar.register(thermal, rgb)          # doctest: +SKIP
>>> cv2.warpPerspective(thermal, result.H_thermal_to_rgb, result.rgb_size)  # doctest: +SKIP

A method measures one pair of images and has no memory. ``RegistrationTracker`` filters its
measurements over time.
"""

from __future__ import annotations

from ivf_ros.registration.calibrated import CalibratedParameters, CalibratedRegistrar
from ivf_ros.registration.dense import DenseParameters, DenseRegistrar
from ivf_ros.registration.dfa.registrar import DfaParameters, DfaRegistrar
from ivf_ros.registration.fast import FastParameters, FastRegistrar
from ivf_ros.registration.inputs import Registrar, RegistrationError
from ivf_ros.registration.methods import create, create_from, methods
from ivf_ros.registration.rift.registrar import RiftParameters, RiftRegistrar
from ivf_ros.registration.settings import (
    DEFAULT_METHOD,
    RegistrationParameters,
    RegistrationStageParameters,
)
from ivf_ros.registration.stage import RegistrationResult, RegistrationStage
from ivf_ros.registration.tracking import RegistrationTracker, TrackerParameters

__all__ = ['CalibratedParameters', 'CalibratedRegistrar', 'create', 'create_from',
           'DEFAULT_METHOD', 'DenseParameters', 'DenseRegistrar', 'DfaParameters', 'DfaRegistrar',
           'FastParameters', 'FastRegistrar', 'methods', 'Registrar', 'RegistrationError',
           'RegistrationParameters', 'RegistrationResult', 'RegistrationStage',
           'RegistrationStageParameters', 'RegistrationTracker', 'RiftParameters',
           'RiftRegistrar', 'TrackerParameters']
