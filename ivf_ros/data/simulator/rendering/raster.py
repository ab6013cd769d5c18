# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rendering of flat polygons in space, with exact outlines, into a camera.

A ``Mesh`` is rendered into the smallest patch that contains it, at several times the pixel
resolution, and then averaged. The last channel is the coverage of each pixel. The anti-aliasing
of OpenCV is not used because it leaves seams between adjacent polygons.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.data.simulator.mesh import Mesh, Texture
from ivf_ros.data.simulator.rig import Camera
import numpy as np

NEAR_M = 0.25  # near clipping distance
SUBPIXEL_BITS = 4  # of the corners of polygons in cv2.fillPoly
_FINE_FACTOR, _COARSE_FACTOR = 4, 2  # supersampling of small and of large patches
_LARGE_PATCH_PX, _SMALL_WIDTH_PX = 40000, 400


@dataclass(frozen=True, eq=False)
class Patch:
    """
    The image of a mesh in one camera.

    Attributes
    ----------
    x, y:
        Position of the first pixel in the image.
    pixels:
        ``(h, w, C)``: values premultiplied by the coverage, and the coverage as last channel.
        uint8 (coverage 0..255) for colours, float32 (coverage 0..1) for temperatures.

    """

    x: int
    y: int
    pixels: np.ndarray

    @property
    def area(self) -> tuple[slice, slice]:
        """Return the area of the patch as an index into the image."""
        height, width = self.pixels.shape[:2]
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def coverage(self) -> np.ndarray:
        """Return the coverage ``(h, w)`` of each pixel."""
        return self.pixels[..., -1]


def render(mesh: Mesh, values: np.ndarray, camera: Camera) -> Patch | None:
    """
    Render a mesh; return None if it is out of view.

    ``values`` ``(M, C)`` are the values of the polygons: uint8 colours or float32 temperatures.
    """
    polygons = visible_polygons(mesh, camera)
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
    fine = _COARSE_FACTOR if (x1 - x0) * (y1 - y0) > _LARGE_PATCH_PX else _FINE_FACTOR
    if width < _SMALL_WIDTH_PX:
        fine *= 2  # limits the error of OpenCV, which fills outlines half a fine pixel too wide
    full = 255 if values.dtype == np.uint8 else 1.0
    pixels = np.zeros(((y1 - y0) * fine, (x1 - x0) * fine, values.shape[1] + 1), values.dtype)
    colours = values.tolist()
    fixed = to_fixed_point((outline - (x0, y0) + 0.5) * fine - 0.5)
    start = 0
    for index, points in polygons:
        end = start + len(points)
        cv2.fillPoly(pixels, [fixed[start:end]], (*colours[index], full), cv2.LINE_8,
                     SUBPIXEL_BITS)
        start = end
    while fine > 1:
        fine //= 2
        pixels = cv2.resize(pixels, ((x1 - x0) * fine, (y1 - y0) * fine),
                            interpolation=cv2.INTER_AREA)
    return Patch(int(x0), int(y0), pixels)


def blend(image: np.ndarray, patch: Patch) -> None:
    """Blend a patch over an image in place: uint8 ``(H, W, 3)`` or float32 ``(H, W)``."""
    background = image[patch.area]
    if image.dtype == np.uint8:
        *colours, coverage = cv2.split(patch.pixels)
        transparency = cv2.bitwise_not(coverage)
        rest = cv2.multiply(background, cv2.merge([transparency] * 3), scale=1 / 255)
        background[:] = cv2.add(rest, cv2.merge(colours))
    else:
        background *= 1.0 - patch.pixels[..., 1]
        background += patch.pixels[..., 0]


def occlude(patch: Patch, nearer: Patch) -> Patch:
    """Return a patch without the part that a nearer patch covers."""
    x0, y0 = max(patch.x, nearer.x), max(patch.y, nearer.y)
    height, width = patch.pixels.shape[:2]
    near_height, near_width = nearer.pixels.shape[:2]
    x1 = min(patch.x + width, nearer.x + near_width)
    y1 = min(patch.y + height, nearer.y + near_height)
    if x1 <= x0 or y1 <= y0:
        return patch
    pixels = patch.pixels.copy()
    part = pixels[y0 - patch.y:y1 - patch.y, x0 - patch.x:x1 - patch.x]
    coverage = np.ascontiguousarray(
        nearer.coverage[y0 - nearer.y:y1 - nearer.y, x0 - nearer.x:x1 - nearer.x])
    channels = pixels.shape[2]
    if pixels.dtype == np.uint8:
        transparency = cv2.merge([cv2.bitwise_not(coverage)] * channels)
        part[:] = cv2.multiply(part, transparency, scale=1 / 255)
    else:
        part *= (1.0 - coverage)[..., None]
    return Patch(patch.x, patch.y, pixels)


