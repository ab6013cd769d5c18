# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread of a topic in which compressed images are decoded, so that the executor goes on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
import logging
import threading

from ivf_ros.worker import Worker


class Decoder:
    """
    Decodes the newest message of each subscription to one topic, in a thread of its own.

    The subscriptions of a process share the thread, because they share what is decoded. While an
    image is decoded that takes longer than the period of its camera, a newer message of a
    subscription replaces the one that waits.
    """

    def __init__(self, topic_name: str) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._worker: Worker[None] = Worker(f'decode {topic_name}', self._decode_waiting,
                                            self._report)

    def put(self, subscription: Hashable, decode: Callable[[], None]) -> bool:
        """
        Call ``decode`` in the thread; return whether it replaces a message that waited.

        ``decode`` reports its errors itself.
        """
        with self._lock:
            is_replaced = subscription in self._waiting
            self._waiting[subscription] = decode
        self._worker.put(None)
        return is_replaced

    def request_stop(self) -> None:
        """End the thread after the present message. Does not block."""
        with self._lock:
            self._waiting.clear()
        self._worker.request_stop()

    def _decode_waiting(self, _: None) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                decode = self._waiting.pop(next(iter(self._waiting)))
            decode()

    def _report(self, error: Exception) -> None:
        logging.getLogger(__name__).error('an error of a message was not reported: %s', error)
        self._worker.put(None)  # go on with what waits
