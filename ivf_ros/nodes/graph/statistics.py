# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node counts about itself, and the diagnostic message that tells it."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
import threading
import time
from typing import Iterator, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from std_msgs.msg import Header

# Enough for the percentiles of a minute and a half at 30 Hz.
_LATENCY_WINDOW = 3000


class Statistics:
    """Drops by reason, latencies of the stage, the latest complaint. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drops: Counter[str] = Counter()
        self._latencies_s: deque[float] = deque(maxlen=_LATENCY_WINDOW)
        self._last_error = ''
        self._last_error_is_new = False

    def drop(self, reason: str) -> None:
        """Count a frame that was dropped."""
        with self._lock:
            self._drops[reason] += 1

    def complain(self, text: str) -> bool:
        """Note what went wrong; return whether it is another thing than last time."""
        with self._lock:
            is_other = text != self._last_error
            self._last_error, self._last_error_is_new = text, True
            return is_other

    @contextmanager
    def measure_latency(self) -> Iterator[None]:
        """Measure how long the stage takes for one item."""
        start = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - start
        with self._lock:
            self._latencies_s.append(elapsed_s)

    def drops(self) -> dict[str, int]:
        """Return how many frames were dropped, by reason."""
        with self._lock:
            return dict(self._drops)

    def latency_ms(self) -> dict[str, float]:
        """Return the median and 95th percentile of the stage's latency; empty before the first."""
        with self._lock:
            samples_ms = np.array(self._latencies_s) * 1e3
        if not samples_ms.size:
            return {}
        p50, p95 = np.percentile(samples_ms, [50, 95])
        return {'p50': float(p50), 'p95': float(p95)}

    def take_error(self) -> str:
        """Return the complaint that came since the last call, or an empty string."""
        with self._lock:
            complaint = self._last_error if self._last_error_is_new else ''
            self._last_error_is_new = False
            return complaint


class RateMeter:
    """Turns counters into rates between two readings."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._last_s = time.monotonic()

    def rates_hz(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Return how fast each counter rose since the last call."""
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._last_s, 1e-6)
        # A counter that fell began anew with its subscription.
        rates = {name: max(count - self._last.get(name, 0), 0) / elapsed_s
                 for name, count in counts.items()}
        self._last, self._last_s = dict(counts), now_s
        return rates


def diagnostic_message(header: Header, node_name: str, state: str, warning: str, error: str,
                       values: Mapping[str, object]) -> DiagnosticArray:
    """
    Make the DiagnosticArray of one node.

    The level is ERROR where ``error`` says something, else WARN where ``warning`` does, else OK,
    and the message ``state``.
    """
    level = DiagnosticStatus.OK
    if warning:
        level = DiagnosticStatus.WARN
    if error:
        level = DiagnosticStatus.ERROR
    status = DiagnosticStatus(level=level, name=node_name, message=error or warning or state,
                              values=[KeyValue(key=key, value=_text(value))
                                      for key, value in values.items()])
    return DiagnosticArray(header=header, status=[status])


def _text(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
