# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Palettes of thermal cameras, and the way back from false colours to gray.

A palette is a curve of 256 colours. The gray level of a pixel is the place on the curve that is
nearest to its colour. The distance to the curve says how well the palette fits: compression and
chroma subsampling move colours off the curve, overlays and other palettes do so far more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np


class PaletteError(ValueError):
    """An image is in false colours, and no palette is given or none fits."""


# Palettes of cameras by some of their colours, RGB, at equal distances from cold to warm. The
# first three are those that FLIR cameras write into their files.
_CAMERA = {
    'ironbow': ((0, 0, 0), (22, 0, 107), (77, 0, 151), (124, 0, 168), (163, 10, 160),
                (196, 30, 136), (221, 54, 100), (240, 83, 64), (253, 114, 30), (255, 145, 4),
                (255, 177, 0), (255, 205, 11), (255, 230, 54), (252, 248, 136), (255, 255, 255)),
    'rainbow': ((1, 3, 73), (0, 32, 110), (0, 67, 162), (0, 95, 208), (3, 128, 213),
                (28, 157, 109), (130, 193, 15), (206, 214, 2), (241, 205, 10), (254, 167, 20),
                (255, 88, 42), (249, 27, 66), (249, 81, 104), (255, 159, 144), (255, 231, 205)),
    'rainbow_hc': ((0, 0, 0), (60, 0, 59), (119, 1, 120), (179, 0, 178), (223, 1, 228),
                   (164, 0, 208), (104, 0, 188), (45, 0, 168), (0, 15, 158), (0, 74, 177),
                   (0, 133, 196), (0, 193, 217), (0, 215, 207), (1, 176, 148), (0, 137, 88),
                   (0, 99, 29), (28, 98, 0), (84, 134, 0), (138, 171, 0), (193, 208, 0),
                   (220, 212, 0), (193, 157, 0), (168, 102, 0), (142, 46, 0), (126, 2, 2),
                   (149, 13, 14), (172, 25, 25), (197, 37, 39), (217, 54, 55), (226, 104, 103),
                   (235, 152, 150), (243, 200, 199), (252, 248, 247)),
    'arctic': ((0, 0, 110), (0, 60, 255), (0, 190, 255), (120, 130, 130), (190, 110, 20),
               (255, 190, 20), (255, 255, 200)),
}
# Palettes of OpenCV that are also those of matplotlib and of many drivers. RAINBOW of OpenCV,
# which begins with red, is none of a camera; those that are nearly gray fit RGB images as well.
_OPENCV = {name: getattr(cv2, f'COLORMAP_{name.upper()}') for name in (
    'inferno', 'magma', 'plasma', 'viridis', 'cividis', 'turbo', 'jet', 'hot', 'parula')}
PALETTES = ('none', 'auto', 'luma', *_CAMERA, *_OPENCV)

# Largest difference of the channels of a gray image: compression makes them differ a little.
_GRAY_LEVELS = 12
_MAX_COLOURED = 0.01  # part of the pixels whose channels may differ more
_CHROMA_WEIGHT = 0.5  # of a distance: codecs keep less of the chroma
_CELLS = 64  # per channel, of the table from colours to gray levels
# A palette with a larger error does not fit. Half of the RGB images have more than 12.
_MAX_ERROR_LEVELS = 10.0
_SAMPLE_PX = 4096


class Decoded(NamedTuple):
    """
    An image without its palette.

    ``gray`` is ``(H, W)``, of the type of the image. ``error_levels`` is the mean distance of the
    colours to those of the palette, in gray levels of 0 to 255.
    """

    gray: np.ndarray
    palette: str
    error_levels: float


def is_gray(image: np.ndarray) -> bool:
    """
    Return whether an image ``(H, W, 3)`` has three equal channels.

    The channels of an 8-bit image may differ a little, because it may have been compressed.
    """
    if image.dtype != np.uint8:
        return np.array_equal(image[..., 0], image[..., 1]) \
            and np.array_equal(image[..., 0], image[..., 2])
    blue, green, red = cv2.split(np.ascontiguousarray(_subsample(image)))
    spread = cv2.subtract(cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red))
    return bool(np.count_nonzero(spread > _GRAY_LEVELS) <= _MAX_COLOURED * spread.size)


def to_gray(image: np.ndarray) -> np.ndarray | None:
    """Return one channel ``(H, W)`` of an image with three equal channels, None of others."""
    if not is_gray(image):
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.dtype == np.uint8 \
        else np.ascontiguousarray(image[..., 0])


