# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rig simulator: a thermal and an RGB camera view a street that is generated from a seed.

``rig_simulator`` is the entry point. It uses three groups of modules: the street (``street``,
``layout``, ``ground``, ``houses``, ``facades``, ``furniture``, ``vehicles``, ``people``), its
rendering (``climate``, ``raster``, ``view``), and the cameras (``rig``, ``sensors``,
``atmosphere``).
"""

from ivf_ros.data.simulator.rig import SimulatorError
from ivf_ros.data.simulator.rig_simulator import RigSimulator, SimulatorParameters

__all__ = ['RigSimulator', 'SimulatorError', 'SimulatorParameters']
