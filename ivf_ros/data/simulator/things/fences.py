# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sections of fences along x, from x = 0; people are seen through most of them."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
from ivf_ros.data.simulator.things.shapes import add_post, add_strip
import numpy as np

KINDS = ('iron', 'picket', 'wire', 'board', 'barrier')
SECTION_M = 2.0


def make_fence(kind: str, rng: np.random.Generator, climate: Climate) -> Mesh:
    """
    Return a section of ``SECTION_M`` of a fence.

    'iron' are bars, 'picket' is wood with gaps, 'wire' a mesh of wire, 'board' opaque wood, and
    'barrier' a crowd barrier.
    """
    return _BUILDERS[kind](rng, climate)


def _make_iron(rng, climate) -> Mesh:
    mesh = MeshBuilder()
    celsius, height = climate.celsius('metal'), 1.5
    colour = np.array((0.02, 0.025, 0.02))
    for x in np.arange(0.06, SECTION_M, 0.13):
        add_strip(mesh, (x, 0, 0), (x, -height - 0.1, 0), 0.011, 0.011, colour,
                  celsius + rng.normal(0, 0.1))
    for y in (0.15, height - 0.1):
        add_strip(mesh, (0, -y, 0), (SECTION_M, -y, 0), 0.02, 0.02, colour, celsius)
    add_post(mesh, 0.0, 0, height + 0.25, 0.05, colour, celsius)
    return mesh.build()


def _make_picket(rng, climate) -> Mesh:
    mesh = MeshBuilder()
    celsius = climate.celsius('wood')
    paint = np.array((0.45, 0.50, 0.52)) if rng.random() < 0.5 else np.array((0.06, 0.11, 0.18))
    for y in (0.25, 0.75):
        add_strip(mesh, (0, -y, 0.02), (SECTION_M, -y, 0.02), 0.04, 0.04, paint * 0.7,
                  celsius - 0.3)
    for x in np.arange(0.05, SECTION_M, 0.17):
        top = 0.95 + rng.normal(0, 0.01)
        mesh.add([(x, 0, 0), (x + 0.1, 0, 0), (x + 0.1, -top, 0), (x + 0.05, -top - 0.07, 0),
                  (x, -top, 0)], paint * rng.uniform(0.85, 1.1), celsius + rng.normal(0, 0.2))
    return mesh.build()


def _make_wire(rng, climate) -> Mesh:
    mesh = MeshBuilder()
    celsius, height, step = climate.celsius('metal'), 1.9, 0.12
    colour = (0.20, 0.22, 0.21)
    for direction in (-1, 1):
        for start in np.arange(-height, SECTION_M + height, step):
            # Clip the diagonal x = start + direction y to the section.
            ends = sorted(np.clip(((0 - start) * direction, (SECTION_M - start) * direction), 0,
                                  height))
            if ends[1] - ends[0] > 0.02:
                add_strip(mesh, (start + direction * ends[0], -ends[0], 0),
                          (start + direction * ends[1], -ends[1], 0), 0.003, 0.003, colour,
                          celsius)
    add_post(mesh, 0.0, 0, height + 0.1, 0.03, (0.25, 0.26, 0.26), celsius + rng.normal(0, 0.2))
    return mesh.build()


def _make_board(rng, climate) -> Mesh:
    mesh = MeshBuilder()
    celsius = climate.celsius('wood')
    for x in np.arange(0, SECTION_M - 0.01, 0.2):
        top = 1.7 + rng.normal(0, 0.01)
        mesh.add([(x, 0, 0), (x + 0.2, 0, 0), (x + 0.2, -top, 0), (x, -top, 0)],
                 np.array((0.07, 0.13, 0.20)) * rng.uniform(0.7, 1.3),
                 celsius + rng.normal(0, 0.4))
    return mesh.build()


def _make_barrier(rng, climate) -> Mesh:
    mesh = MeshBuilder()
    celsius, colour = climate.celsius('metal'), (0.38, 0.40, 0.40)
    for x in np.arange(0.1, SECTION_M - 0.05, 0.14):
        add_strip(mesh, (x, -0.15, 0), (x, -1.05, 0), 0.009, 0.009, colour,
                  celsius + rng.normal(0, 0.1))
    for y in (0.15, 1.05):
        add_strip(mesh, (0.05, -y, 0), (SECTION_M - 0.05, -y, 0), 0.02, 0.02, colour, celsius)
    for x in (0.05, SECTION_M - 0.05):
        add_strip(mesh, (x, 0, 0), (x, -1.07, 0), 0.02, 0.02, colour, celsius)
    return mesh.build()


_BUILDERS = {'iron': _make_iron, 'picket': _make_picket, 'wire': _make_wire, 'board': _make_board,
             'barrier': _make_barrier}
