# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The playback of a source at its pace: pauses, rates, late frames, stamps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import threading
import time

from ivf_ros.data.recording import SourceError
from ivf_ros.data.source_changes import SourceChanges
from ivf_ros.data.sources import Source
from ivf_ros.nodes.graph.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.graph.playhead import LateFrames, Playhead
from ivf_ros.types import Event

_CLOCK_PERIOD_S = 0.02


class Playback:
    """
    Plays the frames of a source when they are due.

    Parameters
    ----------
    source:
        The source.
    get_parameters:
        Returns the present parameters; ``rate`` and ``paused`` may change.
    publish:
        Called with each frame when it is due.
    publish_clock:
        Called often with the recorded time in nanoseconds, except in a pause.
    now_ns:
        Returns the time for the stamps of frames that are stamped anew, in nanoseconds.

    Attributes
    ----------
    position_s:
        The recorded time that is reached, from the first frame.

    """

    def __init__(self, source: Source, get_parameters: Callable[[], ReplayNodeParameters],
                 publish: Callable[[Event], None], publish_clock: Callable[[int], None],
                 now_ns: Callable[[], int]) -> None:
        self._source, self._get_parameters = source, get_parameters
        self._publish, self._publish_clock, self._now_ns = publish, publish_clock, now_ns
        self._changes = SourceChanges(source.name)
        self._late_frames = LateFrames(get_parameters().max_lag_s)
        self._stopping = threading.Event()
        self._playhead: Playhead | None = None  # from the first frame of a pass on
        self._first_stamp_ns = 0
        self.position_s = 0.0

    @property
    def n_late(self) -> int:
        """Return the number of frames that were skipped because they were late."""
        return self._late_frames.count

    @property
    def is_stopping(self) -> bool:
        """Return whether ``stop`` was called since the start."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Allow to play, also after ``stop``."""
        self._stopping.clear()

    def stop(self) -> None:
        """End the present pass, from another thread."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Wait; return at once whether ``stop`` was called."""
        return self._stopping.wait(seconds)

    def play_once(self) -> bool:
        """
        Play the source from its start; return whether its end or maximum duration was reached.

        Raises
        ------
        SourceError
            Nothing can be read, or a part could not be read because the files have changed.

        """
        self._playhead = None
        for event in self._source.events(self._is_wanted):
            frame, parameters = event.frame, self._get_parameters()
            if self._playhead is None:
                self._first_stamp_ns, start_s = frame.stamp_ns, time.monotonic()
                start_ns = self._now_ns()
                self._playhead = Playhead(parameters.rate, parameters.paused, start_s)
            position_s = self._to_position_s(frame.stamp_ns)
            if 0 < parameters.max_duration_s < position_s:
                break
            due_s = self._wait_until_due(self._playhead, position_s)
            if due_s is None:
                return False
            if parameters.restamp:
                frame = replace(frame, stamp_ns=start_ns + round((due_s - start_s) * 1e9))
            self._publish(replace(event, frame=frame))
        if self._source.skipped and (change := self._changes.describe()):
            lost = ', '.join(f'{reason} {n}' for reason, n in self._source.skipped.items())
            raise SourceError(f'{self._source.name} was changed while it was played: {change}; '
                              f'lost: {lost}')
        return not self.is_stopping

    def _is_wanted(self, stream: str, stamp_ns: int) -> bool:
        """Return whether to read a frame: not if it is too late."""
        playhead, now_s = self._playhead, time.monotonic()
        if playhead is None or self._stopping.is_set():
            return True
        lag_s = now_s - playhead.due_s(self._to_position_s(stamp_ns))
        return not self._late_frames.should_skip(stream, lag_s, now_s)

    def _to_position_s(self, stamp_ns: int) -> float:
        return (stamp_ns - self._first_stamp_ns) * 1e-9

    def _wait_until_due(self, playhead: Playhead, position_s: float) -> float | None:
        """Wait for a position and publish the clock; return its due time, None if stopped."""
        while not self._stopping.is_set():
            now_s, parameters = time.monotonic(), self._get_parameters()
            playhead.change(parameters.rate, parameters.paused, now_s)
            due_s = playhead.due_s(position_s)
            self.position_s = min(position_s, playhead.position_s(now_s))
            if not parameters.paused:
                self._publish_clock(self._first_stamp_ns + round(self.position_s * 1e9))
            if due_s <= now_s:
                return due_s
            self._stopping.wait(min(due_s - now_s, _CLOCK_PERIOD_S))
        return None
