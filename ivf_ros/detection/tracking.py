# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Multi-object tracking with ByteTrack (Zhang et al., ECCV 2022).

Each track predicts its box with a Kalman filter of constant velocity. Boxes with a high score are
assigned to tracks first. Boxes with a low score are then assigned to the tracks that are left, as
an object that is partly hidden has a low score at the predicted position. A box with a high score
that matches no track starts a new one.

Differences from the paper: the filter uses the time stamps, as the frame rate of a camera on a
robot varies, a track keeps its class, and the score of a tracked box is a mean over time. A single
weak or strong image then neither hides an object nor makes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

from ivf_ros.detection.errors import DetectionError
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

# Standard deviations of the noise as multiples of the height of the box, for one frame at 30 Hz.
_POSITION_NOISE, _VELOCITY_NOISE_PER_S = 0.05, 0.2
_FRAME_S = 1 / 30


@dataclass(frozen=True)
class TrackingParameters:
    """Assignment of boxes to tracks, and the lifetime of tracks."""

    enabled: bool = parameter(True, 'Assign track IDs to the detections.')
    high_score: float = parameter(
        0.6, 'Boxes with at least this score are assigned to tracks first, and start new tracks.',
        minimum=0.0, maximum=1.0)
    low_score: float = parameter(
        0.2, 'Boxes with at least this score continue a track, even below the minimum score of '
        'the detector. Only for the networks of this package.', minimum=0.01, maximum=1.0)
    score_smoothing_s: float = parameter(
        0.5, 'Time constant of the score of a track, an exponential mean of the scores of its '
        'boxes. 0: the score of the latest box.', minimum=0.0, maximum=10.0)
    min_iou: float = parameter(
        0.2, 'Minimum IoU of a box and the predicted box of its track.', minimum=0.01, maximum=1.0)
    min_iou_low: float = parameter(
        0.5, 'The same for boxes with a low score.', minimum=0.01, maximum=1.0)
    confirm_hits: int = parameter(
        2, 'Number of boxes in successive images that confirm a track; before that it has no ID.',
        minimum=1, maximum=30)
    keep_s: float = parameter(
        1.0, 'Time that a track is kept without a box, for example while a camera fails.',
        minimum=0.0, maximum=60.0)


class Tracker:
    """Assigns track IDs to the detections of one camera; ``parameters`` may be replaced."""

    def __init__(self, parameters: TrackingParameters | None = None) -> None:
        """
        Start without tracks.

        Raises
        ------
        DetectionError
            SciPy is not installed.

        """
        with explain_missing('tracking', DetectionError):  # the import takes half a second
            from scipy.optimize import linear_sum_assignment
        self._solve_assignment = linear_sum_assignment
        self.parameters = parameters or TrackingParameters()
        self._tracks: list[_Track] = []
        self._stamp_ns = -1
        self._n_confirmed = 0

    def update(self, detections: Sequence[Detection], stamp_ns: int) -> list[Detection]:
        """
        Return the detections of the next image with track IDs.

        Parameters
        ----------
        detections:
            In any order.
        stamp_ns:
            Time stamp of the image. If it is earlier than the previous one, as in a replay that
            loops, all tracks are deleted.

        Returns
        -------
        list[Detection]
            In the same order. ``track_id`` is a number as a string, or '' where there is no
            confirmed track. The score of a box with a track is that of the track.

        """
        if stamp_ns < self._stamp_ns:
            self._tracks.clear()
        elapsed_s = (stamp_ns - self._stamp_ns) * 1e-9 if self._tracks else 0.0
        self._stamp_ns = stamp_ns
        for track in self._tracks:
            track.predict(elapsed_s)

        p = self.parameters
        high = [index for index, box in enumerate(detections) if box.score >= p.high_score]
        low = [index for index, box in enumerate(detections) if box.score < p.high_score]
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
            track.track_id and track.missed_s <= p.keep_s)]
        return [self._label(box, track_of[index]) if index in track_of else box
                for index, box in enumerate(detections)]

    def _assign(self, indices: Sequence[int], detections: Sequence[Detection],
                track_of: dict[int, _Track], min_iou: float) -> None:
        """
        Assign boxes to the tracks without a box, so that the sum of the IoUs is maximal.

        ``track_of``, from the index of a box to its track, is extended.
        """
        matched_ids = {id(track) for track in track_of.values()}
        free = [track for track in self._tracks if id(track) not in matched_ids]
        if not free or not indices:
            return
        overlaps = np.array([[iou(track.box_xyxy_px, np.array(detections[index].box_xyxy_px))
                              if track.class_name == detections[index].class_name else 0.0
                              for index in indices] for track in free])
        for row, column in zip(*self._solve_assignment(-overlaps)):
            if overlaps[row, column] >= min_iou:
                free[row].correct(detections[indices[column]], self.parameters.score_smoothing_s)
                track_of[indices[column]] = free[row]

    def _label(self, box: Detection, track: _Track) -> Detection:
        """Return a box with ID and score of its track, which gets an ID with enough hits."""
        if not track.track_id and track.hits >= self.parameters.confirm_hits:
            self._n_confirmed += 1
            track.track_id = str(self._n_confirmed)
        return replace(box, track_id=track.track_id,
                       score=track.score if track.track_id else box.score)


