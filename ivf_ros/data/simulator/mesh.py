# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a scene is made of: flat polygons with colours and temperatures, and textures on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Mesh:
    """
    Flat polygons in painting order.

    Attributes
    ----------
    points_m:
        ``(N, 3)`` corners of all polygons, concatenated.
    ends:
        ``(M,)`` end index of each polygon in ``points_m``.
    normals:
        ``(M, 3)`` outward unit normals.
    one_sided:
        ``(M,)`` bool: the polygon is invisible from behind.
    reflectance, glow:
        ``(M, 3)`` linear BGR.
    celsius:
        ``(M,)`` temperature.

    """

    points_m: np.ndarray
    ends: np.ndarray
    normals: np.ndarray
    one_sided: np.ndarray
    reflectance: np.ndarray
    glow: np.ndarray
    celsius: np.ndarray

    @property
    def centres_m(self) -> np.ndarray:
        """Return the mean corner of each polygon ``(M, 3)``."""
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.add.reduceat(self.points_m, starts) / (self.ends - starts)[:, None]

    def transform(self, position_m: np.ndarray, heading_rad: float = 0.0) -> Mesh:
        """Return the mesh, rotated about the vertical from z towards x, then translated."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        rotation = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
        return replace(self, points_m=self.points_m @ rotation.T + position_m,
                       normals=self.normals @ rotation.T)


def unit_heading(heading_rad: float) -> np.ndarray:
    """Return the horizontal unit vector ``(3,)`` of a heading from z towards x."""
    return np.array([np.sin(heading_rad), 0.0, np.cos(heading_rad)])


def join_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """Return all polygons as one mesh, painted in this order."""
    offsets = np.cumsum([0, *(len(mesh.points_m) for mesh in meshes[:-1])])
    ends = np.concatenate([mesh.ends + offset for mesh, offset in zip(meshes, offsets)])
    rest = (np.concatenate([getattr(mesh, name) for mesh in meshes])
            for name in ('normals', 'one_sided', 'reflectance', 'glow', 'celsius'))
    return Mesh(np.concatenate([mesh.points_m for mesh in meshes]), ends, *rest)


class MeshBuilder:
    """Collects polygons and builds a ``Mesh``."""

    def __init__(self) -> None:
        self._polygons: list[np.ndarray] = []
        self._rows: list[tuple] = []

    def add(self, points_m, reflectance, celsius: float, *, glow=(0.0, 0.0, 0.0),
            inside_m=None) -> None:
        """Add one polygon; it is one-sided if ``inside_m``, a point on its inner side, is set."""
        self._polygons.append(np.asarray(points_m, dtype=np.float64))
        self._rows.append((inside_m is not None, (0.0, 0.0, 0.0) if inside_m is None else inside_m,
                           reflectance, glow, celsius))

    def build(self) -> Mesh:
        """Return a mesh of all added polygons."""
        one_sided, inside, reflectance, glow, celsius = map(np.array, zip(*self._rows))
        first, second, third = (np.array([p[index] for p in self._polygons])
                                for index in range(3))
        normals = np.cross(second - first, third - first)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        # The normals of two-sided polygons point towards the rig, which looks along z.
        inwards = np.where(one_sided, np.einsum('mc,mc->m', first - inside, normals) < 0,
                           normals[:, 2] > 0)
        normals[inwards] *= -1
        return Mesh(np.concatenate(self._polygons), np.cumsum([len(p) for p in self._polygons]),
                    normals, one_sided, reflectance, glow, celsius)


@dataclass(frozen=True, eq=False)
class Texture:
    """
    A raster on a flat polygon in space.

    Attributes
    ----------
    layer:
        Name of the canvas layer to which the texture is applied.
    outline_m:
        ``(N, 3)`` corners of the polygon.
    raster:
        ``(h, w)`` or ``(h, w, 3)`` float32; it repeats beyond its border.
    frame_m:
        ``(3, 3)``; its columns are the world step between raster columns, the world step between
        raster rows, and the world position of raster pixel (0, 0).
    blend_mode:
        ``'set'``, ``'add'`` or ``'multiply'``.

    """

    layer: str
    outline_m: np.ndarray
    raster: np.ndarray
    frame_m: np.ndarray
    blend_mode: str
