# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Depth on the RGB grid, from depth images and from point clouds.

Depth is the z of the optical frame in metres, not the distance from the camera. A pixel without a
measurement is NaN. Everything that is not a measurement becomes NaN here: 0 in an image of
millimetres, NaN (unknown), +Inf (too far) and -Inf (too close) in an image of metres (REP 117,
REP 118).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros.detection3d.camera import CalibratedCamera
from ivf_ros.detection3d.settings import DepthParameters
from ivf_ros.geometry import size_of
import numpy as np

_MM_PER_M = 1000.0


class DepthError(ValueError):
    """A depth image or a point cloud cannot be used; the message says why."""


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """``X_rgb = R_depth_to_rgb @ X_depth + t_depth_to_rgb_m``: ``(3, 3)`` and ``(3,)``."""

    R_depth_to_rgb: np.ndarray
    t_depth_to_rgb_m: np.ndarray

    @classmethod
    def from_parameters(cls, parameters: DepthParameters) -> Extrinsics:
        """Return the configured extrinsics; without values the frames are the same."""
        return cls(np.reshape(parameters.R_depth_to_rgb or np.eye(3), (3, 3)),
                   np.array(parameters.t_depth_to_rgb_m or (0.0, 0.0, 0.0)))

    def to_rgb(self, points_m: np.ndarray) -> np.ndarray:
        """Return points ``(N, 3)`` of the depth sensor in the optical frame of RGB."""
        if not len(points_m):
            return points_m
        # cv2.transform, because a product of matrices starts threads, which cost more than these
        # three columns.
        matrix = np.column_stack([self.R_depth_to_rgb, self.t_depth_to_rgb_m])
        return cv2.transform(points_m[:, None], matrix)[:, 0]


def convert_depth(image: np.ndarray, parameters: DepthParameters) -> np.ndarray:
    """
    Return a depth image in metres.

    Parameters
    ----------
    image:
        ``(H, W)`` uint16 in millimetres, or float32 or float64 in metres (REP 118).
    parameters:
        Limits of the depth.

    Returns
    -------
    np.ndarray
        ``(H, W)`` float32, NaN where there is no measurement within the limits.

    Raises
    ------
    DepthError
        The shape or the dtype is another one.

    """
    if image.ndim != 2 or image.dtype not in (np.uint16, np.float32, np.float64):
        raise DepthError('a depth image is 16UC1 in millimetres or 32FC1 in metres, got an array '
                         f'of shape {image.shape} and type {image.dtype}')
    depth_m = image / np.float32(_MM_PER_M) if image.dtype == np.uint16 \
        else image.astype(np.float32)
    with np.errstate(invalid='ignore'):
        usable = (depth_m >= max(parameters.min_m, 1e-3)) & (depth_m <= parameters.max_m)
    return np.where(usable, depth_m, np.float32(np.nan))


def resize_depth(depth_m: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return registered depth at the size of the RGB grid, without interpolation.

    Raises
    ------
    DepthError
        The aspect ratio is another one, so that the depth is not that of the RGB grid.

    """
    width, height = size_of(depth_m)
    if (width, height) == size:
        return depth_m
    if abs(width * size[1] - height * size[0]) > max(width, height, *size):
        raise DepthError(f'registered depth has {width}x{height} pixels and RGB {size[0]}x'
                         f"{size[1]}: the aspect ratios differ; set source to 'depth' if the "
                         'depth camera has a view of its own')
    return cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST_EXACT)


def make_points(depth_m: np.ndarray, camera: CalibratedCamera) -> np.ndarray:
    """
    Return the points of a depth image, ``(N, 3)`` float32 in metres, one for each measurement.

    Parameters
    ----------
    depth_m:
        ``(H, W)`` float32 on the grid of the camera, NaN where there is no measurement.
    camera:
        The camera that has measured the depth.

    """
    rows, columns = np.nonzero(np.isfinite(depth_m))
    return camera.grid_rays[rows, columns] * depth_m[rows, columns, None]


def render_points(points_m: np.ndarray, camera: CalibratedCamera,
                  parameters: DepthParameters) -> np.ndarray:
    """
    Return the depth on the RGB grid of points in the optical frame of RGB.

    Each point covers one pixel, so that the depth of a sparse cloud is sparse. Where several
    points meet, the nearest one counts.

    Parameters
    ----------
    points_m:
        ``(N, 3)``; rows that are not finite are ignored.
    camera:
        The RGB camera.
    parameters:
        Limits of the depth.

    Returns
    -------
    np.ndarray
        ``(H, W)`` float32, NaN where there is no point.

    Raises
    ------
    CameraModelError
        The distortion model of the camera is unknown.

    """
    width, height = camera.size
    points = points_m[_are_in_view(points_m, camera, parameters)]
    columns, rows = np.round(camera.project(points)).astype(np.int64).T
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    depth_m = np.full(height * width, np.inf, np.float32)
    np.minimum.at(depth_m, (rows * width + columns)[inside], points[inside, 2].astype(np.float32))
    depth_m[np.isinf(depth_m)] = np.nan
    return depth_m.reshape(height, width)


def _are_in_view(points_m: np.ndarray, camera: CalibratedCamera,
                 parameters: DepthParameters) -> np.ndarray:
    """Return which points lie within the limits and the outermost rays; others project wrongly."""
    width, height = camera.size
    columns, rows = np.arange(-1, width + 1), np.arange(-1, height + 1)
    border = np.concatenate([
        *(np.column_stack([columns, np.full_like(columns, row)]) for row in (-1, height)),
        *(np.column_stack([np.full_like(rows, column), rows]) for column in (-1, width))])
    rays = camera.rays(border)
    (left, top), (right, bottom) = rays[:, :2].min(axis=0), rays[:, :2].max(axis=0)
    x, y, z = points_m.T
    with np.errstate(invalid='ignore'):  # comparisons with NaN are false
        return (z >= max(parameters.min_m, 1e-3)) & (z <= parameters.max_m) \
            & (x >= left * z) & (x <= right * z) & (y >= top * z) & (y <= bottom * z)
