# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Drawing flat polygons in space, with their exact outlines, into either camera.

A ``Mesh`` is drawn into the smallest patch that holds it, several times finer than the pixels,
and averaged: the alpha channel then says how much of each pixel it covers. OpenCV's own
anti-aliasing would do for 8-bit images, but it leaves seams where polygons meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
from ivf_ros import geometry
from ivf_ros.data.simulator.rig import Camera
import numpy as np

NEAR_M = 0.25  # nothing nearer is drawn
_SUBPIXEL_BITS = 4
_FINE, _COARSE, _LARGE_PX, _SMALL_PX = 4, 2, 40000, 400


@dataclass(frozen=True, eq=False)
class Mesh:
    """
    Flat polygons, in the order in which they are painted.

    Attributes
    ----------
    points_m:
        ``(N, 3)`` corners of all polygons, one polygon after the other.
    ends:
        ``(M,)`` index of the first corner after each polygon.
    normals:
        ``(M, 3)`` unit, outwards.
    one_sided:
        ``(M,)`` bool: invisible from behind.
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
    def middles_m(self) -> np.ndarray:
        """Return the mean corner of each polygon ``(M, 3)``."""
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.add.reduceat(self.points_m, starts) / (self.ends - starts)[:, None]

    def moved(self, position_m: np.ndarray, heading_rad: float = 0.0) -> Mesh:
        """Return the mesh turned about the vertical, z towards x, then shifted."""
        cos, sin = np.cos(heading_rad), np.sin(heading_rad)
        turn = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
        return replace(self, points_m=self.points_m @ turn.T + position_m,
                       normals=self.normals @ turn.T)


class MeshBuilder:
    """Collects polygons and makes a ``Mesh`` of them."""

    def __init__(self) -> None:
        self._polygons: list[np.ndarray] = []
        self._rows: list[tuple] = []

    def add(self, points_m, reflectance, celsius: float, *, glow=(0.0, 0.0, 0.0),
            inside_m=None) -> None:
        """Add one polygon; it is one-sided where a point on its inner side is given."""
        self._polygons.append(np.asarray(points_m, dtype=np.float64))
        self._rows.append((inside_m is not None, (0.0, 0.0, 0.0) if inside_m is None else inside_m,
                           reflectance, glow, celsius))

    def build(self) -> Mesh:
        """Return everything added so far."""
        one_sided, inside, reflectance, glow, celsius = map(np.array, zip(*self._rows))
        first, second, third = (np.array([p[index] for p in self._polygons])
                                for index in range(3))
        normals = np.cross(second - first, third - first)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        # What is seen from both sides is lit as seen from the rig, which looks along z.
        inwards = np.where(one_sided, np.einsum('mc,mc->m', first - inside, normals) < 0,
                           normals[:, 2] > 0)
        normals[inwards] *= -1
        return Mesh(np.concatenate(self._polygons), np.cumsum([len(p) for p in self._polygons]),
                    normals, one_sided, reflectance, glow, celsius)


@dataclass(frozen=True, eq=False)
class Patch:
    """
    A mesh as one camera sees it.

    Attributes
    ----------
    x, y:
        Where its first pixel lies in the image.
    pixels:
        ``(h, w, C)``: values times coverage, coverage last; uint8 (coverage 0..255) for colours,
        float32 (coverage 0..1) for temperatures.

    """

    x: int
    y: int
    pixels: np.ndarray

    @property
    def area(self) -> tuple[slice, slice]:
        """Return where the patch lies, as an index into an image."""
        height, width = self.pixels.shape[:2]
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def coverage(self) -> np.ndarray:
        """Return how much of each pixel is covered ``(h, w)``."""
        return self.pixels[..., -1]


def draw(mesh: Mesh, values: np.ndarray, camera: Camera) -> Patch | None:
    """
    Return the patch of a mesh whose polygons have these values, or None where it is out of view.

    ``values`` is ``(M, C)``, uint8 colours or float32 temperatures.
    """
    polygons = _visible(mesh, camera)
    if not polygons:
        return None
    outline = np.concatenate([points for _, points in polygons])
    width, height = camera.size
    low = np.floor(outline.min(axis=0)).astype(int) - 1
    high = np.ceil(outline.max(axis=0)).astype(int) + 2
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, (width, height))
    if x1 <= x0 or y1 <= y0:
        return None
    fine = _COARSE if (x1 - x0) * (y1 - y0) > _LARGE_PX else _FINE
    if width < _SMALL_PX:
        fine *= 2  # OpenCV fills outlines half a fine pixel too wide: keep that small
    full = 255 if values.dtype == np.uint8 else 1.0
    pixels = np.zeros(((y1 - y0) * fine, (x1 - x0) * fine, values.shape[1] + 1), values.dtype)
    colours = values.tolist()
    fixed = _fixed((outline - (x0, y0) + 0.5) * fine - 0.5)
    start = 0
    for index, points in polygons:
        end = start + len(points)
        cv2.fillPoly(pixels, [fixed[start:end]], (*colours[index], full), cv2.LINE_8,
                     _SUBPIXEL_BITS)
        start = end
    while fine > 1:
        fine //= 2
        pixels = cv2.resize(pixels, ((x1 - x0) * fine, (y1 - y0) * fine),
                            interpolation=cv2.INTER_AREA)
    return Patch(int(x0), int(y0), pixels)


def blend(image: np.ndarray, patch: Patch) -> None:
    """Lay a patch over an image in place: uint8 ``(H, W, 3)`` or float32 ``(H, W)``."""
    under = image[patch.area]
    if image.dtype == np.uint8:
        *colours, coverage = cv2.split(patch.pixels)
        open_share = cv2.bitwise_not(coverage)
        rest = cv2.multiply(under, cv2.merge([open_share] * 3), scale=1 / 255)
        under[:] = cv2.add(rest, cv2.merge(colours))
    else:
        under *= 1.0 - patch.pixels[..., 1]
        under += patch.pixels[..., 0]


def hidden(patch: Patch, nearer: Patch) -> Patch:
    """Return a patch with that part taken away which a nearer one covers."""
    x0, y0 = max(patch.x, nearer.x), max(patch.y, nearer.y)
    height, width = patch.pixels.shape[:2]
    near_height, near_width = nearer.pixels.shape[:2]
    x1 = min(patch.x + width, nearer.x + near_width)
    y1 = min(patch.y + height, nearer.y + near_height)
    if x1 <= x0 or y1 <= y0:
        return patch
    pixels = patch.pixels.copy()
    part = pixels[y0 - patch.y:y1 - patch.y, x0 - patch.x:x1 - patch.x]
    cover = np.ascontiguousarray(
        nearer.coverage[y0 - nearer.y:y1 - nearer.y, x0 - nearer.x:x1 - nearer.x])
    channels = pixels.shape[2]
    if pixels.dtype == np.uint8:
        open_share = cv2.merge([cv2.bitwise_not(cover)] * channels)
        part[:] = cv2.multiply(part, open_share, scale=1 / 255)
    else:
        part *= (1.0 - cover)[..., None]
    return Patch(patch.x, patch.y, pixels)


@dataclass(frozen=True, eq=False)
class Texture:
    """
    A raster on a flat polygon in space.

    Attributes
    ----------
    layer:
        Name of the layer of the canvas to change.
    outline_m:
        ``(N, 3)`` corners of the polygon.
    raster:
        ``(h, w)`` or ``(h, w, 3)`` float32; repeated beyond its border.
    frame_m:
        ``(3, 3)`` columns: the world step from one raster column to the next, from one row to
        the next, and the world position of raster pixel (0, 0).
    blend_mode:
        ``'set'``, ``'add'`` or ``'multiply'``.

    """

    layer: str
    outline_m: np.ndarray
    raster: np.ndarray
    frame_m: np.ndarray
    blend_mode: str


class Canvas:
    """
    A large image of the fixed surfaces, several times finer than the pixels.

    ``layers`` maps names to ``(h, w)`` or ``(h, w, 3)`` float32 arrays.
    """

    def __init__(self, camera: Camera, channels: dict[str, int]) -> None:
        self.fine = int(np.clip(round(1800 / camera.size[0]), 2, 6))
        self.camera = camera.enlarged(self.fine)
        width, height = self.camera.size
        self.layers = {name: np.zeros((height, width, count)[:3 if count > 1 else 2], np.float32)
                       for name, count in channels.items()}

    def fill(self, mesh: Mesh, values: dict[str, np.ndarray]) -> None:
        """Paint the polygons into each layer for which ``(M, C)`` or ``(M,)`` values are given."""
        for index, points in _visible(mesh, self.camera):
            fixed = _fixed(points)
            for name, rows in values.items():
                cv2.fillPoly(self.layers[name], [fixed], np.atleast_1d(rows[index]).tolist(),
                             cv2.LINE_8, _SUBPIXEL_BITS)

    def texture(self, texture: Texture) -> None:
        """Lay a raster onto a flat polygon; a layer that the canvas lacks is left out."""
        part_of = self.layers.get(texture.layer)
        outline = _projected(texture.outline_m, self.camera)
        if part_of is None or len(outline) < 3:
            return
        width, height = self.camera.size
        x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [_fixed(outline - (x0, y0))], 1, cv2.LINE_8, _SUBPIXEL_BITS)
        to_canvas = self.camera.projection @ np.vstack([texture.frame_m, [0.0, 0.0, 1.0]])
        to_part = geometry.translation(-x0, -y0) @ to_canvas
        layer_pixels = cv2.warpPerspective(texture.raster, to_part, (int(x1 - x0), int(y1 - y0)),
                                           flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        part = part_of[y0:y1, x0:x1]
        if texture.blend_mode == 'multiply':
            layer_pixels = part * (layer_pixels if layer_pixels.ndim == part.ndim else cv2.merge([layer_pixels] * 3))
        elif texture.blend_mode == 'add':
            layer_pixels = part + layer_pixels
        cv2.copyTo(layer_pixels, mask, part)

    def averaged(self, image: np.ndarray) -> np.ndarray:
        """Return an image of the size of the canvas at the size of the camera."""
        width, height = self.camera.size
        return cv2.resize(image, (width // self.fine, height // self.fine),
                          interpolation=cv2.INTER_AREA)


def _fixed(points_px: np.ndarray) -> np.ndarray:
    return np.round(np.clip(points_px, -1e6, 1e6) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _visible(mesh: Mesh, camera: Camera) -> list[tuple[int, np.ndarray]]:
    """Return index and pixels ``(N, 2)`` of each polygon that the camera can see."""
    depth = camera.depth_m(mesh.points_m)
    starts = np.concatenate([[0], mesh.ends[:-1]])
    nearest = np.minimum.reduceat(depth, starts)
    farthest = np.maximum.reduceat(depth, starts)
    to_camera = camera.centre_m - mesh.points_m[starts]
    facing = np.einsum('mc,mc->m', to_camera, mesh.normals) > 0
    shown = np.flatnonzero((farthest > NEAR_M) & (facing | ~mesh.one_sided))
    if not len(shown):
        return []
    with np.errstate(divide='ignore', invalid='ignore'):
        pixels = camera.project(mesh.points_m)
    polygons = []
    for index in shown.tolist():
        corners = slice(starts[index], mesh.ends[index])
        points = pixels[corners] if nearest[index] > NEAR_M \
            else _projected(mesh.points_m[corners], camera)
        polygons.append((index, points))
    return polygons


def _projected(points_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the pixels of a polygon after cutting off what is behind the camera."""
    depth = camera.depth_m(points_m) - NEAR_M
    kept = []
    for index in range(len(points_m)):
        before = index - 1
        if (depth[index] > 0) != (depth[before] > 0):
            share = depth[before] / (depth[before] - depth[index])
            kept.append(points_m[before] + share * (points_m[index] - points_m[before]))
        if depth[index] > 0:
            kept.append(points_m[index])
    return camera.project(np.array(kept)) if kept else np.empty((0, 2))
