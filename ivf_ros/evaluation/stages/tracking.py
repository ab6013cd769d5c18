# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration over time, measured on videos of cameras that stand still.

Each video is replayed through the registrar, the tracker and the freeze detector that the node
drives, at the rate at which the node would measure. As nothing moves, whatever moves in the
answers is jitter, which needs no labels; the known misalignment of thermal tells the error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import math

import cv2
from ivf_ros import geometry, registration
from ivf_ros.data.misalignment import misalign, random_homography
from ivf_ros.data.sample import Sample
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.pseudo_thermal import pseudo_thermal
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import derive_seed, METHOD_ERRORS, time_call, video_frames
from ivf_ros.evaluation.stages.registration import WIDTH_PX
from ivf_ros.evaluation.stages.track_picture import track_picture
from ivf_ros.thermal import FreezeDetector, ThermalState
from ivf_ros.types import Registration, RegistrationState
import numpy as np

_EXACT = '-exact'
_SETTLED_S = 3.0  # after the first lock

_PX = f'px of {WIDTH_PX}'
_METRICS = (
    MetricInfo('jitter_px', 'lower', _PX, 'root mean square distance of the corners of all '
               'answers, from the first lock on, from their median over the video'),
    MetricInfo('settled_jitter_px', 'lower', _PX, f'the same from {_SETTLED_S:.0f} s after it on'),
    MetricInfo('raw_jitter_px', 'lower', _PX, 'the same of the single measurements that the '
               'method accepts'),
    MetricInfo('max_jump_px', 'lower', _PX, 'greatest way of a corner from one answer to the '
               'next'),
    MetricInfo('error_px', 'lower', _PX, 'mean distance of the corners from where the known '
               'misalignment puts them, which is as wrong as the alignment of the data set'),
    MetricInfo('median_error_px', 'lower', _PX, 'the same of the median of the answers'),
    MetricInfo('predicted_px', 'lower', _PX, 'standard deviation of a corner by the tracker, root '
               'mean square over the video'),
    MetricInfo('lock_s', 'lower', 's', 'time from the first frame to the first lock'),
    MetricInfo('TRACKING', 'higher', '', 'share of the answers in this state'),
    MetricInfo('HOLDING', 'lower', '', 'share of the answers in this state'),
    MetricInfo('LOST', 'lower', '', 'share of the answers in this state'),
    MetricInfo('rejected', 'lower', '', 'share of the measurements that were not believed'),
)


@dataclass(frozen=True)
class TrackingEvaluation:
    """
    What the tracker makes of the measurements of each method on each video, without a prior.

    A video of aligned pairs is brought to 640 pixels width, and its thermal frames are misaligned
    by one random homography of each set, the same for all methods. One sample stands for its
    video: the first frame.

    Attributes
    ----------
    methods, sets:
        Of ``registration.methods()``; as for ``RegistrationEvaluation``.
    rate_hz:
        Measurements a second.

    """

    methods: tuple[str, ...]
    sets: tuple[str, ...]
    rate_hz: float = 5.0

    name = 'tracking'
    metrics = _METRICS
    notes = ('Jitter needs no labels; error_px holds the misalignment of the data set itself.',)

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be replayed, or ''."""
        if not isinstance(sample.thermal, VideoFrame) or not isinstance(sample.rgb, VideoFrame):
            return 'not a frame of a video'
        if not sample.aligned:
            return 'not aligned, so that no misalignment is known'
        return 'replayed with the first frame of their video' if sample.thermal.index else ''

    def measure(self, sample: Sample) -> SampleResult:
        """Replay a video by all methods, in all sets."""
        measured = SampleResult([], {})
        seed = derive_seed(sample)
        for method in self.methods:
            for warp_set in self.sets:
                row = Row(self.name, method, sample.dataset, sample.name, sample.light, warp_set)
                replay = _Replay(sample, warp_set, seed)
                try:
                    track, cpu_s = _run_tracker(method, replay, self.rate_hz)
                except METHOD_ERRORS as error:
                    measured.rows.append(row.failed(error))
                    continue
                row = row.with_values(track.values(replay.H_true), cpu_s, track.evidence())
                measured.rows.append(row if track.is_locked() else row.failed('never locked'))
                thermal, rgb = replay.first()
                measured.pictures.update({('thermal', warp_set): thermal, ('rgb', warp_set): rgb,
                                          (method, warp_set): track.picture()})
        return measured

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the share of the measurements that were not believed, by reason."""
        counts: Counter[str] = Counter()
        evidence = [row.evidence for row in rows if row.evidence]
        for entry in evidence:
            counts.update(entry['rejections'])
        total = sum(entry['measurements'] for entry in evidence)
        return {f'rejected: {reason}': (
            MetricInfo(f'rejected: {reason}', 'lower', '', 'share of all measurements'),
            counts[reason] / total) for reason in sorted(counts)}


