# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Walls of houses with windows, doors and shops, in colour and temperature.

The visible structures differ between the cameras: bricks, posters and lit rooms are visible only
in RGB, floor slabs and radiators behind the wall only in thermal, window frames in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
import numpy as np

_WALLS = ((0.42, 0.50, 0.56), (0.16, 0.22, 0.40), (0.55, 0.60, 0.62), (0.28, 0.42, 0.55),
          (0.22, 0.24, 0.26), (0.35, 0.42, 0.38), (0.30, 0.36, 0.50), (0.50, 0.46, 0.42))
_ROOMS = np.array([(0.35, 0.62, 0.85), (0.45, 0.70, 0.85), (0.75, 0.80, 0.80), (0.20, 0.45, 0.75)])
_GLASS = np.array([0.055, 0.05, 0.045])


@dataclass(frozen=True, eq=False)
class Face:
    """
    A vertical or horizontal rectangle in the street.

    Attributes
    ----------
    origin_m:
        ``(3,)`` lower corner of the rectangle.
    along, up:
        ``(3,)`` unit vectors along the sides.
    width_m, height_m:
        Lengths of the sides.
    normal:
        ``(3,)`` unit normal towards the street.

    """

    origin_m: np.ndarray
    along: np.ndarray
    up: np.ndarray
    width_m: float
    height_m: float
    normal: np.ndarray

    def quad(self, a0: float, a1: float, b0: float, b1: float) -> np.ndarray:
        """Return the corners ``(4, 3)`` of a sub-rectangle, in metres along both sides."""
        ab = np.array([(a0, b0), (a1, b0), (a1, b1), (a0, b1)])
        return self.origin_m + ab[:, :1] * self.along + ab[:, 1:] * self.up

    @property
    def outline_m(self) -> np.ndarray:
        """Return the corners ``(4, 3)`` of the face."""
        return self.quad(0, self.width_m, 0, self.height_m)

    def make_texture(self, layer: str, raster: np.ndarray, step_m: float,
                     blend_mode: str) -> Texture:
        """Return a texture of the whole face from a raster with ``step_m`` metres per pixel."""
        frame = np.column_stack([self.along * step_m, self.up * step_m, self.origin_m])
        return Texture(layer, self.outline_m, raster, frame, blend_mode)

    def make_light_texture(self, lighting: Lighting, step_m: float = 0.5) -> Texture:
        """Return the light on the face as a texture."""
        columns, rows = (int(np.ceil(size / step_m)) + 1
                         for size in (self.width_m, self.height_m))
        a, b = np.meshgrid(np.arange(columns) * step_m, np.arange(rows) * step_m)
        points = self.origin_m + a.reshape(-1, 1) * self.along + b.reshape(-1, 1) * self.up
        light = lighting.at(points, np.broadcast_to(self.normal, points.shape))
        return self.make_texture('light', light.reshape(rows, columns, 3).astype(np.float32),
                                 step_m, 'set')


