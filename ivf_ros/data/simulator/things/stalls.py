# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Market stalls and tents.

A stall has three parts with a distance each, because the seller stands between them: the back, the
counter, and the roof above both.
"""

from __future__ import annotations

import itertools

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_box, add_disc, add_post
import numpy as np

COUNTER_Z_M, BACK_Z_M, ROOF_Z_M = 0.0, 1.7, -0.35  # from the front of the counter
_GOODS = ((0.05, 0.15, 0.60), (0.03, 0.45, 0.65), (0.05, 0.35, 0.12), (0.10, 0.05, 0.30),
          (0.45, 0.55, 0.60), (0.20, 0.08, 0.25))
_CLOTHS = ((0.08, 0.08, 0.50), (0.45, 0.15, 0.05), (0.08, 0.30, 0.10), (0.05, 0.40, 0.55),
           (0.55, 0.58, 0.60))


def make_stall(rng: np.random.Generator, climate: Climate, width_m: float
               ) -> tuple[Mesh, Mesh, Mesh]:
    """Return the back, the counter with goods, and the roof of a stall, centred at x = 0."""
    half, cloth = width_m / 2, np.array(_CLOTHS[rng.integers(len(_CLOTHS))])
    celsius = climate.celsius('cloth')
    sells_food = rng.random() < 0.35
    back, roof = MeshBuilder(), MeshBuilder()
    back.add([(-half, 0, 0), (half, 0, 0), (half, -2.2, 0), (-half, -2.2, 0)],
             0.5 * cloth + 0.05, celsius - 0.3)
    for _ in range(int(rng.integers(0, 6))):  # clothes or bags that hang there
        x, low = rng.uniform(-half, half - 0.4), rng.uniform(0.9, 1.3)
        back.add([(x, -low, -0.02), (x + 0.35, -low, -0.02), (x + 0.42, -1.95, -0.02),
                  (x - 0.06, -1.95, -0.02)], rng.uniform(0.03, 0.6, 3), celsius + 0.2)
    lamp = np.array((0.45, 0.75, 1.0)) * 1.3 if climate.lamps_lit else np.zeros(3)
    back.add([(-0.4, -2.02, -0.5), (0.4, -2.02, -0.5), (0.4, -2.10, -0.5), (-0.4, -2.10, -0.5)],
             (0.5, 0.5, 0.5), climate.air_celsius + (14 if climate.lamps_lit else 0), glow=lamp)
    for x in (-half, half):
        add_post(roof, x, 0, 2.3, 0.03, (0.35, 0.36, 0.36), climate.celsius('metal'))
    stripes = max(int(width_m / 0.35), 2)
    white = np.array((0.6, 0.62, 0.63)) if rng.random() < 0.6 else cloth
    edges = np.linspace(-half - 0.15, half + 0.15, stripes + 1)
    for index, (x0, x1) in enumerate(itertools.pairwise(edges)):
        colour = white if index % 2 else cloth
        roof.add([(x0, -2.75, 1.2), (x1, -2.75, 1.2), (x1, -2.25, 0), (x0, -2.25, 0)], colour,
                 celsius + rng.normal(0, 0.2))
        roof.add([(x0, -2.25, 0), (x1, -2.25, 0), (x1, -2.02, 0), ((x0 + x1) / 2, -1.96, 0),
                  (x0, -2.02, 0)], colour * 0.85, celsius - 0.4)
    return back.build(), _make_counter(rng, climate, half, cloth, sells_food), roof.build()


def _make_counter(rng, climate, half, cloth, sells_food) -> Mesh:
    mesh = MeshBuilder()
    add_box(mesh, (0, 0, 0.4), (2 * half, 0.85, 0.8), cloth * 0.6, climate.celsius('cloth'))
    x = -half + 0.25
    while x < half - 0.2:
        width = rng.uniform(0.3, 0.55)
        if sells_food and rng.random() < 0.4:
            hot = climate.air_celsius + rng.uniform(25, 110)
            add_box(mesh, (x + width / 2, -0.85, 0.4), (width, 0.2, 0.5), (0.25, 0.26, 0.27),
                    0.3 * hot + 0.7 * climate.air_celsius)
            add_box(mesh, (x + width / 2, -1.05, 0.4), (width * 0.9, 0.03, 0.45),
                    (0.05, 0.05, 0.06), hot)
        else:
            colour = np.array(_GOODS[rng.integers(len(_GOODS))]) * rng.uniform(0.6, 1.3)
            celsius = climate.celsius('wood') + rng.normal(-0.5, 0.6)
            add_box(mesh, (x + width / 2, -0.85, 0.3), (width, 0.14, 0.5), (0.10, 0.17, 0.26),
                    celsius)
            for _ in range(7):
                add_disc(mesh, (x + rng.uniform(0.08, width - 0.08), -1.0 - rng.uniform(0, 0.06),
                                0.05), 0.06, colour * rng.uniform(0.7, 1.2), celsius)
        x += width + 0.08
    return mesh.build()


def make_tent(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a camping tent: large and bright, but no vehicle."""
    mesh = MeshBuilder()
    half, height, depth = rng.uniform(0.8, 1.4), rng.uniform(1.0, 1.5), rng.uniform(1.8, 2.6)
    cloth = np.array(_CLOTHS[rng.integers(len(_CLOTHS))])
    celsius, inside = climate.celsius('cloth'), (0, -0.3, depth / 2)
    for side in (-1, 1):
        mesh.add([(side * half, 0, 0), (side * half, 0, depth), (0, -height, depth),
                  (0, -height, 0)], cloth * (1.0 if side < 0 else 0.75), celsius - 0.5,
                 inside_m=inside)
    mesh.add([(-half, 0, 0), (half, 0, 0), (0, -height, 0)], cloth * 0.9, celsius, inside_m=inside)
    mesh.add([(-0.3 * half, 0, -0.01), (0.3 * half, 0, -0.01), (0, -0.85 * height, -0.01)],
             cloth * 0.35, celsius + rng.choice([0.3, 3.0]), inside_m=inside)
    return mesh.build()
