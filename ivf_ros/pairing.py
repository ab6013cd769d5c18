# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pairing of thermal and RGB frames by time.

The two cameras run at independent rates. Their stamps differ by a constant offset and jitter, and
their frames arrive late, duplicated, out of order, or not at all. Each frame is used at most once.
A frame without a partner is counted under a drop reason.

The pairs are a stable matching: the two closest frames form a pair, then the two closest of the
remaining frames, and so on, within the tolerance and without crossing pairs. (An earlier pair may
be worse by a small slack.) A pair is output as soon as no future frame can change it; the times
of future frames are estimated from the recent frame intervals.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any, Generic, NamedTuple, TypeVar

from ivf_ros.parameters import parameter

T = TypeVar('T')

STREAMS = ('thermal', 'rgb')
MATCHES = ('stamps', 'arrival')

# Reasons for a dropped frame.
DROP_REASONS = (
    'unmatched',  # no frame of the other camera is within the tolerance
    'superseded',  # its partner was paired with a closer frame of the same camera
    'timeout',  # waited too long and could not be output as a single frame
    'late',  # arrived after a later time had been output without this camera
    'out_of_order',  # arrived after a later frame of the same camera had been decided
    'duplicate',  # has the stamp of an earlier frame of the same camera
    'queue_full',  # the queue of its camera was full
    'clock_jump',  # was waiting when the stamps jumped back, for example in a looped bag
)


# Of the tolerance that follows the rates. Half a period is the greatest distance to the nearest
# frame of a camera without jitter.
_TOLERANCE_PERIODS = 0.55
_MIN_TOLERANCE_S, _MAX_TOLERANCE_S = 0.03, 0.1
_MIN_INTERVALS = 4  # of each camera, for its rate


@dataclass(frozen=True)
class PairingParameters:
    """Parameters of the pairing of thermal and RGB frames."""

    tolerance_s: float = parameter(
        0.0, 'Maximum difference between the corrected stamps of a pair. 0: follows the rates, '
        '0.55 periods of the faster camera, from 0.03 to 0.1 s, so that each frame of the slower '
        'camera has a partner.', minimum=0.0, maximum=10.0)
    timeout_s: float = parameter(
        0.5, 'Waiting time after which a frame is output without a partner. It must exceed the '
        'period of the slower camera plus the difference of the delays.',
        minimum=0.001, maximum=60.0)
    queue_size: int = parameter(
        60, 'Maximum number of frames of one camera that wait for the other.',
        minimum=1, maximum=10000)
    match: str = parameter(
        'stamps', 'Times that are compared: stamps of the cameras, or arrival of the messages, '
        'for cameras whose clocks differ or do not advance.', choices=MATCHES)
    thermal_offset_s: float = parameter(
        0.0, 'Correction added to thermal times before the comparison; -0.04 if they are 40 ms '
        'late.', minimum=-1e10, maximum=1e10)
    rgb_offset_s: float = parameter(
        0.0, 'Correction added to RGB times before the comparison.',
        minimum=-1e10, maximum=1e10)
    clock_jump_s: float = parameter(
        1.0, 'A stamp that jumps back by more than this within its stream resets the pairing.',
        minimum=0.0, maximum=3600.0)
    slack_s: float = parameter(
        0.002, 'A later frame replaces an earlier one in a pair only if it is closer to the '
        'partner by more than this. It prevents drops by jitter between cameras half a period '
        'apart.',
        minimum=0.0, maximum=1.0)


@dataclass(frozen=True, eq=False)
class Pair(Generic[T]):
    """
    A thermal and an RGB item, or only one of them if the other camera delivers no frames.

    Attributes
    ----------
    thermal, rgb:
        The items as they were added; at most one is None.
    thermal_minus_rgb_s:
        Difference of the corrected stamps; None if one item is missing.

    """

    thermal: T | None
    rgb: T | None
    thermal_minus_rgb_s: float | None


class _QueuedFrame(NamedTuple):
    """A queued frame. The stamps in a queue are unique, so sorting compares only them."""

    time_ns: int  # corrected stamp
    arrived_s: float
    item: Any


class _Decision(Enum):
    PAIR = 0  # the oldest frames of the two streams form a pair
    SUPERSEDED = 1  # the partner of the older frame has a closer frame
    WAIT = 2  # a future frame may change the decision


