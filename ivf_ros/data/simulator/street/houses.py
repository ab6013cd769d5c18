# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The far end of the simulated street, and the rows of houses on both sides."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting, UP
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
from ivf_ros.data.simulator.street.layout import Layout
from ivf_ros.data.simulator.surfaces.backdrop import make_hills, make_sky
from ivf_ros.data.simulator.surfaces.facades import Face, make_facade
import numpy as np

_ROOFS = ((0.08, 0.10, 0.24), (0.06, 0.06, 0.07), (0.10, 0.12, 0.16))


def make_backdrop(rng: np.random.Generator, climate: Climate,
                  lighting: Lighting) -> list[Mesh | Texture]:
    """Return the sky and the far end of the street, in order from far to near."""
    return [*make_sky(rng, climate), *_make_far_end(rng, climate, lighting)]


def make_houses(layout: Layout, rng: np.random.Generator, climate: Climate,
                lighting: Lighting) -> list[Mesh | Texture]:
    """Return both rows of houses, in order from far to near."""
    return [part for side in (-1, 1) for part in _make_row(side, layout, rng, climate, lighting)]


def _make_far_end(rng, climate, lighting) -> list[Mesh | Texture]:
    """Return hills, and in most cases houses across the end of the street."""
    parts: list[Mesh | Texture] = [make_hills(rng, climate)]
    if rng.random() < 0.75:
        left = -34.0
        z = rng.uniform(98, 130)
        while left < 30:
            width = rng.uniform(12, 22)
            face = Face(np.array([left, 0.0, z]), np.array([1.0, 0, 0]), UP, width,
                        rng.uniform(7, 20), np.array([0, 0, -1.0]))
            parts.extend(make_facade(face, rng, climate, lighting, 'house'))
            left += width
    return parts


def _make_row(side: int, layout, rng, climate, lighting) -> list[Mesh | Texture]:
    plots = []
    z = -9.0
    while z < 92:
        width = rng.uniform(8.5, 18)
        plots.append((z, z + width, rng.random() < 0.13 and z > 5, rng.uniform(0.0, 0.9),
                      rng.uniform(6.5, 17), rng.choice(['shop', 'house', 'house'])))
        z += width
    parts: list[Mesh | Texture] = []
    for z0, z1, gap, setback, height, ground_floor in reversed(plots):
        x = side * (layout.wall_x[side > 0] + setback)
        if gap:
            parts.extend(_make_garden_wall(side, x, z0, z1, rng, climate, lighting))
            continue
        roof = rng.random() < 0.5
        gable = Face(np.array([x, 0.0, z0]), np.array([float(side), 0, 0]), UP, 10.0, height,
                     np.array([0, 0, -1.0]))
        front = Face(np.array([x, 0.0, z0]), np.array([0, 0, 1.0]), UP, z1 - z0, height,
                     np.array([-float(side), 0, 0]))
        parts.extend(make_facade(gable, rng, climate, lighting, 'blind'))
        if roof:
            parts.append(_make_roof(side, x, z0, z1, height, rng, climate, lighting))
        parts.extend(make_facade(front, rng, climate, lighting, ground_floor))
    return parts


def _make_garden_wall(side, x, z0, z1, rng, climate, lighting) -> list[Mesh | Texture]:
    low = Face(np.array([x, 0.0, z0]), np.array([0, 0, 1.0]), UP, z1 - z0, rng.uniform(1.2, 2.2),
               np.array([-float(side), 0, 0]))
    mesh = MeshBuilder()
    mesh.add(low.outline_m, rng.uniform(0.15, 0.45) * np.array([0.9, 1, 1.1]),
             climate.celsius('wall') - 1.5 + rng.normal(0, 0.7))
    caps = MeshBuilder()
    caps.add(low.quad(0, low.width_m, low.height_m - 0.1, low.height_m), (0.4, 0.4, 0.4),
             climate.celsius('kerb') - 1)
    stains = (1 + 0.12 * fractal_noise(rng, (96, 96), 12)).astype(np.float32)
    return [mesh.build(), low.make_light_texture(lighting),
            low.make_texture('reflectance', stains, 0.06, 'multiply'), caps.build()]


def _make_roof(side, x, z0, z1, height, rng, climate, lighting) -> Mesh:
    rise, run = rng.uniform(1.8, 3.2), 4.5
    eaves, ridge = (x - side * 0.4, -height + 0.1), (x + side * run, -height - rise)
    corners = np.array([(*eaves, z0), (*eaves, z1), (*ridge, z1), (*ridge, z0)])
    normal = np.array([[-side * rise, -run, 0.0]]) / np.hypot(rise, run)
    light = lighting.at(corners.mean(axis=0)[None], normal)[0]
    mesh = MeshBuilder()
    gable = np.array([(x, -height, z0), (x + side * run, -height - rise, z0),
                      (x + side * 2 * run, -height, z0)])
    mesh.add(gable, (0, 0, 0), climate.celsius('wall') - 1.0, glow=0.3 * light)
    colour = np.array(_ROOFS[rng.integers(len(_ROOFS))])
    mesh.add(corners, (0, 0, 0), climate.celsius('metal') + rng.uniform(-2, 2),
             glow=colour * light)
    stack = np.array([x + side * 2.5, -height - 0.55 * rise, z0 + rng.uniform(1, z1 - z0 - 1)])
    chimney = np.array([(0, 0, -0.4), (0, 0, 0.4), (0, -1.5, 0.4), (0, -1.5, -0.4)])
    mesh.add(stack + chimney, (0, 0, 0), climate.celsius('wall') + 4, glow=0.2 * light)
    return mesh.build()
