# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Grounds: lawn, soil, gravel, paving and floors, with paths, water and sunlit spots."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.climate import Climate, fractal_noise, Lighting, UP
from ivf_ros.data.simulator.mesh import Mesh, MeshBuilder, Texture
from ivf_ros.data.simulator.surfaces.facades import Face
import numpy as np

_ALONG_X, _ALONG_Z = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
_NEAR_M = -3.0


@dataclass(frozen=True)
class Cover:
    """
    What covers a ground.

    Attributes
    ----------
    material:
        Row of the table of temperatures.
    reflectance:
        Linear BGR.
    grain, stains:
        Relative amplitude of fine and of coarse variation in RGB.
    joint_m:
        Distance of the joints of slabs; 0: none.
    kelvin:
        Standard deviation of the temperature.

    """

    material: str
    reflectance: tuple[float, float, float]
    grain: float = 0.1
    stains: float = 0.1
    joint_m: float = 0.0
    kelvin: float = 0.3


COVERS = {
    'lawn': Cover('grass', (0.030, 0.110, 0.060), 0.30, 0.14, 0.0, 0.5),
    'forest floor': Cover('soil', (0.040, 0.070, 0.095), 0.45, 0.25, 0.0, 0.5),
    'soil': Cover('soil', (0.12, 0.17, 0.22), 0.20, 0.12, 0.0, 0.35),
    'gravel': Cover('gravel', (0.28, 0.32, 0.34), 0.22, 0.08, 0.0, 0.35),
    'asphalt': Cover('asphalt', (0.16, 0.16, 0.16), 0.11, 0.09, 0.0, 0.4),
    'paving': Cover('pavement', (0.30, 0.32, 0.33), 0.06, 0.08, 0.5, 0.3),
    'cobbles': Cover('stone', (0.18, 0.20, 0.21), 0.12, 0.10, 0.15, 0.3),
    'tiles': Cover('pavement', (0.42, 0.44, 0.44), 0.03, 0.03, 0.6, 0.12),
    'wood floor': Cover('wood', (0.14, 0.26, 0.38), 0.08, 0.06, 0.3, 0.12),
    'masonry': Cover('stone', (0.30, 0.33, 0.35), 0.10, 0.12, 0.4, 0.35),
    'concrete': Cover('pavement', (0.26, 0.27, 0.27), 0.05, 0.09, 0.0, 0.2),
}


def make_ground(cover: str, half_width_m: float, end_m: float, rng: np.random.Generator,
                climate: Climate, lighting: Lighting) -> list[Mesh | Texture]:
    """Return a ground at y = 0 from the rig to ``end_m``, in painting order."""
    face = Face(np.array([-half_width_m, 0.0, _NEAR_M]), _ALONG_X, _ALONG_Z, 2 * half_width_m,
                end_m - _NEAR_M, UP)
    return make_covered_face(cover, face, rng, climate, lighting)


def make_covered_face(cover: str, face: Face, rng: np.random.Generator, climate: Climate,
                      lighting: Lighting) -> list[Mesh | Texture]:
    """Return any flat surface, such as a slope or a wall, with a cover of ``COVERS``."""
    kind, tone = COVERS[cover], _sample_tone(cover, rng, climate)
    mesh = MeshBuilder()
    mesh.add(face.outline_m, tone, climate.celsius(kind.material) + rng.normal(0, 0.3))
    return [mesh.build(), face.make_light_texture(lighting, 1.0),
            *_make_textures(kind, face, face.outline_m, rng)]


def make_area(cover: str, outline_m: np.ndarray, rng: np.random.Generator, climate: Climate
              ) -> list[Mesh | Texture]:
    """Return an area ``(N, 2)``, x and z, of another cover; it takes the light of the ground."""
    outline = np.column_stack([outline_m[:, 0], np.zeros(len(outline_m)), outline_m[:, 1]])
    face = Face(np.zeros(3), _ALONG_X, _ALONG_Z, 1.0, 1.0, UP)
    kind, tone = COVERS[cover], _sample_tone(cover, rng, climate)
    mesh = MeshBuilder()
    mesh.add(outline, tone, climate.celsius(kind.material) + rng.normal(0, 0.3))
    return [mesh.build(), *_make_textures(kind, face, outline, rng)]


