# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Light and temperatures of a simulated scene for each condition.

Colours are linear BGR. Reflectance is in 0..1. Light is relative to a surface under an overcast
midday sky. Radiance is the product of both; ``expose`` converts it to 8-bit values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

CONDITIONS = ('day', 'dusk', 'night', 'glare', 'smoke', 'rain')

UP = np.array([0.0, -1.0, 0.0])  # world axes: x right, y down, z along the street

# Temperature difference to the air in kelvin: in the sun, under clouds, at dusk, at night,
# indoors.
_CELSIUS_ABOVE_AIR = {
    'asphalt': (9.5, 3.0, 6.0, 3.5, -0.5),
    'paint': (7.5, 2.4, 5.2, 3.0, -0.4),
    'pavement': (6.5, 2.0, 4.0, 2.0, -0.8),
    'kerb': (7.0, 1.2, 5.0, 3.0, -0.6),
    'grass': (2.0, 0.0, -1.5, -2.5, -0.5),
    'wall': (5.0, 2.2, 4.2, 3.2, -0.4),
    'glass': (-2.0, -1.0, -2.0, -2.5, -3.5),
    'foliage': (0.8, 0.0, 0.4, -0.4, -0.8),
    'wood': (2.5, 0.8, 1.5, 0.8, 0.1),
    'metal': (7.0, 0.6, -1.0, -2.8, 0.0),
    'car_glass': (3.0, -0.6, -3.0, -5.0, -0.5),
    'plastic': (5.0, 0.8, 0.0, -1.0, 0.4),
    'sky': (-34.0, -14.0, -30.0, -28.0, -20.0),
    'horizon': (-9.0, -4.0, -7.0, -6.0, -6.0),
    'stone': (5.5, 1.2, 4.5, 2.6, -0.6),
    'bronze': (8.0, 0.6, 0.5, -2.0, -0.2),
    'soil': (3.0, 0.6, 1.0, 0.6, -0.6),
    'gravel': (6.5, 1.6, 3.0, 0.8, -0.6),
    'water': (-4.0, -1.0, 1.5, 4.0, -1.5),
    'bark': (1.8, 0.5, 1.2, 1.2, -0.3),
    'cloth': (3.5, 0.4, -0.5, -1.2, 0.3),
    'paper': (4.0, 0.7, 0.0, -0.8, 0.0),
}
_OVERCAST_COLUMN, _INDOORS_COLUMN = 1, 4
_RAIN_FACTOR = 0.35  # rain reduces temperature differences


@dataclass(frozen=True, eq=False)
class Climate:
    """
    One random instance of a condition.

    Attributes
    ----------
    air_celsius:
        Air temperature.
    ambient, sun:
        Light from the sky and from the sun, linear BGR; ``sun`` is zero if there are no shadows.
    sun_direction:
        Unit vector towards the sun.
    zenith, horizon:
        Radiance of the sky, linear BGR.
    exposure:
        Gain of the RGB camera.
    lamps_lit:
        Street lamps and headlights are on.
    lit_windows:
        Fraction of lit windows.
    cloud_cover:
        Amount of clouds in the sky.
    column:
        Column of the temperature table.

    """

    condition: str
    air_celsius: float
    ambient: np.ndarray
    sun: np.ndarray
    sun_direction: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    exposure: float
    lamps_lit: bool
    lit_windows: float
    cloud_cover: float
    column: int

    def celsius(self, material: str) -> float:
        """Return the typical temperature of a material."""
        factor = _RAIN_FACTOR if self.condition == 'rain' and material not in ('sky', 'horizon') \
            else 1.0
        return self.air_celsius + factor * _CELSIUS_ABOVE_AIR[material][self.column]


