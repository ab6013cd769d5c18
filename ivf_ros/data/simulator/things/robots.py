# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small robots: neither vehicles nor people; motors and batteries are warm."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.animals import Animal
from ivf_ros.data.simulator.things.shapes import add_box, add_disc, add_post, add_wheel
import numpy as np

_PAINTS = ((0.60, 0.62, 0.62), (0.03, 0.03, 0.03), (0.04, 0.35, 0.60), (0.10, 0.10, 0.45),
           (0.35, 0.20, 0.05))


def make_wheeled_robot(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a robot on four or six wheels: one for deliveries, or a research platform."""
    mesh = MeshBuilder()
    width, length, height = rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.9), rng.uniform(0.25, 0.6)
    paint = np.array(_PAINTS[rng.integers(len(_PAINTS))])
    radius, air = rng.uniform(0.09, 0.16), climate.air_celsius
    shell, motor = climate.celsius('plastic') + rng.uniform(0, 4), air + rng.uniform(6, 20)
    for z in np.linspace(-0.38, 0.38, int(rng.integers(2, 4))) * length:
        for x in (-0.5, 0.5):
            add_wheel(mesh, x * width, z, radius, 0.07, motor - 4)
    floor = -0.9 * radius
    add_box(mesh, (0, floor, 0), (0.86 * width, 0.10, 0.95 * length), (0.03, 0.03, 0.03), motor)
    add_box(mesh, (0, floor - 0.10, 0), (0.92 * width, height, length), paint, shell, taper=0.88)
    top = floor - 0.10 - height
    for end in (-1, 1):  # a bumper with lamps
        z = end * (length / 2 + 0.004)
        lit = (0.5, 0.55, 0.55) if climate.lamps_lit else (0, 0, 0)
        mesh.add([(-0.3 * width, floor - 0.16, z), (0.3 * width, floor - 0.16, z),
                  (0.3 * width, floor - 0.22, z), (-0.3 * width, floor - 0.22, z)],
                 (0.02, 0.02, 0.02), shell + 3, glow=lit, inside_m=(0, floor - 0.2, 0))
    if rng.random() < 0.5:
        add_post(mesh, 0.3 * width, -top, -top + rng.uniform(0.3, 0.8), 0.01, (0.05,) * 3, shell)
        flag = top - 0.55
        mesh.add([(0.3 * width, flag, 0), (0.3 * width + 0.2, flag + 0.06, 0),
                  (0.3 * width, flag + 0.12, 0)], (0.05, 0.25, 0.7), climate.celsius('cloth'))
    else:  # a mast with a laser scanner
        add_box(mesh, (0, top, 0), (0.06, 0.2, 0.06), (0.2, 0.2, 0.2), shell)
        add_box(mesh, (0, top - 0.2, 0), (0.13, 0.09, 0.13), (0.02, 0.02, 0.02), air + 14)
    return mesh.build()


def make_tracked_robot(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a robot on tracks with an arm."""
    mesh = MeshBuilder()
    air = climate.air_celsius
    motor, paint = air + rng.uniform(6, 18), np.array(_PAINTS[rng.integers(len(_PAINTS))]) * 0.7
    for x in (-0.26, 0.26):
        add_box(mesh, (x, 0, 0), (0.12, 0.2, 0.8), (0.02, 0.02, 0.02), 0.5 * (motor + air))
    add_box(mesh, (0, -0.08, 0), (0.40, 0.2, 0.66), paint, motor - 2)
    for z in (-0.3, 0.3):
        for x in (-0.321, 0.321):
            add_disc(mesh, (x, -0.1, z), 0.08, (0.15, 0.15, 0.15), motor, 'x')
    add_box(mesh, (0, -0.28, 0.1), (0.08, rng.uniform(0.3, 0.6), 0.08), (0.1, 0.1, 0.1), air + 4)
    add_box(mesh, (0, -0.62, -0.05), (0.18, 0.12, 0.3), (0.04, 0.04, 0.04), air + 9)
    return mesh.build()


def make_cleaning_robot(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a cleaning or a service robot: a round body, at times with a screen."""
    mesh = MeshBuilder()
    height, half = rng.uniform(0.25, 1.2), rng.uniform(0.18, 0.3)
    paint = np.array((0.55, 0.58, 0.58)) * rng.uniform(0.3, 1.2)
    celsius = climate.celsius('plastic') + rng.uniform(1, 5)
    add_box(mesh, (0, -0.03, 0), (2.1 * half, 0.12, 2.1 * half), (0.04, 0.04, 0.04), celsius + 6)
    add_box(mesh, (0, -0.15, 0), (2 * half, height, 2 * half), paint, celsius, taper=0.75)
    if height > 0.7:
        top = -0.15 - height
        mesh.add([(-0.15, top + 0.05, -half), (0.15, top + 0.05, -half), (0.15, top - 0.2, -half),
                  (-0.15, top - 0.2, -half)], (0.02, 0.02, 0.02), celsius + 7,
                 glow=np.array((0.5, 0.4, 0.2)) / climate.exposure)
    return mesh.build()


def sample_walking_robot(rng: np.random.Generator, climate: Climate) -> Animal:
    """Return a robot on four legs, which is drawn as an animal without fur."""
    air, size = climate.air_celsius, rng.uniform(0.8, 1.3)
    return Animal(0.65 * size, 0.48 * size, 0.10 * size, 0.03, 0.2, 0.14 * size, 0.02,
                  np.array(_PAINTS[rng.integers(len(_PAINTS))]), air + rng.uniform(3, 8),
                  air + rng.uniform(4, 10), air + rng.uniform(6, 16))
