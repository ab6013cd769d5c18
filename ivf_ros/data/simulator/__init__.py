# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The rig simulator: a thermal and an RGB camera look at a street that is made up from a seed.

``rig_simulator`` is where to begin. It stands on three groups of modules: the street (``street``,
``ground``, ``houses``, ``facades``, ``furniture``, ``vehicles``, ``people``), how it is drawn
(``climate``, ``raster``, ``view``), and the cameras (``rig``, ``sensors``, ``atmosphere``).
"""

from ivf_ros.data.simulator.rig import SimulatorError
from ivf_ros.data.simulator.rig_simulator import RigSimulator, SimulatorParameters

__all__ = ['RigSimulator', 'SimulatorError', 'SimulatorParameters']
