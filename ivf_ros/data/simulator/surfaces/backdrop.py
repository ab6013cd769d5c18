# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sky, and hills at the horizon."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate, fractal_noise, UP
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
from ivf_ros.data.simulator.surfaces.facades import Face
import numpy as np

_SKY_M, _SKY_STEP_M = 2000.0, 25.0


def make_sky(rng: np.random.Generator, climate: Climate) -> list[Mesh | Texture]:
    """Return the sky: blue towards the zenith in RGB, cold towards the zenith in thermal."""
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


def make_hills(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return hills at the horizon, and the ground up to them."""
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
    return mesh.build()


def make_tree_line(rng: np.random.Generator, climate: Climate, width_m: float) -> Mesh:
    """Return the edge of a wood along x, centred at x = 0."""
    mesh = MeshBuilder()
    x = np.linspace(-width_m / 2, width_m / 2, 60)
    top = 8 + 3 * np.convolve(rng.standard_normal(64), np.ones(5) / 2.2, mode='valid')
    green, celsius = np.array((0.022, 0.065, 0.04)), climate.celsius('foliage')
    outline = np.column_stack([np.append(x, x[::-1]), np.append(-np.clip(top, 4, 16),
                                                                np.zeros(60)), np.zeros(120)])
    mesh.add(outline, green, celsius)
    angles = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    for _ in range(260):
        at = rng.uniform(-0.5, 0.5) * width_m
        high = rng.uniform(0.1, 1.05) * float(np.interp(at, x, np.clip(top, 4, 16)))
        size = rng.uniform(0.6, 2.2) * rng.uniform(0.7, 1.2, 7)
        blob = np.column_stack([at + size * np.cos(angles), -high + 0.7 * size * np.sin(angles),
                                np.full(7, -0.01)])
        mesh.add(blob, green * rng.uniform(0.5, 1.7) * np.array((1, 1, rng.uniform(0.7, 1.6))),
                 celsius - 0.06 * high + rng.normal(0, 0.35))
    return mesh.build()


def make_forest_depths(rng: np.random.Generator, climate: Climate, width_m: float) -> Mesh:
    """Return many distant trunks along x, with foliage between and above them."""
    mesh = MeshBuilder()
    green, celsius = np.array((0.02, 0.055, 0.035)), climate.celsius('foliage')
    angles = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    for _ in range(420):
        at, high = rng.uniform(-0.5, 0.5) * width_m, rng.choice([0.3 + rng.gamma(2.0, 0.8),
                                                                 rng.uniform(3, 16)])
        size = rng.uniform(0.4, 1.5) * rng.uniform(0.6, 1.4, 7)
        mesh.add(np.column_stack([at + size * np.cos(angles), -high + 0.6 * size * np.sin(angles),
                                  np.full(7, 0.02)]), green * rng.uniform(0.5, 2.0),
                 celsius + rng.normal(0, 0.4))
    for at in rng.uniform(-0.5, 0.5, 60) * width_m:
        half, lean = rng.uniform(0.08, 0.22), rng.normal(0, 0.4)
        mesh.add([(at - half, 0, 0), (at + half, 0, 0), (at + lean + 0.5 * half, -15, 0),
                  (at + lean - 0.5 * half, -15, 0)],
                 np.array((0.05, 0.065, 0.08)) * rng.uniform(0.5, 1.6),
                 climate.celsius('bark') + rng.normal(0, 0.5))
    return mesh.build()
