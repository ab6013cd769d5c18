# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which boxes are labels, by what neighbouring frames and the other camera show.

A box is an object if a tracker carries it to or from a neighbouring frame, whichever camera shows
it there, or if both cameras show it at the same time. A box that only one frame of one camera
shows is to be ignored: it is no label, and its place is no background either. So is the place of
a track between two of its boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivf_ros.boxes import iou
from ivf_ros.data.sample import IGNORED
from ivf_ros.detection import Tracker, TrackingParameters
from ivf_ros.labelling.merging import MergedBox
from ivf_ros.labelling.settings import LabellingParameters
from ivf_ros.network_inputs import SENSORS
from ivf_ros.types import Detection

_TRACK_KEEP_S = 1.0


@dataclass(frozen=True)
class FrameBoxes:
    """The objects of one pair, and its time stamp."""

    stamp_ns: int
    boxes: Sequence[MergedBox]


@dataclass(frozen=True)
class LabelledBox:
    """
    A box as it is written.

    Attributes
    ----------
    box:
        Of class ``IGNORED`` if it is to be ignored. The score is the fraction of the teachers that
        show it, 0 for an interpolated box.
    teachers:
        Names of these teachers.
    track_id:
        Identity over time; '' without a track.
    reason:
        Why it is to be ignored: ``'one frame of one camera'``, ``'gap of a track'``,
        ``'agreement'``, ``'part of another'`` or ``'class'``; '' for an object.

    """

    box: Detection
    teachers: tuple[str, ...]
    track_id: str = ''
    reason: str = ''


def label_boxes(frames: Sequence[FrameBoxes], parameters: LabellingParameters,
                is_sequence: bool) -> list[list[LabelledBox]]:
    """
    Return the labels of each frame.

    Parameters
    ----------
    frames:
        The frames of one recording in order of time, or unrelated pairs.
    parameters:
        See there.
    is_sequence:
        Whether the frames are those of a recording. Of unrelated pairs, a box that two teachers
        show is an object, too, as there are no neighbours.

    """
    track_ids = _track(frames, parameters) if is_sequence \
        else [[''] * len(frame.boxes) for frame in frames]
    labels = [[_label(one, track_id, parameters, is_sequence)
               for one, track_id in zip(frame.boxes, ids, strict=True)]
              for frame, ids in zip(frames, track_ids, strict=True)]
    if is_sequence:
        _fill_gaps(frames, labels, parameters)
    return labels


def _label(one: MergedBox, track_id: str, parameters: LabellingParameters, is_sequence: bool
           ) -> LabelledBox:
    if one.box.class_name == IGNORED:
        return LabelledBox(one.box, one.teachers, reason='class')
    inputs = {name.rpartition('@')[2] for name in one.teachers}
    is_confirmed = bool(track_id) or inputs.issuperset(SENSORS) \
        or (not is_sequence and len(one.teachers) > 1)
    reason = 'part of another' if one.is_part \
        else 'agreement' if one.box.score < parameters.min_agreement \
        else 'one frame of one camera' if not (is_confirmed or parameters.unconfirmed == 'keep') \
        else ''
    box = replace(one.box, class_name=IGNORED) if reason else one.box
    return LabelledBox(box, one.teachers, track_id, reason)


def _track(frames: Sequence[FrameBoxes], parameters: LabellingParameters) -> list[list[str]]:
    """
    Return the identity of each box over time, '' where no neighbouring frame shows it.

    A tracker names the second box of a track, and not the first. So it runs forwards and
    backwards.
    """
    forward = _run_tracker(frames, parameters)
    backward = _run_tracker([replace(frame, stamp_ns=-frame.stamp_ns)
                             for frame in reversed(frames)], parameters)[::-1]
    names = {later: earlier for ids in zip(forward, backward, strict=True)
             for earlier, later in zip(*ids, strict=True) if earlier and later}
    return [[earlier or (later and names.get(later, f'b{later}'))
             for earlier, later in zip(*ids, strict=True)]
            for ids in zip(forward, backward, strict=True)]


def _run_tracker(frames: Sequence[FrameBoxes], parameters: LabellingParameters
                 ) -> list[list[str]]:
    """Return the track of each box that has one in an earlier frame, '' for others."""
    tracker = Tracker(TrackingParameters(high_score=0.0, min_iou=parameters.track_iou,
                                         confirm_hits=2, keep_s=_TRACK_KEEP_S))
    first_ns = frames[0].stamp_ns if frames else 0
    return [[box.track_id for box in tracker.update([one.box for one in frame.boxes],
                                                    frame.stamp_ns - first_ns)]
            for frame in frames]


def _fill_gaps(frames: Sequence[FrameBoxes], labels: Sequence[list[LabelledBox]],
               parameters: LabellingParameters) -> None:
    """Add an ignored box where a track goes on and nobody shows its object."""
    latest: dict[str, tuple[int, LabelledBox]] = {}
    found = [(index, label) for index, of_frame in enumerate(labels) for label in of_frame
             if label.track_id and not label.reason]
    for index, label in found:
        before = latest.get(label.track_id)
        latest[label.track_id] = index, label
        if before is None:
            continue
        first, earlier = before
        start_ns, end_ns = frames[first].stamp_ns, frames[index].stamp_ns
        if (end_ns - start_ns) * 1e-9 > parameters.gap_s or end_ns <= start_ns:
            continue
        for between in range(first + 1, index):
            share = (frames[between].stamp_ns - start_ns) / (end_ns - start_ns)
            left, top, right, bottom = (
                a + share * (b - a) for a, b in zip(earlier.box.box_xyxy_px,
                                                    label.box.box_xyxy_px, strict=True))
            box = Detection((left, top, right, bottom), IGNORED, 0.0)
            if not any(iou(box, other.box) >= parameters.match_iou for other in labels[between]):
                labels[between].append(LabelledBox(box, (), label.track_id, 'gap of a track'))
