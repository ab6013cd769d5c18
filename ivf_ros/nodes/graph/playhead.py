# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where in a recording a replay is, at a rate that may change and with pauses."""

from __future__ import annotations

import math


class Playhead:
    """
    Recorded time as a function of steady time: piecewise linear, flat while paused.

    All times are in seconds; positions count from the start of the recording.

    Parameters
    ----------
    rate:
        Recorded seconds that pass in a second.
    paused:
        Whether it stands still.
    now_s:
        The steady time at which the recording starts.

    """

    def __init__(self, rate: float, paused: bool, now_s: float) -> None:
        self._rate, self._paused = rate, paused
        self._since_s, self._position_s = now_s, 0.0

    def position_s(self, now_s: float) -> float:
        """Return how far the replay has come."""
        elapsed_s = 0.0 if self._paused else now_s - self._since_s
        return self._position_s + self._rate * elapsed_s

    def due_s(self, position_s: float) -> float:
        """Return the steady time at which a position is, or was, reached; inf while paused."""
        if self._paused:
            return math.inf
        return self._since_s + (position_s - self._position_s) / self._rate

    def change(self, rate: float, paused: bool, now_s: float) -> None:
        """Go on at another rate, stand still, or go on after a pause; nothing is skipped."""
        if (rate, paused) != (self._rate, self._paused):
            self._position_s, self._since_s = self.position_s(now_s), now_s
            self._rate, self._paused = rate, paused
