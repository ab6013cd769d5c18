# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The latest items of a topic, among which the one of a moment is found."""

from __future__ import annotations

from collections import deque
import threading
from typing import Generic, TypeVar

from ivf_ros.nodes.graph.transport import Item

T = TypeVar('T', bound=Item)

_SIZE = 30
_WAIT_TIMEOUT_S = 0.1  # for an item that arrives after the one with which it is needed


class StampedBuffer(Generic[T]):
    """
    Keeps the latest items of a topic; thread-safe.

    Attributes
    ----------
    count:
        Number of items that were added.

    """

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._items: deque[T] = deque(maxlen=_SIZE)
        self._last_was_found = False
        self.count = 0

    def add(self, item: T) -> None:
        """Add an item; does not block."""
        with self._arrived:
            self._items.append(item)
            self.count += 1
            self._arrived.notify_all()

    def find(self, stamp_ns: int, tolerance_ns: int = 0) -> T | None:
        """
        Return the item that is closest in time, or None if none is within the tolerance.

        The call waits at most ``_WAIT_TIMEOUT_S`` for an item that is not older than the stamp,
        and only if the previous item was found.
        """
        with self._arrived:
            if self._last_was_found:
                self._arrived.wait_for(
                    lambda: any(item.stamp_ns >= stamp_ns for item in self._items),
                    _WAIT_TIMEOUT_S)
            closest = min(self._items, default=None,
                          key=lambda item: abs(item.stamp_ns - stamp_ns))
            if closest is not None and abs(closest.stamp_ns - stamp_ns) > tolerance_ns:
                closest = None
            self._last_was_found = closest is not None
        return closest
