# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Effects that disturb only the RGB camera: smoke, halos of lamps, rain."""

from __future__ import annotations

import cv2
from ivf_ros.data.simulator.climate import fractal_noise
from ivf_ros.data.simulator.rendering.view import SceneView
from ivf_ros.data.simulator.rig import Camera
from ivf_ros.data.simulator.scene import Flare, Scene, SceneObject
import numpy as np

_COARSE = 4  # smoke and halos are smooth, so they are rendered at a quarter of the resolution
_TILE_PX, _HALO_PX, _N_STREAKS = 256, 129, 6


class Atmosphere:
    """
    Smoke, halos and rain between the scene and the RGB camera.

    Parameters
    ----------
    scene:
        Defines the condition, the lamps and the distance of the smoke.
    camera, view:
        The RGB camera and its view of the scene.
    density:
        Density of the smoke, 0 to 1.
    rng:
        Random generator for the shapes of smoke and rain.

    """

    def __init__(self, scene: Scene, camera: Camera, view: SceneView, density: float,
                 rng: np.random.Generator) -> None:
        self._scene, self._camera, self._density = scene, camera, density
        self._condition = scene.climate.condition
        self._coarse_size = max(camera.size[0] // _COARSE, 8), max(camera.size[1] // _COARSE, 8)
        if self._condition == 'smoke':
            self._tiles = [_make_tileable_clouds(rng, cells) for cells in (4, 9)]
            self._wind = rng.uniform(-1, 1, 2) * (26, 12)
            self._profile = self._smoke_profile(rng)
        if self._condition == 'rain':
            self._streaks = [self._make_streaks(rng) for _ in range(_N_STREAKS)]
        self._halo = _make_halo(rays=self._condition == 'glare')
        self._static_glow = np.zeros((self._coarse_size[1], self._coarse_size[0], 3), np.float32)
        for scene_object in scene.objects:
            for flare in scene_object.flares:
                if not view.is_occluded(flare.position_m):
                    self._add_halo(self._static_glow, flare)

    def apply_smoke(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """Return the image ``(H, W, 3)`` uint8 behind smoke."""
        width, height = self._coarse_size
        thickness = np.zeros((height, width), np.float32)
        for tile, speed, step, weight in zip(self._tiles, (1.0, -0.6), (1.0, 1.7), (0.65, 0.35)):
            shift = self._wind * speed * time_s % _TILE_PX
            transform = np.array([[step, 0, shift[0]], [0, step, shift[1]]]) * (_TILE_PX / 320)
            thickness += weight * cv2.warpAffine(
                tile, transform, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_WRAP)
        optical_depth = np.maximum(1.0 + 0.9 * thickness,
                                   0.0) * self._profile * (5.5 * self._density)
        opacity = 1.0 - np.exp(-optical_depth)
        shade = (168 + 14 * thickness - 14 * opacity) * opacity
        size = self._camera.size
        clear = cv2.resize(cv2.convertScaleAbs(1.0 - opacity, alpha=255), size)
        smoke = cv2.resize(np.clip(shade, 0, 255).astype(np.uint8), size)
        dimmed = cv2.multiply(image, cv2.merge([clear] * 3), scale=1 / 255)
        return cv2.add(dimmed, cv2.merge([smoke] * 3))

    def apply_halos(self, image: np.ndarray, identities: np.ndarray,
                    moving: list[SceneObject]) -> np.ndarray:
        """Return the image with halos of the lamps that point towards the camera."""
        glow = self._static_glow.copy()
        for scene_object in moving:
            for flare in scene_object.flares:
                self._add_halo(glow, flare, identities, scene_object.identity)
        halos = np.minimum(glow, 255).astype(np.uint8)
        return cv2.add(image, cv2.resize(halos, self._camera.size))

    def apply_rain(self, image: np.ndarray, index: int) -> np.ndarray:
        """Return the image with the rain streaks of frame ``index``."""
        streaks = self._streaks[index % _N_STREAKS]
        flipped = cv2.flip(streaks, 1) if index // _N_STREAKS % 2 else streaks
        return cv2.add(image, flipped)

    def _add_halo(self, glow: np.ndarray, flare: Flare, identities: np.ndarray | None = None,
                  identity: int = 0) -> None:
        """Add the halo of one lamp, unless an object of another identity occludes it."""
        camera = self._camera
        if camera.depth_m(flare.position_m[None])[0] < 1.0:
            return
        to_eye = camera.centre_m - flare.position_m
        distance = float(np.linalg.norm(to_eye))
        facing = 1.0 if flare.direction is None else float(flare.direction @ to_eye) / distance
        if facing < 0.1:
            return
        x, y = camera.project(flare.position_m[None])[0].tolist()
        width, height = camera.size
        column, row = round(x), round(y)
        if identities is not None and 0 <= column < width and 0 <= row < height \
                and identities[row, column] != identity:
            return
        headlight = flare.direction is not None and flare.colour[0] > 0.5
        beam = facing ** 12 if self._condition == 'glare' and headlight else 0.25 * facing ** 4
        x, y = (x + 0.5) / _COARSE - 0.5, (y + 0.5) / _COARSE - 0.5
        radius = width * (0.035 + beam / (4 + 0.25 * distance)) / _COARSE
        left, top = max(int(x - radius), 0), max(int(y - radius), 0)
        right = min(int(x + radius) + 2, glow.shape[1])
        bottom = min(int(y + radius) + 2, glow.shape[0])
        if right <= left or bottom <= top:
            return
        scale = 2 * radius / (_HALO_PX - 1)
        transform = np.array([[scale, 0, x - radius - left], [0, scale, y - radius - top]])
        halo = cv2.warpAffine(self._halo, transform, (right - left, bottom - top))
        strength = 330 * (0.35 + beam) / (1 + 0.012 * distance)
        colour = (strength * flare.colour ** (1 / 2.2)).astype(np.float32)
        glow[top:bottom, left:right] += halo[..., None] * colour

    def _smoke_profile(self, rng: np.random.Generator) -> np.ndarray:
        """Return the density profile of the smoke: a wide plume above the ground."""
        width, height = self._coarse_size
        ground = np.array([[0.0, 0.0, self._scene.smoke_m], [0.0, 0.0, 2 * self._scene.smoke_m]])
        ground_row = self._camera.project(ground)[0, 1] / _COARSE
        rows = np.arange(height, dtype=np.float32)[:, None]
        columns = np.arange(width, dtype=np.float32)[None]
        below = np.clip(1 - (rows - ground_row) / (0.12 * height), 0, 1)
        centre, half_width = rng.uniform(0.2, 0.8) * width, rng.uniform(0.35, 0.8) * width
        plume = np.exp(-((columns - centre) / half_width) ** 4)
        top = np.clip(0.25 + rows / (0.5 * height), 0, 1)
        return (below * plume * top).astype(np.float32)

    def _make_streaks(self, rng: np.random.Generator) -> np.ndarray:
        width, height = self._camera.size
        streaks = np.zeros((height, width), np.uint8)
        for _ in range(width * height // 900):
            x, y = rng.uniform(-20, width), rng.uniform(-20, height)
            length = height * rng.uniform(0.01, 0.05)
            ends = np.array([[x, y], [x + 0.12 * length, y + length]]) * 16
            (x0, y0), (x1, y1) = ends.astype(int).tolist()
            cv2.line(streaks, (x0, y0), (x1, y1), int(rng.integers(8, 38)), 1, cv2.LINE_AA, 4)
        return cv2.merge([cv2.GaussianBlur(streaks, (3, 3), 0.6)] * 3)


def _make_tileable_clouds(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return cloud noise that repeats without a seam."""
    noise = fractal_noise(rng, (_TILE_PX, _TILE_PX), cells)
    angle = np.linspace(0, 2 * np.pi, _TILE_PX, endpoint=False, dtype=np.float32)
    ramp = 0.5 - 0.5 * np.cos(angle)
    for axis, weight in ((0, ramp[:, None]), (1, ramp[None])):
        noise = noise * weight + np.roll(noise, _TILE_PX // 2, axis) * (1 - weight)
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def _make_halo(rays: bool) -> np.ndarray:
    """Return a halo ``(n, n)`` float32 that falls to 0 at its rim; ``rays`` adds a star."""
    axis = np.linspace(-1, 1, _HALO_PX, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    distance = np.hypot(x, y)
    halo = np.clip(0.035 / (0.035 + distance ** 2) - 0.034, 0, 1)
    if rays:
        angle = np.arctan2(y, x)
        star = np.abs(np.cos(3 * angle + 0.4)) ** 24 * np.clip(1 - distance, 0, 1) ** 2
        halo = np.maximum(halo, 0.45 * star)
    return halo.astype(np.float32)
