# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detections drawn into an image, with labels beside the objects."""

from __future__ import annotations

from typing import Sequence
import zlib

import cv2
from ivf_ros import geometry
from ivf_ros.types import Detection
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_COLORS_BGR = {'person': (90, 230, 240), 'vehicle': (255, 190, 60), 'car': (255, 190, 60),
               'bicycle': (220, 90, 230), 'bike': (220, 90, 230)}
_OTHER_COLORS_BGR = ((80, 220, 80), (60, 160, 255), (150, 130, 255), (230, 230, 110))
_BLACK = (0, 0, 0)

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom outside


def draw(image: np.ndarray, detections: Sequence[Detection]) -> np.ndarray:
    """
    Draw boxes and labels into a copy of the image.

    A label stands above its box, or below, right or left of it where that is outside the image or
    occupied, so that no text covers an object. Only where nothing is free at all (a box that
    fills the image) does it stand where it covers least.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` BGR uint8, new.

    """
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    size = geometry.size_of(drawn)
    thickness = max(1, round(size[1] / 480))
    outlines = [_outline(detection, thickness) for detection in detections]
    for detection, (left, top, right, bottom) in zip(detections, outlines):
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), _color(detection), thickness)
    for detection, label in zip(detections, place_labels(detections, size)):
        left, top, right, bottom = label
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), _color(detection), cv2.FILLED)
        text, scale = _text(detection), _font_scale(size)
        height = cv2.getTextSize(text, _FONT, scale, thickness)[0][1]
        cv2.putText(drawn, text, (left + 2, top + 2 + height), _FONT, scale, _BLACK, thickness,
                    cv2.LINE_AA)
    return drawn


def place_labels(detections: Sequence[Detection], size: tuple[int, int]) -> list[Rectangle]:
    """Return where the label of each detection stands in an image of this width and height."""
    thickness = max(1, round(size[1] / 480))
    occupied = [_outline(detection, thickness) for detection in detections]
    labels = []
    for own, detection in zip(tuple(occupied), detections):
        (width, height), baseline = cv2.getTextSize(_text(detection), _FONT, _font_scale(size),
                                                    thickness)
        width, height = width + 4, height + baseline + 4
        left, top, right, bottom = own
        corners = ((left, top - height), (left, bottom), (right, top), (left - width, top))
        candidates = [(max(0, min(x, size[0] - width)), max(0, min(y, size[1] - height)))
                      for x, y in corners]
        rectangles = [(x, y, x + width, y + height) for x, y in candidates]
        # The own object counts more than its neighbours.
        label = min(rectangles, key=lambda r: (
            _overlap(r, own), sum(_overlap(r, other) for other in occupied)))
        labels.append(label)
        occupied.append(label)
    return labels


def _outline(detection: Detection, thickness: int) -> Rectangle:
    """Return the pixels that the box and its line cover."""
    left, top, right, bottom = detection.box_xyxy_px
    grown = thickness // 2
    return (int(np.floor(left)) - grown, int(np.floor(top)) - grown,
            int(np.ceil(right)) + grown, int(np.ceil(bottom)) + grown)


def _overlap(a: Rectangle, b: Rectangle) -> int:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def _text(detection: Detection) -> str:
    identity = f' #{detection.track_id}' if detection.track_id else ''
    warmth = '' if detection.maximum_celsius is None else f' {detection.maximum_celsius:.0f} C'
    return f'{detection.class_name}{identity} {detection.score:.2f}{warmth}'


def _font_scale(size: tuple[int, int]) -> float:
    return float(np.clip(size[1] / 960, 0.35, 1.5))


def _color(detection: Detection) -> tuple[int, int, int]:
    """Return the colour of the class, the same in every run."""
    other = zlib.crc32(detection.class_name.encode()) % len(_OTHER_COLORS_BGR)
    return _COLORS_BGR.get(detection.class_name, _OTHER_COLORS_BGR[other])
