# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things in halls: shelves, machines that sell, screens, boxes, plants in pots, pillars."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.plants import add_leaves
from ivf_ros.data.simulator.things.shapes import add_box
import numpy as np


def make_shelf(rng: np.random.Generator, climate: Climate, width_m: float = 2.4) -> Mesh:
    """Return a rack of steel with boxes, along x."""
    mesh = MeshBuilder()
    steel, celsius = climate.celsius('metal'), climate.celsius('paper')
    height, depth = rng.uniform(2.0, 4.5), 0.8
    blue = np.array((0.35, 0.15, 0.04)) if rng.random() < 0.5 else np.array((0.3, 0.3, 0.3))
    for level in np.arange(0.1, height - 0.3, 0.95):
        add_box(mesh, (0, -level, 0), (width_m, 0.08, depth), (0.05, 0.25, 0.60), steel)
        x = -width_m / 2 + 0.1
        while x < width_m / 2 - 0.35:
            size = rng.uniform(0.25, 0.6)
            if rng.random() < 0.75 and x + size < width_m / 2:
                add_box(mesh, (x + size / 2, -level - 0.08, -0.05),
                        (size, rng.uniform(0.2, 0.7), 0.6),
                        np.array((0.20, 0.34, 0.46)) * rng.uniform(0.5, 1.3),
                        celsius + rng.normal(0, 0.5))
            x += size + 0.05
    for x in (-width_m / 2, width_m / 2):
        add_box(mesh, (x, 0, -depth / 2), (0.09, height, 0.06), blue, steel + 0.2)
    return mesh.build()


def make_vending_machine(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a machine that sells drinks: its front is lit and warm below, cold at the goods."""
    mesh = MeshBuilder()
    paint = rng.uniform(0.03, 0.5, 3)
    air = climate.air_celsius
    add_box(mesh, (0, 0, 0), (0.95, 1.85, 0.8), paint, air + 2.5)
    lit = np.array((0.8, 0.85, 0.8)) / climate.exposure

    def add_panel(x0, x1, low, high, colour, celsius, glow=(0, 0, 0)):
        mesh.add([(x0, -low, -0.41), (x1, -low, -0.41), (x1, -high, -0.41), (x0, -high, -0.41)],
                 colour, celsius, glow=glow, inside_m=(0, -0.9, 0))

    add_panel(-0.42, 0.2, 0.6, 1.75, (0.3, 0.3, 0.3), air - 1.5, 0.5 * lit)
    for row in np.arange(0.66, 1.7, 0.22):
        for x in np.arange(-0.38, 0.12, 0.11):
            colour = rng.uniform(0.03, 0.7, 3)
            add_panel(x, x + 0.07, row, row + 0.16, colour, air - 1.5, colour * lit)
    add_panel(0.25, 0.42, 0.95, 1.5, (0.02, 0.02, 0.02), air + 5, 0.1 * lit)
    add_panel(-0.3, 0.3, 0.08, 0.4, (0.03, 0.03, 0.03), air + 11)  # the waste heat of the cooler
    return mesh.build()


def make_screen(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a switched-on screen on a stand: bright in RGB, evenly warm in thermal."""
    mesh = MeshBuilder()
    width, low = rng.uniform(0.6, 1.4), rng.uniform(0.7, 1.3)
    height, air = 0.6 * width, climate.air_celsius
    add_box(mesh, (0, 0, 0.03), (0.06, low, 0.06), (0.03, 0.03, 0.03), climate.celsius('metal'))
    add_box(mesh, (0, -low, 0.03), (width + 0.06, height + 0.06, 0.05), (0.02, 0.02, 0.02),
            air + 4)
    glow = rng.uniform(0.1, 0.9, 3) / climate.exposure
    mesh.add([(-width / 2, -low - 0.03, 0), (width / 2, -low - 0.03, 0),
              (width / 2, -low - height, 0), (-width / 2, -low - height, 0)], (0.02,) * 3,
             air + rng.uniform(6, 13), glow=glow)
    for _ in range(5):
        x, y = rng.uniform(-0.45, 0.2) * width, low + rng.uniform(0.1, 0.7) * height
        mesh.add([(x, -y, -0.01), (x + 0.25 * width, -y, -0.01),
                  (x + 0.25 * width, -y - 0.15 * height, -0.01), (x, -y - 0.15 * height, -0.01)],
                 (0.02,) * 3, air + 9, glow=rng.uniform(0.0, 1.0, 3) / climate.exposure)
    return mesh.build()


def make_boxes(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a stack of cardboard boxes or suitcases on the floor."""
    mesh = MeshBuilder()
    y, width = 0.0, rng.uniform(0.4, 0.9)
    cardboard = rng.random() < 0.7
    while y < 1.5 and (y == 0 or rng.random() < 0.6):
        height = rng.uniform(0.25, 0.5)
        colour = np.array((0.20, 0.34, 0.46)) * rng.uniform(0.6, 1.3) if cardboard \
            else rng.uniform(0.02, 0.4, 3)
        add_box(mesh, (rng.normal(0, 0.04), -y, 0), (width, height, width * 0.8), colour,
                climate.celsius('paper') + rng.normal(0, 0.5))
        y += height
        width *= rng.uniform(0.8, 1.0)
    return mesh.build()


def make_potted_plant(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a plant in a pot."""
    mesh = MeshBuilder()
    size = rng.uniform(0.4, 0.8)
    clay = np.array((0.10, 0.16, 0.35)) * rng.uniform(0.4, 1.3)
    add_box(mesh, (0, 0, 0), (0.4, 0.38, 0.4), clay, climate.celsius('stone'), taper=1.15)
    add_leaves(mesh, rng, climate, np.array([0, -0.45 - size * 0.8, 0]),
               (size * 0.6, size * 0.9, size * 0.6), 90)
    return mesh.build()


def make_pillar(rng: np.random.Generator, climate: Climate, height_m: float) -> Mesh:
    """Return a pillar from the floor to the ceiling."""
    mesh = MeshBuilder()
    half = rng.uniform(0.15, 0.4)
    tone = rng.uniform(0.15, 0.6) * np.array((0.95, 1.0, 1.0))
    add_box(mesh, (0, 0, 0), (2 * half, height_m, 2 * half), tone,
            climate.celsius('wall') + rng.normal(0, 0.3))
    add_box(mesh, (0, 0, 0), (2 * half + 0.06, 0.25, 2 * half + 0.06), tone * 0.5,
            climate.celsius('stone'))
    return mesh.build()
