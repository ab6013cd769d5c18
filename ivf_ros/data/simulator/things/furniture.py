# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Static objects in a street: lamps, signs, bins, cones, guardrails, wheel stops."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_box, add_post, add_strip
import numpy as np

LAMP_HEIGHT_M = 6.2
_STEEL = (0.22, 0.23, 0.23)


def make_street_lamp(climate: Climate, side: float, colour) -> Mesh:
    """Return a lamp post with an arm over the road, towards ``-side``."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    add_post(mesh, 0, 0, LAMP_HEIGHT_M, 0.07, _STEEL, celsius)
    add_post(mesh, 0, 0, 0.9, 0.11, _STEEL, celsius + (2.5 if climate.lamps_lit else 0.5))
    add_strip(mesh, (0, -LAMP_HEIGHT_M, 0), (-side * 1.1, -LAMP_HEIGHT_M - 0.25, 0), 0.045, 0.04,
              _STEEL, celsius)
    lit = np.asarray(colour) * 1.5 if climate.lamps_lit else (0, 0, 0)
    mesh.add([(-side * 0.9, -LAMP_HEIGHT_M - 0.12, 0), (-side * 1.5, -LAMP_HEIGHT_M - 0.2, 0),
              (-side * 1.5, -LAMP_HEIGHT_M - 0.34, 0), (-side * 0.9, -LAMP_HEIGHT_M - 0.3, 0)],
             (0.4, 0.4, 0.4), celsius + (16 if climate.lamps_lit else 1), glow=lit)
    return mesh.build()


def make_sign(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a traffic sign; its paint is visible only in RGB."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    height = rng.uniform(2.1, 2.5)
    add_post(mesh, 0, 0, height + 0.3, 0.035, _STEEL, celsius + 1)
    sides = int(rng.choice([3, 4, 24, 24, 8]))
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False) + (np.pi / 4 if sides == 4 else
                                                                 np.pi / 8 if sides == 8 else 0)
    plate = np.column_stack([np.sin(angles), -np.cos(angles), np.zeros(sides)])
    middle = np.array([0, -height, -0.06])
    rim, face = ((0.04, 0.04, 0.5), (0.75, 0.75, 0.75)) if rng.random() < 0.65 \
        else ((0.8, 0.8, 0.8), (0.45, 0.12, 0.02))
    mesh.add(middle + 0.38 * plate, rim, celsius)
    mesh.add(middle + 0.29 * plate, face, celsius)
    mesh.add(middle + np.array([(-.12, -.03, 0), (.12, -.03, 0), (.12, .05, 0), (-.12, .05, 0)]),
             (0.03, 0.03, 0.03) if face[2] > 0.5 else (0.8, 0.8, 0.8), celsius)
    return mesh.build()


def make_traffic_light(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a traffic light on a post."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    add_post(mesh, 0, 0, 3.4, 0.06, _STEEL, celsius)
    mesh.add([(-.17, -2.5, -.1), (.17, -2.5, -.1), (.17, -3.45, -.1), (-.17, -3.45, -.1)],
             (0.02, 0.03, 0.02), celsius + 3)
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    disc = 0.11 * np.column_stack([np.sin(angles), np.cos(angles), np.zeros(14)])
    on = rng.choice([0, 2])
    colours = ((0.05, 0.05, 1.0), (0.05, 0.7, 1.0), (0.5, 1.0, 0.1))
    for index, colour in enumerate(colours):
        lit = index == on
        mesh.add(disc + (0, -3.28 + 0.3 * index, -0.12), np.array(colour) * 0.06,
                 celsius + (12 if lit else 2),
                 glow=np.array(colour) * 1.6 / climate.exposure if lit else (0, 0, 0))
    return mesh.build()


def make_bin(climate: Climate, rng: np.random.Generator) -> Mesh:
    """Return a wheeled bin."""
    mesh = MeshBuilder()
    celsius = climate.celsius('plastic') + rng.uniform(-1, 2)
    colour = np.array([(0.05, 0.12, 0.04), (0.03, 0.03, 0.03), (0.25, 0.12, 0.03)][
        rng.integers(3)])
    add_box(mesh, (0, 0, 0), (0.58, 1.0, 0.7), colour, celsius)
    add_box(mesh, (0, -1.0, 0), (0.64, 0.07, 0.76), colour * 1.5, celsius - 1)
    return mesh.build()


def make_cone(climate: Climate) -> Mesh:
    """Return a traffic cone with a white band."""
    mesh = MeshBuilder()
    celsius = climate.celsius('plastic')
    orange = (0.03, 0.18, 0.72)
    add_box(mesh, (0, 0, 0), (0.40, 0.05, 0.40), (0.03, 0.10, 0.4), celsius)
    white = (0.75, 0.75, 0.75)
    for low, high, colour in ((0.05, 0.30, orange), (0.30, 0.48, white), (0.48, 0.72, orange)):
        half0, half1 = 0.15 * (1 - low / 0.82), 0.15 * (1 - high / 0.82)
        add_strip(mesh, (0, -low, 0), (0, -high, 0), half0, half1, colour, celsius + 0.6)
    return mesh.build()


def make_guardrail(climate: Climate, length_m: float) -> Mesh:
    """Return a section of guardrail along z."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    for z in np.arange(0.0, length_m + 0.01, 2.0):
        add_strip(mesh, (0.05, 0, z), (0.05, -0.75, z), 0.06, 0.06, _STEEL, celsius + 0.6)
    for low, high, shade in ((0.43, 0.53, 0.75), (0.53, 0.64, 1.3), (0.64, 0.75, 0.85)):
        mesh.add([(0, -low, 0), (0, -low, length_m), (0, -high, length_m), (0, -high, 0)],
                 np.array(_STEEL) * 1.6 * shade, celsius - 0.8 * (shade > 1))
    return mesh.build()


def make_car_stop(climate: Climate) -> Mesh:
    """Return the wheel stop of a parking place."""
    mesh = MeshBuilder()
    celsius = climate.celsius('kerb') + 0.5
    for x in (-0.55, 0.55):
        add_box(mesh, (x, 0, 0), (0.62, 0.14, 0.18), (0.42, 0.44, 0.44), celsius, taper=0.8)
        mesh.add([(x - 0.2, -0.04, -0.092), (x + 0.2, -0.04, -0.092), (x + 0.2, -0.09, -0.088),
                  (x - 0.2, -0.09, -0.088)], (0.03, 0.45, 0.6), celsius)
    return mesh.build()


def make_bump(climate: Climate, width_m: float) -> Mesh:
    """Return a speed bump across the road, with yellow stripes."""
    mesh = MeshBuilder()
    celsius = climate.celsius('plastic') + 1.0
    count = max(int(width_m / 0.5), 1)
    edges = np.linspace(-width_m / 2, width_m / 2, count + 1)
    for index, (x0, x1) in enumerate(np.column_stack([edges[:-1], edges[1:]])):
        colour = (0.03, 0.42, 0.55) if index % 2 else (0.03, 0.03, 0.03)
        # So low that a camera in front of it never sees its rear side.
        mesh.add([(x0, 0, -0.25), (x1, 0, -0.25), (x1, -0.07, 0), (x0, -0.07, 0)], colour, celsius)
        mesh.add([(x0, -0.07, 0), (x1, -0.07, 0), (x1, 0, 0.25), (x0, 0, 0.25)],
                 np.array(colour) * 0.8, celsius - 0.7)
    return mesh.build()
