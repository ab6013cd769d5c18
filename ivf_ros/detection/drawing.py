# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawing of detections into an image, with labels beside the objects."""

from __future__ import annotations

from typing import NamedTuple, Sequence
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
_PADDING_PX = 1
_LABEL_PART = 12  # a label inside its box covers at most one part in so many

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom exclusive


def draw(image: np.ndarray, detections: Sequence[Detection]) -> np.ndarray:
    """
    Draw boxes and labels into a copy of the image.

    See ``place_labels`` for the places and texts of the labels.

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
    for detection in detections:
        left, top, right, bottom = _outline(detection, thickness)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1),
                      class_color_bgr(detection.class_name), thickness)
    for detection, label in zip(detections, place_labels(detections, size)):
        if label is None:
            continue
        left, top, right, bottom = label.rectangle
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1),
                      class_color_bgr(detection.class_name), cv2.FILLED)
        scale = _font_scale(size)
        height = cv2.getTextSize(label.text, _FONT, scale, 1)[0][1]
        cv2.putText(drawn, label.text, (left + _PADDING_PX, top + _PADDING_PX + height), _FONT,
                    scale, _BLACK, 1, cv2.LINE_AA)
    return drawn


class Label(NamedTuple):
    """A text and the rectangle that it fills."""

    text: str
    rectangle: Rectangle


def place_labels(detections: Sequence[Detection], size: tuple[int, int]) -> list[Label | None]:
    """
    Return the label of each detection, or None where no place is free.

    A label is above its box, or else below, right or left of it, and covers no object and no
    other label. Where the whole text has no place, a shorter one is used; in a crowd objects of
    lower scores have none. A box without a place around it, as one that fills the image, has its
    label inside, if the label is small beside it.

    Parameters
    ----------
    detections:
        The detections.
    size:
        Width and height of the image in pixels.

    """
    outlines = [_outline(detection, _line_thickness_px(size)) for detection in detections]
    occupied = list(outlines)
    labels: list[Label | None] = [None] * len(detections)
    for index in sorted(range(len(detections)), key=lambda i: -detections[i].score):
        others = [other for other in occupied if other is not outlines[index]]
        label = _find_label(detections[index], outlines[index], others, size)
        if label is not None:
            labels[index] = label
            occupied.append(label.rectangle)
    return labels


def _find_label(detection: Detection, outline: Rectangle, others: Sequence[Rectangle],
                size: tuple[int, int]) -> Label | None:
    """Return the longest text at the first free place, outside the box if possible."""
    left, top, right, bottom = outline
    texts = [(text, *_text_size_px(text, size)) for text in _texts(detection)]
    for text, width, height in texts:
        corners = ((left, top - height), (left, bottom), (right, top), (left - width, top))
        for corner in corners:
            x = max(0, min(corner[0], size[0] - width))
            y = max(0, min(corner[1], size[1] - height))
            rectangle = x, y, x + width, y + height
            if not any(_overlap_px2(rectangle, other) for other in (outline, *others)):
                return Label(text, rectangle)
    for text, width, height in texts:
        x, y = max(0, left), max(0, top)
        rectangle = x, y, x + width, y + height
        if _LABEL_PART * width * height <= (right - left) * (bottom - top) \
                and not any(_overlap_px2(rectangle, other) for other in others):
            return Label(text, rectangle)
    return None


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
    return _texts(detection)[0]


def _texts(detection: Detection) -> tuple[str, ...]:
    """Return the texts of a label, the longest one first."""
    identity = f'#{detection.track_id}' if detection.track_id else ''
    temperature = '' if detection.maximum_celsius is None \
        else f'{detection.maximum_celsius:.0f} C'
    name = ' '.join(filter(None, (detection.class_name, identity)))
    texts = (f'{name} {detection.score:.2f} {temperature}'.rstrip(),
             f'{name} {temperature}'.rstrip(), identity or detection.class_name[:1])
    return tuple(dict.fromkeys(texts))


def _text_size_px(text: str, size: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height of a label with this text in an image of this size."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, _font_scale(size), 1)
    return width + 2 * _PADDING_PX, height + baseline + 2 * _PADDING_PX


def _line_thickness_px(size: tuple[int, int]) -> int:
    return max(1, round(size[1] / 480))


def _font_scale(size: tuple[int, int]) -> float:
    return float(np.clip(size[1] / 1280, 0.33, 1.2))
