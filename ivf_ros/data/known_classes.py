# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of data sets by the names that a detector knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ivf_ros.data.sample import IGNORED
from ivf_ros.types import Detection

# Cars, buses and trucks are one class: those who labelled them, people and machines, often
# disagree about which it is.
_SUPERCLASSES = {'car': 'vehicle', 'bus': 'vehicle', 'truck': 'vehicle', 'van': 'vehicle',
                 'bike': 'bicycle'}


def map_class_names(boxes: Iterable[Detection], class_names: Iterable[str]) -> tuple[Detection, ...]:
    """
    Return boxes by names that a detector knows: to one without 'car' a car is a 'vehicle'.

    Boxes of classes that it does not know at all become ``IGNORED``: it need not find them, and
    nothing is said against what it finds there.
    """
    known = (*class_names, IGNORED)
    named = []
    for box in boxes:
        merged = _SUPERCLASSES.get(box.class_name)
        name = box.class_name if box.class_name in known else \
            merged if merged in known else IGNORED
        named.append(replace(box, class_name=name))
    return tuple(named)
