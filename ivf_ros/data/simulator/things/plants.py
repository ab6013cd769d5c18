# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes, undergrowth, hedges and fallen trunks."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_disc, add_strip
import numpy as np

_BIRCH = (0.50, 0.55, 0.56)


def make_tree(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a tree, usually with leaves."""
    mesh = MeshBuilder()
    height = rng.uniform(5.0, 9.0)
    crown = height * rng.uniform(0.22, 0.30)
    bark, bark_celsius = (0.07, 0.09, 0.11), climate.celsius('wood')
    fork = height - 1.9 * crown
    add_strip(mesh, (0, 0, 0), (0.1, -fork, 0), 0.19, 0.12, bark, bark_celsius)
    add_strip(mesh, (0.08, 0, -.01), (0.14, -fork, -.01), 0.07, 0.05, np.array(bark) * 0.5,
              bark_celsius + 0.5)
    bare = rng.random() < 0.25
    for _ in range(9 if bare else 5):
        lean = rng.uniform(-0.8, 0.8)
        joint = np.array([0.1 + lean * 0.45 * crown, -fork - rng.uniform(0.4, 0.9) * crown, 0])
        tip = joint + (lean * 0.8 * crown, -rng.uniform(0.4, 1.0) * crown, 0)
        add_strip(mesh, (0.1, -fork + 0.1, 0), joint, 0.08, 0.045, bark, bark_celsius)
        add_strip(mesh, joint, tip, 0.045, 0.015, bark, bark_celsius - 0.4)
        for _ in range(4 if bare else 0):
            twig = joint + rng.uniform(0.2, 0.9) * (tip - joint)
            add_strip(mesh, twig, twig + rng.normal(0, 0.35, 3) * crown * (1, 0.8, 0), 0.02, 0.008,
                      bark, bark_celsius - 0.8)
    if not bare:
        add_leaves(mesh, rng, climate, np.array([0.1, -height + crown, 0]),
                   (crown, crown * rng.uniform(0.9, 1.1), crown), 420)
    return mesh.build()


def make_bush(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a bush of about 1 m."""
    mesh = MeshBuilder()
    size = rng.uniform(0.5, 0.9)
    add_leaves(mesh, rng, climate, np.array([0, -size * 0.7, 0]), (size * 1.3, size * 0.8, size),
               160)
    return mesh.build()


def add_leaves(mesh: MeshBuilder, rng: np.random.Generator, climate: Climate, centre, radii,
               count: int) -> None:
    """Add leaves within an ellipsoid; those above are brighter and colder."""
    positions = rng.standard_normal((count, 3))
    positions *= (rng.random((count, 1)) ** 0.25) / np.linalg.norm(positions, axis=1,
                                                                   keepdims=True)
    positions = positions[np.argsort(-positions[:, 2])]
    green = np.array([0.03, rng.uniform(0.09, 0.17), rng.uniform(0.04, 0.15)])
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    for position in positions:
        size = radii[0] * rng.uniform(0.06, 0.15)
        spread = size * rng.uniform(0.45, 1.25, 8)
        blob = np.column_stack([np.cos(angles) * spread, np.sin(angles) * spread, np.zeros(8)])
        shade = (0.85 - 0.45 * position[1]) * rng.uniform(0.55, 1.3)
        mesh.add(centre + position * radii + blob, green * shade,
                 climate.celsius('foliage') - 0.5 * position[1] + rng.normal(0, 0.35))


def make_trunk(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a tall tree of a forest, whose crown begins far above the ground."""
    mesh = MeshBuilder()
    height, half = rng.uniform(13, 20), rng.uniform(0.09, 0.24)
    is_birch = rng.random() < 0.2
    bark = np.array(_BIRCH if is_birch else (0.06, 0.08, 0.10)) * rng.uniform(0.7, 1.4)
    celsius = climate.celsius('bark') + rng.normal(0, 0.5)
    lean = rng.normal(0, 0.25)
    top = np.array([lean, -height, 0.0])
    add_strip(mesh, (0, 0, 0), top, half * 1.1, half * 0.4, bark, celsius)
    # The sides of a trunk are darker, and less warm, than its middle.
    for side, shade in ((-0.75, 0.6), (0.75, 0.5)):
        add_strip(mesh, (side * half, 0, -0.01), top + (side * 0.35 * half, 0, -0.01), 0.25 * half,
                  0.1 * half, bark * shade, celsius - 0.4)
    for _ in range(14):
        y, x = rng.uniform(0.1, 6), rng.uniform(-0.6, 0.6) * half
        if is_birch:
            corners = [(x - 0.3 * half, 0.0), (x + 0.3 * half, 0.01), (x + 0.3 * half, 0.06)]
        else:
            corners = [(x - 0.02, 0.0), (x + 0.02, 0.0), (x + 0.01, 0.7)]
        mesh.add([(px + lean * y / height, -y - py, -0.02) for px, py in corners],
                 (0.02, 0.022, 0.025), celsius + 0.2)
    for _ in range(int(rng.integers(2, 6))):  # dead branches
        y, out = rng.uniform(1.8, 7), rng.choice([-1, 1]) * rng.uniform(0.4, 1.5)
        start = np.array([lean * y / height, -y, -0.01])
        add_strip(mesh, start, start + (out, -rng.uniform(-0.2, 0.6), 0), 0.03, 0.008, bark * 0.7,
                  celsius - 0.8)
    crown = rng.uniform(1.6, 3.0)
    add_leaves(mesh, rng, climate, top * 0.8, (crown, 0.28 * height, crown), 60)
    return mesh.build()


def make_conifer(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a young conifer with branches down to the ground."""
    mesh = MeshBuilder()
    height = rng.uniform(1.5, 7.0)
    half, celsius = 0.24 * height * rng.uniform(0.8, 1.2), climate.celsius('foliage')
    green = np.array([0.035, rng.uniform(0.06, 0.10), rng.uniform(0.03, 0.06)])
    add_strip(mesh, (0, 0, 0), (0, -0.3 * height, 0), 0.03 * height, 0.02 * height,
              (0.05, 0.07, 0.09), climate.celsius('bark'))
    tiers = 8
    for tier in range(tiers):
        low, high = tier / tiers, min((tier + 1.9) / tiers, 1.0)
        wide = half * (1 - low)
        x = np.linspace(-wide, wide, 9)
        fringe = np.array([(px, -height * (0.06 + 0.94 * low) + rng.uniform(0, 0.05) * height)
                           for px in x])
        outline = np.array([*fringe, (0.05 * wide, -height * high),
                            (-0.05 * wide, -height * high)])
        mesh.add(np.column_stack([outline, np.full(len(outline), -0.02 * tier)]),
                 green * rng.uniform(0.6, 1.5), celsius + 0.5 - low + rng.normal(0, 0.3))
    return mesh.build()


def make_undergrowth(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return ferns or high grass, which hide legs and people who lie."""
    mesh = MeshBuilder()
    green = np.array([0.03, rng.uniform(0.08, 0.16), rng.uniform(0.05, 0.13)])
    for _ in range(26):
        x, length = rng.uniform(-0.7, 0.7), rng.uniform(0.25, 0.9)
        tip = (x + rng.normal(0, 0.3), -length, 0)
        add_strip(mesh, (x, 0, 0), tip, rng.uniform(0.02, 0.06), 0.005,
                  green * rng.uniform(0.5, 1.6), climate.celsius('foliage') + rng.normal(0, 0.4))
    return mesh.build()


def make_log(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a fallen trunk along x: as long and as thick as a person who lies, but cold."""
    mesh = MeshBuilder()
    length, half = rng.uniform(1.2, 4.5), rng.uniform(0.1, 0.26)
    celsius = climate.celsius('bark') - 0.4
    bark = np.array((0.05, 0.07, 0.10)) * rng.uniform(0.7, 1.8)
    add_strip(mesh, (-length / 2, -half, 0), (length / 2, -half, 0), half, half * 0.8, bark,
              celsius)
    for low, high, shade in ((0.1, 0.5, 0.55), (1.5, 1.9, 1.5)):  # its lower and its upper side
        mesh.add([(-length / 2, -low * half, -0.01), (length / 2, -low * half, -0.01),
                  (length / 2, -high * half, -0.01), (-length / 2, -high * half, -0.01)],
                 bark * shade, celsius + (0.4 if low < 1 else -0.5))
    add_disc(mesh, (-length / 2, -half, -0.02), half, (0.18, 0.30, 0.40), celsius + 0.2)
    return mesh.build()


def make_hedge(rng: np.random.Generator, climate: Climate, length_m: float,
               height_m: float) -> Mesh:
    """Return a section of hedge along x, from x = 0."""
    mesh = MeshBuilder()
    green = np.array([0.025, rng.uniform(0.07, 0.12), rng.uniform(0.03, 0.08)])
    celsius = climate.celsius('foliage')
    mesh.add([(0, 0, 0), (length_m, 0, 0), (length_m, -height_m * 0.95, 0),
              (0, -height_m * 0.95, 0)], green * 0.5, celsius)
    add_leaves(mesh, rng, climate, np.array([length_m / 2, -height_m / 2, -0.05]),
               (length_m * 0.52, height_m * 0.55, 0.2), int(60 * length_m))
    return mesh.build()
