# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of registration over time, on videos of cameras that do not move.

Each video is replayed through the registrar, the tracker and the freeze detector of the node, at
the measurement rate of the node. The cameras do not move, so motion of the answers is jitter,
which needs no labels. The known misalignment of thermal gives the error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import math
from typing import NamedTuple

import cv2
from ivf_ros import geometry, registration
from ivf_ros.data.misalignment import misalign, random_homography
from ivf_ros.data.sample import Sample
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.pseudo_thermal import pseudo_thermal
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import (
    create_method,
    derive_seed,
    METHOD_ERRORS,
    time_call,
    video_frames,
)
from ivf_ros.evaluation.stages.registration import WIDTH_PX
from ivf_ros.evaluation.stages.track_picture import draw_track
from ivf_ros.thermal import FreezeDetector, ThermalState
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_EXACT = '-exact'
_SETTLED_S = 3.0  # after the first lock

_PX = f'px of {WIDTH_PX}'
_METRICS = (
    MetricInfo('jitter_px', 'lower', _PX, 'root mean square distance of the corners from their '
               'median over the video, for all answers after the first lock'),
    MetricInfo('settled_jitter_px', 'lower', _PX, 'the same for the answers later than '
               f'{_SETTLED_S:.0f} s after the first lock'),
    MetricInfo('raw_jitter_px', 'lower', _PX, 'the same for the single measurements that the '
               'method accepts'),
    MetricInfo('max_jump_px', 'lower', _PX, 'largest displacement of a corner from one answer to '
               'the next'),
    MetricInfo('error_px', 'lower', _PX, 'mean distance of the corners from their positions by '
               'the known misalignment; includes the error of the alignment of the data set'),
    MetricInfo('median_error_px', 'lower', _PX, 'the same for the median of the answers'),
    MetricInfo('predicted_px', 'lower', _PX, 'standard deviation of a corner that the tracker '
               'predicts, root mean square over the video'),
    MetricInfo('lock_s', 'lower', 's', 'time from the first frame to the first lock'),
    MetricInfo('TRACKING', 'higher', '', 'fraction of the answers in this state'),
    MetricInfo('HOLDING', 'lower', '', 'fraction of the answers in this state'),
    MetricInfo('LOST', 'lower', '', 'fraction of the answers in this state'),
    MetricInfo('rejected', 'lower', '', 'fraction of the measurements that the tracker rejects'),
)


@dataclass(frozen=True)
class TrackingEvaluation:
    """
    The tracker with the measurements of each method on each video, without a prior.

    A video of aligned pairs is resized to 640 pixels width. Its thermal frames are misaligned by
    one random homography of each set, the same for all methods. The first frame is the sample that
    represents its video.

    Attributes
    ----------
    methods, sets:
        Names of ``registration.methods()``; sets as for ``RegistrationEvaluation``.
    rate_hz:
        Measurements per second.

    """

    methods: tuple[str, ...]
    sets: tuple[str, ...]
    rate_hz: float = 5.0

    name = 'tracking'
    metrics = _METRICS
    notes = ('Jitter needs no labels; error_px includes the misalignment of the data set itself.',)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be replayed, or ''."""
        if not isinstance(sample.thermal, VideoFrame) or not isinstance(sample.rgb, VideoFrame):
            return 'not a frame of a video'
        if not sample.aligned:
            return 'not aligned, so the true homography is unknown'
        return 'replayed with the first frame of their video' if sample.thermal.index else ''

    def measure(self, sample: Sample) -> SampleResult:
        """Replay a video by all methods, in all sets."""
        result = SampleResult([], {})
        seed = derive_seed(sample)
        for method in self.methods:
            for warp_set in self.sets:
                row = Row(self.name, method, sample.dataset, sample.name, sample.light, warp_set)
                replay = _Replay(sample, warp_set, seed)
                try:
                    track, cpu_s = _run_tracker(method, replay, self.rate_hz)
                except METHOD_ERRORS as error:
                    result.rows.append(row.failed(error))
                    continue
                row = row.with_values(track.values(replay.H_true), cpu_s, track.evidence())
                result.rows.append(row if track.is_locked() else row.failed('never locked'))
                thermal, rgb = replay.first_pair()
                result.pictures.update({('thermal', warp_set): thermal, ('rgb', warp_set): rgb,
                                        (method, warp_set): track.draw()})
        return result

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the fraction of rejected measurements for each reason."""
        counts: Counter[str] = Counter()
        evidence = [row.evidence for row in rows if row.evidence]
        for entry in evidence:
            counts.update(entry['rejections'])
        total = sum(entry['measurements'] for entry in evidence)
        return {f'rejected: {reason}': (
            MetricInfo(f'rejected: {reason}', 'lower', '', 'fraction of all measurements'),
            counts[reason] / total) for reason in sorted(counts)}


