# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What dims the RGB camera and leaves the thermal one alone: smoke, dazzling lamps, rain."""

from __future__ import annotations

import cv2
from ivf_ros.data.simulator.climate import clouds
from ivf_ros.data.simulator.rig import Camera
from ivf_ros.data.simulator.street import Flare, SceneObject, Street
from ivf_ros.data.simulator.view import StreetView
import numpy as np

_COARSE = 4  # smoke and halos are smooth: they are made at a quarter of the resolution
_TILE, _HALO, _STREAKS = 256, 129, 6


class Atmosphere:
    """
    The air between the street and the RGB camera.

    Parameters
    ----------
    street:
        Gives the condition, the lamps and the place of the smoke.
    camera, view:
        The RGB camera, and what it sees of the street.
    density:
        Of the smoke, 0 to 1.
    rng:
        For the shapes of smoke and rain.

    """

    def __init__(self, street: Street, camera: Camera, view: StreetView, density: float,
                 rng: np.random.Generator) -> None:
        self._street, self._camera, self._density = street, camera, density
        self._condition = street.climate.condition
        self._small = max(camera.size[0] // _COARSE, 8), max(camera.size[1] // _COARSE, 8)
        if self._condition == 'smoke':
            self._tiles = [_seamless(rng, cells) for cells in (4, 9)]
            self._wind = rng.uniform(-1, 1, 2) * (26, 12)
            self._profile = self._smoke_profile(rng)
        if self._condition == 'rain':
            self._streaks = [self._rain(rng) for _ in range(_STREAKS)]
        self._halo = _halo(rays=self._condition == 'glare')
        self._lamps = np.zeros((self._small[1], self._small[0], 3), np.float32)
        for thing in street.things:
            for flare in thing.flares:
                if not view.hidden(flare.place_m):
                    self._add_halo(self._lamps, flare)

    def smoke(self, image: np.ndarray, time_s: float) -> np.ndarray:
        """Return the image ``(H, W, 3)`` uint8 as seen through smoke."""
        width, height = self._small
        thickness = np.zeros((height, width), np.float32)
        for tile, speed, step, weight in zip(self._tiles, (1.0, -0.6), (1.0, 1.7), (0.65, 0.35)):
            shift = self._wind * speed * time_s % _TILE
            spread = np.array([[step, 0, shift[0]], [0, step, shift[1]]]) * (_TILE / 320)
            thickness += weight * cv2.warpAffine(
                tile, spread, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_WRAP)
        depth = np.maximum(1.0 + 0.9 * thickness, 0.0) * self._profile * (5.5 * self._density)
        opacity = 1.0 - np.exp(-depth)
        shade = (168 + 14 * thickness - 14 * opacity) * opacity
        size = self._camera.size
        clear = cv2.resize(cv2.convertScaleAbs(1.0 - opacity, alpha=255), size)
        smoke = cv2.resize(np.clip(shade, 0, 255).astype(np.uint8), size)
        dimmed = cv2.multiply(image, cv2.merge([clear] * 3), scale=1 / 255)
        return cv2.add(dimmed, cv2.merge([smoke] * 3))

    def dazzle(self, image: np.ndarray, identities: np.ndarray,
               moving: list[SceneObject]) -> np.ndarray:
        """Return the image with halos around the lamps that shine towards the camera."""
        glow = self._lamps.copy()
        for thing in moving:
            for flare in thing.flares:
                self._add_halo(glow, flare, identities, thing.identity)
        veil = np.minimum(glow, 255).astype(np.uint8)
        return cv2.add(image, cv2.resize(veil, self._camera.size))

    def rain(self, image: np.ndarray, index: int) -> np.ndarray:
        """Return the image with the streaks of its own instant."""
        streaks = self._streaks[index % _STREAKS]
        turned = cv2.flip(streaks, 1) if index // _STREAKS % 2 else streaks
        return cv2.add(image, turned)

    def _add_halo(self, glow: np.ndarray, flare: Flare, identities: np.ndarray | None = None,
                  identity: int = 0) -> None:
        """Add one lamp to the glow, unless another identity stands before it."""
        camera = self._camera
        if camera.depth_m(flare.place_m[None])[0] < 1.0:
            return
        to_eye = camera.centre_m - flare.place_m
        distance = float(np.linalg.norm(to_eye))
        facing = 1.0 if flare.direction is None else float(flare.direction @ to_eye) / distance
        if facing < 0.1:
            return
        x, y = camera.project(flare.place_m[None])[0].tolist()
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
        scale = 2 * radius / (_HALO - 1)
        place = np.array([[scale, 0, x - radius - left], [0, scale, y - radius - top]])
        halo = cv2.warpAffine(self._halo, place, (right - left, bottom - top))
        strength = 330 * (0.35 + beam) / (1 + 0.012 * distance)
        colour = (strength * flare.colour ** (1 / 2.2)).astype(np.float32)
        glow[top:bottom, left:right] += halo[..., None] * colour

    def _smoke_profile(self, rng: np.random.Generator) -> np.ndarray:
        """Return where the smoke lies: above the ground at its distance, in a wide plume."""
        width, height = self._small
        ground = np.array([[0.0, 0.0, self._street.smoke_m], [0.0, 0.0, 2 * self._street.smoke_m]])
        low = self._camera.project(ground)[0, 1] / _COARSE
        rows = np.arange(height, dtype=np.float32)[:, None]
        columns = np.arange(width, dtype=np.float32)[None]
        below = np.clip(1 - (rows - low) / (0.12 * height), 0, 1)
        middle, spread = rng.uniform(0.2, 0.8) * width, rng.uniform(0.35, 0.8) * width
        plume = np.exp(-((columns - middle) / spread) ** 4)
        top = np.clip(0.25 + rows / (0.5 * height), 0, 1)
        return (below * plume * top).astype(np.float32)

    def _rain(self, rng: np.random.Generator) -> np.ndarray:
        width, height = self._camera.size
        streaks = np.zeros((height, width), np.uint8)
        for _ in range(width * height // 900):
            x, y = rng.uniform(-20, width), rng.uniform(-20, height)
            length = height * rng.uniform(0.01, 0.05)
            ends = np.array([[x, y], [x + 0.12 * length, y + length]]) * 16
            (x0, y0), (x1, y1) = ends.astype(int).tolist()
            cv2.line(streaks, (x0, y0), (x1, y1), int(rng.integers(8, 38)), 1, cv2.LINE_AA, 4)
        return cv2.merge([cv2.GaussianBlur(streaks, (3, 3), 0.6)] * 3)


def _seamless(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return clouds that repeat without a seam."""
    whole = clouds(rng, (_TILE, _TILE), cells)
    turn = np.linspace(0, 2 * np.pi, _TILE, endpoint=False, dtype=np.float32)
    ramp = 0.5 - 0.5 * np.cos(turn)
    for axis, weight in ((0, ramp[:, None]), (1, ramp[None])):
        whole = whole * weight + np.roll(whole, _TILE // 2, axis) * (1 - weight)
    return ((whole - whole.mean()) / whole.std()).astype(np.float32)


def _halo(rays: bool) -> np.ndarray:
    """Return a halo that falls off to 0 at its rim ``(n, n)`` float32; ``rays``: a star in it."""
    axis = np.linspace(-1, 1, _HALO, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    distance = np.hypot(x, y)
    halo = np.clip(0.035 / (0.035 + distance ** 2) - 0.034, 0, 1)
    if rays:
        angle = np.arctan2(y, x)
        star = np.abs(np.cos(3 * angle + 0.4)) ** 24 * np.clip(1 - distance, 0, 1) ** 2
        halo = np.maximum(halo, 0.45 * star)
    return halo.astype(np.float32)
