# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sky, the far end of the simulated street, and the rows of houses on both sides."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting, UP
from ivf_ros.data.simulator.facades import Face, make_facade
from ivf_ros.data.simulator.layout import Layout
from ivf_ros.data.simulator.raster import Mesh, MeshBuilder, Texture
import numpy as np

_SKY_M, _SKY_STEP_M = 2000.0, 25.0
_ROOFS = ((0.08, 0.10, 0.24), (0.06, 0.06, 0.07), (0.10, 0.12, 0.16))


def make_backdrop(rng: np.random.Generator, climate: Climate,
                  lighting: Lighting) -> list[Mesh | Texture]:
    """Return the sky and the far end of the street, in order from far to near."""
    return [*_make_sky(rng, climate), *_make_far_end(rng, climate, lighting)]


def make_houses(layout: Layout, rng: np.random.Generator, climate: Climate,
                lighting: Lighting) -> list[Mesh | Texture]:
    """Return both rows of houses, in order from far to near."""
    return [part for side in (-1, 1) for part in _make_row(side, layout, rng, climate, lighting)]


def _make_sky(rng, climate) -> list[Mesh | Texture]:
    width, height = 320, 200  # 8 km wide, 5 km high at 2 km
    sky = Face(np.array([-width / 2 * _SKY_STEP_M, 300.0, _SKY_M]), np.array([1.0, 0, 0]), UP,
               width * _SKY_STEP_M, height * _SKY_STEP_M, np.array([0, 0, -1.0]))
    elevation = np.arctan(np.maximum(np.arange(height) * _SKY_STEP_M - 300, 0) / _SKY_M)
    zenith_weight = np.clip(np.sin(elevation) / 0.6, 0, 1)[:, None, None] ** 0.55
    colour = climate.horizon * (1 - zenith_weight) + climate.zenith * zenith_weight
    cover = np.clip(fractal_noise(rng, (width, height), 7) * 0.8 + climate.cloud_cover - 0.6, 0, 1)
    cloud = cover[..., None] * np.clip(zenith_weight * 3, 0, 1)
    colour = colour * (1 - cloud) + 1.05 * climate.horizon * cloud
    celsius = (climate.celsius('horizon') * (1 - zenith_weight)
               + climate.celsius('sky') * zenith_weight)[..., 0]
    celsius = celsius + 0.5 * cloud[..., 0] * (climate.celsius('horizon') - celsius)
    mesh = MeshBuilder()
    mesh.add(sky.outline_m, (1, 1, 1), 0.0)
    return [mesh.build(), sky.make_texture('light', colour.astype(np.float32), _SKY_STEP_M, 'set'),
            sky.make_texture('celsius', celsius.astype(np.float32), _SKY_STEP_M, 'set')]


def _make_far_end(rng, climate, lighting) -> list[Mesh | Texture]:
    """Return hills, and in most cases houses across the end of the street."""
    parts: list[Mesh | Texture] = []
    mesh = MeshBuilder()
    x = np.linspace(-900, 900, 40)
    ridge = 25 + 14 * np.cumsum(rng.normal(0, 0.5, 40))
    ridge = np.clip(ridge, 12, 70)
    hills = np.column_stack([np.append(x, x[::-1]), np.append(-ridge, np.full(40, 5.0)),
                             np.full(80, 700.0)])
    air_light = 0.55 * climate.horizon + 0.1 * climate.ambient
    mesh.add(hills, (0, 0, 0), climate.celsius('foliage') - 1.0, glow=air_light)
    ground = climate.ambient * (0.10, 0.14, 0.12)
    mesh.add([(-900, 0, 700), (900, 0, 700), (900, 0, 1), (-900, 0, 1)], (0, 0, 0),
             climate.celsius('grass'), glow=ground)
    parts.append(mesh.build())
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
