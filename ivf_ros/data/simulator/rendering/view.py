# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rendering of a simulated scene in one camera, before the sensor imperfections.

The static scene is rendered once. A frame is a copy of it, blended with the moving objects; the
parts of a moving object behind static objects are removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Tuple

import cv2
from ivf_ros.data.simulator.climate import expose, UP
from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.rendering.raster import blend, Canvas, occlude, Patch, render
from ivf_ros.data.simulator.rig import Camera
from ivf_ros.data.simulator.scene import GROUND_DEPTH_M, Scene, SceneObject
import numpy as np

_SHADOW = 0.55  # fraction of the light that a shadow removes in the sun
_CONTACT_SHADOW = 0.45  # fraction that is removed under a car or a foot without sun

# Distance of the smoke, and a function that applies smoke to the image behind it.
SmokeLayer = Tuple[float, Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True, eq=False)
class RenderedView:
    """
    One frame without noise.

    Attributes
    ----------
    image:
        uint8 ``(H, W, 3)`` or float32 ``(H, W)``.
    identities:
        ``(H, W)`` uint8 identity of the nearest object that covers at least half of the pixel; 0
        without an object.
    unoccluded_px:
        Number of pixels of each identity without occlusion.
    areas:
        Image area that contains each identity.

    """

    image: np.ndarray
    identities: np.ndarray
    unoccluded_px: dict[int, int]
    areas: dict[int, tuple[slice, slice]]

    def record_object(self, identity: int, visible: Patch, whole: Patch) -> None:
        """Record an object in front of all recorded ones: its visible part and the whole."""
        covered = cv2.inRange(np.ascontiguousarray(visible.coverage), 128, 255)
        cv2.copyTo(np.full_like(covered, identity), covered, self.identities[visible.area])
        if identity:
            self.unoccluded_px[identity] = int(np.count_nonzero(whole.coverage > 127))
            self.areas[identity] = whole.area