def make_facade(face: Face, rng: np.random.Generator, climate: Climate, lighting: Lighting,
                ground_floor: str) -> list[Mesh | Texture]:
    """Return a wall; ``ground_floor`` is 'shop', 'house' or 'blind' (few windows)."""
    paint = np.array(_WALLS[rng.integers(len(_WALLS))]) * rng.uniform(0.7, 1.1)
    wall_celsius = climate.celsius('wall') + rng.normal(0, 1.3)
    base, details = MeshBuilder(), MeshBuilder()
    base.add(face.outline_m, paint, wall_celsius)
    storey = rng.uniform(2.9, 3.5)
    floors = int((face.height_m - 0.8) // storey)
    for floor in range(1, floors + 1):  # thermal bridges at the floor slabs
        base.add(face.quad(0, face.width_m, floor * storey - 0.12, floor * storey + 0.12), paint,
                 wall_celsius + 0.9)
    if rng.random() < 0.5:
        a = rng.uniform(0, max(face.width_m - 2, 0.1))
        base.add(face.quad(a, a + rng.uniform(0.6, 1.8), 0.8, rng.uniform(1.6, 2.4)),
                 rng.uniform(0.05, 0.8, 3), wall_celsius)  # a poster
    _add_storeys(face, rng, climate, (base, details), (paint, wall_celsius), (storey, floors),
                 ground_floor)
    top = face.height_m
    trim = np.clip(paint * rng.choice([0.55, 1.4]), 0, 0.85)
    details.add(face.quad(0, face.width_m, top - 0.45, top), trim, wall_celsius - 1.2)
    details.add(face.quad(0, face.width_m, 0, 0.55), paint * 0.55, wall_celsius + 0.8)
    for a in (0.12, face.width_m - 0.24):  # downpipes
        details.add(face.quad(a, a + 0.11, 0, top - 0.45), (0.2, 0.2, 0.2),
                    climate.celsius('metal') + 0.5)
    return [base.build(), face.make_light_texture(lighting),
            face.make_texture('reflectance', _make_brick_factors(rng), 0.025, 'multiply'),
            face.make_texture('celsius', _make_wall_offsets(face, rng), 0.4, 'add'),
            details.build()]


def _add_storeys(face, rng, climate, builders, wall, storeys, ground_floor) -> None:
    base, details = builders
    paint, wall_celsius = wall
    storey, floors = storeys
    pitch = rng.uniform(2.0, 3.3)
    columns = max(int((face.width_m - 0.8) // pitch), 1)
    margin = (face.width_m - columns * pitch) / 2
    width, height = pitch * rng.uniform(0.36, 0.62), storey * rng.uniform(0.42, 0.58)
    frame = np.full(3, rng.choice([0.06, 0.75, 0.6]))
    leak = climate.celsius('glass') + rng.choice([0.0, 0.0, 5.0]) + rng.normal(0, 1)
    balconies = rng.random() < 0.3
    for floor in range(floors):
        sill = floor * storey + 0.30 * storey
        if floor == 0 and ground_floor == 'shop':
            _add_shop(face, rng, climate, details, storey)
            continue
        for column in range(columns):
            if ground_floor == 'blind' and rng.random() < 0.6:
                continue
            middle = margin + (column + 0.5) * pitch
            if floor == 0 and column == columns // 2:
                _add_door(face, rng, climate, details, middle)
                continue
            if rng.random() < 0.25:  # a radiator behind the wall
                base.add(face.quad(middle - 0.5, middle + 0.5, sill - 0.75, sill - 0.1), paint,
                         wall_celsius + rng.uniform(0.8, 2.2))
            glass_celsius = leak + rng.normal(0, 0.8) + (7.0 if rng.random() < 0.03 else 0.0)
            _add_window(face, rng, climate, details,
                        (middle - width / 2, middle + width / 2, sill, sill + height), frame,
                        glass_celsius, wall_celsius)
            if balconies and floor:
                details.add(face.quad(middle - 0.45 * pitch, middle + 0.45 * pitch,
                                      sill - 0.5, sill + 0.45), paint * 0.8, wall_celsius - 1.5)


def _add_window(face, rng, climate, details, box, frame, glass_celsius, wall_celsius) -> None:
    a0, a1, b0, b1 = box
    details.add(face.quad(a0 - 0.07, a1 + 0.07, b0 - 0.07, b1 + 0.07), frame, wall_celsius + 1.0)
    # Relative to the exposure of the street, a lit room is bright in every condition.
    glow = _ROOMS[rng.integers(len(_ROOMS))] * rng.uniform(0.25, 1.0) / climate.exposure
    glow = glow * (rng.random() < climate.lit_windows and climate.lamps_lit)
    sky = 0.30 * climate.zenith * rng.uniform(0.2, 1.3)  # reflected by the pane
    middle = (a0 + a1) / 2
    has_curtains = rng.random() < 0.3
    for left, right in ((a0, middle - 0.025), (middle + 0.025, a1)):
        details.add(face.quad(left, right, b0, b1), _GLASS, glass_celsius, glow=sky + glow)
        if has_curtains or rng.random() < 0.25:
            depth = rng.uniform(0.3, 0.7) * (b1 - b0)
            details.add(face.quad(left, right, b1 - depth, b1), (0.35, 0.37, 0.38),
                        glass_celsius, glow=0.5 * sky + 0.55 * glow)
    details.add(face.quad(a0 - 0.15, a1 + 0.15, b0 - 0.17, b0 - 0.06), (0.4, 0.41, 0.42),
                wall_celsius - 0.8)


def _add_door(face, rng, climate, details, middle) -> None:
    colour = rng.uniform(0.02, 0.3, 3)
    celsius = climate.celsius('wood') + rng.uniform(0, 3)
    details.add(face.quad(middle - 0.62, middle + 0.62, 0, 2.35), (0.4, 0.4, 0.4), celsius + 1)
    details.add(face.quad(middle - 0.5, middle + 0.5, 0.05, 2.2), colour, celsius)
    details.add(face.quad(middle - 0.3, middle + 0.3, 1.3, 1.95), _GLASS, celsius - 1.5)


def _add_shop(face, rng, climate, details, storey) -> None:
    open_late = float(rng.random() < 0.45 and climate.lamps_lit)
    sign, count = rng.uniform(0.03, 0.7, 3), max(int(face.width_m // 3.2), 1)
    step = (face.width_m - 0.8) / count
    top = storey - 0.75
    light = _ROOMS[rng.integers(len(_ROOMS))] * rng.uniform(0.6, 1.3) / climate.exposure
    glass = climate.celsius('glass') + rng.uniform(0, 3)
    for index in range(count):
        a0 = 0.4 + index * step
        details.add(face.quad(a0 + 0.1, a0 + step - 0.1, 0.3, top), (0.1, 0.1, 0.1), glass + 2)
        details.add(face.quad(a0 + 0.18, a0 + step - 0.18, 0.42, top - 0.08), _GLASS, glass,
                    glow=(light if open_late else 0.25 * climate.horizon) * rng.uniform(0.6, 1))
        for _ in range(4):  # goods in the window, in RGB only: glass is opaque in thermal
            a, width = a0 + rng.uniform(0.3, max(step - 0.9, 0.4)), rng.uniform(0.15, 0.5)
            details.add(face.quad(a, a + width, 0.45, rng.uniform(0.8, 1.7)),
                        rng.uniform(0.02, 0.5, 3), glass,
                        glow=open_late * light * rng.uniform(0.1, 0.6, 3))
    details.add(face.quad(0.3, face.width_m - 0.3, storey - 0.7, storey - 0.12), sign,
                glass + 1.0, glow=open_late * sign * light)
    a = rng.uniform(0.5, 1.0)
    while a < face.width_m - 1.2:  # letters
        details.add(face.quad(a, a + 0.16, storey - 0.55, storey - 0.27), (0.8, 0.8, 0.8),
                    glass + 1.0, glow=open_late * 0.5 * light)
        a += 0.27


def _make_brick_factors(rng: np.random.Generator) -> np.ndarray:
    """Return 256 x 256 reflectance factors for 6.4 m x 6.4 m of plaster or bricks."""
    stains = 1 + 0.06 * fractal_noise(rng, (256, 256), 5)
    if rng.random() < 0.5:
        return stains.astype(np.float32)
    tone = 1 + 0.16 * rng.standard_normal((32, 32))
    tone = np.repeat(np.repeat(tone, 8, axis=0), 8, axis=1)
    tone[:, ::8] *= 1.15  # joints
    for row in range(1, 32, 2):
        tone[8 * row:8 * row + 8] = np.roll(tone[8 * row:8 * row + 8], 4, axis=1)
    tone[::8] *= 1.2
    return (tone * stains).astype(np.float32)


def _make_wall_offsets(face: Face, rng: np.random.Generator) -> np.ndarray:
    """Return offsets in kelvin on a 0.4 m grid: blotches, and colder towards the sky."""
    columns, rows = int(face.width_m / 0.4) + 2, int(face.height_m / 0.4) + 2
    blotches = 0.35 * fractal_noise(rng, (64, 64), 5)
    tiled = np.tile(blotches, (rows // 64 + 1, columns // 64 + 1))[:rows, :columns]
    return tiled + np.linspace(0.7, -0.9, rows, dtype=np.float32)[:, None]
