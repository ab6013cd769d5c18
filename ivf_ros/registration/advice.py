# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why two images cannot be registered, as far as the images show it, and what to do."""

from __future__ import annotations

import cv2
from ivf_ros.structure import measure_structure
from ivf_ros.thermal import Agc
import numpy as np

# Images with less structure, in gray levels, have too few edges for a registration.
_MIN_STRUCTURE = 6.5
# Rejections of a measurement that say nothing about their cause.
_UNEXPLAINED = ('low confidence', 'implausible:', 'textureless', 'too few', 'acquiring')


def explain_rejection(reason: str, thermal: np.ndarray, rgb: np.ndarray) -> str:
    """
    Return the likely cause of a rejected measurement with a remedy; '' if ``reason`` says it.

    Parameters
    ----------
    reason:
        The reason of a registration.
    thermal, rgb:
        The images that were measured, as for ``register``.

    """
    if not reason.startswith(_UNEXPLAINED):
        return ''
    thermal_levels, rgb_levels = measure_visibility(thermal, rgb)
    if rgb_levels < _MIN_STRUCTURE:
        return ('RGB shows little (smoke, fog or darkness); the prior of ivf calibrate serves '
                'there, or start where RGB shows edges')
    if thermal_levels < _MIN_STRUCTURE:
        return ('thermal shows few edges; wait for a scene with warm and cold objects, or use '
                'the prior of ivf calibrate')
    return ('one lens may be much narrower than the other, or the views may hardly overlap; use '
            'the prior of ivf calibrate, or raise registration.fast.max_scale')


def measure_visibility(thermal: np.ndarray, rgb: np.ndarray) -> tuple[float, float]:
    """Return how much of the scene each image shows, as ``measure_structure`` in gray levels."""
    luma = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    return measure_structure(Agc()(thermal)), measure_structure(luma)