def palette_colors(name: str) -> np.ndarray:
    """Return the colours of a palette from cold to warm, ``(256, 3)`` uint8 BGR."""
    if name in _CAMERA:
        anchors = np.array(_CAMERA[name], np.float64)[:, ::-1]
        places = np.linspace(0, 255, len(anchors))
        return np.stack([np.interp(np.arange(256), places, channel) for channel in anchors.T],
                        axis=1).round().astype(np.uint8)
    return cv2.applyColorMap(np.arange(256, dtype=np.uint8), _OPENCV[name])[:, 0]


def remove_palette(image: np.ndarray, palette: str) -> Decoded:
    """
    Convert an image in false colours to gray: warm is bright.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR; of another type than uint8 only if it is gray.
    palette:
        One of ``PALETTES``. ``'auto'`` takes the one with the smallest error. ``'none'`` permits
        gray images only, whose three channels are equal. ``'luma'`` is for gray images with
        coloured marks on them.

    Raises
    ------
    PaletteError
        The image is in colour and the palette is ``'none'``, or no palette fits the colours.

    """
    gray = to_gray(image)
    if gray is not None:
        return Decoded(gray, 'none', 0.0)
    if palette == 'luma':
        return Decoded(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 'luma', 0.0)
    if image.dtype != np.uint8:
        raise PaletteError('an image in false colours has 8 bits per channel, '
                           f'got {image.dtype}')
    if palette == 'none':
        raise PaletteError('the thermal image is in false colours: have the camera send mono8 or '
                           'mono16, without a palette, or set palette of the thermal camera, such '
                           'as palette=auto')
    sample = _subsample(image).reshape(-1, 3)
    name = find_palette(image) if palette == 'auto' else palette
    error = _measure_error(sample, name)
    if error > _MAX_ERROR_LEVELS:
        raise PaletteError(
            f'the colours of the thermal image are {error:.0f} levels from those of the nearest '
            f"palette, '{name}'; allowed are {_MAX_ERROR_LEVELS:g}. Is it an RGB image? Record "
            'thermal without a palette')
    cells = tuple((image >> 2).transpose(2, 0, 1))
    return Decoded(_make_table(name)[cells], name, error)


def find_palette(image: np.ndarray) -> str:
    """Return the palette whose colours are nearest to those of an image ``(H, W, 3)`` uint8."""
    sample = _subsample(image).reshape(-1, 3)
    return min((*_CAMERA, *_OPENCV), key=lambda name: _measure_error(sample, name))


def measure_palette_error(image: np.ndarray) -> float:
    """
    Return how far the colours of an image are from the nearest palette, in gray levels.

    ``image`` is ``(H, W, 3)`` uint8 BGR. See ``Decoded.error_levels``.
    """
    return _measure_error(_subsample(image).reshape(-1, 3), find_palette(image))


def _measure_error(sample: np.ndarray, name: str) -> float:
    """Return the mean distance of colours ``(N, 3)`` from a palette, in gray levels."""
    distances, _ = _make_tree(name).query(_weigh_chroma(sample.astype(np.float64)))
    return float(distances.mean())


@lru_cache(maxsize=len(PALETTES))
def _make_tree(name: str) -> Any:
    from scipy.spatial import KDTree  # takes 0.2 s, and most graphs need no palette
    return KDTree(_weigh_chroma(palette_colors(name).astype(np.float64)))


@lru_cache(maxsize=4)
def _make_table(name: str) -> np.ndarray:
    """Return the gray level of each cell of colours, ``(64, 64, 64)`` by blue, green and red."""
    side = 256 // _CELLS
    centres = np.stack(np.meshgrid(*[np.arange(_CELLS) * side + (side - 1) / 2] * 3,
                                   indexing='ij'), axis=-1).reshape(-1, 3)
    _, levels = _make_tree(name).query(_weigh_chroma(centres))
    return levels.astype(np.uint8).reshape((_CELLS,) * 3)


def _weigh_chroma(bgr: np.ndarray) -> np.ndarray:
    """Return luma and weighted chroma of colours ``(N, 3)`` BGR from 0 to 255, ITU-R BT.601."""
    luma = bgr @ (0.114, 0.587, 0.299)
    return np.stack([luma, _CHROMA_WEIGHT * 0.564 * (bgr[:, 0] - luma),
                     _CHROMA_WEIGHT * 0.713 * (bgr[:, 2] - luma)], axis=1)


def _subsample(image: np.ndarray) -> np.ndarray:
    stride = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / _SAMPLE_PX)))
    return image[::stride, ::stride]
