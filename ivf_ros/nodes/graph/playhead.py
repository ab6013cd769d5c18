# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The playback position of a replay, with a variable rate and pauses."""

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
