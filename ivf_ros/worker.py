# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that processes the newest item, so that callbacks only enqueue."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Callable, Generic, TypeVar

T = TypeVar('T')


class Worker(Generic[T]):
    """
    Calls ``work(item)`` in a separate thread, always with the newest item.

    A new item replaces an item that still waits: a robot needs the present, not a queue of the
    past. ``on_superseded`` is called for each replaced item. An exception of ``work`` is handed to
    ``on_error``, and the thread goes on. ``niceness`` is that of the operating system: threads
    with a higher one give way where the cores do not suffice (Linux).
    """

    def __init__(self, name: str, work: Callable[[T], None],
                 on_error: Callable[[Exception], None],
                 on_superseded: Callable[[], None] = lambda: None, niceness: int = 0) -> None:
        self.name = name
        self._work, self._on_error = work, on_error
        self._on_superseded, self._niceness = on_superseded, niceness
        self._started_s: float | None = None  # of the present item
        self._condition = threading.Condition()
        self._pending: list[T] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Add an item; does not block."""
        with self._condition:
            superseded = bool(self._pending)
            self._pending = [item]
            self._condition.notify_all()
        if superseded:
            self._on_superseded()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until no item waits or is worked on; return False after the timeout."""
        with self._condition:
            return self._condition.wait_for(
                lambda: not self._pending and self._started_s is None, timeout_s)

    def measure_busy_s(self) -> float:
        """Return for how long the present item has been worked on; 0 if there is none."""
        started_s = self._started_s
        return 0.0 if started_s is None else time.monotonic() - started_s

    def request_stop(self) -> None:
        """Discard the waiting item; the thread ends after the current one. Does not block."""
        with self._condition:
            self._stopping = True
            self._pending = []
            self._condition.notify_all()

    def stop(self, timeout_s: float | None = None) -> bool:
        """
        Discard the waiting item, wait for the current one and end the thread.

        Returns False if the current item takes longer than the time-out. Its thread, which is a
        daemon, is then left to end by itself.
        """
        self.request_stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
        return threading.current_thread() is self._thread or not self._thread.is_alive()

    def _run(self) -> None:
        if self._niceness and sys.platform == 'linux':  # there, threads have their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending or self._stopping)
                if self._stopping:
                    return
                item = self._pending.pop()
                self._started_s = time.monotonic()
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
            finally:
                del item  # not kept until the next one comes
                with self._condition:
                    self._started_s = None
                    self._condition.notify_all()
