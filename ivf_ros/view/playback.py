# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A source played through the stages at its recorded speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import time
from typing import Any

from ivf_ros.data.sources import Source
from ivf_ros.pairing import PairSynchronizer
from ivf_ros.view.live_stages import Delivery, LiveStages
from ivf_ros.view.viewer import ViewError

_PROGRESS_PERIOD_S = 0.25
_WAIT_S = 0.1  # between two looks at whether the viewer was closed
_DRAIN_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class PlaybackSettings:
    """
    How a source is played.

    Attributes
    ----------
    rate:
        Speed as a multiple of the recorded speed.
    seconds:
        Duration in recorded time; infinity for all of it.

    """

    rate: float = 1.0
    seconds: float = math.inf


@dataclass(frozen=True)
class Progress:
    """
    Where a playback is.

    Attributes
    ----------
    position_s:
        Recorded time since the first frame.
    behind_s:
        Delay of the latest frame: the source is slower than the playback should be.

    """

    position_s: float
    behind_s: float


class Playback:
    """
    Plays a source: waits for the time of each frame, pairs the frames and feeds the stages.

    A stage that cannot keep up skips pairs, see ``LiveStages``. A source that cannot, because
    decoding takes longer than the recording, is played later than it should be.
    """

    def __init__(self, source: Source, stages: LiveStages,
                 settings: PlaybackSettings = PlaybackSettings()) -> None:
        self._source, self._stages, self._settings = source, stages, settings
        self._synchronizer: PairSynchronizer[Delivery] = PairSynchronizer()
        self._position_s = self._behind_s = self._most_behind_s = 0.0
        self._pairs = 0

    def run(self, is_open: Callable[[], bool] = lambda: True,
            on_progress: Callable[[Progress], None] = lambda progress: None) -> None:
        """
        Play the source to its end, or until ``is_open()`` is false.

        Raises
        ------
        SourceError
            The source cannot be read.
        ViewError
            No pair of the source could be fused.

        """
        first_ns, start_s, next_progress_s = None, 0.0, 0.0
        rate = self._settings.rate
        for event in self._source.events():
            frame = event.frame
            if first_ns is None:
                first_ns, start_s = frame.stamp_ns, time.monotonic()
            position_s = (frame.stamp_ns - first_ns) * 1e-9
            if position_s > self._settings.seconds:
                break
            if not self._wait_until(start_s + position_s / rate, is_open):
                return
            now_s = time.monotonic()
            self._position_s = max(self._position_s, position_s)
            self._behind_s = max(0.0, now_s - start_s - position_s / rate)
            self._most_behind_s = max(self._most_behind_s, self._behind_s)
            # Time-outs of the pairing count recorded time, whatever the rate.
            for pair in self._synchronizer.add(event.stream, frame.stamp_ns,
                                               Delivery(frame, now_s), self._position_s):
                self._pairs += 1
                self._stages.put(pair)
            if now_s >= next_progress_s:
                next_progress_s = now_s + _PROGRESS_PERIOD_S
                on_progress(Progress(self._position_s, self._behind_s))
        self._finish()
        on_progress(Progress(self._position_s, self._behind_s))

    def report(self) -> dict[str, Any]:
        """Return the counts of the playback so far, for people and for ``--json``."""
        return {'source': self._source.name, 'seconds': round(self._position_s, 3),
                'pairs': self._pairs, **{name: self._stages.counts[name] for name in
                                         ('fused', 'measured', 'perceived')},
                'skipped': dict(self._stages.skipped),
                'unpaired': {reason: n for reason, n in self._synchronizer.drops.items() if n},
                'skipped_by_source': dict(self._source.skipped),
                'errors': dict(self._stages.errors),
                'most_behind_s': round(self._most_behind_s, 3),
                'latency_ms': self._stages.latencies_ms()}

    def _finish(self) -> None:
        """Process the frames that still wait for a partner, and everything in the stages."""
        end_s = self._position_s + 2 * self._synchronizer.parameters.timeout_s
        for pair in self._synchronizer.poll(end_s):
            self._stages.wait_until_idle(_DRAIN_TIMEOUT_S)  # it would replace the one before
            self._pairs += 1
            self._stages.put(pair)
        self._stages.wait_until_idle(_DRAIN_TIMEOUT_S)
        if not self._stages.counts['fused']:
            raise ViewError('; '.join([f'none of {self._pairs} pairs was fused',
                                       *self._stages.errors]))

    def _wait_until(self, due_s: float, is_open: Callable[[], bool]) -> bool:
        """Wait; return False if the viewer was closed."""
        while True:
            if not is_open():
                return False
            wait_s = due_s - time.monotonic()
            if wait_s <= 0:
                return True
            time.sleep(min(wait_s, _WAIT_S))
