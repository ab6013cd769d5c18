# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The inside of a hall: floor, walls, ceiling, windows, lamps and radiators.

Glass is opaque in thermal. It shows its own temperature and, weakly, the reflection of warm things
in the hall.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting, UP
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
from ivf_ros.data.simulator.surfaces.facades import Face
from ivf_ros.data.simulator.surfaces.grounds import make_ground
import numpy as np

_NEAR_M = -3.0
_REFLECTED = 0.09  # fraction of the temperature difference that glass reflects
_WALLS = ((0.60, 0.64, 0.66), (0.50, 0.58, 0.62), (0.35, 0.42, 0.48), (0.62, 0.62, 0.60),
          (0.30, 0.34, 0.32), (0.18, 0.24, 0.38))


@dataclass(frozen=True)
class Room:
    """Dimensions of a hall in metres, and which of its walls have windows."""

    left_m: float
    right_m: float
    end_m: float
    height_m: float
    floor: str
    windowed: tuple[bool, bool, bool]  # left, right, end


def make_lamps_m(room: Room, rng: np.random.Generator) -> np.ndarray:
    """Return the positions ``(L, 3)`` of the lamps below the ceiling."""
    step = rng.uniform(2.5, 5.0)
    x = np.arange(-room.left_m + 1.5, room.right_m - 1.0, step)
    z = np.arange(1.0, room.end_m - 1.0, step)
    return np.array([(px, -room.height_m + 0.15, pz) for pz in z for px in x])


def make_room(room: Room, lamps_m: np.ndarray, rng: np.random.Generator, climate: Climate,
              lighting: Lighting) -> list[Mesh | Texture]:
    """Return all surfaces of a hall in painting order."""
    paint = np.array(_WALLS[rng.integers(len(_WALLS))])
    along_x, along_z, length = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), room.end_m - _NEAR_M
    end = Face(np.array([-room.left_m, 0.0, room.end_m]), along_x, UP, room.left_m + room.right_m,
               room.height_m, -along_z)
    left = Face(np.array([-room.left_m, 0.0, _NEAR_M]), along_z, UP, length, room.height_m,
                along_x)
    right = Face(np.array([room.right_m, 0.0, _NEAR_M]), along_z, UP, length, room.height_m,
                 -along_x)
    # The floor reaches beyond the nearer side wall, which is painted over it.
    parts = make_ground(room.floor, max(room.left_m, room.right_m), room.end_m, rng, climate,
                        lighting)
    parts += _make_ceiling(room, lamps_m, rng, climate, lighting)
    for face, has_windows in zip((end, left, right), (room.windowed[2], *room.windowed[:2])):
        parts += _make_wall(face, paint * rng.uniform(0.8, 1.1), has_windows, rng, climate,
                            lighting)
    return parts


def _make_ceiling(room, lamps_m, rng, climate, lighting) -> list[Mesh | Texture]:
    face = Face(np.array([-room.left_m, -room.height_m, _NEAR_M]), np.array([1.0, 0, 0]),
                np.array([0, 0, 1.0]), room.left_m + room.right_m, room.end_m - _NEAR_M, -UP)
    base, details = MeshBuilder(), MeshBuilder()
    tone = rng.uniform(0.3, 0.7) * np.ones(3)
    celsius = climate.celsius('wall') + rng.uniform(0.5, 1.5)  # warm air rises
    base.add(face.outline_m, tone, celsius)
    for z in np.arange(rng.uniform(0, 2), room.end_m, rng.uniform(2.5, 5)):  # beams or ducts
        details.add(face.quad(0, face.width_m, z - _NEAR_M, z - _NEAR_M + 0.25), tone * 0.75,
                    celsius - 0.4)
    is_lit = climate.lamps_lit
    glow = np.array((0.9, 1.0, 1.0)) * (1.6 / climate.exposure) * is_lit
    for x, y, z in lamps_m:
        details.add([(x - 0.15, y, z - 0.6), (x + 0.15, y, z - 0.6), (x + 0.15, y, z + 0.6),
                     (x - 0.15, y, z + 0.6)], (0.6, 0.6, 0.6),
                    climate.air_celsius + (rng.uniform(6, 14) if is_lit else 1.0), glow=glow)
    return [base.build(), face.make_light_texture(lighting, 1.0), details.build()]