class _Replay:
    """The frames of a video, thermal misaligned by one homography."""

    def __init__(self, sample: Sample, warp_set: str, seed: int) -> None:
        self._sample = sample
        self._seed, self._exact = seed, warp_set.endswith(_EXACT)
        height, width = sample.read_rgb().shape[:2]
        self.size = WIDTH_PX, round(WIDTH_PX * height / width)
        self.H_true = random_homography(warp_set.removesuffix(_EXACT), self.size, seed)

    def frames(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Yield stamp in seconds, thermal and RGB as recorded."""
        return video_frames(self._sample)

    def misaligned_pair(self, thermal: np.ndarray, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a pair 640 pixels wide, as the two cameras would see it if they were askew."""
        thermal, rgb = (cv2.resize(image, self.size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        if self._exact:
            thermal = pseudo_thermal(rgb, self._seed)
        return misalign(thermal, self.H_true), rgb

    def first(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first pair so."""
        _, thermal, rgb = next(self.frames())
        return self.misaligned_pair(thermal, rgb)


class _RecordingRegistrar:
    """A registrar that remembers where it put the corners, each time that it was sure."""

    def __init__(self, method: str) -> None:
        self._registrar = registration.create(method)
        self.parameters = self._registrar.parameters
        self.accepted: np.ndarray | None = None  # of the latest pair

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """Measure one pair."""
        answer = self._registrar.register(thermal, rgb, prior)
        self.accepted = None if answer.reason else answer.H_thermal_to_rgb
        return answer


class Track:
    """What was answered and measured over a video; lengths in px of 640."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._corners_px = geometry.corners_px(size)
        self._size = size
        self._start_s = math.nan
        self._answers: list[tuple[float, RegistrationState, np.ndarray, float]] = []
        self._raw: list[tuple[float, np.ndarray]] = []
        self.rejections: Counter[str] = Counter()

    def add(self, stamp_s: float, answer: Registration, accepted: np.ndarray | None) -> None:
        """Note an answer, and the measurement that it came with, if there was one."""
        if not self._answers:
            self._start_s = stamp_s
        now_s = stamp_s - self._start_s
        self._answers.append((now_s, answer.state, self._corners_in_rgb(answer.H_thermal_to_rgb),
                              answer.corner_deviation_px))
        if accepted is not None:
            self._raw.append((now_s, self._corners_in_rgb(accepted)))

    def is_locked(self) -> bool:
        """Return whether anything was ever believed."""
        return bool(self._locked_answers())

    def values(self, H_true: np.ndarray) -> dict[str, float]:
        """Return the metrics; those that are of believed answers only where there are any."""
        count = len(self._answers)
        values = {state: sum(answer[1] == state for answer in self._answers) / count
                  for state in ('TRACKING', 'HOLDING', 'LOST')}
        values['rejected'] = sum(self.rejections.values()) / count
        if self._raw:
            values['raw_jitter_px'] = _jitter_px([corners for _, corners in self._raw])
        known = self._locked_answers()
        if known:
            lock_s, paths = known[0][0], np.array([corners for _, _, corners, _ in known])
            true_px = self._corners_in_rgb(H_true)
            settled = [answer[2] for answer in known if answer[0] >= lock_s + _SETTLED_S]
            values.update(
                jitter_px=_jitter_px(paths),
                settled_jitter_px=_jitter_px(settled) if settled else math.nan,
                max_jump_px=float(_lengths(np.diff(paths, axis=0)).max(initial=0.0)),
                error_px=float(_lengths(paths - true_px).mean()),
                median_error_px=float(_lengths(np.median(paths, axis=0) - true_px).mean()),
                predicted_px=float(np.sqrt(np.mean([answer[3] ** 2 for answer in known]))),
                lock_s=lock_s)
        return values

    def evidence(self) -> dict[str, object]:
        """Return how many measurements there were, and how many were rejected by reason."""
        return {'measurements': len(self._answers), 'rejections': dict(self.rejections)}

    def picture(self) -> np.ndarray:
        """Return a plot of answers and measurements over time, ``(H, W, 3)`` BGR uint8."""
        known = [(now_s, corners) for now_s, _, corners, _ in self._locked_answers()]
        if not known:
            return track_picture(self._size, [(answer[0], answer[1]) for answer in self._answers],
                                 [], [])
        middle = np.median([corners for _, corners in known], axis=0)
        return track_picture(
            self._size, [(answer[0], answer[1]) for answer in self._answers],
            *([(now_s, _jitter_px([corners], middle)) for now_s, corners in path]
              for path in (known, self._raw)))

    def _locked_answers(self) -> list[tuple[float, RegistrationState, np.ndarray, float]]:
        return [answer for answer in self._answers
                if answer[1] in (RegistrationState.TRACKING, RegistrationState.HOLDING)]

    def _corners_in_rgb(self, H_thermal_to_rgb: np.ndarray) -> np.ndarray:
        return geometry.transform_points(H_thermal_to_rgb, self._corners_px)


def _run_tracker(method: str, replay: _Replay, rate_hz: float) -> tuple[Track, float]:
    """Return what became of a video, and the processor time of one measurement in seconds."""
    listener, freeze, track = _RecordingRegistrar(method), FreezeDetector(), Track(replay.size)
    tracker = registration.RegistrationTracker(listener)
    due_s, spent_s = 0.0, []
    for stamp_s, thermal, rgb in replay.frames():
        live = freeze.update(thermal, stamp_s).state is ThermalState.LIVE
        if stamp_s < due_s:
            continue
        due_s = max(due_s + 1 / rate_hz, stamp_s + 0.5 / rate_hz)  # as the node paces itself
        listener.accepted = None
        answer, cpu_s = time_call(tracker.update, *replay.misaligned_pair(thermal, rgb), stamp_s, live)
        track.add(stamp_s, answer, listener.accepted)
        spent_s.append(cpu_s)
    track.rejections = tracker.rejections
    return track, float(np.mean(spent_s))


def _lengths(vectors_px: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors_px, axis=-1)


def _jitter_px(paths_px: Sequence[np.ndarray] | np.ndarray,
               middle_px: np.ndarray | None = None) -> float:
    """Return the root mean square distance of corners ``(N, 4, 2)`` from their median, or else."""
    paths_px = np.asarray(paths_px)
    middle_px = np.median(paths_px, axis=0) if middle_px is None else middle_px
    return float(np.sqrt(np.square(_lengths(paths_px - middle_px)).mean()))
