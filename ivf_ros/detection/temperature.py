# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Apparent temperatures of detected objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math

from ivf_ros.thermal import Radiometry
from ivf_ros.thermal_input import guess_temperature_unit
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Detection
import numpy as np

_STRIDE = 8  # between the pixels that are looked at


def add_temperatures(detections: Sequence[Detection], celsius: np.ndarray) -> list[Detection]:
    """
    Return detections with the median and the maximum apparent temperature within their boxes.

    An apparent temperature assumes a black body at the distance that is set in the camera. The
    median includes the background in the box, which is most of the box around a slim object. The
    maximum is that of the object.

    Parameters
    ----------
    detections:
        Detections in the image.
    celsius:
        ``(H, W)`` float on the grid of the searched image; NaN where thermal does not cover it.
        A box without a measured pixel gets no temperature, and the reason.

    """
    return [_add_temperature(detection, celsius) for detection in detections]


def find_temperature_problem(counts: ThermalOnRgb, radiometry: Radiometry) -> str:
    """
    Return why the values of a thermal image are no temperatures, or an empty string.

    Parameters
    ----------
    counts:
        Thermal in the counts of the camera, or in degrees Celsius where its dtype is float.
    radiometry:
        Conversion of the counts.

    """
    if counts.image.dtype == np.uint8:
        return 'thermal has 8 bits: gray levels after a gain control are no temperatures'
    celsius = counts.celsius(radiometry)[::_STRIDE, ::_STRIDE]
    if guess_temperature_unit(celsius) == 'celsius' or not np.isfinite(celsius).any():
        return ''
    return (f'the radiometry gives {np.nanmin(celsius):.0f} to {np.nanmax(celsius):.0f} degrees '
            'Celsius, which is no scene; check radiometry.kind')


def _add_temperature(detection: Detection, celsius: np.ndarray) -> Detection:
    left, top, right, bottom = detection.box_xyxy_px
    region = celsius[max(0, math.floor(top)):max(0, math.ceil(bottom)),
                     max(0, math.floor(left)):max(0, math.ceil(right))]
    measured = region[np.isfinite(region)]
    if not measured.size:
        return replace(detection, temperature_problem='thermal does not cover the box')
    return replace(detection, median_celsius=float(np.median(measured)),
                   maximum_celsius=float(measured.max()))
