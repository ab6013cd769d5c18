# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Homographies between two pixel grids: construction, application, comparison, plausibility.

The x axis points right, the y axis down. Pixel centres are at integer coordinates. ``H`` maps
homogeneous coordinates of the source grid to the target grid: ``H_thermal_to_rgb`` maps thermal
pixels to RGB pixels, and ``H_second @ H_first`` applies ``H_first`` first. A size is always
``(width, height)`` in pixels, as in OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np


class GeometryError(ValueError):
    """A matrix, a point set or a size does not define a homography."""


# Limits of a plausible homography between two views: the local scale, as a multiple of the plain
# resize between the two sizes; the ratio of the largest to the smallest local scale in the image;
# the overlap, as a fraction of the smaller of the two footprints.
_MIN_SCALE, _MAX_SCALE = 0.1, 4.0
_MAX_SCALE_RATIO = 2.5
_MIN_OVERLAP = 0.25


def normalize_homography(H: np.ndarray) -> np.ndarray:
    """
    Return ``H`` as a ``(3, 3)`` float64 array scaled to ``H[2, 2] == 1``.

    Raises
    ------
    GeometryError
        The shape is wrong, a value is not finite, the matrix is singular, or the origin maps to
        infinity (``H[2, 2] == 0``).

    """
    matrix = np.array(H, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise GeometryError(f'a homography has shape (3, 3), got {matrix.shape}')
    if not np.isfinite(matrix).all():
        raise GeometryError('a homography must be finite, got NaN or infinity')
    if abs(matrix[2, 2]) <= 1e-12 * np.abs(matrix[2]).max():
        raise GeometryError('a homography must not map the origin to infinity, got H[2, 2] = 0')
    with np.errstate(over='ignore', invalid='ignore'):
        matrix /= matrix[2, 2]
        scale = np.linalg.norm(matrix, axis=0).prod()
        determinant = np.linalg.det(matrix)
    # What is too large for a float is not compared, it is infinite or NaN.
    if not (np.isfinite(matrix).all() and abs(determinant) > 1e-14 * scale):
        raise GeometryError('a homography must be invertible, got a singular matrix')
    return matrix


def transform_points(H: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """
    Map points ``(N, 2)`` in pixels through ``H``; return ``(N, 2)`` float64.

    A point on the horizon of ``H`` maps to infinity. ``GeometryError`` is raised if the points
    have another shape.
    """
    points = np.asarray(points_px, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise GeometryError(f'points have shape (N, 2), got {points.shape}')
    matrix = np.asarray(H, dtype=np.float64)
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        return mapped[:, :2] / mapped[:, 2:]


def size_of(image: np.ndarray) -> tuple[int, int]:
    """Return the width and height in pixels of an image ``(H, W)`` or ``(H, W, C)``."""
    return image.shape[1], image.shape[0]


def corners_px(size: tuple[int, int]) -> np.ndarray:
    """Return the centres of the four corner pixels, clockwise from the origin: ``(4, 2)``."""
    right, bottom = size[0] - 1, size[1] - 1
    return np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], dtype=np.float64)


def corner_error_px(H_est: np.ndarray, H_true: np.ndarray, size: tuple[int, int]) -> float:
    """
    Return the mean corner error in pixels of the target grid.

    Both homographies map the four corner pixels of a source (thermal) image of this size. The
    error is the mean distance between the two mapped positions.
    """
    corners = corners_px(size)
    offsets_px = transform_points(H_est, corners) - transform_points(H_true, corners)
    return float(np.linalg.norm(offsets_px, axis=1).mean())


def warp(image: np.ndarray, H: np.ndarray, size: tuple[int, int],
         interpolation: int = cv2.INTER_LINEAR, border_value: float = 0) -> np.ndarray:
    """
    Resample an image onto a target grid of this size.

    ``H`` maps pixels of ``image`` to the target grid. The dtype is kept. Target pixels outside
    the image get ``border_value``.
    """
    return cv2.warpPerspective(image, np.asarray(H, dtype=np.float64), tuple(size),
                               flags=interpolation, borderMode=cv2.BORDER_CONSTANT,
                               borderValue=(border_value,) * 4)


def coverage(H: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int],
             margin_px: float = 0.0) -> np.ndarray:
    """
    Return the mask of the target pixels that the source image covers.

    With a margin of 0 a pixel is covered if its centre maps into the rectangle of the source
    pixel centres, so that bilinear interpolation needs no border value. ``margin_px`` extends
    this rectangle on each side, in source pixels; 0.5 extends it to the full image area. Returns
    ``(h, w)`` bool of the target size.
    """
    right, bottom = from_size[0] - 1, from_size[1] - 1
    to_source = np.linalg.inv(normalize_homography(H))
    x = np.arange(to_size[0], dtype=np.float64)
    y = np.arange(to_size[1], dtype=np.float64)[:, None]
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in to_source)
    # The tolerance keeps rounding errors from removing the border pixels of an identity.
    margin = margin_px * w + 1e-6 * np.abs(w)
    return ((w > 0) & (u >= -margin) & (u <= right * w + margin)
            & (v >= -margin) & (v <= bottom * w + margin))


