# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How warm what was found looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math

from ivf_ros.types import Detection
import numpy as np


def add_temperatures(detections: Sequence[Detection], celsius: np.ndarray) -> list[Detection]:
    """
    Return detections with the median and the highest apparent temperature within their boxes.

    Apparent: as if all were black bodies at the distance that the camera was set to. The median
    is that of the box, which on a slim object is largely background; the maximum is the object's.

    Parameters
    ----------
    celsius:
        ``(H, W)`` float on the grid of the image that was searched; NaN where thermal does not
        reach. A box without any pixel of it gets no temperature.

    """
    found = []
    for one in detections:
        left, top, right, bottom = one.box_xyxy_px
        region = celsius[max(0, math.floor(top)):max(0, math.ceil(bottom)),
                         max(0, math.floor(left)):max(0, math.ceil(right))]
        known = region[np.isfinite(region)]
        found.append(replace(one, median_celsius=float(np.median(known)),
                             maximum_celsius=float(known.max())) if known.size else one)
    return found
