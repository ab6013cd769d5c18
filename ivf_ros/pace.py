# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rate limiter."""

from __future__ import annotations

import time


class Pace:
    """Limits the rate of an action, on the monotonic clock."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def is_due(self, rate_hz: float) -> bool:
        """Return whether the action is due; if so, schedule it again one period later."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return False
        # The period starts at the due time, not at the current time. This keeps the mean rate
        # although frames arrive at discrete times. Missed periods are not caught up on.
        period_s = 1.0 / rate_hz
        self._due_s = max(self._due_s + period_s, now_s + period_s / 2)
        return True