def make_path(cover: str, half_width_m: float, end_m: float, rng: np.random.Generator,
              climate: Climate) -> tuple[list[Mesh | Texture], np.ndarray]:
    """Return a path that winds away from the rig, and its middle line ``(N, 2)``, x and z."""
    z = np.linspace(_NEAR_M, end_m, 40)
    x = rng.uniform(1.0, 5.0) * (np.sin(z / rng.uniform(9, 22) + rng.uniform(0, 6))
                                 - np.sin(rng.uniform(0, 6)))
    x += rng.uniform(-1, 1) - np.interp(0.0, z, x)
    middle = np.column_stack([x, z])
    edges = [middle + (side * half_width_m, 0) for side in (-1, 1)]
    edges[1] = edges[1][::-1]
    return make_area(cover, np.concatenate(edges), rng, climate), middle


def make_pond(outline_m: np.ndarray, rng: np.random.Generator, climate: Climate) -> list[Mesh]:
    """Return water ``(N, 2)``, x and z, that reflects the sky."""
    mesh = MeshBuilder()
    outline = np.column_stack([outline_m[:, 0], np.zeros(len(outline_m)), outline_m[:, 1]])
    mesh.add(outline, (0.02, 0.03, 0.02), climate.celsius('water'),
             glow=0.45 * climate.horizon + 0.15 * climate.zenith)
    middle = outline.mean(axis=0)
    for _ in range(12):  # waves that reflect less of the sky
        where = middle + rng.uniform(-0.6, 0.6, 1) * (outline[rng.integers(len(outline))] - middle)
        length = rng.uniform(0.4, 2.0)
        mesh.add([where - (length, 0, 0), where + (length, 0, 0), where + (0.6 * length, 0, 0.08)],
                 (0.02, 0.03, 0.02), climate.celsius('water') - 0.2, glow=0.3 * climate.horizon)
    return [mesh.build()]


def make_sun_spots(half_width_m: float, end_m: float, rng: np.random.Generator,
                   climate: Climate) -> list[Texture]:
    """Return the shade of a canopy with sunlit spots, which are also warmer."""
    if not climate.sun.any():
        return []
    face = Face(np.array([-half_width_m, 0.0, _NEAR_M]), _ALONG_X, _ALONG_Z, 2 * half_width_m,
                end_m - _NEAR_M, UP)
    spots = np.clip(fractal_noise(rng, (128, 128), 20) * 1.5 - 0.6, 0, 1)
    shade = float(climate.ambient.mean() / (climate.ambient + climate.sun * 0.7).mean())
    return [face.make_texture('light', (shade + (1 - shade) * spots).astype(np.float32), 0.15,
                              'multiply'),
            face.make_texture('celsius', (3.0 * spots - 1.0).astype(np.float32), 0.15, 'add')]


def _sample_tone(cover: str, rng: np.random.Generator, climate: Climate) -> np.ndarray:
    wetness = 0.6 if climate.condition == 'rain' else 1.0
    return np.array(COVERS[cover].reflectance) * rng.uniform(0.75, 1.25) * wetness


def _make_textures(kind: Cover, face: Face, outline_m: np.ndarray, rng: np.random.Generator
                   ) -> list[Texture]:
    grain = rng.standard_normal((256, 256)).astype(np.float32) + fractal_noise(rng, (256, 256), 40)
    layers = [('reflectance', _to_factors(kind.stains, fractal_noise(rng, (128, 128), 6)), 0.12,
               'multiply'), ('reflectance', _to_factors(0.7 * kind.grain, grain), 0.02,
                             'multiply')]
    if kind.joint_m:
        layers.append(('reflectance', _make_joints(rng), kind.joint_m / 16, 'multiply'))
    layers.append(('celsius', kind.kelvin * fractal_noise(rng, (128, 128), 6), 0.2, 'add'))
    return [Texture(layer, outline_m, raster,
                    np.column_stack([face.along * step_m, face.up * step_m, face.origin_m]), mode)
            for layer, raster, step_m, mode in layers]


def _to_factors(amplitude: float, noise: np.ndarray) -> np.ndarray:
    return np.clip(1 + amplitude * noise, 0.3, 1.9).astype(np.float32)


def _make_joints(rng: np.random.Generator) -> np.ndarray:
    """Return reflectance factors of 16 x 16 slabs of 16 x 16 pixels."""
    slabs = 1 + 0.05 * rng.standard_normal((16, 16))
    slabs = np.repeat(np.repeat(slabs, 16, axis=0), 16, axis=1)
    slabs[::16] *= 0.65
    slabs[:, ::16] *= 0.65
    return slabs.astype(np.float32)
