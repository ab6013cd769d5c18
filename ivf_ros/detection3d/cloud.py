# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A point cloud with what the cameras and the networks know about each point."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection3d.camera import CalibratedCamera
import numpy as np


@dataclass(frozen=True, eq=False)
class ColoredCloud:
    """
    Points in the optical frame of RGB, one for each pixel with a depth.

    Attributes
    ----------
    points_m:
        ``(N, 3)`` float32.
    colors_bgr:
        ``(N, 3)`` uint8.
    celsius:
        ``(N,)`` float32 apparent temperature, NaN where it is unknown.
    labels:
        ``(N,)`` uint8 class id of the segmentation; 0 is the background, also without labels.

    """

    points_m: np.ndarray
    colors_bgr: np.ndarray
    celsius: np.ndarray
    labels: np.ndarray


def make_colored_cloud(depth_m: np.ndarray, camera: CalibratedCamera, rgb: np.ndarray,
                       celsius: np.ndarray | None = None,
                       labels: np.ndarray | None = None) -> ColoredCloud:
    """
    Return the points of a depth image with their colours, temperatures and labels.

    Parameters
    ----------
    depth_m:
        ``(H, W)`` float32; NaN where there is no measurement.
    camera:
        The RGB camera.
    rgb:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    celsius:
        ``(H, W)`` float32, NaN where thermal does not cover RGB; None if it is unknown.
    labels:
        ``(H, W)`` uint8; None without segmentation.

    Raises
    ------
    ValueError
        The images have different sizes.

    """
    for name, image in (('RGB', rgb), ('the temperatures', celsius), ('labels', labels)):
        if image is not None and image.shape[:2] != depth_m.shape:
            raise ValueError(f'all images must have one size; depth has {depth_m.shape[1]}x'
                             f'{depth_m.shape[0]}, {name} {image.shape[1]}x{image.shape[0]}')
    rows, columns = np.nonzero(np.isfinite(depth_m))
    z = depth_m[rows, columns]
    points_m = camera.grid_rays[rows, columns] * z[:, None]
    colors = rgb[rows, columns]
    if colors.ndim == 1:
        colors = np.repeat(colors[:, None], 3, axis=1)
    return ColoredCloud(
        points_m, colors,
        np.full(len(z), np.nan, np.float32) if celsius is None else celsius[rows, columns],
        np.zeros(len(z), np.uint8) if labels is None else labels[rows, columns])
