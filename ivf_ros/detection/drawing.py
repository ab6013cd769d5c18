# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawing of detections into an image, with labels beside the objects."""

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

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive


def draw(image: np.ndarray, detections: Sequence[Detection]) -> np.ndarray:
    """
    Draw boxes and labels into a copy of the image.

    A label is above its box. Where that place is outside the image or occupied, the label is
    below, right or left of the box, so that no text covers an object. Where no place is free (a
    box that fills the image), the label is where it covers least.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    detections:
        Detections in this image.

    Returns
    -------
    np.ndarray
        ``(H, W, 3)`` BGR uint8, new.

    """
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    size = geometry.size_of(drawn)
    thickness = _line_thickness_px(size)
    outlines = [_outline(detection, thickness) for detection in detections]
    for detection, (left, top, right, bottom) in zip(detections, outlines):
        color = class_color_bgr(detection.class_name)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), color, thickness)
    for detection, label in zip(detections, place_labels(detections, size)):
        left, top, right, bottom = label
        color = class_color_bgr(detection.class_name)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), color, cv2.FILLED)
        text, scale = describe(detection), _font_scale(size)
        height = cv2.getTextSize(text, _FONT, scale, thickness)[0][1]
        cv2.putText(drawn, text, (left + 2, top + 2 + height), _FONT, scale, _BLACK, thickness,
                    cv2.LINE_AA)
    return drawn


def place_labels(detections: Sequence[Detection], size: tuple[int, int]) -> list[Rectangle]:
    """Return the rectangle of the label of each detection in an image of this width and height."""
    thickness = _line_thickness_px(size)
    occupied = [_outline(detection, thickness) for detection in detections]
    labels = []
    for outline, detection in zip(tuple(occupied), detections):
        (width, height), baseline = cv2.getTextSize(describe(detection), _FONT, _font_scale(size),
                                                    thickness)
        width, height = width + 4, height + baseline + 4
        left, top, right, bottom = outline
        corners = ((left, top - height), (left, bottom), (right, top), (left - width, top))
        candidates = [(max(0, min(x, size[0] - width)), max(0, min(y, size[1] - height)))
                      for x, y in corners]
        rectangles = [(x, y, x + width, y + height) for x, y in candidates]
        # The overlap with the labelled object counts more than that with its neighbours.
        label = min(rectangles, key=lambda r: (
            _overlap_px2(r, outline), sum(_overlap_px2(r, other) for other in occupied)))
        labels.append(label)
        occupied.append(label)
    return labels


def _outline(detection: Detection, thickness: int) -> Rectangle:
    """Return the rectangle that the box and its line cover."""
    left, top, right, bottom = detection.box_xyxy_px
    margin = thickness // 2
    return (int(np.floor(left)) - margin, int(np.floor(top)) - margin,
            int(np.ceil(right)) + margin, int(np.ceil(bottom)) + margin)


def _overlap_px2(a: Rectangle, b: Rectangle) -> int:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def class_color_bgr(class_name: str) -> tuple[int, int, int]:
    """Return the colour of a class; it is the same in every run."""
    other = zlib.crc32(class_name.encode()) % len(_OTHER_COLORS_BGR)
    return _COLORS_BGR.get(class_name, _OTHER_COLORS_BGR[other])


def describe(detection: Detection) -> str:
    """Return the label of a detection: class, track, score and temperature."""
    identity = f' #{detection.track_id}' if detection.track_id else ''
    temperature = '' if detection.maximum_celsius is None \
        else f' {detection.maximum_celsius:.0f} C'
    return f'{detection.class_name}{identity} {detection.score:.2f}{temperature}'


def _line_thickness_px(size: tuple[int, int]) -> int:
    return max(1, round(size[1] / 480))


def _font_scale(size: tuple[int, int]) -> float:
    return float(np.clip(size[1] / 960, 0.35, 1.5))
