# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Road, pavements and kerbs of the simulated street, with markings and heat traces.

Paint and paving joints are visible mainly in RGB. Traces of parked cars and of wheels are visible
in thermal.
"""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting, UP
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
from ivf_ros.data.simulator.street.layout import LANE_M, Layout
from ivf_ros.data.simulator.surfaces.facades import Face
import numpy as np

_START_M, _END_M, _KERB_M = -2.0, 118.0, 0.12
_ALONG_X, _ALONG_Z = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def make_ground(layout: Layout, rng: np.random.Generator, climate: Climate,
                lighting: Lighting) -> list[Mesh | Texture]:
    """Return road, markings and pavements in painting order."""
    left, right = layout.kerb_x
    road = _horizontal_face(-left, right, 0.0)
    grey = rng.uniform(0.13, 0.25) * (0.5 if climate.condition == 'rain' else 1.0)
    asphalt = grey * np.array([1.02, 1.0, 0.98])
    base = MeshBuilder()
    base.add(road.outline_m, asphalt, climate.celsius('asphalt'))
    parts: list[Mesh | Texture] = [base.build(), road.make_light_texture(lighting)]
    parts.append(_make_patches(layout, rng, climate, asphalt))
    parts.append(_make_markings(layout, rng, climate))
    # Two scales: large stains, and grain that is visible only at close range.
    parts += [road.make_texture('reflectance', _noise_to_factors(0.09, fractal_noise(rng, (128,
                                                                                           128),
                                                                                     6)), 0.12,
                                'multiply'), road.make_texture('reflectance',
                                                               _noise_to_factors(0.11,
                                                                                 _make_grain(rng)),
                                                               0.02, 'multiply'),
              road.make_texture('celsius', 0.40 * fractal_noise(rng, (128, 128), 5), 0.2, 'add')]
    parts += _make_heat_traces(layout, rng, climate)
    for side in (-1, 1):
        parts += _make_pavement(side, layout, rng, climate, lighting)
    if climate.sun.any():
        parts += _make_house_shadows(layout, rng, climate)
    return parts


def make_kerb(side: int, layout: Layout, climate: Climate) -> Mesh:
    """Return the kerb of one side: the face towards the road, and the top."""
    x = side * layout.kerb_x[side > 0]
    mesh = MeshBuilder()
    ends = np.concatenate([np.arange(0.5, 20, 1.0), np.arange(20, 100, 5.0)])
    stone = np.array([0.30, 0.31, 0.32])
    celsius = climate.celsius('kerb')
    for index, (z0, z1) in enumerate(np.column_stack([ends[:-1], ends[1:]])):
        shade = stone * (1.0 + 0.1 * (index % 3 - 1))
        mesh.add([(x, -_KERB_M, z0), (x, -_KERB_M, z1), (x + side * 0.16, -_KERB_M, z1),
                  (x + side * 0.16, -_KERB_M, z0)], shade * 1.1, celsius - 1.2)
        mesh.add([(x, 0, z0), (x, 0, z1), (x, -_KERB_M, z1), (x, -_KERB_M, z0)], shade * 0.75,
                 celsius + 1.0)
    return mesh.build()


def _horizontal_face(x0: float, x1: float, y: float) -> Face:
    return Face(np.array([x0, y, _START_M]), _ALONG_X, _ALONG_Z, x1 - x0, _END_M - _START_M, UP)


def _noise_to_factors(amplitude: float, noise: np.ndarray) -> np.ndarray:
    return np.clip(1 + amplitude * noise, 0.4, 1.6).astype(np.float32)


def _make_grain(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((256, 256)).astype(np.float32) + fractal_noise(rng, (256, 256), 40)


def _make_patches(layout, rng, climate, asphalt) -> Mesh:
    """Return repairs, manholes, drains and cracks."""
    mesh = MeshBuilder()
    warm = climate.celsius('asphalt')
    left, right = -layout.kerb_x[0], layout.kerb_x[1]

    def rectangle(x0, x1, z0, z1, colour, celsius):
        mesh.add([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], colour, celsius)

    for _ in range(int(rng.integers(3, 9))):
        x, z = rng.uniform(left, right - 2), rng.uniform(3, 50)
        rectangle(x, x + rng.uniform(0.5, 2.2), z, z + rng.uniform(0.8, 6),
                  asphalt * rng.uniform(0.6, 1.3), warm + rng.normal(0, 0.8))
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    disc = np.column_stack([np.cos(angles), np.zeros(24), np.sin(angles)])
    for _ in range(int(rng.integers(2, 6))):
        position = np.array([rng.uniform(left + 1, right - 1), 0, rng.uniform(4, 40)])
        sewer = rng.choice([-1.5, 3.5])  # kelvin: warm air from below, or cold iron
        mesh.add(position + 0.42 * disc, asphalt * 0.4, warm + 0.4 * sewer)
        mesh.add(position + 0.34 * disc, asphalt * 0.75, warm + sewer)
    for side, x in ((1, left + 0.05), (-1, right - 0.05)):
        for z in np.arange(rng.uniform(4, 9), 60, 14.0):
            rectangle(x, x + side * 0.4, z, z + 0.55, (0.02, 0.02, 0.02), warm + 1.5)
    for _ in range(7):  # cracks
        x, z = rng.uniform(left, right), rng.uniform(3, 30)
        for _ in range(6):
            dx, dz = rng.normal(0, 0.35), rng.uniform(0.3, 1.0)
            mesh.add([(x, 0, z), (x + 0.025, 0, z), (x + dx + 0.025, 0, z + dz),
                      (x + dx, 0, z + dz)], asphalt * 0.35, warm + 1.0)
            x, z = x + dx, z + dz
    return mesh.build()


def _make_markings(layout, rng, climate) -> Mesh:
    mesh = MeshBuilder()
    white = rng.uniform(0.45, 0.75) * np.array([0.95, 1.0, 1.0])
    yellow = np.array([0.05, 0.45, 0.65]) if rng.random() < 0.3 else white
    cool = climate.celsius('paint')

    def rectangle(x0, x1, z0, z1, colour):
        mesh.add([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], colour, cool)

    crossing = layout.crossing_z
    clear = (crossing - 3.2, crossing + 3.2) if crossing else (-1, -1)
    dash, gap = (3.0, 3.0) if rng.random() < 0.7 else (60.0, 0.01)
    for z in np.arange(1.0, 100, dash + gap):
        if not clear[0] - dash < z < clear[1]:
            rectangle(-0.06, 0.06, z, z + dash, yellow)
    for side in (-1, 1):
        x = side * 2 * LANE_M
        if layout.parking[side > 0]:
            for z in np.arange(5.0, 80, 5.8):
                rectangle(x - 0.05, side * layout.kerb_x[side > 0], z, z + 0.1, white)
        for z0, z1 in ((0.5, clear[0]), (clear[1], 100)) if crossing else ((0.5, 100),):
            rectangle(x - 0.06, x + 0.06, z0, z1, white)
    if crossing:
        for x in np.arange(-layout.kerb_x[0] + 0.4, layout.kerb_x[1] - 0.6, 1.0):
            rectangle(x, x + 0.5, crossing - 1.5, crossing + 1.5, white)
        rectangle(-2 * LANE_M, -0.15, crossing + 2.4, crossing + 2.75, white)
        rectangle(0.15, 2 * LANE_M, crossing - 2.75, crossing - 2.4, white)
    return mesh.build()


def _make_heat_traces(layout, rng, climate) -> list[Texture]:
    """Return heat traces that are invisible in RGB: wheel tracks and recent parking places."""
    traces = []

    def add_trace(x0, x1, z0, z1, kelvin):
        face = Face(np.array([x0, 0, z0]), _ALONG_X, _ALONG_Z, x1 - x0, z1 - z0, UP)
        traces.append(face.make_texture('celsius', np.full((4, 4), kelvin, np.float32), 1.0,
                                        'add'))

    for lane in (-LANE_M, LANE_M):
        for wheel in (-0.75, 0.75):
            add_trace(lane + wheel - 0.17, lane + wheel + 0.17, _START_M, 100,
                      rng.uniform(0.3, 0.9))
    for side in (-1, 1):
        if layout.parking[side > 0]:
            x = side * (layout.kerb_x[side > 0] - 1.15)
            for z in rng.uniform(6, 40, 2):
                add_trace(x - 0.75, x + 0.75, z, z + 3.6, rng.uniform(1.0, 3.0))
    return traces


def _make_pavement(side, layout, rng, climate, lighting) -> list[Mesh | Texture]:
    inner = layout.kerb_x[side > 0] * side
    outer = inner + side * 9.0
    face = _horizontal_face(min(inner, outer), max(inner, outer), -_KERB_M)
    mesh = MeshBuilder()
    tone = rng.uniform(0.22, 0.42) * np.array([0.95, 1.0, 1.03])
    mesh.add(face.outline_m, tone, climate.celsius('pavement') + rng.normal(0, 0.5))
    slabs = 1 + 0.06 * rng.standard_normal((16, 16))
    slabs = np.repeat(np.repeat(slabs, 16, axis=0), 16, axis=1)
    slabs[::16] *= 0.6
    slabs[:, ::16] *= 0.6
    slabs *= 1 + 0.05 * fractal_noise(rng, (256, 256), 8)
    # The joints are narrow, so they fade in the distance instead of causing moire.
    return [mesh.build(), face.make_light_texture(lighting),
            face.make_texture('reflectance', slabs.astype(np.float32), 0.03, 'multiply'),
            face.make_texture('celsius', 0.3 * fractal_noise(rng, (128, 128), 6), 0.2, 'add')]


def _make_house_shadows(layout, rng, climate) -> list[Texture]:
    """Return the shadow of the row of houses on the side of the sun."""
    to_sun = climate.sun_direction
    side = int(np.sign(to_sun[0])) or 1
    wall = side * layout.wall_x[side > 0]
    shade = np.broadcast_to((climate.ambient * 0.9).astype(np.float32), (4, 4, 3)).copy()
    shadows = []
    z = -20.0
    while z < 100:
        width = rng.uniform(9, 18)
        height = rng.choice([rng.uniform(1.5, 4), rng.uniform(4, 9)])
        tip = np.array([-to_sun[0], 0.0, -to_sun[2]]) * height / -to_sun[1]
        near, far = np.array([wall, 0.0, z]), np.array([wall, 0.0, z + width])
        outline = np.array([near, far, far + tip, near + tip])
        frame = np.column_stack([_ALONG_X, _ALONG_Z, near])
        shadows.append(Texture('light', outline, shade, frame, 'set'))
        z += width
    return shadows
