# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Identities over time: ByteTrack (Zhang et al., ECCV 2022).

Each track predicts where its box is by a Kalman filter of constant velocity. Boxes of high score
are given to tracks first, those of low score to tracks that are still without one: an object that
is half hidden scores low, but where it is expected. What no track explains starts one.

Differences from the paper: frames may come at any rate, as cameras on robots do, so the filter
runs on stamps; and classes are tracked apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivf_ros.detection.inputs import DetectionError
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

# Standard deviations as shares of the height of the box, for each step of a camera at 30 Hz.
_POSITION_SHARE, _VELOCITY_SHARE_PER_S = 0.05, 0.2
_STEP_S = 1 / 30


@dataclass(frozen=True)
class TrackingParameters:
    """When a box belongs to a track."""

    enabled: bool = parameter(True, 'Give detections an identity over time.')
    high_score: float = parameter(
        0.5, 'Boxes from this score on start tracks, and are given to tracks first.', minimum=0.0,
        maximum=1.0)
    min_iou: float = parameter(
        0.2, 'A box belongs to a track only if it overlaps its prediction by this much.',
        minimum=0.01, maximum=1.0)
    min_iou_low: float = parameter(
        0.5, 'The same for boxes of low score.', minimum=0.01, maximum=1.0)
    confirm_hits: int = parameter(
        2, 'Boxes in successive images that make a track; until then it has no identity.',
        minimum=1, maximum=30)
    keep_s: float = parameter(
        1.0, 'How long a track outlives its last box, so that it survives a camera that fails.',
        minimum=0.0, maximum=60.0)


class Tracker:
    """Gives the detections of one camera identities; ``parameters`` may be replaced any time."""

    def __init__(self, parameters: TrackingParameters | None = None) -> None:
        """
        Start without tracks.

        Raises
        ------
        DetectionError
            SciPy is not installed.

        """
        try:  # half a second, only where it is used
            from scipy.optimize import linear_sum_assignment
        except ModuleNotFoundError:
            raise DetectionError("tracking needs 'scipy'; pip install scipy") from None
        self._best_assignment = linear_sum_assignment
        self.parameters = parameters or TrackingParameters()
        self._tracks: list[_Track] = []
        self._stamp_ns = -1
        self._n_confirmed = 0

    def update(self, detections: Sequence[Detection], stamp_ns: int) -> list[Detection]:
        """
        Return the detections of the next image with their identities.

        Parameters
        ----------
        detections:
            In any order; it is kept.
        stamp_ns:
            When the image was taken. Where time goes back, as in a replay that loops, all tracks
            end.

        Returns
        -------
        list[Detection]
            ``track_id`` is a number as text, empty where a track is not yet confirmed.

        """
        if stamp_ns < self._stamp_ns:
            self._tracks.clear()
        elapsed_s = (stamp_ns - self._stamp_ns) * 1e-9 if self._tracks else 0.0
        self._stamp_ns = stamp_ns
        for track in self._tracks:
            track.predict(elapsed_s)

        p = self.parameters
        high = [index for index, one in enumerate(detections) if one.score >= p.high_score]
        low = [index for index, one in enumerate(detections) if one.score < p.high_score]
        track_of: dict[int, _Track] = {}
        self._assign(high, detections, track_of, p.min_iou)
        self._assign(low, detections, track_of, p.min_iou_low)
        for index in high:
            if index not in track_of:
                track_of[index] = _Track(detections[index])
                self._tracks.append(track_of[index])
        matched_ids = {id(track) for track in track_of.values()}
        for track in self._tracks:
            if id(track) not in matched_ids:
                track.mark_missed()
        self._tracks = [track for track in self._tracks if id(track) in matched_ids or (
            track.name and track.unseen_s <= p.keep_s)]
        return [replace(one, track_id=self._confirm(track_of[index]) if index in track_of else '')
                for index, one in enumerate(detections)]

    def _assign(self, indices: Sequence[int], detections: Sequence[Detection],
                track_of: dict[int, _Track], min_iou: float) -> None:
        """Give boxes to tracks that have none yet, so that the sum of the overlaps is largest."""
        taken = {id(track) for track in track_of.values()}
        free = [track for track in self._tracks if id(track) not in taken]
        if not free or not indices:
            return
        overlaps = np.array([[iou(track.box_xyxy_px, np.array(detections[index].box_xyxy_px))
                              if track.class_name == detections[index].class_name else 0.0
                              for index in indices] for track in free])
        for row, column in zip(*self._best_assignment(-overlaps)):
            if overlaps[row, column] >= min_iou:
                free[row].correct(detections[indices[column]])
                track_of[indices[column]] = free[row]

    def _confirm(self, track: _Track) -> str:
        if not track.name and track.hits >= self.parameters.confirm_hits:
            self._n_confirmed += 1
            track.name = str(self._n_confirmed)
        return track.name


class _Track:
    """One object: middle, width and height of its box in pixels, and how fast they change."""

    def __init__(self, detection: Detection) -> None:
        self.class_name, self.name = detection.class_name, ''
        self.hits, self.unseen_s = 1, 0.0
        self._state = np.concatenate([_to_measurement(detection), np.zeros(4)])
        height = self._state[3]
        self._covariance = np.diag(np.square(np.repeat(
            [2 * _POSITION_SHARE * height, 10 * _VELOCITY_SHARE_PER_S * height], 4)))

    @property
    def box_xyxy_px(self) -> np.ndarray:
        """Where the box is expected: left, top, right, bottom edge."""
        half = np.maximum(self._state[2:4], 1.0) / 2
        return np.concatenate([self._state[:2] - half, self._state[:2] + half])

    def predict(self, elapsed_s: float) -> None:
        """Go on in time."""
        self.unseen_s += elapsed_s
        motion = np.eye(8)
        motion[:4, 4:] = np.eye(4) * elapsed_s
        self._state = motion @ self._state
        frames = elapsed_s / _STEP_S
        height = max(self._state[3], 1.0)
        noise = np.repeat([_POSITION_SHARE * height, _VELOCITY_SHARE_PER_S * height], 4)
        self._covariance = motion @ self._covariance @ motion.T + np.diag(noise ** 2) * frames

    def correct(self, detection: Detection) -> None:
        """Take over a box that belongs to the track."""
        self.hits += 1
        self.unseen_s = 0.0
        measured = _to_measurement(detection)
        spread = self._covariance[:4, :4] + np.eye(4) * (_POSITION_SHARE * measured[3]) ** 2
        gain = np.linalg.solve(spread, self._covariance[:4]).T
        self._state = self._state + gain @ (measured - self._state[:4])
        self._covariance = self._covariance - gain @ self._covariance[:4]

    def mark_missed(self) -> None:
        """Count no box; what is not confirmed has to begin again."""
        if not self.name:
            self.hits = 0


def iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> float:
    """Return the intersection of two boxes over their union."""
    sides = np.minimum(a_xyxy[2:], b_xyxy[2:]) - np.maximum(a_xyxy[:2], b_xyxy[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (a_xyxy, b_xyxy)]
    return shared / (sum(areas) - shared) if shared else 0.0


def _to_measurement(detection: Detection) -> np.ndarray:
    """Return middle, width and height of a box."""
    left, top, right, bottom = detection.box_xyxy_px
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
