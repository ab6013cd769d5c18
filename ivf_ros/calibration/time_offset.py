# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The constant offset between the stamps of a thermal and an RGB camera, from motion.

Both cameras see the same motion, although not the same brightness. The image is divided into
coarse cells, and the change of each cell is measured from image to image. Where something moves,
or the rig does, the courses of both cameras over time are alike, delayed by the offset. The offset
is the lag with the highest correlation over all cells. The cameras must look in about the same
direction; they need not be registered.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import cv2
from ivf_ros.data.sources import Source
from ivf_ros.progress import track
import numpy as np

_CELLS = 12, 9  # of the image, in x and y; coarse, because the views of the cameras differ
_WIDTH_PX = 160  # of the reduced images that are compared
_IMAGES_APART = 2  # compared with the image before the last: more motion, the same noise
_MIN_CHANGES = 40  # of each camera
_MAX_SIGMAS = 4.0  # of a change: flashes and shutter events must not decide
_STEP_S = 1 / 60  # between the lags, at most
_PARTS = 8  # of the recording; each is left out once, for the deviation of the estimate
_MIN_CORRELATION = 0.15
_PEAK_WIDTH_S = 0.3  # a second peak is farther than this from the first
_MAX_SECOND_PEAK = 0.92  # of the height of the first
_MAX_DEVIATION_S = 0.05


class TimeOffsetError(ValueError):
    """The recording does not determine the offset."""


@dataclass(frozen=True)
class TimeOffset:
    """
    The offset of the thermal stamps, and how certain it is.

    Attributes
    ----------
    offset_s:
        Thermal stamp minus RGB stamp of the same moment, in seconds.
    deviation_s:
        Standard deviation of the offset, by the jackknife over parts of the recording.
    correlation:
        Correlation of the changes in both cameras at this offset, 0 to 1.

    """

    offset_s: float
    deviation_s: float
    correlation: float


@dataclass
class ChangeCourse:
    """
    The changes in the images of one camera over time, built image by image.

    Attributes
    ----------
    times_s:
        Middle between the stamps of two compared images.
    changes:
        ``(108,)`` float32 each: square root of the mean absolute change per second in the cells.

    """

    times_s: list[float] = field(default_factory=list)
    changes: list[np.ndarray] = field(default_factory=list)
    _latest: deque[tuple[float, np.ndarray]] = field(
        default_factory=lambda: deque(maxlen=_IMAGES_APART))

    def add(self, stamp_s: float, image: np.ndarray) -> None:
        """
        Add the next image.

        Parameters
        ----------
        stamp_s:
            In seconds. An image that is not later than the one before is left out.
        image:
            ``(H, W)`` or ``(H, W, 3)``, uint8, uint16 or float.

        """
        if self._latest and stamp_s <= self._latest[-1][0]:
            return
        reduced = _reduce(image)
        if len(self._latest) == _IMAGES_APART:
            before_s, before = self._latest[0]
            if before.shape == reduced.shape:
                change = cv2.resize(cv2.absdiff(reduced, before), _CELLS,
                                    interpolation=cv2.INTER_AREA)
                self.times_s.append((stamp_s + before_s) / 2)
                self.changes.append(np.sqrt(change.ravel() / (stamp_s - before_s)))
        self._latest.append((stamp_s, reduced))


def measure_time_offset(source: Source, *, seconds: float = 60.0, max_offset_s: float = 2.0
                        ) -> TimeOffset:
    """
    Measure the offset of the stamps of a source.

    The clocks of a recording may differ by any constant. The search is around the offset that the
    times of recording show.

    Parameters
    ----------
    source:
        A recording with motion.
    seconds:
        Duration of the recording that is read.
    max_offset_s:
        Largest difference to the offset that the times of recording show.

    Raises
    ------
    TimeOffsetError
        See ``estimate_time_offset``.
    SourceError
        The source cannot be read.

    """
    courses = {'thermal': ChangeCourse(), 'rgb': ChangeCourse()}
    clock_ns: dict[str, int] = {}  # stamp minus time of recording, of the first frame
    start_ns: int | None = None
    for event in track(source.events(), None, 'frame'):
        stamp_ns = event.frame.stamp_ns
        recorded_ns = stamp_ns if event.recorded_ns is None else event.recorded_ns
        start_ns = recorded_ns if start_ns is None else start_ns
        if (recorded_ns - start_ns) * 1e-9 > seconds:
            break
        offset_ns = clock_ns.setdefault(event.stream, stamp_ns - recorded_ns)
        courses[event.stream].add((stamp_ns - offset_ns - start_ns) * 1e-9, event.frame.image)
    measured = estimate_time_offset(courses['thermal'], courses['rgb'], max_offset_s=max_offset_s)
    clocks_s = (clock_ns['thermal'] - clock_ns['rgb']) * 1e-9
    return replace(measured, offset_s=measured.offset_s + clocks_s)


