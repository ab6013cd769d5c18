# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Meshes of cars: z forward, x right, y down, with the wheels at y = 0.

A car in use has a warm bonnet, grille, tyres and exhaust. Glass and polished paint reflect the
cold sky, so the contrast between windows and body is inverted between the two cameras.
"""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
import numpy as np

_PAINTS = ((0.55, 0.55, 0.56), (0.72, 0.73, 0.74), (0.035, 0.035, 0.04), (0.10, 0.10, 0.11),
           (0.06, 0.05, 0.42), (0.30, 0.12, 0.05), (0.16, 0.22, 0.08), (0.10, 0.30, 0.50),
           (0.25, 0.25, 0.27), (0.35, 0.40, 0.44))
_GLASS, _RUBBER, _TRIM = (0.035, 0.032, 0.03), (0.02, 0.02, 0.02), (0.03, 0.03, 0.03)

# Length, half width, heights of bonnet, belt and roof; positions of belt rear, roof rear, roof
# front and belt front as fractions of the length from the rear; height of the tail.
_BODIES = {
    'sedan': (4.5, 0.90, 0.82, 0.96, 1.44, (0.13, 0.25, 0.55, 0.72), 0.98),
    'hatchback': (3.9, 0.86, 0.84, 0.96, 1.48, (0.01, 0.06, 0.56, 0.76), 0.96),
    'estate': (4.6, 0.90, 0.84, 0.97, 1.50, (0.01, 0.06, 0.56, 0.73), 0.97),
    'suv': (4.5, 0.95, 1.00, 1.12, 1.72, (0.01, 0.05, 0.58, 0.76), 1.12),
    'van': (4.9, 0.98, 1.10, 1.22, 2.05, (0.005, 0.02, 0.70, 0.88), 1.22),
}


def make_car(rng: np.random.Generator, climate: Climate, driven: bool, lamps: bool) -> Mesh:
    """Return a car centred at the origin; if ``lamps``, its lights are on."""
    length, half, bonnet, belt, roof, cuts, tail = _BODIES[rng.choice(list(_BODIES))]
    paint = np.array(_PAINTS[rng.integers(len(_PAINTS))]) * rng.uniform(0.8, 1.15)
    body_celsius = climate.celsius('metal') + rng.normal(0, 1.2) + (2.0 if driven else 0.0)
    glass_celsius = climate.celsius('car_glass') + (2.5 if driven else 0.0) + rng.normal(0, 0.8)
    heat = rng.uniform(0.6, 1.2) if driven else rng.choice([0.0, 0.0, 0.35])
    rear, front, sill = -length / 2, length / 2, 0.28
    belt_rear, roof_rear, roof_front, belt_front = (rear + cut * length for cut in cuts)
    nose = bonnet - 0.12
    inside = np.array([0.0, -0.7, 0.0])
    top = 0.80 * half
    mesh = MeshBuilder()

    def add_crosswise(z0, height0, half0, z1, height1, half1, colour, celsius, glow=(0, 0, 0)):
        mesh.add([(-half0, -height0, z0), (half0, -height0, z0), (half1, -height1, z1),
                  (-half1, -height1, z1)], colour, celsius, glow=glow, inside_m=inside)

    tyre = 0.4 * climate.celsius('asphalt') + 0.6 * climate.air_celsius + 9 * heat
    for z in (rear + 0.35, front - 0.35):  # visible from behind and from the front
        for mirror in (-1, 1):
            mesh.add([(mirror * x, y, z) for x, y in ((half - 0.22, 0), (half - 0.02, 0),
                                                      (half - 0.02, -0.4), (half - 0.22, -0.4))],
                     _RUBBER, tyre, inside_m=inside)
    bonnet_celsius = body_celsius + 14 * heat
    add_crosswise(rear, sill, half, rear, tail, half, paint, body_celsius + 0.5)
    add_crosswise(rear, tail, half, belt_rear, belt, half, paint, body_celsius)
    add_crosswise(belt_front, belt, half, front - 0.35, bonnet, half, paint, bonnet_celsius)
    add_crosswise(front - 0.35, bonnet, half, front, nose, half * 0.96, paint,
                  bonnet_celsius + 3 * heat)
    add_crosswise(front, sill, half * 0.96, front, nose, half * 0.96, paint,
                  body_celsius + 9 * heat)
    for side in (-half, half):
        profile = [(rear, sill), (rear, tail), (belt_rear, belt), (belt_front, belt),
                   (front - 0.35, bonnet), (front, nose), (front, sill)]
        mesh.add([(side, -h, z) for z, h in profile], paint, body_celsius, inside_m=inside)
        wing = [(belt_front, belt), (front - 0.35, bonnet), (front, nose), (front, 0.6),
                (belt_front, 0.6)]
        mesh.add([(side, -h, z) for z, h in wing], paint, body_celsius + 4 * heat, inside_m=inside)
        doors = np.linspace(belt_rear + 0.2 * length, belt_front, 3)
        for z in doors:
            mesh.add([(side, -sill - 0.1, z - 0.012), (side, -belt, z - 0.012),
                      (side, -belt, z + 0.012), (side, -sill - 0.1, z + 0.012)],
                     paint * 0.35, body_celsius + 0.3, inside_m=inside)
        mesh.add([(side, -sill, rear), (side, -sill - 0.1, rear), (side, -sill - 0.1, front),
                  (side, -sill, front)], _TRIM, body_celsius + 1.5, inside_m=inside)
        for z in (rear + 0.18 * length, front - 0.18 * length):
            _add_wheel(mesh, side * 1.005, z, climate, heat, inside)
    _add_cabin(mesh, paint, body_celsius, glass_celsius, (half, top, belt, roof),
               (belt_rear, roof_rear, roof_front, belt_front), inside)
    _add_lights(mesh, climate, lamps, body_celsius, heat, (rear, tail), (front, nose, half),
                inside)
    return mesh.build()


def _add_wheel(mesh, side, z, climate, heat, inside) -> None:
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    circle = np.column_stack([np.zeros(18), -np.cos(angles), np.sin(angles)])
    centre = np.array([side, -0.32, z])
    tyre = climate.celsius('asphalt') * 0.4 + climate.air_celsius * 0.6
    for radius, colour, celsius in ((0.38, (0.008,) * 3, tyre + 3 * heat),
                                    (0.32, _RUBBER, tyre + 11 * heat),
                                    (0.21, (0.32, 0.32, 0.33), tyre + 19 * heat),
                                    (0.07, (0.12, 0.12, 0.12), tyre + 14 * heat)):
        mesh.add(centre + circle * radius, colour, celsius, inside_m=inside)


def _add_cabin(mesh, paint, body_celsius, glass_celsius, sizes, cuts, inside) -> None:
    half, top, belt, roof = sizes
    belt_rear, roof_rear, roof_front, belt_front = cuts
    inside = inside + (0, -0.4, 0)
    half = half - 0.04

    def add_pane(corners, margin, glow=(0, 0, 0)):
        corners = np.array(corners, dtype=np.float64)
        mesh.add(corners, paint, body_celsius, inside_m=inside)
        middle = corners.mean(axis=0)
        mesh.add(middle + (corners - middle) * (1 - margin), _GLASS, glass_celsius, glow=glow,
                 inside_m=inside)

    for side in (-1, 1):
        corners = np.array([(side * half, -belt, belt_rear), (side * top, -roof, roof_rear),
                            (side * top, -roof, roof_front), (side * half, -belt, belt_front)])
        add_pane(corners, 0.13)
        for fraction in (0.36, 0.66):  # pillars between the windows
            low = corners[0] + fraction * (corners[3] - corners[0])
            high = corners[1] + fraction * (corners[2] - corners[1])
            width = np.array([0, 0, 0.05])
            mesh.add([low - width, high - width, high + width, low + width], paint * 0.6,
                     body_celsius, inside_m=inside)
    add_pane([(-half, -belt, belt_rear), (half, -belt, belt_rear), (top, -roof, roof_rear),
              (-top, -roof, roof_rear)], 0.16)
    add_pane([(-half, -belt, belt_front), (half, -belt, belt_front), (top, -roof, roof_front),
              (-top, -roof, roof_front)], 0.12)
    mesh.add([(-top, -roof, roof_rear), (top, -roof, roof_rear), (top, -roof, roof_front),
              (-top, -roof, roof_front)], paint, body_celsius - 2.0, inside_m=inside)


def _add_lights(mesh, climate, lamps, body_celsius, heat, tail_end, front_end, inside) -> None:
    (rear, tail), (front, nose, half) = tail_end, front_end

    def add_panel(z, x0, x1, low, high, colour, celsius, glow=(0, 0, 0)):
        for mirror in (-1, 1) if x0 > 0 else (1,):
            mesh.add([(mirror * x0, -low, z), (mirror * x1, -low, z), (mirror * x1, -high, z),
                      (mirror * x0, -high, z)], colour, celsius, glow=glow, inside_m=inside)

    is_dark = climate.lamps_lit
    head = (0.9, 1.0, 1.0) if lamps else (0, 0, 0)
    red = (0.02, 0.02, 0.55) if lamps else (0, 0, 0)
    back, face = rear - 0.006, front + 0.006
    add_panel(back, -half * 0.97, half * 0.97, 0.30, 0.48, _TRIM, body_celsius + 1 + 3 * heat)
    add_panel(back, half * 0.66, half * 0.95, tail - 0.30, tail - 0.06, (0.03, 0.03, 0.45),
              body_celsius + 1, red)
    add_panel(back, -0.26, 0.26, 0.55, 0.67, (0.6, 0.62, 0.62), body_celsius + 0.5,
              (0.05, 0.05, 0.05) if lamps and is_dark else (0, 0, 0))
    add_panel(back, half * 0.5, half * 0.66, 0.27, 0.34, (0.03,) * 3, body_celsius + 32 * heat)
    add_panel(face, -half * 0.62, half * 0.62, 0.42, nose - 0.08, _TRIM, body_celsius + 17 * heat)
    add_panel(face, -half * 0.94, half * 0.94, 0.28, 0.38, _TRIM, body_celsius + 7 * heat)
    add_panel(face, half * 0.62, half * 0.93, nose - 0.20, nose - 0.04, (0.6, 0.6, 0.6),
              body_celsius + (12 if lamps else 2) * max(heat, 0.2), head)
    add_panel(face, -0.26, 0.26, 0.45, 0.56, (0.6, 0.62, 0.62), body_celsius + 8 * heat)
