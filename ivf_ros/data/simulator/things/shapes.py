# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simple shapes of which things are built: strips, posts, boxes, discs, wheels."""

from __future__ import annotations

from ivf_ros.data.simulator.mesh import MeshBuilder
import numpy as np

_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])


def add_strip(mesh: MeshBuilder, start, end, half0: float, half1: float, colour, celsius: float,
              **options) -> None:
    """Add a straight strip with half widths ``half0`` and ``half1``, facing along the street."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = end - start
    side = np.array([-along[1], along[0], 0.0])
    side /= np.linalg.norm(side) + 1e-9
    mesh.add([start - side * half0, end - side * half1, end + side * half1, start + side * half0],
             colour, celsius, **options)


def add_post(mesh: MeshBuilder, x: float, low: float, high: float, half: float, colour,
             celsius: float) -> None:
    """Add a vertical post: two strips, the second one darker for the shaded side."""
    add_strip(mesh, (x, -low, 0), (x, -high, 0), half, half, colour, celsius)
    add_strip(mesh, (x + half * 0.55, -low, -0.01), (x + half * 0.55, -high, -0.01), half * 0.4,
              half * 0.4, np.asarray(colour) * 0.6, celsius + 0.4)


def add_box(mesh: MeshBuilder, base_m, sizes_m, colour, celsius: float,
            taper: float = 1.0) -> None:
    """Add a box of (width, height, depth) on a base point; ``taper`` scales its top."""
    width, height, depth = sizes_m
    base = np.asarray(base_m, np.float64)
    ring = np.array([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]) * (width / 2, 0, depth / 2)
    low, top = base + ring, base + ring * taper - (0, height, 0)
    inside = base - (0, height / 2, 0)
    for index in range(4):
        following = (index + 1) % 4
        mesh.add([low[index], low[following], top[following], top[index]], colour, celsius,
                 inside_m=inside)
    mesh.add(top, colour, celsius - 0.6, inside_m=inside)


def add_disc(mesh: MeshBuilder, centre_m, radius_m: float, colour, celsius: float,
             axis: str = 'z', **options) -> None:
    """Add a flat disc whose normal is along an axis."""
    points = np.zeros((len(_CIRCLE), 3))
    points[:, {'x': (1, 2), 'y': (0, 2), 'z': (0, 1)}[axis]] = _CIRCLE * radius_m
    mesh.add(np.asarray(centre_m, np.float64) + points, colour, celsius, **options)


def add_wheel(mesh: MeshBuilder, x: float, z: float, radius_m: float, width_m: float,
              celsius: float) -> None:
    """Add a wheel on the ground that rolls along z, visible from the sides and from both ends."""
    rubber = (0.02, 0.02, 0.02)
    for end in (-1, 1):
        mesh.add([(x - width_m / 2, 0, z + end * 0.4 * radius_m),
                  (x + width_m / 2, 0, z + end * 0.4 * radius_m),
                  (x + width_m / 2, -1.9 * radius_m, z + end * 0.4 * radius_m),
                  (x - width_m / 2, -1.9 * radius_m, z + end * 0.4 * radius_m)], rubber, celsius)
    for side in (-1, 1):
        centre = (x + side * width_m / 2, -radius_m, z)
        add_disc(mesh, centre, radius_m, rubber, celsius, 'x')
        add_disc(mesh, centre, 0.5 * radius_m, (0.25, 0.25, 0.25), celsius + 1.5, 'x')
