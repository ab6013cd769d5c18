# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rig simulator: a thermal and an RGB camera view a scene that is generated from a seed.

``rig_simulator`` is the entry point, ``settings`` has its parameters. A ``Scene`` is what the
cameras view. ``street/`` and ``places/`` build it, from ``surfaces/`` and ``things/``, in the
light and at the temperatures of a ``climate``. ``rendering/`` makes images, depth, smoke and rain.
``rig`` and ``sensors`` are the cameras.
"""

from ivf_ros.data.simulator.rig import SimulatorError
from ivf_ros.data.simulator.rig_simulator import RigSimulator
from ivf_ros.data.simulator.settings import SimulatorParameters

__all__ = ['RigSimulator', 'SimulatorError', 'SimulatorParameters']