def translation(dx_px: float, dy_px: float) -> np.ndarray:
    """Return the homography that translates by ``(dx_px, dy_px)``."""
    return np.array([[1.0, 0.0, dx_px], [0.0, 1.0, dy_px], [0.0, 0.0, 1.0]])


def scaling(sx: float, sy: float) -> np.ndarray:
    """Return the homography that scales about the centre of pixel (0, 0)."""
    return np.diag([float(sx), float(sy), 1.0])


def rotation(angle_rad: float, center_px: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return the rotation about a centre from x towards y: clockwise on the screen."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    rotation_matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cx, cy = center_px
    return translation(cx, cy) @ rotation_matrix @ translation(-cx, -cy)


def stretch(from_size: tuple[int, int], to_size: tuple[int, int]) -> np.ndarray:
    """
    Return the homography of a plain resize from one image size to another.

    It maps the full area of one image onto the full area of the other, without a shift, rotation
    or crop, and is the mapping of ``cv2.resize``. The image area extends half a pixel beyond the
    outer pixel centres, hence ``x' = (x + 0.5) s - 0.5``.

    Parameters
    ----------
    from_size, to_size:
        Width and height in pixels.

    Raises
    ------
    GeometryError
        A size is not two numbers of at least 1.

    """
    for size in (from_size, to_size):
        if len(size) != 2 or min(size) < 1:
            raise GeometryError(f'a size is (width, height) of at least 1 pixel, got {size}')
    return _area_scaling(to_size[0] / from_size[0], to_size[1] / from_size[1])


def rescale_homography(H: np.ndarray, thermal_scale: float | tuple[float, float],
                       rgb_scale: float | tuple[float, float]) -> np.ndarray:
    """
    Return the homography between the resized images.

    ``H`` maps the full thermal image to the full RGB image. A scale is new size / old size, one
    number or ``(sx, sy)``. The image areas correspond as in ``stretch``.
    """
    H_thermal = _area_scaling(*np.broadcast_to(thermal_scale, 2))
    H_rgb = _area_scaling(*np.broadcast_to(rgb_scale, 2))
    return normalize_homography(H_rgb @ H @ np.linalg.inv(H_thermal))


def scale_at_centre(H: np.ndarray, from_size: tuple[int, int]) -> float:
    """
    Return the local scale of ``H`` at the centre of the source image.

    The scale is the square root of the determinant of the Jacobian, det(H) / depth^3. The linear
    part of ``H`` alone describes the origin, where a strong perspective may even mirror the image.
    """
    depth = H[2] @ ((from_size[0] - 1) / 2, (from_size[1] - 1) / 2, 1.0)
    return float(np.sqrt(abs(np.linalg.det(H) / depth ** 3)))  # negative if mirrored


def from_corners(from_px: np.ndarray, to_px: np.ndarray) -> np.ndarray:
    """
    Return the homography that maps four points ``(4, 2)`` to four others.

    Raises
    ------
    GeometryError
        The shape is wrong, a value is not finite, or three of the points are collinear.

    """
    source, target = (np.asarray(points, dtype=np.float64) for points in (from_px, to_px))
    if source.shape != (4, 2) or target.shape != (4, 2):
        raise GeometryError(f'four corners have shape (4, 2), got {source.shape}, {target.shape}')
    # x' (h31 x + h32 y + 1) = h11 x + h12 y + h13, and the same for y'
    equations = np.zeros((8, 8))
    equations[:4, :2], equations[:4, 2] = source, 1
    equations[4:, 3:5], equations[4:, 5] = source, 1
    equations[:4, 6:] = -source * target[:, :1]
    equations[4:, 6:] = -source * target[:, 1:]
    try:
        solution = np.linalg.solve(equations, target.T.ravel())
    except np.linalg.LinAlgError as error:
        raise GeometryError('three of the four corners are on one line') from error
    return normalize_homography(np.append(solution, 1.0).reshape(3, 3))


def from_rig(K_thermal: np.ndarray, K_rgb: np.ndarray, R_thermal_to_rgb: np.ndarray,
             t_thermal_to_rgb_m: np.ndarray, plane_distance_m: float = np.inf,
             normal: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> np.ndarray:
    """
    Return the homography that a calibrated pair of cameras induces for one scene plane.

    ``H = K_rgb (R + t n^T / d) K_thermal^-1`` (Hartley and Zisserman, Multiple View Geometry,
    2nd ed., eq. 13.2, with the plane ``n . X = d``), where ``X_rgb = R X_thermal + t``.

    Parameters
    ----------
    K_thermal, K_rgb:
        ``(3, 3)`` pinhole matrices of the undistorted images.
    R_thermal_to_rgb, t_thermal_to_rgb_m:
        ``(3, 3)`` rotation and ``(3,)`` translation in metres from the thermal to the RGB
        optical frame.
    plane_distance_m:
        Distance of the plane from the thermal camera; infinity for a distant scene.
    normal:
        Unit normal of the plane in the thermal optical frame; it points away from the camera.

    Raises
    ------
    GeometryError
        A shape is wrong, ``R_thermal_to_rgb`` is not a rotation, or the distance is not positive.

    """
    R, t, n = (np.asarray(value, dtype=np.float64)
               for value in (R_thermal_to_rgb, t_thermal_to_rgb_m, normal))
    if R.shape != (3, 3) or t.shape != (3,) or n.shape != (3,):
        raise GeometryError('rotation, translation and normal have shapes (3, 3), (3,), (3,), '
                            f'got {R.shape}, {t.shape}, {n.shape}')
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
        raise GeometryError('R_thermal_to_rgb must be a rotation matrix')
    if not plane_distance_m > 0:
        raise GeometryError(f'plane_distance_m must be positive, got {plane_distance_m}')
    plane = np.outer(t, n) / plane_distance_m
    K_thermal_inverse = np.linalg.inv(normalize_homography(K_thermal))
    return normalize_homography(normalize_homography(K_rgb) @ (R + plane) @ K_thermal_inverse)


def check(H: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int]) -> str:
    """Return why ``H`` is implausible for images of these sizes, or '' if it is plausible."""
    try:
        matrix = normalize_homography(H)
    except GeometryError as error:
        return str(error)
    corners = corners_px(from_size) + ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    depth = corners @ matrix[2, :2] + 1.0
    if depth.min() <= 0:
        return 'folded: the horizon crosses the image'
    # The determinant of the Jacobian of a homography at a point is det(H) / depth^3.
    resize = stretch(from_size, to_size)
    area_scale = np.linalg.det(matrix) / (depth ** 3 * resize[0, 0] * resize[1, 1])
    if area_scale[0] <= 0:
        return 'mirrored: the image is turned over'
    scale = np.sqrt(area_scale)
    if scale.max() > _MAX_SCALE:
        return f'too large: local scale {scale.max():.3g}, at most {_MAX_SCALE:.3g}'
    if scale.min() < _MIN_SCALE:
        return f'too small: local scale {scale.min():.3g}, at least {_MIN_SCALE:.3g}'
    if scale.max() > _MAX_SCALE_RATIO * scale.min():
        return (f'too strong perspective: local scales differ {scale.max() / scale.min():.3g} '
                f'times, at most {_MAX_SCALE_RATIO:.3g}')
    overlap = _overlap_ratio(transform_points(matrix, corners), to_size)
    if overlap < _MIN_OVERLAP:
        return f'off the image: overlap {overlap:.2g}, at least {_MIN_OVERLAP:.2g}'
    return ''


def _area_scaling(sx: float, sy: float) -> np.ndarray:
    return np.array([[sx, 0.0, 0.5 * sx - 0.5], [0.0, sy, 0.5 * sy - 0.5], [0.0, 0.0, 1.0]])


def _overlap_ratio(outline_px: np.ndarray, size: tuple[int, int]) -> float:
    """Return the intersection of a convex outline with the grid, over the smaller area."""
    width, height = size
    grid = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float32)
    outline = (outline_px + 0.5).astype(np.float32)
    intersection, _ = cv2.intersectConvexConvex(outline, grid)
    return float(intersection) / min(cv2.contourArea(outline), float(width * height))
