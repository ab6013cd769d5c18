# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that processes the newest item, so that callbacks only enqueue."""

from __future__ import annotations

import os
import sys
import threading
from typing import Callable, Generic, TypeVar

T = TypeVar('T')


class Worker(Generic[T]):
    """
    Calls ``work(item)`` in a separate thread, always with the newest item.

    A new item replaces an item that still waits: a robot needs the present, not a queue of the
    past. ``on_superseded`` is called for each replaced item. ``niceness`` is that of the operating
    system: threads with a higher one give way where the cores do not suffice (Linux).
    """

    def __init__(self, name: str, work: Callable[[T], None],
                 on_superseded: Callable[[], None] = lambda: None, niceness: int = 0) -> None:
        self._work, self._on_superseded, self._niceness = work, on_superseded, niceness
        self._condition = threading.Condition()
        self._pending: list[T] = []
        self._stopping = self._is_working = False
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
                lambda: not self._pending and not self._is_working, timeout_s)

    def request_stop(self) -> None:
        """Discard the waiting item; the thread ends after the current one. Does not block."""
        with self._condition:
            self._stopping = True
            self._pending = []
            self._condition.notify_all()

    def stop(self) -> None:
        """Discard the waiting item, wait for the current one and end the thread."""
        self.request_stop()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        if self._niceness and sys.platform == 'linux':  # there, threads have their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending or self._stopping)
                if self._stopping:
                    return
                item = self._pending.pop()
                self._is_working = True
            try:
                self._work(item)
            finally:
                with self._condition:
                    self._is_working = False
                    self._condition.notify_all()
