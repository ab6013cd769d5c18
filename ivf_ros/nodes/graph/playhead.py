# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The playback position of a replay, with a variable rate and pauses, and its late frames."""

from __future__ import annotations

import math


class Playhead:
    """
    Maps steady time to recorded time: piecewise linear, constant while paused.

    All times are in seconds. Positions count from the start of the recording.

    Parameters
    ----------
    rate:
        Recorded seconds per second of steady time.
    paused:
        Whether the replay is paused.
    now_s:
        The steady time at which the recording starts.

    """

    def __init__(self, rate: float, paused: bool, now_s: float) -> None:
        self._rate, self._paused = rate, paused
        self._changed_s, self._changed_position_s = now_s, 0.0  # at the last change

    def position_s(self, now_s: float) -> float:
        """Return the recorded time that is reached at a steady time."""
        elapsed_s = 0.0 if self._paused else now_s - self._changed_s
        return self._changed_position_s + self._rate * elapsed_s

    def due_s(self, position_s: float) -> float:
        """Return the steady time at which a position is or was reached; inf while paused."""
        if self._paused:
            return math.inf
        return self._changed_s + (position_s - self._changed_position_s) / self._rate

    def change(self, rate: float, paused: bool, now_s: float) -> None:
        """Change the rate, pause or resume; the position does not jump."""
        if (rate, paused) != (self._rate, self._paused):
            self._changed_position_s, self._changed_s = self.position_s(now_s), now_s
            self._rate, self._paused = rate, paused


class LateFrames:
    """
    Selects the frames that a replay skips where it cannot keep pace.

    While the replay is late by more than the maximum lag it skips the frames of both cameras until
    it has caught up, so that the frames between two gaps are pairs. A replay that never catches up
    still plays a frame of each camera per second.

    Parameters
    ----------
    max_lag_s:
        Maximum lag in seconds; 0: no frame is skipped.

    Attributes
    ----------
    count:
        Number of skipped frames.

    """

    _MAX_GAP_S = 1.0

    def __init__(self, max_lag_s: float) -> None:
        self._max_lag_s = max_lag_s
        self._is_catching_up = False
        self._last_played_s: dict[str, float] = {}
        self.count = 0

    def should_skip(self, stream: str, lag_s: float, now_s: float) -> bool:
        """Return whether to skip the next frame of a stream, which is late by ``lag_s``."""
        if lag_s <= 0:
            self._is_catching_up = False
        elif 0 < self._max_lag_s < lag_s:
            self._is_catching_up = True
        if self._is_catching_up and now_s - self._last_played_s.get(stream, now_s) \
                < self._MAX_GAP_S:
            self._last_played_s.setdefault(stream, now_s)
            self.count += 1
            return True
        self._last_played_s[stream] = now_s
        return False
