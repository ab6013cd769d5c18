# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pairs thermal with RGB frames by time.

Two cameras run at rates of their own, their stamps differ by a constant offset and jitter, their
frames arrive late, twice, out of order, or not at all. Each frame is used at most once, and one
that finds no partner is counted under the reason.

Which frames belong together is the stable matching: the closest two frames are a pair, then the
closest two of the rest, and so on, as far as the tolerance reaches and pairs do not cross. (An
earlier pair may be worse by a small slack.) A pair is handed out as soon as no frame still to come
can change it, judging by the rates of the last frames.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from ivf_ros.parameters import parameter

T = TypeVar('T')

STREAMS = ('thermal', 'rgb')

# Why a frame was dropped.
DROP_REASONS = (
    'unmatched',  # no frame of the other camera lies within the tolerance
    'superseded',  # the partner went to a closer frame of the same camera
    'timeout',  # waited too long, and could not be handed out alone
    'late',  # arrived after a later moment had been handed out without its camera
    'out_of_order',  # arrived after a later frame of its own camera had been decided
    'duplicate',  # had the stamp of a frame that is already here
    'queue_full',  # too many newer frames were waiting
    'clock_jump',  # was waiting when stamps jumped back, as when a bag starts again
)


@dataclass(frozen=True)
class PairingParameters:
    """Which thermal and RGB frames belong together."""

    tolerance_s: float = parameter(
        0.03, 'Greatest difference of the corrected stamps of a pair.', minimum=0.0, maximum=10.0)
    timeout_s: float = parameter(
        0.5, 'A frame that waited this long for the other camera is handed out alone. Longer than '
        'the period of the slower camera plus the difference of the delays.',
        minimum=0.001, maximum=60.0)
    queue_size: int = parameter(
        60, 'Most frames of one camera that wait for the other.', minimum=1, maximum=10000)
    thermal_offset_s: float = parameter(
        0.0, 'Added to thermal stamps before they are compared; -0.04 where they are 40 ms late.',
        minimum=-60.0, maximum=60.0)
    rgb_offset_s: float = parameter(
        0.0, 'Added to RGB stamps before they are compared.', minimum=-60.0, maximum=60.0)
    clock_jump_s: float = parameter(
        1.0, 'A stamp that lies further back than this in its own stream starts everything anew.',
        minimum=0.0, maximum=3600.0)
    slack_s: float = parameter(
        0.002, 'A later frame takes the partner of an earlier one only if closer by more than '
        'this, so that jitter costs no frames where the cameras run half a period apart.',
        minimum=0.0, maximum=1.0)


@dataclass(frozen=True, eq=False)
class Pair(Generic[T]):
    """
    A thermal and an RGB item, or only one of them where the other camera stays away.

    Attributes
    ----------
    thermal, rgb:
        The items as they were added; at most one is None.
    thermal_minus_rgb_s:
        Difference of the corrected stamps; None where one is missing.

    """

    thermal: T | None
    rgb: T | None
    thermal_minus_rgb_s: float | None


class _Waiting(NamedTuple):
    """A frame in a queue. Stamps in a queue are unique, so that only they are compared."""

    time_ns: int  # corrected stamp
    arrived_s: float
    item: Any


class _Decision(Enum):
    PAIR = 0  # the oldest frames of the two streams belong together
    SUPERSEDED = 1  # the partner of the older of them goes to a closer frame
    WAIT = 2  # a frame still to come may decide


class _Stream:
    """What is known of one camera."""

    def __init__(self, offset_s: float) -> None:
        self.offset_ns = round(offset_s * 1e9)
        self.queue: list[_Waiting] = []  # by time
        self.newest_ns: int | None = None  # of all accepted frames
        self.decided_ns: int | None = None  # of all frames that left the queue
        self.intervals_ns: deque[int] = deque(maxlen=8)
        self.last_arrival_s = 0.0  # when a frame last arrived
        self.active_since_s = 0.0  # when the first frame after the last silence arrived

    def forget(self) -> None:
        self.queue.clear()
        self.intervals_ns.clear()
        self.newest_ns = self.decided_ns = None

    def take(self) -> _Waiting:
        frame = self.queue.pop(0)
        self.decided_ns = frame.time_ns
        return frame

    def earliest_next_ns(self) -> int:
        """Return when the next frame can be expected at the earliest, judging by the last few."""
        assert self.newest_ns is not None
        return self.newest_ns + min(self.intervals_ns, default=1)


