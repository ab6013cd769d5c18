# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What to do about a thermal image in colour: false colours, or the two cameras are exchanged."""

from __future__ import annotations

from ivf_ros.palettes import is_gray, measure_palette_error
import numpy as np

# Mean distance in levels of the colours of an image from the nearest palette. Pictures in false
# colours are below the first limit, or mostly below the second one with marks drawn on them. Of
# 288 RGB images in colour none was below the first, and fewer than one in ten below the second.
_PALETTE_LEVELS, _MARKED_PALETTE_LEVELS = 5.0, 10.0


def explain_colours(thermal: np.ndarray, rgb: np.ndarray) -> str:
    """Return what to do; ``thermal`` is ``(H, W, 3)`` BGR, ``rgb`` also ``(H, W)``."""
    error = _palette_error(thermal)
    if error > _PALETTE_LEVELS and _is_likely_thermal(rgb):
        text = ('the thermal image is in colour, and the RGB image is like one of a thermal '
                'camera: exchange the two arguments, or the topics of a bag')
        return text if error > _MARKED_PALETTE_LEVELS else \
            f'{text}; or, if thermal is in false colours, --thermal-camera palette=auto'
    return ('the thermal image is in false colours: record it without a palette, or name the '
            'palette with --thermal-camera palette=auto')


def _is_likely_thermal(image: np.ndarray) -> bool:
    return image.ndim == 2 or is_gray(image) or _palette_error(image) < _PALETTE_LEVELS


def _palette_error(image: np.ndarray) -> float:
    return measure_palette_error(image) if image.dtype == np.uint8 else float('inf')
