# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Counters and latencies of a node, and the diagnostic message that contains them."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
import re
import threading
import time
from typing import Iterator, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from std_msgs.msg import Header

# Samples for the percentiles: a minute and a half at 30 Hz.
_LATENCY_WINDOW = 3000

_ERROR_KINDS = 100  # kinds of errors that are remembered as known
# Errors of more kinds are not logged: a stranger can send messages that differ in any text.
_MAX_LOGGED_ERRORS, _LOG_PERIOD_S = 5, 30.0

# What differs between two reports of one problem: bytes (b'\\x00'), hexadecimal numbers, sizes and
# other numbers, but not those in names such as camera2.
_VARYING = re.compile(
    r'\bb(["\'])(?:\\.|(?!\1).)*\1|\b0x[0-9a-fA-F]+|(?<![A-Za-z_])\d+(?:x\d+)*(?:\.\d+)?')


def mask_numbers(text: str) -> str:
    """Return a message with its numbers and bytes replaced: reports of one problem are equal."""
    return _VARYING.sub('#', text)


class Statistics:
    """Counts drops by reason, and stores latencies and errors; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drops: Counter[str] = Counter()
        self._latencies_s: deque[float] = deque(maxlen=_LATENCY_WINDOW)
        self._last_error = ''
        self._last_error_is_new = False
        self._known_errors: deque[str] = deque(maxlen=_ERROR_KINDS)  # without their numbers
        self._logged_s: deque[float] = deque(maxlen=_MAX_LOGGED_ERRORS)
        self._counts: Counter[str] = Counter()

    def count_drop(self, reason: str) -> None:
        """Count a dropped frame."""
        with self._lock:
            self._drops[reason] += 1

    def record_error(self, text: str) -> bool:
        """
        Store an error message; return whether to log it: the first one of its kind.

        Errors that differ only in numbers are of one kind. Where errors of many kinds come in
        quick succession, only the first ones are logged.
        """
        kind, now_s = mask_numbers(text), time.monotonic()
        with self._lock:
            self._last_error, self._last_error_is_new = text, True
            self._counts['errors'] += 1
            if kind in self._known_errors:
                return False
            self._known_errors.append(kind)
            if len(self._logged_s) == _MAX_LOGGED_ERRORS \
                    and now_s - self._logged_s[0] < _LOG_PERIOD_S:
                self._counts['errors_not_logged'] += 1
                return False
            self._logged_s.append(now_s)
            return True

    def error_counts(self) -> dict[str, int]:
        """Return the number of errors, and of the new kinds that were not logged."""
        with self._lock:
            return dict(self._counts)

    @contextmanager
    def measure_latency(self) -> Iterator[None]:
        """Measure the time that the stage takes for one item."""
        start_s = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - start_s
        with self._lock:
            self._latencies_s.append(elapsed_s)

    def drops(self) -> dict[str, int]:
        """Return the number of dropped frames by reason."""
        with self._lock:
            return dict(self._drops)

    def latency_ms(self) -> dict[str, float]:
        """Return the median and the 95th percentile of the latency; empty without samples."""
        with self._lock:
            samples_ms = np.array(self._latencies_s) * 1e3
        if not samples_ms.size:
            return {}
        p50, p95 = np.percentile(samples_ms, [50, 95])
        return {'p50': float(p50), 'p95': float(p95)}

    def take_error(self) -> str:
        """Return the error that was recorded since the last call, or an empty string."""
        with self._lock:
            error = self._last_error if self._last_error_is_new else ''
            self._last_error_is_new = False
            return error


class RateMeter:
    """Computes rates from counters, between two calls."""

    def __init__(self) -> None:
        self._last_counts: dict[str, int] = {}
        self._last_s = time.monotonic()

    def update(self, counts: Mapping[str, int]) -> dict[str, float]:
        """Return the rate in Hz of each counter since the last call."""
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._last_s, 1e-6)
        # A lower count means that the counter was reset together with its subscription.
        rates_hz = {name: max(count - self._last_counts.get(name, 0), 0) / elapsed_s
                    for name, count in counts.items()}
        self._last_counts, self._last_s = dict(counts), now_s
        return rates_hz


def make_diagnostic_array(header: Header, node_name: str, state: str, warning: str, error: str,
                          values: Mapping[str, object]) -> DiagnosticArray:
    """
    Make the DiagnosticArray of one node.

    The level is ERROR if ``error`` is not empty, else WARN if ``warning`` is not empty, else OK.
    The message is ``error``, ``warning`` or ``state`` accordingly.
    """
    level = DiagnosticStatus.OK
    if warning:
        level = DiagnosticStatus.WARN
    if error:
        level = DiagnosticStatus.ERROR
    status = DiagnosticStatus(level=level, name=node_name, message=error or warning or state,
                              values=[KeyValue(key=key, value=_format_value(value))
                                      for key, value in values.items()])
    return DiagnosticArray(header=header, status=[status])


def _format_value(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