class PairSynchronizer(Generic[T]):
    """
    Pairs items of two streams by their stamps; not thread-safe.

    Every added frame is, at any time, in exactly one place: it was handed out in a pair, handed
    out alone, counted in ``drops``, or it is waiting::

        added == 2 * pairs + frames handed out alone + sum(drops.values()) + waiting

    A frame is handed out alone, at once, where its camera has spoken for the time-out and the
    other one has been silent meanwhile, and otherwise after waiting for the time-out itself. What
    is handed out never goes back in time: neither the frames of one camera, nor the moments of
    the pairs, which are those of RGB, or of thermal where there is no RGB. A stamp that jumps
    back starts everything anew.
    """

    def __init__(self, parameters: PairingParameters | None = None,
                 pass_single: bool = True) -> None:
        """Start empty; without ``pass_single`` a frame is never handed out alone, but dropped."""
        self.parameters = parameters or PairingParameters()
        self._pass_single = pass_single
        self.pairs = 0
        self.added = 0
        self.drops = dict.fromkeys(DROP_REASONS, 0)
        self._streams = {'thermal': _Stream(self.parameters.thermal_offset_s),
                         'rgb': _Stream(self.parameters.rgb_offset_s)}
        self._tolerance_ns = round(self.parameters.tolerance_s * 1e9)
        self._slack_ns = round(self.parameters.slack_s * 1e9)
        self._last_output_ns: int | None = None  # of what was handed out last
        self._now_s: float | None = None

    @property
    def waiting(self) -> int:
        """Number of frames that wait for a decision."""
        return sum(len(stream.queue) for stream in self._streams.values())

    def add(self, stream: str, stamp_ns: int, item: T, now_s: float) -> list[Pair[T]]:
        """
        Add a frame and return what it decides, oldest first.

        ``stream`` is ``'thermal'`` or ``'rgb'``; ``now_s`` is the time of arrival on any clock
        that does not depend on the stamps, such as ``time.monotonic()``.

        Raises
        ------
        ValueError
            There is no such stream.

        """
        if stream not in self._streams:
            raise ValueError(f"unknown stream '{stream}'; known: {', '.join(STREAMS)}")
        self._update_clock(now_s)
        self.added += 1
        own = self._streams[stream]
        # A frame that is refused still tells that its camera is there.
        if now_s - own.last_arrival_s >= self.parameters.timeout_s:
            own.active_since_s = now_s
        own.last_arrival_s = now_s
        time_ns = stamp_ns + own.offset_ns
        if own.newest_ns is not None and \
                own.newest_ns - time_ns > self.parameters.clock_jump_s * 1e9:
            self._reset()
        reason = self._rejection_reason(stream, time_ns)
        if reason:
            self.drops[reason] += 1
            return self.poll(now_s)
        if own.newest_ns is None:
            own.newest_ns = time_ns
        elif time_ns > own.newest_ns:
            own.intervals_ns.append(time_ns - own.newest_ns)
            own.newest_ns = time_ns
        insort(own.queue, _Waiting(time_ns, now_s, item))
        decided = self.poll(now_s)
        while len(own.queue) > self.parameters.queue_size:
            self._drop(own, 'queue_full')
        return decided

    def poll(self, now_s: float) -> list[Pair[T]]:
        """Return what the passing of time decides; call it a few times per time-out."""
        self._update_clock(now_s)
        thermal, rgb = self._streams['thermal'], self._streams['rgb']
        decided: list[Pair[T]] = []
        while thermal.queue and rgb.queue:
            older, newer = (thermal, rgb) if thermal.queue[0].time_ns <= rgb.queue[0].time_ns \
                else (rgb, thermal)
            if newer.queue[0].time_ns - older.queue[0].time_ns > self._tolerance_ns:
                self._drop(older, 'unmatched')
                continue
            arrived_s = min(older.queue[0].arrived_s, newer.queue[0].arrived_s)
            expired = now_s - arrived_s >= self.parameters.timeout_s
            verdict = _decide(older, newer, self._slack_ns, expired)
            if verdict is _Decision.WAIT:
                return decided
            if verdict is _Decision.SUPERSEDED:
                self._drop(older, 'superseded')
            else:
                decided.append(self._pair())
        for own, other in ((thermal, rgb), (rgb, thermal)):
            decided += self._settle_alone(own, other, now_s)
        return decided

    def _pair(self) -> Pair[T]:
        thermal, rgb = self._streams['thermal'].take(), self._streams['rgb'].take()
        self.pairs += 1
        self._last_output_ns = rgb.time_ns
        return Pair(thermal.item, rgb.item, (thermal.time_ns - rgb.time_ns) / 1e9)

    def _settle_alone(self, own: _Stream, other: _Stream, now_s: float) -> list[Pair[T]]:
        """Decide on the frames of one stream while nothing of the other one waits."""
        decided: list[Pair[T]] = []
        timeout_s = self.parameters.timeout_s
        while own.queue and not other.queue:
            frame = own.queue[0]
            if other.newest_ns is not None \
                    and other.newest_ns - frame.time_ns > self._tolerance_ns:
                self._drop(own, 'unmatched')
            elif now_s - max(other.last_arrival_s, own.active_since_s) < timeout_s \
                    and now_s - frame.arrived_s < timeout_s:
                break
            elif not self._pass_single or self._has_passed(frame.time_ns):
                self._drop(own, 'timeout')
            else:
                own.take()
                self._last_output_ns = frame.time_ns
                is_thermal = own is self._streams['thermal']
                decided.append(Pair(frame.item if is_thermal else None,
                                    None if is_thermal else frame.item, None))
        return decided

    def _has_passed(self, time_ns: int) -> bool:
        return self._last_output_ns is not None and time_ns <= self._last_output_ns

    def _rejection_reason(self, stream: str, time_ns: int) -> str:
        """Return why a frame that arrives cannot be used, or ''."""
        own = self._streams[stream]
        if time_ns == own.decided_ns or any(time_ns == frame.time_ns for frame in own.queue):
            return 'duplicate'
        if own.decided_ns is not None and time_ns < own.decided_ns:
            return 'out_of_order'
        return 'late' if stream == 'rgb' and self._has_passed(time_ns) else ''

    def _drop(self, stream: _Stream, reason: str) -> None:
        stream.take()
        self.drops[reason] += 1

    def _reset(self) -> None:
        self.drops['clock_jump'] += self.waiting
        for stream in self._streams.values():
            stream.forget()
        self._last_output_ns = None

    def _update_clock(self, now_s: float) -> None:
        """Begin to count silence with the first call, and again where time was set back."""
        if self._now_s is None or now_s < self._now_s:
            for stream in self._streams.values():
                stream.last_arrival_s = stream.active_since_s = now_s
                stream.queue = [frame._replace(arrived_s=now_s) for frame in stream.queue]
        self._now_s = now_s


def _decide(older: _Stream, newer: _Stream, slack_ns: int, expired: bool) -> _Decision:
    """
    Decide on the oldest frames of two streams, of which that of ``older`` comes first.

    Only the next frame of the same stream, the rival, can be closer to the partner. Where it is,
    and lies after the partner, the question becomes whether these two are a pair, and the answer
    turns around. Distances shrink from step to step, so that this soon ends. ``expired`` says not
    to wait for a rival that has not come.
    """
    i, j, swapped = 0, 0, False
    while True:
        frame_ns, partner_ns = older.queue[i].time_ns, newer.queue[j].time_ns
        max_distance_ns = partner_ns - frame_ns - slack_ns  # a rival must be closer than this
        if i + 1 == len(older.queue):
            if not expired and older.earliest_next_ns() - partner_ns < max_distance_ns:
                return _Decision.WAIT
            is_pair = True
            break
        rival_ns = older.queue[i + 1].time_ns
        if abs(rival_ns - partner_ns) >= max_distance_ns:
            is_pair = True
            break
        if rival_ns <= partner_ns:
            is_pair = False
            break
        older, i, newer, j, swapped = newer, j, older, i + 1, not swapped
    return _Decision.PAIR if is_pair != swapped else _Decision.SUPERSEDED
