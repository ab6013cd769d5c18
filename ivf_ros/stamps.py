# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of the stamps of cameras, found by the time of arrival, and their correction in recordings.

A message has two times: the stamp that the driver of the camera set, and the time at which the
recorder or the node received it. The stamp is the better one, because it has neither the delay
nor the jitter of the transport. But drivers leave it at zero, count from the start of the camera,
repeat it, or send a first message from an old buffer; and clocks are set while they run. The
receiver has one clock for all messages, which shows such faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

STAMPS = ('auto', 'header', 'recorded')

_NS_PER_S = 1_000_000_000
# A stamp may differ by this from what the clock of the recorder suggests: transport takes time.
_TOLERANCE_NS = 1 * _NS_PER_S

# Called with a reason and a text; it reports each reason once.
Warn = Callable[[str, str], None]


class MessageTimes(NamedTuple):
    """The two times of a message in nanoseconds, and the camera that it is from."""

    stream: str  # 'thermal' or 'rgb'
    stamp_ns: int  # of the driver
    recorded_ns: int  # or received by a node


@dataclass(frozen=True)
class ClockReport:
    """
    What some successive frames of one camera show about its clock.

    Attributes
    ----------
    offset_s:
        Median of stamp minus time of recording, in seconds; 0 where the stamps are unusable.
    fault:
        Why the stamps are unusable, or an empty string.

    """

    offset_s: float
    fault: str = ''


