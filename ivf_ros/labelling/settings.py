# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the machine-made boxes."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter

UNCONFIRMED = ('ignore', 'keep')


@dataclass(frozen=True)
class LabellingParameters:
    """How the boxes of teachers become labels."""

    match_iou: float = parameter(
        0.5, 'Boxes of one class and of different teachers with at least this IoU are one object.',
        minimum=0.1, maximum=1.0)
    nms_iou: float = parameter(
        0.7, 'Of two objects of one class with a larger IoU than this, the one that fewer '
        'teachers show is dropped.', minimum=0.1, maximum=1.0)
    part: float = parameter(
        0.8, 'Of two objects of one class that have more than this fraction of the smaller one in '
        'common, and of which no teacher shows both, the one that fewer teachers show is to be '
        'ignored: it may be a part of the other, or hold several.', minimum=0.1, maximum=1.0)
    track_iou: float = parameter(
        0.2, 'Minimum IoU of a box and the predicted box of its track.', minimum=0.01, maximum=1.0)
    gap_s: float = parameter(
        0.5, 'Where a track has no box for at most this time, its interpolated box is to be '
        'ignored.', minimum=0.0, maximum=10.0)
    min_agreement: float = parameter(
        0.0, 'A box that a smaller fraction of the teachers shows is to be ignored.', minimum=0.0,
        maximum=1.0)
    unconfirmed: str = parameter(
        'ignore', 'What becomes of a box that one frame of one camera shows: it is to be ignored, '
        'or kept as an object.', choices=UNCONFIRMED)
    ignored_classes: str = parameter(
        'motorcycle', 'Classes of teachers, separated by spaces, that are to be ignored. Boxes of '
        'other unknown classes are dropped.')
