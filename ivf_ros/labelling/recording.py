# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The labels of a recording, collected pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ivf_ros import geometry
from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.labelling.continuity import FrameBoxes, label_boxes, LabelledBox
from ivf_ros.labelling.merging import merge_boxes
from ivf_ros.labelling.registered_pairs import RegisteredPair
from ivf_ros.labelling.settings import LabellingParameters
from ivf_ros.labelling.teachers import LabellingError, select_classes, Teacher


class RecordingLabels:
    """
    What teachers show on the pairs of a recording.

    Parameters
    ----------
    teachers:
        The teachers; their names differ.
    parameters:
        How their boxes become labels.
    is_sequence:
        Whether the pairs are frames of a recording, see ``label_boxes``.

    Attributes
    ----------
    dropped:
        Number of boxes of unknown classes, by class.

    Raises
    ------
    LabellingError
        There is no teacher, or two have the same name.

    """

    def __init__(self, teachers: Sequence[Teacher], parameters: LabellingParameters,
                 is_sequence: bool) -> None:
        names = [teacher.name for teacher in teachers]
        if not names or len(set(names)) < len(names):
            raise LabellingError(f'teachers must have different names, got {", ".join(names)}'
                                 if names else 'there is no teacher')
        self._teachers, self._parameters = teachers, parameters
        self._is_sequence = is_sequence
        self._frames: list[FrameBoxes] = []
        self._selected: list[tuple[int, str, tuple[int, int]]] = []  # frame, name, size
        self.dropped: Counter[str] = Counter()

    def add(self, pair: RegisteredPair, stamp_ns: int, name: str = '') -> None:
        """
        Run the teachers on a pair.

        Parameters
        ----------
        pair:
            The pair on the RGB grid.
        stamp_ns:
            Its time stamp; later than that of the pair before.
        name:
            Name of the image whose labels are wanted; '' for a pair that is only a neighbour.

        """
        found = {}
        for teacher in self._teachers:
            found[teacher.name], dropped = select_classes(
                teacher.detect(pair), self._parameters.ignored_classes.split())
            self.dropped.update(dropped)
        if name:
            self._selected.append((len(self._frames), name, geometry.size_of(pair.rgb)))
        self._frames.append(FrameBoxes(stamp_ns, merge_boxes(
            found, self._parameters.match_iou, self._parameters.nms_iou,
            self._parameters.part)))

    def annotate(self) -> list[AnnotatedImage]:
        """Return the labels of all named pairs; what neighbours show of them is used."""
        labels = label_boxes(self._frames, self._parameters, self._is_sequence)
        return [AnnotatedImage(name, size, tuple(one.box for one in labels[index]),
                               tuple(map(_describe, labels[index])),
                               self._frames[index].stamp_ns)
                for index, name, size in self._selected]

    def describe(self) -> dict[str, Any]:
        """Return how the labels are made, for the label file."""
        return {'teachers': [{'name': teacher.name, 'settings': teacher.settings}
                             for teacher in self._teachers],
                'is_sequence': self._is_sequence, **asdict(self._parameters)}


def _describe(label: LabelledBox) -> dict[str, str]:
    """Return the attributes of a box; those that say nothing are left out."""
    attributes = {'teachers': ' '.join(label.teachers), 'track': label.track_id,
                  'ignored_because': label.reason}
    return {name: value for name, value in attributes.items() if value}
