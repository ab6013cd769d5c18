# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plot of corner displacement over time, a picture of the report."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from ivf_ros.types import RegistrationState
import numpy as np

_BLACK, _GRAY, _LIGHT_GRAY, _BLUE = (40, 40, 40), (170, 170, 170), (225, 225, 225), (180, 90, 20)
_STATE_COLORS = {
    RegistrationState.TRACKING: (90, 170, 60), RegistrationState.HOLDING: (40, 160, 240),
    RegistrationState.PRIOR: (190, 140, 120), RegistrationState.LOST: (60, 60, 210)}
_MARGINS_PX = (46, 14, 14, 44)  # left, top, right, bottom
_STATE_STRIP_PX = (6, 14)  # top and bottom of the strip of states, below the axis
_MIN_RANGE_PX = 2.0  # of displacement on the vertical axis

Points = Sequence[tuple[float, float]]  # seconds, displacement in px of 640


def draw_track(size: tuple[int, int], states: Sequence[tuple[float, RegistrationState]],
               filtered: Points, raw: Points) -> np.ndarray:
    """
    Return a plot ``(H, W, 3)`` BGR uint8: filtered displacements as line, raw ones as dots.

    Below the axis is a strip of the states: TRACKING green, HOLDING orange, PRIOR blue, LOST red.
    Dots beyond three times the largest filtered displacement lie on the upper edge.

    Parameters
    ----------
    size:
        Width and height of the picture.
    states:
        Time in seconds, and the state from that time on.
    filtered, raw:
        Time in seconds, and displacement in px of 640.

    """
    left, top, right, bottom = _MARGINS_PX
    end_s = max(states[-1][0], 1e-3)
    top_px = max([_MIN_RANGE_PX, *(3 * value_px for _, value_px in filtered)])

    def to_pixel(time_s: float, value_px: float) -> tuple[int, int]:
        return (left + round((size[0] - left - right) * time_s / end_s),
                top + round((size[1] - top - bottom) * (1 - min(value_px / top_px, 1.0))))

    canvas = np.full((size[1], size[0], 3), 255, np.uint8)
    for value_px in np.arange(0.0, top_px, _grid_step(top_px)):
        cv2.line(canvas, to_pixel(0.0, value_px), to_pixel(end_s, value_px), _LIGHT_GRAY)
        _put_text(canvas, f'{value_px:g}', (4, to_pixel(0.0, value_px)[1] + 4))
    ends_s = [*(start_s for start_s, _ in states[1:]), end_s]
    for (start_s, state), stop_s in zip(states, ends_s):
        (start, y), (stop, _) = to_pixel(start_s, 0.0), to_pixel(stop_s, 0.0)
        cv2.rectangle(canvas, (start, y + _STATE_STRIP_PX[0]), (stop, y + _STATE_STRIP_PX[1]),
                      _STATE_COLORS[state], -1)
    for point in raw:
        cv2.circle(canvas, to_pixel(*point), 2, _GRAY, -1, cv2.LINE_AA)
    line = np.array([to_pixel(*point) for point in filtered], np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [line], False, _BLUE, 2, cv2.LINE_AA)
    _put_text(canvas, f'corner displacement in px of 640 over {end_s:.0f} s: line filtered, '
              'dots raw',
              (left, size[1] - 8))
    return canvas


def _grid_step(top: float) -> float:
    """Return the distance of grid lines, 1 or 5 times a power of 10; there are 2 to 10 lines."""
    power = 10.0 ** np.floor(np.log10(top))
    return float(power if top >= 2 * power else power / 2)


def _put_text(canvas: np.ndarray, text: str, position: tuple[int, int]) -> None:
    cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _BLACK, 1, cv2.LINE_AA)