class _Track:
    """A tracked object: centre, width and height of its box in pixels, and their velocities."""

    def __init__(self, detection: Detection) -> None:
        self.class_name, self.track_id = detection.class_name, ''
        self.score, self._score_weight = detection.score, 1.0
        self.hits, self.missed_s = 1, 0.0
        self._state = np.concatenate([_to_measurement(detection), np.zeros(4)])
        height = self._state[3]
        self._covariance = np.diag(np.square(np.repeat(
            [2 * _POSITION_NOISE * height, 10 * _VELOCITY_NOISE_PER_S * height], 4)))

    @property
    def box_xyxy_px(self) -> np.ndarray:
        """The predicted box: left, top, right, bottom edge."""
        half = np.maximum(self._state[2:4], 1.0) / 2
        return np.concatenate([self._state[:2] - half, self._state[:2] + half])

    def predict(self, elapsed_s: float) -> None:
        """Predict the state after the elapsed time."""
        self.missed_s += elapsed_s
        transition = np.eye(8)
        transition[:4, 4:] = np.eye(4) * elapsed_s
        self._state = transition @ self._state
        n_frames = elapsed_s / _FRAME_S
        height = max(self._state[3], 1.0)
        noise = np.repeat([_POSITION_NOISE * height, _VELOCITY_NOISE_PER_S * height], 4)
        self._covariance = transition @ self._covariance @ transition.T \
            + np.diag(noise ** 2) * n_frames

    def correct(self, detection: Detection, score_smoothing_s: float) -> None:
        """Update state and score with the box that is assigned to the track."""
        kept = math.exp(-self.missed_s / score_smoothing_s) if score_smoothing_s else 0.0
        weight = kept * self._score_weight  # of the earlier boxes; one for each in a young track
        self.score = (weight * self.score + detection.score) / (weight + 1)
        self._score_weight = weight + 1
        self.hits += 1
        self.missed_s = 0.0
        measurement = _to_measurement(detection)
        innovation_covariance = self._covariance[:4, :4] \
            + np.eye(4) * (_POSITION_NOISE * measurement[3]) ** 2
        gain = np.linalg.solve(innovation_covariance, self._covariance[:4]).T
        self._state = self._state + gain @ (measurement - self._state[:4])
        self._covariance = self._covariance - gain @ self._covariance[:4]

    def mark_missed(self) -> None:
        """Record an image without a box; an unconfirmed track loses its hits."""
        if not self.track_id:
            self.hits = 0


def iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> float:
    """Return the intersection over union of two boxes."""
    sides = np.minimum(a_xyxy[2:], b_xyxy[2:]) - np.maximum(a_xyxy[:2], b_xyxy[:2])
    intersection = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (a_xyxy, b_xyxy)]
    return intersection / (sum(areas) - intersection) if intersection else 0.0


def _to_measurement(detection: Detection) -> np.ndarray:
    """Return centre, width and height of a box."""
    left, top, right, bottom = detection.box_xyxy_px
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
