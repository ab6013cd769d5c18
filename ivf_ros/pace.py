# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A limit to how often something happens."""

from __future__ import annotations

import time


class Pace:
    """Lets something happen at most so many times a second, by the steady clock."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def is_due(self, rate_hz: float) -> bool:
        """Return whether it may happen now; if so, the next time is about a period later."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return False
        # Counting from when it was due, not from when it happened, keeps the rate though frames
        # come in steps of their own; after a pause nothing is made up for.
        period_s = 1.0 / rate_hz
        self._due_s = max(self._due_s + period_s, now_s + period_s / 2)
        return True