class Canvas:
    """
    A supersampled image of the static surfaces.

    ``layers`` maps names to ``(h, w)`` or ``(h, w, 3)`` float32 arrays.
    """

    def __init__(self, camera: Camera, channels: dict[str, int]) -> None:
        self.fine = int(np.clip(round(1800 / camera.size[0]), 2, 6))
        self.camera = camera.upsample(self.fine)
        width, height = self.camera.size
        self.layers = {name: np.zeros((height, width, count)[:3 if count > 1 else 2], np.float32)
                       for name, count in channels.items()}

    def fill(self, mesh: Mesh, values: dict[str, np.ndarray]) -> None:
        """Paint the polygons into each layer in ``values``, ``(M, C)`` or ``(M,)`` each."""
        for index, points in visible_polygons(mesh, self.camera):
            fixed = to_fixed_point(points)
            for name, rows in values.items():
                cv2.fillPoly(self.layers[name], [fixed], np.atleast_1d(rows[index]).tolist(),
                             cv2.LINE_8, SUBPIXEL_BITS)

    def apply_texture(self, texture: Texture) -> None:
        """Apply a texture to its layer; do nothing if the canvas lacks this layer."""
        layer = self.layers.get(texture.layer)
        outline = _project_clipped(texture.outline_m, self.camera)
        if layer is None or len(outline) < 3:
            return
        width, height = self.camera.size
        x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [to_fixed_point(outline - (x0, y0))], 1, cv2.LINE_8, SUBPIXEL_BITS)
        to_canvas = self.camera.projection @ np.vstack([texture.frame_m, [0.0, 0.0, 1.0]])
        to_part = geometry.translation(-x0, -y0) @ to_canvas
        layer_pixels = cv2.warpPerspective(texture.raster, to_part, (int(x1 - x0), int(y1 - y0)),
                                           flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        part = layer[y0:y1, x0:x1]
        if texture.blend_mode == 'multiply':
            if layer_pixels.ndim != part.ndim:
                layer_pixels = cv2.merge([layer_pixels] * 3)
            layer_pixels = part * layer_pixels
        elif texture.blend_mode == 'add':
            layer_pixels = part + layer_pixels
        cv2.copyTo(layer_pixels, mask, part)

    def downsample(self, image: np.ndarray) -> np.ndarray:
        """Average an image of the canvas size to the size of the camera."""
        width, height = self.camera.size
        return cv2.resize(image, (width // self.fine, height // self.fine),
                          interpolation=cv2.INTER_AREA)


def to_fixed_point(points_px: np.ndarray) -> np.ndarray:
    """Return pixels as ``cv2.fillPoly`` takes them with ``SUBPIXEL_BITS``."""
    return np.round(np.clip(points_px, -1e6, 1e6) * (1 << SUBPIXEL_BITS)).astype(np.int32)


def visible_polygons(mesh: Mesh, camera: Camera) -> list[tuple[int, np.ndarray]]:
    """Return index and pixels ``(N, 2)`` of each visible polygon."""
    depth = camera.depth_m(mesh.points_m)
    starts = np.concatenate([[0], mesh.ends[:-1]])
    nearest = np.minimum.reduceat(depth, starts)
    farthest = np.maximum.reduceat(depth, starts)
    to_camera = camera.centre_m - mesh.points_m[starts]
    facing = np.einsum('mc,mc->m', to_camera, mesh.normals) > 0
    visible = np.flatnonzero((farthest > NEAR_M) & (facing | ~mesh.one_sided))
    if not len(visible):
        return []
    with np.errstate(divide='ignore', invalid='ignore'):
        pixels = camera.project(mesh.points_m)
    polygons = []
    for index in visible.tolist():
        corners = slice(starts[index], mesh.ends[index])
        points = pixels[corners] if nearest[index] > NEAR_M \
            else _project_clipped(mesh.points_m[corners], camera)
        polygons.append((index, points))
    return polygons


def _project_clipped(points_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Return the pixels of a polygon after clipping at the near distance."""
    depth = camera.depth_m(points_m) - NEAR_M
    kept = []
    for index in range(len(points_m)):
        previous = index - 1
        if (depth[index] > 0) != (depth[previous] > 0):
            fraction = depth[previous] / (depth[previous] - depth[index])
            kept.append(points_m[previous] + fraction * (points_m[index] - points_m[previous]))
        if depth[index] > 0:
            kept.append(points_m[index])
    return camera.project(np.array(kept)) if kept else np.empty((0, 2))
