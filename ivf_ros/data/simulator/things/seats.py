# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Benches, chairs and tables; who sits on them looks along -z, towards the rig."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_box
import numpy as np

SEAT_M = 0.45
_LEG = (0.05, 0.05, 0.05)


def make_bench(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a park bench of 1.8 m, with or without a back."""
    mesh = MeshBuilder()
    wood = np.array((0.06, 0.13, 0.24)) * rng.uniform(0.7, 1.8)
    celsius, half = climate.celsius('wood'), 0.9
    if rng.random() < 0.75:
        for y in (0.62, 0.80):
            add_box(mesh, (0, -y, 0.24), (2 * half, 0.12, 0.03), wood * 1.1, celsius - 0.2)
    for x in (-0.7, 0.7):
        add_box(mesh, (x, 0, 0.0), (0.07, SEAT_M - 0.06, 0.42), _LEG, climate.celsius('metal'))
        add_box(mesh, (x, -0.4, 0.27), (0.06, 0.52, 0.05), _LEG, climate.celsius('metal'))
    for z in (0.15, 0.0, -0.15):
        add_box(mesh, (0, -SEAT_M + 0.05, z), (2 * half, 0.05, 0.12), wood, celsius)
    return mesh.build()


def make_chair(rng: np.random.Generator, climate: Climate, colour=None) -> Mesh:
    """Return a chair; ``colour`` is that of seat and back, linear BGR."""
    mesh = MeshBuilder()
    colour = rng.uniform(0.02, 0.5, 3) if colour is None else np.asarray(colour)
    celsius = climate.celsius('plastic') + rng.normal(0, 0.4)
    for x in (-0.19, 0.19):
        for z in (0.19, -0.19):
            add_box(mesh, (x, 0, z), (0.035, SEAT_M, 0.035), _LEG, climate.celsius('metal'))
    add_box(mesh, (0, -0.55, 0.21), (0.44, 0.38, 0.04), colour, celsius)
    add_box(mesh, (0, -SEAT_M + 0.04, 0), (0.46, 0.05, 0.44), colour * 0.9, celsius)
    return mesh.build()


def make_table(rng: np.random.Generator, climate: Climate, width_m: float = 1.4,
               depth_m: float = 0.75) -> Mesh:
    """Return a table with cups, books or a laptop."""
    mesh = MeshBuilder()
    top = np.array((0.30, 0.42, 0.52)) * rng.uniform(0.4, 1.4)
    celsius = climate.celsius('wood')
    for side in (-1, 1):
        for end in (1, -1):
            add_box(mesh, (side * (width_m / 2 - 0.06), 0, end * (depth_m / 2 - 0.06)),
                    (0.05, 0.72, 0.05), _LEG, climate.celsius('metal'))
    add_box(mesh, (0, -0.71, 0), (width_m, 0.04, depth_m), top, celsius)
    for _ in range(int(rng.integers(0, 4))):
        x, z = rng.uniform(-0.4, 0.4) * width_m, rng.uniform(-0.3, 0.3) * depth_m
        pick = rng.random()
        if pick < 0.4:  # a cup, hot or cold
            add_box(mesh, (x, -0.75, z), (0.09, 0.10, 0.09), (0.6, 0.6, 0.6),
                    climate.air_celsius + rng.choice([0.0, 14.0, 28.0]))
        elif pick < 0.7:  # a laptop, its rear side
            add_box(mesh, (x, -0.75, z), (0.34, 0.02, 0.24), (0.25, 0.25, 0.25),
                    climate.air_celsius + 7)
            add_box(mesh, (x, -0.77, z - 0.12), (0.34, 0.22, 0.015), (0.3, 0.3, 0.3),
                    climate.air_celsius + 3.5)
        else:
            add_box(mesh, (x, -0.75, z), (0.24, 0.06, 0.18), rng.uniform(0.05, 0.5, 3),
                    climate.celsius('paper'))
    return mesh.build()