class _Replay:
    """The frames of a video, with thermal misaligned by one homography."""

    def __init__(self, sample: Sample, warp_set: str, seed: int) -> None:
        self._sample = sample
        self._seed, self._exact = seed, warp_set.endswith(_EXACT)
        height, width = sample.read_rgb().shape[:2]
        self.size = WIDTH_PX, round(WIDTH_PX * height / width)
        self.H_true = random_homography(warp_set.removesuffix(_EXACT), self.size, seed)

    def frames(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Yield stamp in seconds, thermal and RGB as recorded."""
        return video_frames(self._sample)

    def misalign_pair(self, thermal: np.ndarray, rgb: np.ndarray
                      ) -> tuple[np.ndarray, np.ndarray]:
        """Return the pair resized to 640 pixels width, with thermal misaligned."""
        thermal, rgb = (cv2.resize(image, self.size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        if self._exact:
            thermal = pseudo_thermal(rgb, self._seed)
        return misalign(thermal, self.H_true), rgb

    def first_pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first pair of the video, misaligned."""
        _, thermal, rgb = next(self.frames())
        return self.misalign_pair(thermal, rgb)


class _RecordingRegistrar:
    """A registrar that stores its latest accepted homography."""

    def __init__(self, method: str) -> None:
        self._registrar = create_method(registration.create, method)
        self.parameters = self._registrar.parameters
        self.accepted: np.ndarray | None = None  # homography of the latest pair, if accepted

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Register one pair."""
        measurement = self._registrar.register(thermal, rgb, prior)
        self.accepted = None if measurement.reason else measurement.H_thermal_to_rgb
        return measurement


class _Answer(NamedTuple):
    """An answer of the tracker: seconds from the first frame, corners in RGB, in px of 640."""

    time_s: float
    state: RegistrationState
    corners_px: np.ndarray
    corner_deviation_px: float


class Track:
    """The answers and the raw measurements over a video; lengths in px of 640."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._corners_px = geometry.corners_px(size)
        self._size = size
        self._start_s = math.nan
        self._answers: list[_Answer] = []
        self._raw: list[tuple[float, np.ndarray]] = []
        self.rejections: Counter[str] = Counter()

    def add(self, stamp_s: float, answer: Registration, accepted: np.ndarray | None) -> None:
        """Add an answer, and the raw measurement of the same frame if there is one."""
        if not self._answers:
            self._start_s = stamp_s
        time_s = stamp_s - self._start_s
        self._answers.append(_Answer(time_s, answer.state,
                                     self._corners_in_rgb(answer.H_thermal_to_rgb),
                                     answer.corner_deviation_px))
        if accepted is not None:
            self._raw.append((time_s, self._corners_in_rgb(accepted)))

    def is_locked(self) -> bool:
        """Return whether the tracker ever locked."""
        return bool(self._locked_answers())

    def values(self, H_true: np.ndarray) -> dict[str, float]:
        """Return the metrics. Those of locked answers are left out if there are none."""
        count = len(self._answers)
        values = {state: sum(answer.state == state for answer in self._answers) / count
                  for state in ('TRACKING', 'HOLDING', 'LOST')}
        values['rejected'] = sum(self.rejections.values()) / count
        if self._raw:
            values['raw_jitter_px'] = _jitter_px([corners for _, corners in self._raw])
        locked = self._locked_answers()
        if locked:
            lock_s = locked[0].time_s
            corners_px = np.array([answer.corners_px for answer in locked])
            true_px = self._corners_in_rgb(H_true)
            settled_px = [answer.corners_px for answer in locked
                          if answer.time_s >= lock_s + _SETTLED_S]
            values.update(
                jitter_px=_jitter_px(corners_px),
                settled_jitter_px=_jitter_px(settled_px) if settled_px else math.nan,
                max_jump_px=float(_norms_px(np.diff(corners_px, axis=0)).max(initial=0.0)),
                error_px=float(_norms_px(corners_px - true_px).mean()),
                median_error_px=float(_norms_px(np.median(corners_px, axis=0) - true_px).mean()),
                predicted_px=float(np.sqrt(np.mean([answer.corner_deviation_px ** 2
                                                    for answer in locked]))),
                lock_s=lock_s)
        return values

    def evidence(self) -> dict[str, object]:
        """Return the number of measurements, and the number of rejections for each reason."""
        return {'measurements': len(self._answers), 'rejections': dict(self.rejections)}

    def draw(self) -> np.ndarray:
        """Return a plot of answers and measurements over time, ``(H, W, 3)`` BGR uint8."""
        states = [(answer.time_s, answer.state) for answer in self._answers]
        locked = [(answer.time_s, answer.corners_px) for answer in self._locked_answers()]
        if not locked:
            return draw_track(self._size, states, [], [])
        centre_px = np.median([corners_px for _, corners_px in locked], axis=0)
        return draw_track(
            self._size, states,
            *([(time_s, _jitter_px([corners_px], centre_px)) for time_s, corners_px in path]
              for path in (locked, self._raw)))

    def _locked_answers(self) -> list[_Answer]:
        return [answer for answer in self._answers
                if answer.state in (RegistrationState.TRACKING, RegistrationState.HOLDING)]

    def _corners_in_rgb(self, H_thermal_to_rgb: np.ndarray) -> np.ndarray:
        return geometry.transform_points(H_thermal_to_rgb, self._corners_px)


def _run_tracker(method: str, replay: _Replay, rate_hz: float) -> tuple[Track, float]:
    """Return the track of a video, and the processor time of one measurement in seconds."""
    registrar, freeze, track = _RecordingRegistrar(method), FreezeDetector(), Track(replay.size)
    tracker = registration.RegistrationTracker(registrar)
    next_s, times_s = 0.0, []
    for stamp_s, thermal, rgb in replay.frames():
        is_live = freeze.update(thermal, stamp_s).state is ThermalState.LIVE
        if stamp_s < next_s:
            continue
        next_s = max(next_s + 1 / rate_hz, stamp_s + 0.5 / rate_hz)  # same pace as the node
        registrar.accepted = None
        answer, cpu_s = time_call(tracker.update, *replay.misalign_pair(thermal, rgb), stamp_s,
                                  is_live)
        track.add(stamp_s, answer, registrar.accepted)
        times_s.append(cpu_s)
    track.rejections = tracker.rejections
    return track, float(np.mean(times_s))


def _norms_px(vectors_px: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors_px, axis=-1)


def _jitter_px(corners_px: Sequence[np.ndarray] | np.ndarray,
               centre_px: np.ndarray | None = None) -> float:
    """
    Return the root mean square distance of corners ``(N, 4, 2)`` from their median.

    ``centre_px`` replaces the median if it is given.
    """
    corners_px = np.asarray(corners_px)
    centre_px = np.median(corners_px, axis=0) if centre_px is None else centre_px
    return float(np.sqrt(np.square(_norms_px(corners_px - centre_px)).mean()))