def estimate_time_offset(thermal: ChangeCourse, rgb: ChangeCourse, *, max_offset_s: float = 2.0
                         ) -> TimeOffset:
    """
    Estimate the offset of the thermal stamps from the changes in both cameras.

    Parameters
    ----------
    thermal, rgb:
        Courses of at least 40 changes each.
    max_offset_s:
        Largest offset that is looked for.

    Raises
    ------
    TimeOffsetError
        There are too few images, the changes do not correlate, or several offsets fit.

    """
    for name, course in (('thermal', thermal), ('RGB', rgb)):
        if len(course.times_s) < _MIN_CHANGES:
            raise TimeOffsetError(f'{len(course.times_s)} changes between {name} images; the '
                                  f'offset needs {_MIN_CHANGES}, best ten seconds with motion')
    step_s = min(_STEP_S, *(float(np.median(np.diff(course.times_s))) / 2
                            for course in (thermal, rgb)))
    grid_s = np.arange(max(thermal.times_s[0], rgb.times_s[0]) - max_offset_s,
                       min(thermal.times_s[-1], rgb.times_s[-1]) + max_offset_s, step_s)
    if len(grid_s) * step_s < 3 * max_offset_s:
        raise TimeOffsetError(f'the recordings of the cameras overlap for '
                              f'{len(grid_s) * step_s - 2 * max_offset_s:.1f} s; needed are '
                              f'{max_offset_s:g} s or a smaller --max-offset')
    courses = _resample(thermal, grid_s), _resample(rgb, grid_s)
    reach = round(max_offset_s / step_s)
    lags = np.arange(-reach, reach + 1)
    correlations = _correlate(*courses, lags)
    best = int(correlations.argmax())
    _check_peak(correlations, best, round(_PEAK_WIDTH_S / step_s), max_offset_s)
    parts_s = []
    for part in np.array_split(np.arange(len(grid_s)), _PARTS):
        rgb_without = courses[1].copy()
        rgb_without[:, part] = 0.0
        without = _correlate(courses[0], rgb_without, lags)
        parts_s.append(_refine_peak(without, int(without.argmax())) * step_s)
    deviation_s = float(np.sqrt((_PARTS - 1) * np.var(parts_s)))
    if deviation_s > _MAX_DEVIATION_S:
        raise TimeOffsetError(f'the offset is uncertain by {deviation_s:.2f} s, allowed are '
                              f'{_MAX_DEVIATION_S:g} s; record more motion')
    return TimeOffset((_refine_peak(correlations, best) - reach) * step_s, deviation_s,
                      float(correlations[best]))


def _reduce(image: np.ndarray) -> np.ndarray:
    """Return a small gray image as float32; only the course of its values counts."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height = max(_CELLS[1], round(image.shape[0] * _WIDTH_PX / image.shape[1]))
    return cv2.resize(np.nan_to_num(image.astype(np.float32)), (_WIDTH_PX, height),
                      interpolation=cv2.INTER_AREA)


def _resample(course: ChangeCourse, grid_s: np.ndarray) -> np.ndarray:
    """Return the changes at these times ``(cells, T)``, of zero mean; 0 beyond the ends."""
    changes = np.stack([np.interp(grid_s, course.times_s, cell, np.nan, np.nan)
                        for cell in np.array(course.changes).T])
    changes -= np.nanmean(changes, axis=1, keepdims=True)
    changes /= max(float(np.nanstd(changes)), 1e-12)
    return np.nan_to_num(changes.clip(-_MAX_SIGMAS, _MAX_SIGMAS)).astype(np.float32)


def _correlate(thermal: np.ndarray, rgb: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Return the correlation over all cells and times, at each lag of thermal behind RGB."""
    n_samples = thermal.shape[1]
    correlations = np.zeros(len(lags))
    for index, lag in enumerate(lags):
        late = thermal[:, max(lag, 0):n_samples + min(lag, 0)]
        early = rgb[:, max(-lag, 0):n_samples + min(-lag, 0)]
        energy = np.vdot(late, late) * np.vdot(early, early)
        if energy > 0:
            correlations[index] = np.vdot(late, early) / np.sqrt(energy)
    return correlations


def _check_peak(correlations: np.ndarray, best: int, width: int, max_offset_s: float) -> None:
    peak = float(correlations[best])
    if peak < _MIN_CORRELATION:
        raise TimeOffsetError(f'the changes in the two cameras have a correlation of {peak:.2f} '
                              f'at most, needed are {_MIN_CORRELATION:g}: move the cameras, or '
                              'something in front of both, for ten seconds')
    if best in (0, len(correlations) - 1):
        raise TimeOffsetError(f'the offset is {max_offset_s:g} s or more; give a larger '
                              '--max-offset')
    others = np.concatenate([correlations[:max(best - width, 0)], correlations[best + width:]])
    if others.size and others.max() > _MAX_SECOND_PEAK * peak:
        raise TimeOffsetError(f'another offset fits almost as well (correlation '
                              f'{others.max():.2f} and {peak:.2f}): the motion repeats, or there '
                              'is little; record an irregular motion')


def _refine_peak(correlations: np.ndarray, best: int) -> float:
    """Return the index of the top of the parabola through the highest value and its neighbours."""
    if best in (0, len(correlations) - 1):
        return float(best)
    before, top, after = correlations[best - 1:best + 2]
    curvature = before - 2 * top + after
    return best + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
