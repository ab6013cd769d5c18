# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One list of objects from the boxes of several teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ivf_ros.boxes import area_px2, intersection_px2, iou
from ivf_ros.types import Detection


@dataclass(frozen=True)
class MergedBox:
    """
    An object that at least one teacher shows.

    Attributes
    ----------
    box:
        Box and class of the teacher with the highest score. The score is the fraction of the
        teachers that show the object.
    teachers:
        Names of these teachers.
    best_score:
        The highest score that a teacher gave.
    is_part:
        Whether it may be a part of an object that more teachers show, or hold it.

    """

    box: Detection
    teachers: tuple[str, ...]
    best_score: float
    is_part: bool = False


def merge_boxes(found: Mapping[str, Sequence[Detection]], match_iou: float, nms_iou: float,
                part: float) -> list[MergedBox]:
    """
    Return the union of the boxes of all teachers, each object once.

    Boxes are taken by falling score. A box belongs to the object of its class that it overlaps
    most, unless this teacher shows that object already: two boxes of one teacher are two objects.
    Then non-maximum suppression within each class removes what is left twice.

    Parameters
    ----------
    found:
        The boxes by name of the teacher, also of those that found none.
    match_iou:
        Boxes with at least this IoU may be one object.
    nms_iou:
        Of two objects of one class with a larger IoU, the one that fewer teachers show is dropped.
    part:
        Of two that have more than this fraction of the smaller one in common, and of which no
        teacher shows both, the one that fewer teachers show is marked as a part.

    """
    pool = sorted(((box, teacher) for teacher, boxes in found.items() for box in boxes),
                  key=lambda item: -item[0].score)
    objects: list[tuple[Detection, list[str]]] = []
    for box, teacher in pool:
        candidates = [one for one in objects
                      if one[0].class_name == box.class_name and teacher not in one[1]
                      and iou(one[0], box) >= match_iou]
        if candidates:
            max(candidates, key=lambda one: iou(one[0], box))[1].append(teacher)
        else:
            objects.append((box, [teacher]))
    merged = [MergedBox(replace(box, score=len(teachers) / len(found)),
                        tuple(name for name in found if name in teachers), box.score)
              for box, teachers in objects]
    kept: list[MergedBox] = []
    for one in sorted(merged, key=lambda one: (-one.box.score, -one.best_score)):
        of_class = [other for other in kept if other.box.class_name == one.box.class_name]
        if not any(iou(other.box, one.box) > nms_iou for other in of_class):
            kept.append(replace(one, is_part=any(_is_part(one, other, part)
                                                 for other in of_class)))
    return kept


def _is_part(one: MergedBox, other: MergedBox, part: float) -> bool:
    smaller_px2 = min(area_px2(one.box), area_px2(other.box))
    return intersection_px2(one.box, other.box) > part * smaller_px2 \
        and not set(one.teachers) & set(other.teachers)
