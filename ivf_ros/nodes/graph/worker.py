# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that works on the newest item, so that callbacks only enqueue."""

from __future__ import annotations

import threading
from typing import Callable, Generic, TypeVar

T = TypeVar('T')


class Worker(Generic[T]):
    """
    Calls ``work(item)`` in a thread of its own, always on the newest item.

    An item that is put while another still waits replaces it: a robot wants the present, not a
    queue of the past. ``on_superseded`` hears of each item so replaced.
    """

    def __init__(self, name: str, work: Callable[[T], None],
                 on_superseded: Callable[[], None] = lambda: None) -> None:
        self._work, self._on_superseded = work, on_superseded
        self._condition = threading.Condition()
        self._waiting: list[T] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Offer an item; returns at once."""
        with self._condition:
            superseded = bool(self._waiting)
            self._waiting = [item]
            self._condition.notify()
        if superseded:
            self._on_superseded()

    def stop_soon(self) -> None:
        """Forget the item that waits and have the thread end after the current one."""
        with self._condition:
            self._stopping = True
            self._waiting = []
            self._condition.notify()

    def stop(self) -> None:
        """Let the current item finish, forget the waiting one, end the thread."""
        self.stop_soon()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.pop()
            self._work(item)
