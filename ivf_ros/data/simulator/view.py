# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What one camera sees of the simulated street, before its sensor adds its faults.

Everything fixed is painted once; a frame lays the few things that move over a copy of it, and
takes from each what fixed things in front of it hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Tuple

import cv2
from ivf_ros.data.simulator.climate import expose, UP
from ivf_ros.data.simulator.raster import blend, Canvas, draw, hidden, Mesh, Patch
from ivf_ros.data.simulator.rig import Camera
from ivf_ros.data.simulator.street import BEHIND_EVERYTHING_M, SceneObject, Street
import numpy as np

_SHADOW = 0.55  # share of the light that a moving shadow takes, under the sun
_CONTACT_SHADOW = 0.45  # and under a car or a foot without sun

Veil = Tuple[float, Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True, eq=False)
class Sight:
    """
    One frame without noise.

    Attributes
    ----------
    image:
        uint8 ``(H, W, 3)`` or float32 ``(H, W)``.
    identities:
        ``(H, W)`` uint8: the nearest thing that covers half the pixel or more, 0 for none.
    whole_px:
        How many pixels each identity would have if nothing stood before it.
    areas:
        Where in the image each identity can be.

    """

    image: np.ndarray
    identities: np.ndarray
    unoccluded_px: dict[int, int]
    areas: dict[int, tuple[slice, slice]]

    def mark(self, identity: int, visible: Patch, whole: Patch) -> None:
        """Note that a thing, of which this much is visible, stands before all others so far."""
        covered = cv2.inRange(np.ascontiguousarray(visible.coverage), 128, 255)
        cv2.copyTo(np.full_like(covered, identity), covered, self.identities[visible.area])
        if identity:
            self.unoccluded_px[identity] = int(np.count_nonzero(whole.coverage > 127))
            self.areas[identity] = whole.area


