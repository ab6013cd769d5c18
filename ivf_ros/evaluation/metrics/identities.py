# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of identities over time: HOTA, IDF1, switches and fragments.

The reference implementation, TrackEval, installs a second OpenCV, so it cannot be a dependency of
this package. Its values are in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from ivf_ros.boxes import iou
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.types import Detection
import numpy as np
from scipy.optimize import linear_sum_assignment

IDENTITY_METRICS = (
    MetricInfo('HOTA', 'higher', '', 'geometric mean of the accuracies of detection and '
               'association, mean over IoU 0.05 to 0.95 (Luiten et al., IJCV 2021)'),
    MetricInfo('DetA', 'higher', '', 'accuracy of detection, a part of HOTA'),
    MetricInfo('AssA', 'higher', '', 'accuracy of association, a part of HOTA'),
    MetricInfo('IDF1', 'higher', '', 'harmonic mean of precision and recall of boxes with the '
               'right identity at IoU 0.5, for the best assignment of tracks to objects (Ristani '
               'et al. 2016)'),
    MetricInfo('switches', 'lower', '', 'number of times that the track of an object changes '
               '(CLEAR MOT, Bernardin and Stiefelhagen 2008)'),
    MetricInfo('fragments', 'lower', '', 'number of times that an object is found again after '
               'frames without a box'),
)
_ALPHAS = np.linspace(0.05, 0.95, 19)  # of HOTA
_MIN_IOU = 0.5  # of the other metrics
_EPSILON = float(np.finfo(float).eps)

Frame = tuple[Sequence[Detection], Sequence[Detection]]


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """Numbers of the objects ``(T,)`` and tracks ``(P,)`` of a frame, and their IoU ``(T, P)``."""

    objects: np.ndarray
    tracks: np.ndarray
    iou: np.ndarray


def identities(frames: Sequence[Frame]) -> dict[str, float]:
    """
    Compute the metrics of a sequence.

    Parameters
    ----------
    frames:
        For each frame the predicted and the true boxes. ``track_id`` is the identity of each of
        them. Boxes of different classes do not match.

    Returns
    -------
    dict[str, float]
        ``IDENTITY_METRICS`` by name; NaN without true boxes.

    Raises
    ------
    MetricError
        Two boxes of a frame have the same identity.

    """
    overlaps = _number_identities(frames)
    n_true, n_predicted = (sum(len(getattr(frame, name)) for frame in overlaps)
                           for name in ('objects', 'tracks'))
    if not n_true:
        return {info.name: math.nan for info in IDENTITY_METRICS}
    if not n_predicted:
        return {info.name: 0.0 for info in IDENTITY_METRICS}
    switches, fragments = _count_changes(overlaps)
    return {**_score_association(overlaps, n_true, n_predicted),
            'IDF1': 2 * _count_identified(overlaps) / (n_true + n_predicted),
            'switches': float(switches), 'fragments': float(fragments)}


def _number_identities(frames: Sequence[Frame]) -> list[_Overlaps]:
    objects: dict[str, int] = {}
    tracks: dict[str, int] = {}
    overlaps = []
    for predicted, true in frames:
        numbers = [np.array([known.setdefault(box.track_id, len(known)) for box in boxes], int)
                   for known, boxes in ((objects, true), (tracks, predicted))]
        for found in numbers:
            if len(set(found.tolist())) < len(found):
                raise MetricError('two boxes of a frame have the same identity')
        matrix = np.array([[iou(a, b) if a.class_name == b.class_name else 0.0
                            for b in predicted] for a in true]).reshape(len(true), len(predicted))
        overlaps.append(_Overlaps(numbers[0], numbers[1], matrix))
    return overlaps


def _count_pairs(overlaps: Sequence[_Overlaps], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sum of a weight of each pair of an object and a track, over the frames."""
    shape = (1 + max(int(frame.objects.max(initial=-1)) for frame in overlaps),
             1 + max(int(frame.tracks.max(initial=-1)) for frame in overlaps))
    total = np.zeros(shape)
    for frame, weight in zip(overlaps, weights, strict=True):
        total[np.ix_(frame.objects, frame.tracks)] += weight
    return total


def _score_association(overlaps: Sequence[_Overlaps], n_true: int, n_predicted: int
                       ) -> dict[str, float]:
    """
    Return HOTA, DetA and AssA.

    In each frame the boxes are matched so that the sum of IoU times J is maximal. J is how well
    object and track fit over all frames: sum of s / (2 - s) over the sum of their boxes less this
    sum, with s their IoU relative to those with their rivals.
    """
    relative = []
    for frame in overlaps:
        rivals = frame.iou.sum(0, keepdims=True) + frame.iou.sum(1, keepdims=True) - frame.iou
        relative.append(np.divide(frame.iou, rivals, where=rivals > _EPSILON,
                                  out=np.zeros_like(rivals)))
    common = _count_pairs(overlaps, relative)
    n_objects, n_tracks = np.zeros((len(common), 1)), np.zeros((1, common.shape[1]))
    for frame in overlaps:
        n_objects[frame.objects, 0] += 1
        n_tracks[0, frame.tracks] += 1
    fit = common / (n_objects + n_tracks - common)
    matches = np.zeros((len(_ALPHAS), *common.shape))
    for frame in overlaps:
        rows, columns = linear_sum_assignment(
            fit[np.ix_(frame.objects, frame.tracks)] * frame.iou, maximize=True)
        is_match = frame.iou[rows, columns] >= _ALPHAS[:, None] - _EPSILON
        matches[:, frame.objects[rows], frame.tracks[columns]] += is_match
    hits = matches.sum((1, 2))
    det_a = hits / (n_true + n_predicted - hits)
    ass_a = (matches ** 2 / np.maximum(n_objects + n_tracks - matches, 1)).sum((1, 2)) \
        / np.maximum(hits, 1)
    return {'HOTA': float(np.sqrt(det_a * ass_a).mean()), 'DetA': float(det_a.mean()),
            'AssA': float(ass_a.mean())}


def _count_identified(overlaps: Sequence[_Overlaps]) -> float:
    """Return the number of boxes with the right identity, for the best assignment of tracks."""
    counts = _count_pairs(overlaps, [frame.iou >= _MIN_IOU for frame in overlaps])
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum())


def _count_changes(overlaps: Sequence[_Overlaps]) -> tuple[int, int]:
    """Return switches and fragments; a track stays with its object while their boxes overlap."""
    latest: dict[int, int] = {}  # object to its latest track
    current: dict[int, int] = {}  # the same, of the previous frame only
    switches, fragments = 0, 0
    for frame in overlaps:
        keeps = np.array([[current.get(item) == track for track in frame.tracks]
                          for item in frame.objects]).reshape(frame.iou.shape)
        weights = np.where(frame.iou >= _MIN_IOU - _EPSILON, frame.iou + 1000.0 * keeps, 0.0)
        rows, columns = linear_sum_assignment(weights, maximize=True)
        matched = {int(frame.objects[row]): int(frame.tracks[column])
                   for row, column in zip(rows, columns, strict=True) if weights[row, column] > 0}
        switches += sum(latest.get(item, track) != track for item, track in matched.items())
        fragments += sum(item in latest and item not in current for item in matched)
        latest.update(matched)
        current = matched
    return switches, fragments