def _make_wall(face, paint, has_windows, rng, climate, lighting) -> list[Mesh | Texture]:
    base, details = MeshBuilder(), MeshBuilder()
    celsius = climate.celsius('wall') + rng.normal(0, 0.5)
    base.add(face.outline_m, paint, celsius)
    panes = _add_windows(face, rng, climate, details) if has_windows else []
    if not has_windows:
        _add_doors(face, rng, climate, details, celsius)
    details.add(face.quad(0, face.width_m, 0, 0.12), paint * 0.4, celsius - 0.5)
    rows = int(face.height_m / 0.2) + 2
    columns = int(face.width_m / 0.2) + 2
    blotches = 0.2 * fractal_noise(rng, (128, 128), 6)
    layers = np.tile(blotches, (rows // 128 + 1, columns // 128 + 1))[:rows, :columns] \
        + np.linspace(-0.5, 0.7, rows, dtype=np.float32)[:, None]  # warm air rises
    stains = (1 + 0.05 * fractal_noise(rng, (128, 128), 6)).astype(np.float32)
    parts = [base.build(), face.make_light_texture(lighting),
             face.make_texture('reflectance', stains, 0.1, 'multiply'),
             face.make_texture('celsius', layers, 0.2, 'add'), details.build()]
    if panes:
        parts.append(face.make_texture('celsius', _make_reflections(face, panes, rng, climate),
                                       0.1, 'add'))
    return parts


def _add_windows(face, rng, climate, details) -> list[tuple[float, float, float, float]]:
    """Add windows with radiators below them; return their edges in metres on the face."""
    pitch, sill = rng.uniform(1.6, 3.4), rng.choice([0.05, 0.9, 0.9, 1.1])
    top = min(face.height_m - 0.5, sill + rng.uniform(1.4, 3.0))
    width = pitch * rng.uniform(0.6, 0.92)
    frame = np.full(3, rng.choice([0.05, 0.3, 0.7]))
    glass = climate.celsius('glass') + rng.normal(0, 1.2)
    wall, heats = climate.celsius('wall'), rng.random() < 0.5
    horizon = sill + rng.uniform(0.3, 0.6) * (top - sill)
    above, below = _outside(rng, climate)
    panes = []
    for middle in np.arange(pitch / 2 + 0.3, face.width_m - pitch / 2, pitch):
        a0, a1 = middle - width / 2, middle + width / 2
        details.add(face.quad(a0 - 0.07, a1 + 0.07, sill - 0.07, top + 0.07), frame, wall - 1.5)
        celsius = glass + rng.normal(0, 0.3)
        for left, right in ((a0, middle - 0.03), (middle + 0.03, a1)):
            details.add(face.quad(left, right, sill, top), (0.03,) * 3, celsius, glow=above)
            jagged = horizon + rng.uniform(-0.15, 0.15) * (top - sill)
            details.add(face.quad(left, right, sill, jagged), (0.03,) * 3, celsius, glow=below)
        panes.append((a0, a1, sill, top))
        if sill > 0.5 and heats:
            details.add(face.quad(a0 + 0.1, a1 - 0.1, 0.15, sill - 0.2), (0.6, 0.62, 0.63),
                        climate.air_celsius + rng.uniform(14, 26))
    return panes


def _outside(rng, climate) -> tuple[np.ndarray, np.ndarray]:
    """Return what windows show above and below the horizon, linear BGR."""
    above = 0.7 * climate.horizon + 0.3 * climate.zenith
    green = np.array((0.06, 0.16, 0.11)) if rng.random() < 0.6 else np.array((0.22, 0.24, 0.26))
    return above, green * climate.horizon.mean()


def _add_doors(face, rng, climate, details, wall_celsius) -> None:
    for _ in range(int(rng.integers(0, 3))):
        a = rng.uniform(0.3, max(face.width_m - 2.0, 0.4))
        colour, celsius = rng.uniform(0.05, 0.4, 3), wall_celsius + rng.uniform(-1.5, 0.5)
        details.add(face.quad(a - 0.08, a + 1.08, 0, 2.15), colour * 0.5, celsius + 0.3)
        details.add(face.quad(a, a + 1.0, 0.02, 2.08), colour, celsius)
        details.add(face.quad(a + 0.85, a + 0.93, 1.0, 1.06), (0.5, 0.5, 0.5), celsius + 0.5)
        if face.height_m > 2.7:  # the sign of the exit is always lit
            details.add(face.quad(a + 0.25, a + 0.75, 2.25, 2.45), (0.1, 0.4, 0.1),
                        wall_celsius + 3, glow=np.array((0.25, 0.8, 0.15)) / climate.exposure)


def _make_reflections(face, panes, rng, climate) -> np.ndarray:
    """Return offsets in kelvin on a 0.1 m grid: weak images of people in the panes."""
    rows, columns = int(face.height_m / 0.1) + 2, int(face.width_m / 0.1) + 2
    images, mask = (np.zeros((rows, columns), np.float32) for _ in range(2))
    kelvin = _REFLECTED * max(30.0 - climate.celsius('glass'), 0.0)
    for _ in range(int(rng.integers(0, 5))):
        column = int(rng.integers(columns))
        cv2.ellipse(images, (column, 8), (2, 6), 0, 0, 360, 0.6 * kelvin, -1)
        cv2.circle(images, (column, 15), 1, kelvin, -1)
    for a0, a1, low, high in panes:
        mask[int(low / 0.1) + 1:int(high / 0.1), int(a0 / 0.1) + 1:int(a1 / 0.1)] = 1
    return cv2.GaussianBlur(images, (0, 0), 0.8) * mask
