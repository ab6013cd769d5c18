# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exact depth of a simulated scene, as a perfect depth camera would measure it."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.rendering.raster import (
    SUBPIXEL_BITS,
    to_fixed_point,
    visible_polygons,
)
from ivf_ros.data.simulator.rig import Camera
import numpy as np

_FAR_M = 1000.0  # the sky is a wall at 2 km
_FINE = 3  # odd, so that the centre of a pixel is the centre of a fine pixel


def render_depth(meshes: Iterable[Mesh], camera: Camera) -> np.ndarray:
    """
    Return the depth of the nearest polygon at the centre of each pixel.

    Parameters
    ----------
    meshes:
        The scene, in any order.
    camera:
        The camera.

    Returns
    -------
    np.ndarray
        ``(H, W)`` float32, z in the frame of the camera in metres; +Inf without a polygon, and
        beyond 1 km.

    """
    inverse_depth = np.zeros(camera.size[::-1], np.float64)
    fine = camera.upsample(_FINE)
    for mesh in meshes:
        starts = np.concatenate([[0], mesh.ends[:-1]])
        for index, outline_px in visible_polygons(mesh, fine):
            plane = _inverse_depth_plane(mesh.points_m[starts[index]], mesh.normals[index], camera)
            if len(outline_px) >= 3 and np.isfinite(plane).all():
                _fill(inverse_depth, outline_px, camera, plane)
    with np.errstate(divide='ignore'):
        depth_m = 1 / inverse_depth
    return np.where(depth_m < _FAR_M, depth_m, np.inf).astype(np.float32)


def _inverse_depth_plane(point_m: np.ndarray, normal: np.ndarray, camera: Camera) -> np.ndarray:
    """
    Return (a, b, c): the plane has the inverse depth ``a x + b y + c`` at pixel (x, y).

    The numbers are not finite for a plane through the centre of the camera, which is seen edge-on.
    """
    # A point X at depth z is centre + z M^-1 (x, y, 1), where M is scaled to give z itself; it is
    # on the plane where normal . (X - point) = 0.
    M = camera.projection[:, :3] / np.linalg.norm(camera.projection[2, :3])
    with np.errstate(divide='ignore', invalid='ignore'):
        return normal @ np.linalg.inv(M) / (normal @ (point_m - camera.centre_m))


def _fill(inverse_depth: np.ndarray, outline_px: np.ndarray, camera: Camera,
          plane: np.ndarray) -> None:
    """Write the inverse depth of a plane where it is the nearest, within a fine outline."""
    width, height = camera.size
    x0, y0 = np.clip(np.floor(outline_px.min(axis=0) / _FINE).astype(int) - 1, 0, (width, height))
    x1, y1 = np.clip(np.ceil(outline_px.max(axis=0) / _FINE).astype(int) + 1, 0, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    mask = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8)
    cv2.fillPoly(mask, [to_fixed_point(outline_px - (x0 * _FINE, y0 * _FINE))], 1, cv2.LINE_8,
                 SUBPIXEL_BITS)
    centre = _FINE // 2
    inside = mask[centre::_FINE, centre::_FINE] != 0
    rows, columns = np.ogrid[y0:y1, x0:x1]
    part = inverse_depth[y0:y1, x0:x1]
    values = plane[0] * columns + plane[1] * rows + plane[2]
    np.copyto(part, np.maximum(part, values), where=inside)
