# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mapping of data-set class names to the class names of a detector."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ivf_ros.data.sample import IGNORED
from ivf_ros.types import Detection

# Cars, buses and trucks form one class, because annotators, human and machine, often disagree
# about them.
_SUPERCLASSES = {'car': 'vehicle', 'bus': 'vehicle', 'truck': 'vehicle', 'van': 'vehicle',
                 'bike': 'bicycle'}


def map_class_names(boxes: Iterable[Detection],
                    class_names: Iterable[str]) -> tuple[Detection, ...]:
    """
    Return boxes with the class names of a detector.

    A class that the detector lacks is replaced by its superclass: 'car' becomes 'vehicle'. If the
    detector lacks the superclass too, the box becomes ``IGNORED``: a detection of it counts
    neither as correct nor as wrong.
    """
    known = (*class_names, IGNORED)
    mapped = []
    for box in boxes:
        superclass = _SUPERCLASSES.get(box.class_name)
        name = box.class_name if box.class_name in known else \
            superclass if superclass in known else IGNORED
        mapped.append(replace(box, class_name=name))
    return tuple(mapped)
