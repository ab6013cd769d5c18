# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Readers of point correspondences and homographies in the file formats of three data sets.

All readers raise SourceError with the path if a file is missing, truncated or malformed.
"""

from __future__ import annotations

import json
from pathlib import Path
import struct
from typing import Any
import zipfile
import zlib

from ivf_ros import geometry
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Landmarks, read_pixels
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.regular_files import open_regular, read_text
import numpy as np

GRID_PX = 16  # distance of the landmarks that are sampled from a dense displacement field

# Exceptions of zipfile and NumPy for a damaged file.
_NPZ_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, TypeError, ValueError,
               RuntimeError, OverflowError, MemoryError, SyntaxError, struct.error)


def read_matched_points(path: Path) -> Landmarks:
    """
    Read a JSON file of manually matched points: thermal is moving, visible is fixed.

    Pixel centres in the file are 1-based, as in MATLAB.
    """
    content = _read_json(path)
    return Landmarks(_parse_points(path, content, 'landmarks_mov') - 1,
                     _parse_points(path, content, 'landmarks_fix') - 1)


def read_matched_H_thermal_to_rgb(path: Path) -> np.ndarray:
    """
    Read the homography ``(3, 3)`` from a JSON file of manually matched points.

    ``T`` in the file applies to row vectors of 1-based pixels: ``[x y 1] T``.
    """
    T = np.asarray(_read_json(path).get('T'), dtype=object)
    try:
        H = geometry.normalize_homography(T.astype(np.float64).T)
        to_one_based, to_zero_based = geometry.translation(1, 1), geometry.translation(-1, -1)
        return geometry.normalize_homography(to_zero_based @ H @ to_one_based)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f'{path}: T: {error}') from None


def read_corners(path: Path) -> Landmarks:
    """Read a JSON file of detected checkerboard corners."""
    content = _read_json(path)
    return Landmarks(_parse_points(path, content, 'corners_thermal_px'),
                     _parse_points(path, content, 'corners_visible_px'))


def read_flow(path: Path, rgb: Path | VideoFrame) -> Landmarks:
    """
    Read the displacement field of a warped thermal image; sample it every ``GRID_PX`` pixels.

    With ``d = cumsum(dq, axis=2) / scale``, pixel ``(x, y)`` of the warped image corresponds to
    pixel ``(x + d[0], y + d[1])`` of the aligned thermal image, and so of the RGB image resized to
    the same size. Landmarks outside the image are dropped.
    """
    dq, scale = _read_displacements(path)
    d = np.cumsum(dq, axis=2, dtype=np.int64) / scale
    height, width = d.shape[1:]
    y, x = np.mgrid[GRID_PX // 2:height:GRID_PX, GRID_PX // 2:width:GRID_PX]
    aligned_px = np.stack([x + d[0, y, x], y + d[1, y, x]], axis=-1).reshape(-1, 2)
    inside = ((aligned_px >= 0) & (aligned_px <= (width - 1, height - 1))).all(axis=1)
    resize = geometry.stretch((width, height), geometry.size_of(read_pixels(rgb)))
    return Landmarks(np.stack([x, y], axis=-1).reshape(-1, 2)[inside].astype(np.float64),
                     geometry.transform_points(resize, aligned_px[inside]))


def _read_displacements(path: Path) -> tuple[np.ndarray, float]:
    try:
        with open_regular(path) as file, np.load(file) as arrays:
            dq, scale = arrays['dq'], float(arrays['scale'])
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error}') from None
    except _NPZ_DAMAGE as error:
        raise SourceError(f"{path} is no npz file with 'dq' and 'scale': {error}") from None
    if dq.ndim != 3 or dq.shape[0] != 2 or not scale > 0:
        raise SourceError(f'{path}: dq is (2, H, W) and scale positive, got {dq.shape}, {scale}')
    return dq, scale


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f'{path} is no complete JSON: {error}') from None
    if not isinstance(content, dict):
        raise SourceError(f'{path}: expected an object, got {type(content).__name__}')
    return content


def _parse_points(path: Path, content: dict[str, Any], key: str) -> np.ndarray:
    try:
        points = np.asarray(content.get(key), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceError(f"{path}: '{key}': {error}") from None
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise SourceError(f"{path}: '{key}' holds points (N, 2), got {points.shape}")
    return points
