# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lamps of paths and yards, and floodlights that dazzle the RGB camera."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_box, add_disc, add_post
import numpy as np

PATH_LAMP_M = 3.6
_STEEL = (0.06, 0.07, 0.07)


def make_path_lamp(climate: Climate, colour: np.ndarray) -> Mesh:
    """Return a lamp of 3.6 m whose globe shines in all directions."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    add_post(mesh, 0, 0, PATH_LAMP_M - 0.2, 0.05, _STEEL, celsius)
    add_post(mesh, 0, 0, 0.5, 0.09, _STEEL, celsius + (1.5 if climate.lamps_lit else 0.3))
    lit = np.asarray(colour) * 1.5 if climate.lamps_lit else (0, 0, 0)
    add_disc(mesh, (0, -PATH_LAMP_M, -0.02), 0.2, (0.55, 0.56, 0.56),
             celsius + (12 if climate.lamps_lit else 1), glow=lit)
    add_disc(mesh, (0, -PATH_LAMP_M - 0.2, -0.03), 0.08, _STEEL, celsius)
    return mesh.build()


def make_floodlight(climate: Climate, height_m: float) -> Mesh:
    """Return a floodlight on a tripod that shines along -z."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    for x in (-0.3, 0.0, 0.3):
        mesh.add([(x - 0.015, 0, 0), (x + 0.015, 0, 0), (0.015, -0.7 * height_m, 0),
                  (-0.015, -0.7 * height_m, 0)], _STEEL, celsius)
    add_post(mesh, 0, 0.5 * height_m, height_m, 0.025, _STEEL, celsius)
    add_box(mesh, (0, -height_m, 0), (0.4, 0.3, 0.12), _STEEL, climate.air_celsius + 25)
    mesh.add([(-0.17, -height_m - 0.03, -0.07), (0.17, -height_m - 0.03, -0.07),
              (0.17, -height_m - 0.27, -0.07), (-0.17, -height_m - 0.27, -0.07)],
             (0.6, 0.6, 0.6), climate.air_celsius + 45, glow=(1.5, 1.6, 1.6))
    return mesh.build()
