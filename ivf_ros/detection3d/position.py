# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The position of one object from its box and the depth in it.

A box shows the object and what is behind and before it. The depths of the object are a cluster:
the most frequent depth in the central part of the box, and the depths that continue it. Where the
pixels are labelled, the cluster is searched among the pixels of the class.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection3d.camera import CalibratedCamera
from ivf_ros.detection3d.settings import PositionParameters
from ivf_ros.thermal import SIGMA_PER_MAD
from ivf_ros.types import Detection
import numpy as np

_HALF_PIXEL = 0.5  # from the edges of a box to pixel coordinates with centres at integers
# Bins that continue the most frequent depth have at least this fraction of its count.
_MIN_COUNT_RATIO = 0.1
_NEAR_PERCENTILE, _FAR_PERCENTILE = 5.0, 95.0


@dataclass(frozen=True, eq=False)
class Detection3d:
    """
    One object in the optical frame of RGB (x right, y down, z forward).

    Attributes
    ----------
    detection:
        The box on the RGB grid from which it was made.
    position_m:
        ``(3,)``, on the visible surface: the centre of the box at the median depth.
    covariance_m2:
        ``(3, 3)`` of the position.
    center_m, size_m:
        ``(3,)`` centre and edges of the box around the visible surface, along the axes of the
        optical frame. Its depth reaches from the 5th to the 95th percentile of the depths of the
        object.
    pixel_count:
        Number of pixels whose depths were used.

    """

    detection: Detection
    position_m: np.ndarray
    covariance_m2: np.ndarray
    center_m: np.ndarray
    size_m: np.ndarray
    pixel_count: int


def locate(detection: Detection, depth_m: np.ndarray, camera: CalibratedCamera,
           parameters: PositionParameters = PositionParameters(),
           of_class: np.ndarray | None = None) -> Detection3d | None:
    """
    Return the object in space, or None if too few pixels of it have a depth.

    Parameters
    ----------
    detection:
        Box on the RGB grid.
    depth_m:
        ``(H, W)`` float32 on the RGB grid; NaN where there is no measurement.
    camera:
        The RGB camera.
    parameters:
        How the position follows from the depths.
    of_class:
        ``(H, W)`` bool, the pixels that are labelled with the class of the object; None without
        labels.

    """
    depths = _select_depths(detection, depth_m, parameters, of_class)
    depths = _select_cluster(depths, parameters.bin_ratio)
    if len(depths) < parameters.min_pixels:
        return None
    z = float(np.median(depths))
    near, far = np.percentile(depths, (_NEAR_PERCENTILE, _FAR_PERCENTILE))
    left, top, right, bottom = (edge - _HALF_PIXEL for edge in detection.box_xyxy_px)
    x, y = (left + right) / 2, (top + bottom) / 2
    ray, *ends = camera.rays(np.array([(x, y), (left, y), (right, y), (x, top), (x, bottom)]))
    width, height = (ends[1] - ends[0])[:2] * z, (ends[3] - ends[2])[:2] * z
    # One of the two lies along x and the other along y: images may be turned by quarter turns.
    size_m = np.array([*np.maximum(np.abs(width), np.abs(height)), far - near])
    covariance = _depth_variance(depths, z, parameters) * np.outer(ray, ray)
    for edge, length_px in ((width, right - left), (height, bottom - top)):
        deviation_px = np.hypot(parameters.box_error_ratio * length_px, parameters.box_error_px)
        deviation_m = edge * deviation_px / max(length_px, 1e-6)
        covariance[:2, :2] += np.outer(deviation_m, deviation_m)
    return Detection3d(detection, ray * z, covariance, ray * (near + far) / 2, size_m, len(depths))


def _depth_variance(depths_m: np.ndarray, z: float, parameters: PositionParameters) -> float:
    """Return the variance of the depth: that of the surface and that of the sensor."""
    # Not divided by the number of pixels: neighbours err together, and the extent of the surface
    # is an uncertainty of the position of the object.
    spread = SIGMA_PER_MAD * float(np.median(np.abs(depths_m - z)))
    return spread ** 2 + (parameters.depth_error_ratio * z) ** 2


def _select_depths(detection: Detection, depth_m: np.ndarray, parameters: PositionParameters,
                   of_class: np.ndarray | None) -> np.ndarray:
    """Return the measured depths of the class in the box, or those in its central part."""
    left, top, right, bottom = detection.box_xyxy_px
    if of_class is not None:
        area = _slices(depth_m, left, top, right, bottom)
        labelled = of_class[area]
        if labelled.size and labelled.mean() >= parameters.min_label_fraction:
            return _measured(depth_m[area][labelled])
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width = (right - left) / 2 * parameters.central_fraction
    half_height = (bottom - top) / 2 * parameters.central_fraction
    return _measured(depth_m[_slices(depth_m, x - half_width, y - half_height, x + half_width,
                                     y + half_height)])


def _select_cluster(depths_m: np.ndarray, bin_ratio: float) -> np.ndarray:
    """Return the depths around the most frequent one, up to the first gap on either side."""
    if not len(depths_m):
        return depths_m
    bins = np.floor(np.log(depths_m) / np.log1p(bin_ratio)).astype(np.int64)
    bins -= bins.min()
    counts = np.bincount(bins)
    # Pairs of neighbours, because an edge between bins may divide a surface.
    pairs = counts + np.append(counts[1:], 0)
    first = int(np.argmax(pairs))
    limit = max(1.0, _MIN_COUNT_RATIO * counts[first:first + 2].max())
    low, high = first, min(first + 1, len(counts) - 1)
    while low > 0 and counts[low - 1] >= limit:
        low -= 1
    while high + 1 < len(counts) and counts[high + 1] >= limit:
        high += 1
    return depths_m[(bins >= low) & (bins <= high)]


def _slices(image: np.ndarray, left: float, top: float, right: float, bottom: float
            ) -> tuple[slice, slice]:
    """Return the area of the pixels whose centres are within the edges; at least one pixel."""
    height, width = image.shape[:2]
    x0, y0 = round(left), round(top)
    x1, y1 = max(round(right), x0 + 1), max(round(bottom), y0 + 1)
    return slice(max(y0, 0), max(min(y1, height), 0)), slice(max(x0, 0), max(min(x1, width), 0))


def _measured(depths_m: np.ndarray) -> np.ndarray:
    return depths_m[np.isfinite(depths_m)]
