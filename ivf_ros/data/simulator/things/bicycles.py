# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bicycles and the stands that they are parked at: z forward, y down, wheels at y = 0."""

from __future__ import annotations

import itertools

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder
import numpy as np


def make_bicycle(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a bicycle along z."""
    paint = rng.uniform(0.02, 0.5, 3)
    celsius = climate.celsius('metal') + 0.5
    mesh = MeshBuilder()
    angles = np.linspace(0, 2 * np.pi, 25)
    ring = np.column_stack([np.zeros(25), -np.cos(angles), np.sin(angles)])
    for z in (-0.53, 0.53):
        hub = np.array([0.0, -0.34, z])
        mesh.add(np.concatenate([hub + 0.34 * ring, hub + 0.285 * ring[::-1]]), (0.02,) * 3,
                 climate.celsius('asphalt') + 1.0)
        for side in (-0.025, 0.025):  # the tyre, visible from the front
            mesh.add([(side - 0.012, -0.01, z), (side + 0.012, -0.01, z),
                      (side + 0.012, -0.67, z), (side - 0.012, -0.67, z)], (0.02,) * 3,
                     climate.celsius('asphalt') + 1.0)
    saddle, bars, pedals = (0, -0.95, -0.22), (0, -1.0, 0.42), (0, -0.30, -0.08)
    tubes = [((0, -0.34, -0.53), pedals), (pedals, saddle), (pedals, (0, -0.8, 0.38)),
             ((0, -0.82, -0.18), (0, -0.85, 0.38)), ((0, -0.34, -0.53), (0, -0.82, -0.18)),
             ((0, -0.34, 0.53), bars), ((-0.28, -1.02, 0.38), (0.28, -1.02, 0.38)),
             ((-0.05, -0.97, -0.33), (0.05, -0.96, -0.1))]
    for start, end in np.array(tubes):
        along = end - start
        # One flat strip in the plane of the frame, and one across it for views along the street.
        for normal in ((1.0, 0, 0), (0, 0, 1.0)):
            half_width = np.cross(along, normal)
            norm = np.linalg.norm(half_width)
            if norm > 0.05:
                half_width *= 0.022 / norm
                mesh.add([start - half_width, end - half_width, end + half_width,
                          start + half_width], paint, celsius)
    return mesh.build()


def make_bicycle_hoop(climate: Climate) -> Mesh:
    """Return a steel hoop along z, to which bicycles are locked."""
    mesh = MeshBuilder()
    celsius = climate.celsius('metal')
    angles = np.linspace(0, np.pi, 7)
    arc = np.column_stack([np.zeros(7), -0.62 - 0.18 * np.sin(angles), -0.32 * np.cos(angles)])
    for half, shift in ((0.025, 0.0), (0.010, 0.012)):  # the second one is the shaded side
        colour = (0.35, 0.36, 0.36) if not shift else (0.16, 0.16, 0.17)
        for start, end in itertools.pairwise(arc):
            mesh.add([start - (half - shift, 0, 0), end - (half - shift, 0, 0),
                      end + (half + shift, 0, 0), start + (half + shift, 0, 0)], colour, celsius)
        for z in (-0.32, 0.32):
            mesh.add([(shift - half, 0, z), (shift + half, 0, z), (shift + half, -0.64, z),
                      (shift - half, -0.64, z)], colour, celsius)
    mesh.add([(0, -0.60, -0.32), (0, -0.64, -0.32), (0, -0.64, 0.32), (0, -0.60, 0.32)],
             (0.35, 0.36, 0.36), celsius)
    return mesh.build()
