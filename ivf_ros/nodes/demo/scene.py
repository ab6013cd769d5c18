# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A short simulated scene that cameras can play without an end."""

from __future__ import annotations

from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.pairing import STREAMS
from ivf_ros.parameters import build
from ivf_ros.types import Frame
import numpy as np

_LENGTH_S = 2.0  # forwards, then backwards


def render_scene(condition: str, size: tuple[int, int], rate_hz: float
                 ) -> tuple[np.ndarray, list[tuple[Frame, Frame]]]:
    """
    Render a street whose last pair is followed by the first one without a jump.

    Parameters
    ----------
    condition:
        Light and weather, as for the simulator.
    size:
        Width and height of both images in pixels.
    rate_hz:
        Rate of both cameras.

    Returns
    -------
    H_thermal_to_rgb:
        ``(3, 3)``, the true homography.
    pairs:
        Thermal and RGB.

    """
    simulator = RigSimulator(build(SimulatorParameters, {
        'condition': condition, 'seed': 2,
        **{f'{stream}.{name}': value for stream in STREAMS
           for name, value in (('width', size[0]), ('height', size[1]),
                               ('rate_hz', rate_hz))}}))
    pairs = [simulator.pair(index)[:2] for index in range(round(_LENGTH_S * rate_hz))]
    return simulator.H_thermal_to_rgb, pairs + pairs[-2:0:-1]
