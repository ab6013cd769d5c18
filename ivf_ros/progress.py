# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a long loop on standard error: a bar of tqdm where it is installed, else lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import sys
import time
from types import TracebackType
from typing import Any, TextIO, TypeVar

T = TypeVar('T')

_DELAY_S = 2.0  # a loop that ends sooner shows nothing
_LINE_INTERVAL_S = 2.0  # between the lines without tqdm


class Progress:
    """
    Counts the steps of a loop; a context manager.

    It shows nothing if standard error is no terminal, unless ``log_interval_s`` is set.

    Parameters
    ----------
    total:
        Number of steps; None if it is unknown.
    unit:
        What a step is, in the singular.
    log_interval_s:
        Time in seconds between the lines of progress where standard error is no terminal, as in
        the log of a long run; 0 for none.

    """

    def __init__(self, total: int | None, unit: str, log_interval_s: float = 0.0) -> None:
        is_terminal = sys.stderr.isatty()
        self._total, self._unit = total, unit
        self._interval_s = _LINE_INTERVAL_S if is_terminal else log_interval_s
        self._bar = _make_bar(total, unit) if is_terminal else None
        self._count = 0
        self._start_s = self._shown_s = time.monotonic()

    def __enter__(self) -> Progress:
        """Return the counter."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def update(self) -> None:
        """Count one step."""
        self._count += 1
        if self._bar is not None:
            self._bar.update()
            return
        now_s = time.monotonic()
        if self._interval_s and now_s - self._shown_s >= self._interval_s:
            self._shown_s = now_s
            sys.stderr.write(self._describe(now_s - self._start_s) + '\n')

    def write(self, text: str, stream: TextIO) -> None:
        """Write a line to a stream without breaking the bar."""
        if self._bar is None:
            stream.write(text + '\n')
        else:
            self._bar.write(text, file=stream)

    def _describe(self, elapsed_s: float) -> str:
        rate = self._count / elapsed_s
        if not self._total:
            return f'{self._count} {self._unit}s, {rate:.3g} per second'
        remaining_s = (self._total - self._count) / rate
        return (f'{self._count} of {self._total} {self._unit}s, {rate:.3g} per second, '
                f'{remaining_s:.0f} s left')


def track(items: Iterable[T], total: int | None, unit: str) -> Iterator[T]:
    """Yield the items and show the progress."""
    with Progress(total, unit) as progress:
        for item in items:
            yield item
            progress.update()


def _make_bar(total: int | None, unit: str) -> Any:
    """Return a bar of tqdm; None where it is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=unit, leave=False, delay=_DELAY_S, mininterval=0.2,
                maxinterval=0.2, dynamic_ncols=True, file=sys.stderr)
