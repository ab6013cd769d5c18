# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Flights of stairs.

Sun and sky warm and cool treads more than risers, so stairs are stripes in thermal, too. Each step
is an object of its own, because people stand before and behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_strip
import numpy as np

_STEEL = (0.25, 0.26, 0.26)


@dataclass(frozen=True)
class Flight:
    """
    Stairs that rise along z; all lengths in metres.

    Attributes
    ----------
    left_m, right_m:
        Both ends of the steps, x.
    front_m, base_m:
        z of the lowest riser, and height of the ground before it.
    steps:
        Number of steps.
    riser_m, tread_m:
        Height and depth of a step.

    """

    left_m: float
    right_m: float
    front_m: float
    base_m: float
    steps: int
    riser_m: float
    tread_m: float

    @property
    def end_m(self) -> float:
        """Return z behind the last tread."""
        return self.front_m + self.steps * self.tread_m

    @property
    def top_m(self) -> float:
        """Return the height of the last tread."""
        return self.base_m + self.steps * self.riser_m

    def height_m(self, z: float) -> float:
        """Return the height of the stairs, or of the ground before and behind them, at z."""
        step = np.clip(np.floor((z - self.front_m) / self.tread_m) + 1, 0, self.steps)
        return self.base_m + float(step) * self.riser_m


def make_steps(flight: Flight, tone: np.ndarray, material: str, rng: np.random.Generator,
               climate: Climate) -> list[tuple[Mesh, float]]:
    """Return each step, in world coordinates, with the z of its front."""
    has_strips = rng.random() < 0.4
    strip = np.array((0.05, 0.45, 0.55)) if rng.random() < 0.25 else tone * 0.35
    worn = climate.celsius(material) + rng.normal(0, 0.4)
    treads = 1.0 if climate.column in (0, 2) else -0.8  # kelvin: in the sun and at dusk, else
    steps = []
    for index in range(flight.steps):
        mesh = MeshBuilder()
        z = flight.front_m + index * flight.tread_m
        low, high = (flight.base_m + (index + k) * flight.riser_m for k in range(2))
        left, right, shade = flight.left_m, flight.right_m, rng.uniform(0.92, 1.08)
        back = z + flight.tread_m
        mesh.add([(left, -high, z), (right, -high, z), (right, -high, back), (left, -high, back)],
                 tone * shade, worn + treads + rng.normal(0, 0.1))
        mesh.add([(left, -low, z), (right, -low, z), (right, -high, z), (left, -high, z)],
                 tone * shade * 0.78, worn + rng.normal(0, 0.15))
        for x in (left, right):  # the ends, seen where nothing is beside the stairs
            mesh.add([(x, 0, z), (x, 0, back), (x, -high, back), (x, -high, z)], tone * 0.7,
                     worn - 0.2)
        if has_strips:
            mesh.add([(left, -high, z - 0.003), (right, -high, z - 0.003),
                      (right, -high + 0.035, z - 0.003), (left, -high + 0.035, z - 0.003)],
                     strip, worn + 0.3)
        steps.append((mesh.build(), z))
    return steps


def make_handrail(flight: Flight, x: float, climate: Climate) -> list[tuple[Mesh, float]]:
    """Return pieces of a handrail along a flight, in world coordinates, with the z of each."""
    pieces, celsius, side = [], climate.celsius('metal'), 3
    for index in range(0, flight.steps, side):
        mesh = MeshBuilder()
        z0 = flight.front_m + index * flight.tread_m
        z1 = min(z0 + side * flight.tread_m, flight.end_m)
        foot, y0, y1 = (flight.height_m(z0 + 1e-6), *(
            flight.base_m + 0.95 + (z - flight.front_m) * flight.riser_m / flight.tread_m
            for z in (z0, z1)))
        add_strip(mesh, (x, -foot, z0 + 0.05), (x, -y0, z0 + 0.05), 0.02, 0.02, _STEEL, celsius)
        for drop in (0.0, 0.45):
            mesh.add([(x - 0.025, -y0 + drop, z0), (x + 0.025, -y0 + drop, z0),
                      (x + 0.025, -y1 + drop, z1), (x - 0.025, -y1 + drop, z1)], _STEEL, celsius)
            mesh.add([(x, -y0 + drop, z0), (x, -y0 + drop + 0.05, z0),
                      (x, -y1 + drop + 0.05, z1), (x, -y1 + drop, z1)],
                     np.array(_STEEL) * 0.6, celsius + 0.2)
        pieces.append((mesh.build(), z0))
    return pieces


def make_side_flight(steps: int, riser_m: float, tread_m: float, width_m: float,
                     tone: np.ndarray, climate: Climate) -> tuple[Mesh, Mesh]:
    """Return the treads, and the front, of stairs that rise along x from the origin."""
    treads, front = MeshBuilder(), MeshBuilder()
    celsius = climate.celsius('stone')
    profile = [(0.0, 0.0)]
    for index in range(steps):
        x0, x1, high = index * tread_m, (index + 1) * tread_m, (index + 1) * riser_m
        treads.add([(x0, -high, 0), (x1, -high, 0), (x1, -high, width_m), (x0, -high, width_m)],
                   tone, celsius + 0.8)
        treads.add([(x0, -high + riser_m, 0), (x0, -high, 0), (x0, -high, width_m),
                    (x0, -high + riser_m, width_m)], tone * 0.7, celsius)
        profile += [(x0, -high), (x1, -high)]
    profile.append((steps * tread_m, 0.0))
    front.add([(x, y, 0) for x, y in profile], tone * 0.85, celsius - 0.2)
    slope = riser_m / tread_m
    for offset in (0.0, 0.45):  # a handrail
        y0, y1 = -0.95 + offset, -0.95 + offset - slope * steps * tread_m
        front.add([(0, y0, 0), (steps * tread_m, y1, 0), (steps * tread_m, y1 + 0.05, 0),
                   (0, y0 + 0.05, 0)], _STEEL, climate.celsius('metal'))
    for index in range(0, steps + 1, 3):
        x, foot = index * tread_m, -index * riser_m
        add_strip(front, (x, foot, 0), (x, foot - 0.95, 0), 0.02, 0.02, _STEEL,
                  climate.celsius('metal'))
    return treads.build(), front.build()