def sample_climate(condition: str, rng: np.random.Generator) -> Climate:
    """Sample the light and the temperatures of one of ``CONDITIONS``."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(28, 58))
    direction = np.array([np.cos(elevation) * np.sin(azimuth), -np.sin(elevation),
                          np.cos(elevation) * np.cos(azimuth)])
    sunny = condition == 'day' and rng.random() < 0.75
    common: dict[str, Any] = {'condition': condition, 'sun_direction': direction,
                              'sun': np.zeros(3)}
    if condition in ('day', 'smoke', 'rain'):
        dimming = 0.6 if condition == 'rain' else 1.0
        sky = (((0.85, 0.50, 0.27), (0.92, 0.86, 0.80)) if sunny
               else ((0.72, 0.70, 0.68), (0.86, 0.85, 0.84)))
        if sunny:
            common['sun'] = np.array([0.62, 0.72, 0.78])
        return Climate(
            air_celsius=rng.uniform(9, 25), lamps_lit=condition == 'rain', lit_windows=0.04,
            ambient=dimming * np.array([0.50, 0.44, 0.40] if sunny else [0.86, 0.85, 0.84]),
            zenith=dimming * np.array(sky[0]), horizon=dimming * np.array(sky[1]),
            exposure=rng.uniform(1.1, 1.5), cloud_cover=0.5 if sunny else 0.2,
            column=0 if sunny else _OVERCAST_COLUMN, **common)
    if condition == 'dusk':
        glow = rng.uniform(0.6, 1.2)
        return Climate(
            air_celsius=rng.uniform(7, 19), lamps_lit=True, lit_windows=0.35,
            ambient=rng.uniform(0.07, 0.12) * np.array([1.35, 1.0, 0.85]),
            zenith=np.array([0.20, 0.12, 0.09]) * glow, cloud_cover=0.6,
            horizon=np.array([0.24, 0.30, 0.44]) * glow, exposure=rng.uniform(3.0, 4.2),
            column=2, **common)
    return Climate(
        air_celsius=rng.uniform(1, 15), lamps_lit=True, lit_windows=rng.uniform(0.15, 0.4),
        ambient=rng.uniform(0.004, 0.008) * np.array([1.2, 1.05, 1.0]), cloud_cover=0.3,
        zenith=np.array([0.0030, 0.0026, 0.0026]), horizon=np.array([0.007, 0.008, 0.010]),
        exposure=rng.uniform(4.0, 8.0), column=3, **common)


def sample_indoor_climate(condition: str, rng: np.random.Generator) -> Climate:
    """
    Sample the light and the temperatures of a hall; the sky is that behind its windows.

    Lamps are off in some of the bright and of the nightly halls.
    """
    outside = sample_climate(condition, rng)
    low, high = {'dusk': (0.03, 0.06), 'glare': (0.02, 0.05),
                 'night': (0.003, 0.008)}.get(condition, (0.10, 0.35))
    brightness = rng.uniform(low, high)
    exposure = min(rng.uniform(0.35, 0.6) / brightness, rng.uniform(4.0, 8.0))
    lit_fraction = {'dusk': 1.0, 'glare': 1.0, 'night': 0.4}.get(condition, 0.6)
    return replace(
        outside, air_celsius=rng.uniform(14, 27), column=_INDOORS_COLUMN, sun=np.zeros(3),
        ambient=brightness * np.array([0.95, 1.0, 1.0]), exposure=exposure,
        lamps_lit=bool(rng.random() < lit_fraction))


@dataclass(frozen=True, eq=False)
class Lighting:
    """
    The light at any position in the scene.

    Attributes
    ----------
    climate:
        Defines the light of the sky and of the sun.
    lamps_m:
        ``(L, 3)`` positions of the lit lamps.
    lamp_light:
        ``(L, 3)`` light 1 m below each lamp, linear BGR.
    beam_m:
        ``(3,)`` position of the headlights of the rig, or None.

    """

    climate: Climate
    lamps_m: np.ndarray
    lamp_light: np.ndarray
    beam_m: np.ndarray | None = None

    def at(self, points_m: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Return the light ``(N, 3)`` on surfaces at ``(N, 3)`` with unit normals ``(N, 3)``."""
        up = normals @ UP
        light = (0.7 + 0.3 * up)[:, None] * self.climate.ambient
        if self.climate.sun.any():
            light = light + np.maximum(normals @ self.climate.sun_direction, 0)[:, None] \
                * self.climate.sun
        if len(self.lamps_m):
            to_lamp = self.lamps_m - points_m[:, None]
            distance2 = np.einsum('nlc,nlc->nl', to_lamp, to_lamp) + 0.3
            inverse = 1 / np.sqrt(distance2)
            # A lower limit of the cosine accounts for light that other surfaces reflect.
            cosine = np.maximum(np.einsum('nlc,nc->nl', to_lamp, normals) * inverse, 0.12)
            downward = np.maximum(-to_lamp[..., 1] * inverse, 0.004)
            light = light + (cosine * downward / distance2) @ self.lamp_light
        if self.beam_m is not None:
            ahead = points_m - self.beam_m
            distance2 = np.einsum('nc,nc->n', ahead, ahead) + 4.0
            aim = np.clip(ahead[:, 2] / np.sqrt(distance2), 0, 1)
            low_beam = np.clip(1.0 + 4.0 * ahead[:, 1] / np.sqrt(distance2), 0.06, 1)
            light = light + (aim ** 10 * low_beam * 6.0 / distance2)[:, None] * (0.8, 0.95, 1.0)
        return light


def expose(radiance: np.ndarray, exposure: float) -> np.ndarray:
    """Convert linear radiance to 8-bit values: soft saturation, then gamma 2.2."""
    level = 1.0 - np.exp(np.asarray(radiance, np.float32) * np.float32(-exposure))
    return (255.0 * np.power(level, np.float32(1 / 2.2)) + 0.5).astype(np.uint8)


def fractal_noise(rng: np.random.Generator, size: tuple[int, int], coarsest: int) -> np.ndarray:
    """Return smooth random noise of mean 0 and standard deviation 1, ``(h, w)`` float32."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    cells, weight = coarsest, 1.0
    while cells < max(size):
        grid = rng.standard_normal((max(cells * height // width, 2), cells)).astype(np.float32)
        total += weight * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * 0.55
    return (total - total.mean()) / total.std()