class SceneView:
    """
    A scene through one camera.

    Parameters
    ----------
    scene:
        Scene to render.
    camera:
        Camera of the view.
    modality:
        ``'rgb'`` gives ``(H, W, 3)`` uint8 BGR, ``'celsius'`` gives ``(H, W)`` float32
        temperatures.

    """

    def __init__(self, scene: Scene, camera: Camera, modality: str) -> None:
        self._scene, self._camera, self._modality = scene, camera, modality
        self._static_patches: list[Patch] = []
        self._static_bounds = np.empty((0, 5))  # depth, left, top, right, bottom of each
        width, height = camera.size
        self._background = RenderedView(self._render_surfaces(),
                                        np.zeros((height, width), np.uint8), {}, {})
        for scene_object in scene.objects:
            if modality == 'rgb':
                self._cast_shadow(self._background.image, scene_object)
        bounds = []
        for scene_object in scene.objects:
            patch = self._render_mesh(scene_object.mesh)
            if patch is not None:
                blend(self._background.image, patch)
                if modality == 'rgb':
                    self._background.record_object(scene_object.identity, patch, patch)
                if scene_object.depth_m < GROUND_DEPTH_M:
                    self._static_patches.append(patch)
                    bounds.append((scene_object.depth_m, *_bounds(patch)))
        self._static_bounds = np.array(bounds).reshape(-1, 5)

    def render_frame(self, moving: list[SceneObject],
                     smoke: SmokeLayer | None = None) -> RenderedView:
        """
        Render the scene with moving objects.

        Parameters
        ----------
        moving:
            Moving objects, from far to near.
        smoke:
            Distance of the smoke, and the function that applies it to the image behind it.

        """
        background = self._background
        image = background.image.copy()
        rendered = RenderedView(image, background.identities.copy(),
                                dict(background.unoccluded_px), dict(background.areas))
        if self._modality == 'rgb':
            for scene_object in moving:
                self._cast_shadow(image, scene_object)
        for scene_object in moving:
            if smoke is not None and scene_object.depth_m < smoke[0]:
                self._apply_smoke(smoke, image)
                smoke = None
            whole = self._render_mesh(scene_object.mesh)
            if whole is None:
                continue
            patch = self._occlude_by_static(whole, scene_object.depth_m)
            blend(image, patch)
            if self._modality == 'rgb':
                rendered.record_object(scene_object.identity, patch, whole)
        if smoke is not None:
            self._apply_smoke(smoke, image)
        return rendered

    def is_occluded(self, point_m: np.ndarray) -> bool:
        """Return whether a static object occludes a world point ``(3,)``."""
        x, y = np.round(self._camera.project(point_m[None])[0]).astype(int)
        depth_m = self._scene.depth_m(point_m) - 2.0  # not by its own object
        depth, left, top, right, bottom = self._static_bounds.T
        before = (depth < depth_m) & (left <= x) & (x < right) & (top <= y) & (y < bottom)
        patches = (self._static_patches[index] for index in np.flatnonzero(before))
        return any(patch.coverage[y - patch.y, x - patch.x] for patch in patches)

    def _render_surfaces(self) -> np.ndarray:
        if self._modality == 'celsius':
            canvas = Canvas(self._camera, {'celsius': 1})
        else:
            canvas = Canvas(self._camera, {'reflectance': 3, 'light': 3, 'glow': 3})
        for part in self._scene.surfaces:
            if not isinstance(part, Mesh):
                canvas.apply_texture(part)
            elif self._modality == 'celsius':
                canvas.fill(part, {'celsius': part.celsius})
            else:
                canvas.fill(part, {'reflectance': part.reflectance, 'glow': part.glow})
        layers = canvas.layers
        if self._modality == 'celsius':
            return canvas.downsample(layers['celsius'])
        radiance = canvas.downsample(layers['reflectance'] * layers['light'] + layers['glow'])
        return expose(radiance, self._scene.climate.exposure)

    def _render_mesh(self, mesh: Mesh) -> Patch | None:
        if self._modality == 'celsius':
            return render(mesh, mesh.celsius[:, None].astype(np.float32), self._camera)
        light = self._scene.lighting.at(mesh.centres_m, mesh.normals)
        radiance = mesh.reflectance * light + mesh.glow
        return render(mesh, expose(radiance, self._scene.climate.exposure), self._camera)

    def _occlude_by_static(self, patch: Patch, depth_m: float) -> Patch:
        depth, left, top, right, bottom = self._static_bounds.T
        x0, y0, x1, y1 = _bounds(patch)
        before = (depth < depth_m) & (left < x1) & (right > x0) & (top < y1) & (bottom > y0)
        for index in np.flatnonzero(before):
            patch = occlude(patch, self._static_patches[index])
        return patch

    def _apply_smoke(self, smoke: SmokeLayer, image: np.ndarray) -> None:
        """Apply smoke to the image in place, then blend the static objects before the smoke."""
        distance_m, apply_smoke = smoke
        image[:] = apply_smoke(image)
        for index in np.flatnonzero(self._static_bounds[:, 0] < distance_m):
            blend(image, self._static_patches[index])

    def _cast_shadow(self, image: np.ndarray, scene_object: SceneObject) -> None:
        """Darken the ground in the shadow of an object, or just below it without sun."""
        climate, mesh = self._scene.climate, scene_object.mesh
        sunny = climate.sun.any()
        if scene_object.shadow == 'none' or not (sunny or scene_object.shadow == 'contact'):
            return
        points, ends = mesh.points_m, mesh.ends
        floor = points[:, 1].max()
        if sunny:
            to_sun = climate.sun_direction
            points = points + ((points[:, 1] - floor) / -to_sun[1])[:, None] * to_sun
        else:
            points = points[points[:, 1] > floor - 0.35]
        if scene_object.class_name == 'car' or not sunny:  # one outline without gaps
            flat = cv2.convexHull(points[:, [0, 2]].astype(np.float32)).reshape(-1, 2)
            points, ends = np.insert(flat, 1, floor, axis=1), np.array([len(flat)])
        left, right = self._scene.shadow_x_m
        points[:, 0] = np.clip(points[:, 0], -left, right)  # shadows on walls are not rendered
        count = len(ends)
        shadow = Mesh(points, ends, np.tile(UP, (count, 1)), np.zeros(count, bool),
                      np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count))
        patch = render(shadow, np.zeros((count, 3), np.uint8), self._camera)
        if patch is not None:
            dark = cv2.convertScaleAbs(patch.pixels, alpha=_SHADOW if sunny else _CONTACT_SHADOW)
            blend(image, self._occlude_by_static(Patch(patch.x, patch.y, dark),
                                                 scene_object.depth_m))


def _bounds(patch: Patch) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a patch."""
    height, width = patch.pixels.shape[:2]
    return patch.x, patch.y, patch.x + width, patch.y + height