def examine_clock(times: Iterable[MessageTimes]) -> ClockReport:
    """
    Judge the clock of a camera by some successive frames.

    The stamps are unusable if most are zero, or if most repeat the one before.
    """
    frames = list(times)
    stamped = [frame for frame in frames if frame.stamp_ns != 0]
    if 2 * len(stamped) <= len(frames):
        return ClockReport(0.0, 'are zero')
    repeats = sum(a.stamp_ns == b.stamp_ns for a, b in pairwise(stamped))
    if 2 * repeats >= len(stamped) > 4:  # fewer frames may be copies of one
        return ClockReport(0.0, 'do not advance')
    offsets_ns = sorted(frame.stamp_ns - frame.recorded_ns for frame in stamped)
    return ClockReport(offsets_ns[len(offsets_ns) // 2] / _NS_PER_S)


class StampCorrector:
    """
    Corrects the stamps of a recording, message by message in the order of recording.

    Parameters
    ----------
    mode:
        ``'header'`` keeps all stamps, except those of zero, which mean 'no time' in ROS.
        ``'recorded'`` replaces all stamps by the time of recording. ``'auto'`` keeps the stamps
        where it can:

        - A camera whose stamps are zero or do not advance gets the time of recording.
        - If the clocks of the two cameras differ by more than a second, each clock that differs
          from that of the recorder is shifted to it by a constant.
        - If a stamp jumps by more than a second and the recorder saw no such interval, the time
          continues by the clock of the recorder, and later stamps of this camera are shifted.
    first:
        The times of the first messages of both cameras, by which ``'auto'`` judges the clocks.
    warn:
        Called with a reason and a text for each kind of correction.

    """

    def __init__(self, mode: str, first: Iterable[MessageTimes], warn: Warn) -> None:
        self._mode = mode
        self._clocks: dict[str, _Clock] = {}
        if mode == 'auto':
            self._clocks = _make_clocks(list(first), warn)
        self._warn = warn

    def correct(self, times: MessageTimes) -> int:
        """Return the corrected stamp of the next message in nanoseconds."""
        if self._mode == 'recorded':
            return times.recorded_ns
        if self._mode == 'header':
            return times.stamp_ns or times.recorded_ns
        clock = self._clocks.get(times.stream)
        if clock is None:
            clock = self._clocks[times.stream] = _Clock(times.stream, self._warn)
        return clock.correct(times.stamp_ns, times.recorded_ns)


@dataclass
class _Clock:
    """The clock of one camera: its offset to the clock of the recorder, and its jumps."""

    stream: str
    warn: Warn
    is_usable: bool = True
    offset_ns: int | None = None  # stamp minus time of recording, from the first frames
    constant_ns: int = 0  # added to all stamps
    jumps_ns: int = 0  # added to the stamps since the last jump
    last: tuple[int, int, int] | None = None  # stamp, time of recording, corrected stamp

    def correct(self, stamp_ns: int, recorded_ns: int) -> int:
        """Return the corrected stamp of the next frame."""
        if not self.is_usable:
            return recorded_ns
        if stamp_ns == 0:  # a single one: go on from the last frame by the clock of the recorder
            return recorded_ns if self.last is None else self.last[2] + recorded_ns - self.last[1]
        corrected_ns = self._correct_first(stamp_ns, recorded_ns) if self.last is None else \
            self._correct_next(stamp_ns, recorded_ns, *self.last)
        self.last = stamp_ns, recorded_ns, corrected_ns
        return corrected_ns

    def _correct_first(self, stamp_ns: int, recorded_ns: int) -> int:
        expected_ns = stamp_ns if self.offset_ns is None else recorded_ns + self.offset_ns
        if abs(stamp_ns - expected_ns) > _TOLERANCE_NS:
            self._warn_about_jump(stamp_ns - expected_ns)
            self.jumps_ns = expected_ns - stamp_ns
        return stamp_ns + self.constant_ns + self.jumps_ns

    def _correct_next(self, stamp_ns: int, recorded_ns: int, last_stamp_ns: int,
                      last_recorded_ns: int, last_corrected_ns: int) -> int:
        interval_ns = stamp_ns - last_stamp_ns
        recorded_interval_ns = recorded_ns - last_recorded_ns
        # A longer interval of the recorder is no jump: it may have waited for its disk, or its
        # clock was set.
        if abs(interval_ns - recorded_interval_ns) > _TOLERANCE_NS \
                and abs(interval_ns) > abs(recorded_interval_ns):
            self._warn_about_jump(interval_ns - recorded_interval_ns)
            continued_ns = last_corrected_ns + max(recorded_interval_ns, 0)
            jumps_ns = continued_ns - stamp_ns - self.constant_ns
            # After one stale stamp the others are where they were expected.
            self.jumps_ns = jumps_ns if abs(jumps_ns) > _TOLERANCE_NS else 0
        return stamp_ns + self.constant_ns + self.jumps_ns

    def _warn_about_jump(self, jump_ns: int) -> None:
        self.warn(f'{self.stream} stamps jump',
                  f'the stamps of the {self.stream} camera jump by {jump_ns / _NS_PER_S:+.3f} s; '
                  'the time continues by the clock of the recorder')


def _make_clocks(first: list[MessageTimes], warn: Warn) -> dict[str, _Clock]:
    """Judge the clocks by the first messages; warn about those that cannot be used as they are."""
    reports = {stream: examine_clock(times for times in first if times.stream == stream)
               for stream in ('thermal', 'rgb') if any(t.stream == stream for t in first)}
    clocks = {stream: _Clock(stream, warn, not report.fault,
                             round(report.offset_s * _NS_PER_S))
              for stream, report in reports.items()}
    for stream, report in reports.items():
        if report.fault:
            warn(f'{stream} stamps', f'the stamps of the {stream} camera {report.fault}; the time '
                 'of recording replaces them')
    offsets_s = [report.offset_s for report in reports.values()]
    if len(offsets_s) < 2 or abs(offsets_s[0] - offsets_s[1]) * _NS_PER_S <= _TOLERANCE_NS:
        return clocks
    for clock in clocks.values():
        if clock.offset_ns is not None and abs(clock.offset_ns) > _TOLERANCE_NS:
            clock.constant_ns = -clock.offset_ns
    warn('clocks differ', 'the clocks of the cameras differ: thermal minus RGB is '
         f'{offsets_s[0] - offsets_s[1]:+.3f} s. The stamps are shifted to the clock of the '
         'recorder; --stamps header keeps them, --stamps recorded replaces them')
    return clocks
