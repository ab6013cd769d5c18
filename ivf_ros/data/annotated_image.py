# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The boxes of one image, as files of annotations hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math
from typing import Any

from ivf_ros.types import Detection


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """
    The boxes of one image.

    Attributes
    ----------
    name:
        Name of the image file, without its suffix.
    size:
        Width and height in pixels; zeros where the file does not say them.
    boxes:
        In pixels of the image; those of class ``IGNORED`` count neither as found nor as missed.
    details:
        Further attributes of each box; empty if there are none.
    stamp_ns:
        Time stamp of the image; None if it is unknown.

    """

    name: str
    size: tuple[int, int]
    boxes: tuple[Detection, ...]
    details: tuple[Mapping[str, Any], ...] = field(default=())
    stamp_ns: int | None = None


def enclose_rotated(box_xyxy_px: tuple[float, float, float, float], degrees: float,
                    pivot_px: tuple[float, float] | None = None
                    ) -> tuple[float, float, float, float]:
    """
    Return the smallest upright box around a box that is turned clockwise.

    Parameters
    ----------
    box_xyxy_px:
        Left, top, right and bottom edge before the turn.
    degrees:
        Angle, clockwise in the image.
    pivot_px:
        The point about which it is turned; None for its centre.

    """
    if not degrees:
        return box_xyxy_px
    left, top, right, bottom = box_xyxy_px
    pivot_x, pivot_y = pivot_px or ((left + right) / 2, (top + bottom) / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(pivot_x + cos * (x - pivot_x) - sin * (y - pivot_y),
                pivot_y + sin * (x - pivot_x) + cos * (y - pivot_y))
               for x in (left, right) for y in (top, bottom)]
    x, y = zip(*corners, strict=True)
    return min(x), min(y), max(x), max(y)