class _Stream:
    """State of one camera."""

    def __init__(self, offset_s: float) -> None:
        self.offset_ns = round(offset_s * 1e9)
        self.queue: list[_QueuedFrame] = []  # sorted by time
        self.newest_ns: int | None = None  # of all accepted frames
        self.decided_ns: int | None = None  # of all frames that left the queue
        self.intervals_ns: deque[int] = deque(maxlen=8)
        self.last_arrival_s = 0.0  # arrival time of the last frame
        self.active_since_s = 0.0  # arrival time of the first frame after the last pause

    def clear(self) -> None:
        self.queue.clear()
        self.intervals_ns.clear()
        self.newest_ns = self.decided_ns = None

    def pop_oldest(self) -> _QueuedFrame:
        frame = self.queue.pop(0)
        self.decided_ns = frame.time_ns
        return frame

    def earliest_next_ns(self) -> int:
        """Return the earliest expected time of the next frame, from the last few intervals."""
        assert self.newest_ns is not None
        return self.newest_ns + min(self.intervals_ns, default=1)


class PairSynchronizer(Generic[T]):
    """
    Pairs the items of two streams by their stamps; not thread-safe.

    Every added frame is in exactly one place: output in a pair, output as a single frame, counted
    in ``drops``, or waiting::

        added == 2 * pairs + single frames + sum(drops.values()) + waiting

    A frame is output as a single frame immediately if its camera has been active for the timeout
    and the other camera has been silent meanwhile, and otherwise after it has waited for the
    timeout itself. The output never goes back in time, neither the frames of one camera nor the
    times of the pairs. The time of a pair is that of RGB, or of thermal if there is no RGB. A
    stamp that jumps back resets the synchronizer.
    """

    def __init__(self, parameters: PairingParameters | None = None,
                 pass_single: bool = True) -> None:
        """Start empty; if not ``pass_single``, frames without a partner are dropped."""
        self.parameters = parameters or PairingParameters()
        self._pass_single = pass_single
        self.pairs = 0
        self.added = 0
        self.drops = dict.fromkeys(DROP_REASONS, 0)
        self._streams = {'thermal': _Stream(self.parameters.thermal_offset_s),
                         'rgb': _Stream(self.parameters.rgb_offset_s)}
        self._tolerance_ns = round((self.parameters.tolerance_s or _MIN_TOLERANCE_S) * 1e9)
        self._slack_ns = round(self.parameters.slack_s * 1e9)
        self._last_output_ns: int | None = None  # time of the last output
        self._now_s: float | None = None

    @property
    def tolerance_s(self) -> float:
        """Return the present maximum difference of the stamps of a pair."""
        return self._tolerance_ns / 1e9

    @property
    def waiting(self) -> int:
        """Return the number of frames that wait for a decision."""
        return sum(len(stream.queue) for stream in self._streams.values())

    def add(self, stream: str, stamp_ns: int, item: T, now_s: float) -> list[Pair[T]]:
        """
        Add a frame and return the pairs that are now decided, oldest first.

        ``stream`` is ``'thermal'`` or ``'rgb'``. ``now_s`` is the arrival time on any clock that
        is independent of the stamps, such as ``time.monotonic()``.

        Raises
        ------
        ValueError
            The stream is unknown.

        """
        if stream not in self._streams:
            raise ValueError(f"unknown stream '{stream}'; known: {', '.join(STREAMS)}")
        self._update_clock(now_s)
        self.added += 1
        state = self._streams[stream]
        # A rejected frame also shows that its camera is active.
        if now_s - state.last_arrival_s >= self.parameters.timeout_s:
            state.active_since_s = now_s
        state.last_arrival_s = now_s
        if self.parameters.match == 'arrival':
            stamp_ns = round(now_s * 1e9)
        time_ns = stamp_ns + state.offset_ns
        if state.newest_ns is not None and \
                state.newest_ns - time_ns > self.parameters.clock_jump_s * 1e9:
            self._reset()
        reason = self._rejection_reason(stream, time_ns)
        if reason:
            self.drops[reason] += 1
            return self.poll(now_s)
        if state.newest_ns is None:
            state.newest_ns = time_ns
        elif time_ns > state.newest_ns:
            state.intervals_ns.append(time_ns - state.newest_ns)
            state.newest_ns = time_ns
            self._follow_rates()
        insort(state.queue, _QueuedFrame(time_ns, now_s, item))
        decided = self.poll(now_s)
        while len(state.queue) > self.parameters.queue_size:
            self._drop(state, 'queue_full')
        return decided

    def poll(self, now_s: float) -> list[Pair[T]]:
        """Return the pairs that a timeout decides; call it a few times per timeout."""
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
            decision = _decide(older, newer, self._slack_ns, expired)
            if decision is _Decision.WAIT:
                return decided
            if decision is _Decision.SUPERSEDED:
                self._drop(older, 'superseded')
            else:
                decided.append(self._output_pair())
        for stream, other in ((thermal, rgb), (rgb, thermal)):
            decided += self._decide_singles(stream, other, now_s)
        return decided

    def _follow_rates(self) -> None:
        """Adapt the tolerance to the rates, unless it is set."""
        intervals_ns = [stream.intervals_ns for stream in self._streams.values()]
        if self.parameters.tolerance_s or min(map(len, intervals_ns)) < _MIN_INTERVALS:
            return
        period_s = min(median(each) for each in intervals_ns) / 1e9
        tolerance_s = min(max(_TOLERANCE_PERIODS * period_s, _MIN_TOLERANCE_S), _MAX_TOLERANCE_S)
        self._tolerance_ns = round(tolerance_s * 1e9)

    def _output_pair(self) -> Pair[T]:
        thermal, rgb = self._streams['thermal'].pop_oldest(), self._streams['rgb'].pop_oldest()
        self.pairs += 1
        self._last_output_ns = rgb.time_ns
        return Pair(thermal.item, rgb.item, (thermal.time_ns - rgb.time_ns) / 1e9)

    def _decide_singles(self, stream: _Stream, other: _Stream, now_s: float) -> list[Pair[T]]:
        """Decide on the frames of one stream while no frame of the other stream waits."""
        decided: list[Pair[T]] = []
        timeout_s = self.parameters.timeout_s
        while stream.queue and not other.queue:
            frame = stream.queue[0]
            if other.newest_ns is not None \
                    and other.newest_ns - frame.time_ns > self._tolerance_ns:
                self._drop(stream, 'unmatched')
            elif now_s - max(other.last_arrival_s, stream.active_since_s) < timeout_s \
                    and now_s - frame.arrived_s < timeout_s:
                break
            elif not self._pass_single or self._is_past(frame.time_ns):
                self._drop(stream, 'timeout')
            else:
                stream.pop_oldest()
                self._last_output_ns = frame.time_ns
                is_thermal = stream is self._streams['thermal']
                decided.append(Pair(frame.item if is_thermal else None,
                                    None if is_thermal else frame.item, None))
        return decided

    def _is_past(self, time_ns: int) -> bool:
        return self._last_output_ns is not None and time_ns <= self._last_output_ns

    def _rejection_reason(self, stream: str, time_ns: int) -> str:
        """Return the drop reason of a new frame, or '' if it can be used."""
        state = self._streams[stream]
        if time_ns == state.decided_ns or any(time_ns == frame.time_ns for frame in state.queue):
            return 'duplicate'
        if state.decided_ns is not None and time_ns < state.decided_ns:
            return 'out_of_order'
        return 'late' if stream == 'rgb' and self._is_past(time_ns) else ''

    def _drop(self, stream: _Stream, reason: str) -> None:
        stream.pop_oldest()
        self.drops[reason] += 1

    def _reset(self) -> None:
        self.drops['clock_jump'] += self.waiting
        for stream in self._streams.values():
            stream.clear()
        self._last_output_ns = None

    def _update_clock(self, now_s: float) -> None:
        """Start the timeouts with the first call, and restart them if the clock was set back."""
        if self._now_s is None or now_s < self._now_s:
            for stream in self._streams.values():
                stream.last_arrival_s = stream.active_since_s = now_s
                stream.queue = [frame._replace(arrived_s=now_s) for frame in stream.queue]
        self._now_s = now_s


def _decide(older: _Stream, newer: _Stream, slack_ns: int, expired: bool) -> _Decision:
    """
    Decide on the oldest frames of two streams, of which that of ``older`` is earlier.

    Only the next frame of the same stream, the rival, can be closer to the partner. If the rival
    is closer and later than the partner, the same question applies to the rival and the partner,
    with the opposite answer. The distances shrink with each step, so the loop ends soon. If
    ``expired``, the decision does not wait for a rival that has not arrived.
    """
    i, j, swapped = 0, 0, False
    while True:
        frame_ns, partner_ns = older.queue[i].time_ns, newer.queue[j].time_ns
        max_distance_ns = partner_ns - frame_ns - slack_ns  # limit for a rival
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