class StreetView:
    """
    The street through one camera.

    Parameters
    ----------
    street:
        What to look at.
    camera:
        From where.
    kind:
        ``'rgb'`` gives ``(H, W, 3)`` uint8 BGR, ``'celsius'`` gives ``(H, W)`` float32
        temperatures.

    """

    def __init__(self, street: Street, camera: Camera, kind: str) -> None:
        self._street, self._camera, self._kind = street, camera, kind
        self._static_patches: list[Patch] = []
        self._static_bounds = np.empty((0, 5))  # depth, left, top, right, bottom of each
        width, height = camera.size
        self._background = Sight(self._surfaces(), np.zeros((height, width), np.uint8), {}, {})
        for thing in street.things:
            if kind == 'rgb' and thing.class_name != 'curve':
                self._shade(self._background.image, thing)
        places = []
        for thing in street.things:
            patch = self._draw(thing.mesh)
            if patch is not None:
                blend(self._background.image, patch)
                if kind == 'rgb':
                    self._background.mark(thing.identity, patch, patch)
                if thing.depth_m < BEHIND_EVERYTHING_M:
                    self._static_patches.append(patch)
                    places.append((thing.depth_m, *_bounds(patch)))
        self._static_bounds = np.array(places).reshape(-1, 5)

    def frame(self, moving: list[SceneObject], veil: Veil | None = None) -> Sight:
        """
        Return the street with these things in it.

        Parameters
        ----------
        moving:
            Far before near.
        veil:
            A distance, and what to do with the image of everything beyond it: smoke.

        """
        fixed = self._background
        image = fixed.image.copy()
        sight = Sight(image, fixed.identities.copy(), dict(fixed.unoccluded_px), dict(fixed.areas))
        if self._kind == 'rgb':
            for thing in moving:
                self._shade(image, thing)
        for thing in moving:
            if veil is not None and thing.depth_m < veil[0]:
                self._apply_smoke(veil, image)
                veil = None
            whole = self._draw(thing.mesh)
            if whole is None:
                continue
            patch = self._occlude_by_static(whole, thing.depth_m)
            blend(image, patch)
            if self._kind == 'rgb':
                sight.mark(thing.identity, patch, whole)
        if veil is not None:
            self._apply_smoke(veil, image)
        return sight

    def hidden(self, point_m: np.ndarray) -> bool:
        """Tell whether something that stands still hides a point ``(3,)``."""
        x, y = np.round(self._camera.project(point_m[None])[0]).astype(int)
        depth_m = np.linalg.norm(point_m - self._street.eye_m) - 2.0  # not by its own thing
        depth, left, top, right, bottom = self._static_bounds.T
        before = (depth < depth_m) & (left <= x) & (x < right) & (top <= y) & (y < bottom)
        return any(self._static_patches[index].coverage[y - self._static_patches[index].y, x - self._static_patches[index].x]
                   for index in np.flatnonzero(before))

    def _surfaces(self) -> np.ndarray:
        if self._kind == 'celsius':
            canvas = Canvas(self._camera, {'celsius': 1})
        else:
            canvas = Canvas(self._camera, {'reflectance': 3, 'light': 3, 'glow': 3})
        for part in self._street.surfaces:
            if not isinstance(part, Mesh):
                canvas.texture(part)
            elif self._kind == 'celsius':
                canvas.fill(part, {'celsius': part.celsius})
            else:
                canvas.fill(part, {'reflectance': part.reflectance, 'glow': part.glow})
        layers = canvas.layers
        if self._kind == 'celsius':
            return canvas.averaged(layers['celsius'])
        radiance = canvas.averaged(layers['reflectance'] * layers['light'] + layers['glow'])
        return expose(radiance, self._street.climate.exposure)

    def _draw(self, mesh: Mesh) -> Patch | None:
        if self._kind == 'celsius':
            return draw(mesh, mesh.celsius[:, None].astype(np.float32), self._camera)
        light = self._street.lighting.at(mesh.middles_m, mesh.normals)
        radiance = mesh.reflectance * light + mesh.glow
        return draw(mesh, expose(radiance, self._street.climate.exposure), self._camera)

    def _occlude_by_static(self, patch: Patch, depth_m: float) -> Patch:
        depth, left, top, right, bottom = self._static_bounds.T
        x0, y0, x1, y1 = _bounds(patch)
        before = (depth < depth_m) & (left < x1) & (right > x0) & (top < y1) & (bottom > y0)
        for index in np.flatnonzero(before):
            patch = hidden(patch, self._static_patches[index])
        return patch

    def _apply_smoke(self, veil: Veil, image: np.ndarray) -> None:
        """Lay smoke over the image in place, and what stands before the smoke over that."""
        distance_m, smoke = veil
        image[:] = smoke(image)
        for index in np.flatnonzero(self._static_bounds[:, 0] < distance_m):
            blend(image, self._static_patches[index])

    def _shade(self, image: np.ndarray, thing: SceneObject) -> None:
        """Darken the ground where something stands in the sun's way, or just under it."""
        climate, mesh = self._street.climate, thing.mesh
        sunny = climate.sun.any()
        points, ends = mesh.points_m, mesh.ends
        floor = points[:, 1].max()
        if sunny:
            to_sun = climate.sun_direction
            points = points + ((points[:, 1] - floor) / -to_sun[1])[:, None] * to_sun
        elif thing.class_name in ('car', 'person'):
            points = points[points[:, 1] > floor - 0.35]
        else:
            return
        if thing.class_name == 'car' or not sunny:  # without gaps
            flat = cv2.convexHull(points[:, [0, 2]].astype(np.float32)).reshape(-1, 2)
            points, ends = np.insert(flat, 1, floor, axis=1), np.array([len(flat)])
        left, right = self._street.layout.wall_x
        points[:, 0] = np.clip(points[:, 0], -left, right)  # walls catch shadows; left out here
        count = len(ends)
        shadow = Mesh(points, ends, np.tile(UP, (count, 1)), np.zeros(count, bool),
                      np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count))
        patch = draw(shadow, np.zeros((count, 3), np.uint8), self._camera)
        if patch is not None:
            dark = cv2.convertScaleAbs(patch.pixels, alpha=_SHADOW if sunny else _CONTACT_SHADOW)
            blend(image, self._occlude_by_static(Patch(patch.x, patch.y, dark), thing.depth_m))


def _bounds(patch: Patch) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a patch."""
    height, width = patch.pixels.shape[:2]
    return patch.x, patch.y, patch.x + width, patch.y + height
