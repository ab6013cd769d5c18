# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thermal and the RGB topic of a node, paired by time."""

from __future__ import annotations

import threading
import time
from typing import Callable

from ivf_ros.nodes import messages
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.pairing import Pair, PairingParameters, PairSynchronizer
from ivf_ros.types import Frame

_POLL_PERIOD_S = 0.02

# A pair of silent cameras is worth a warning after this long.
_SILENCE_S = 5.0


class PairedInput:
    """
    Subscribes a node to two image topics and calls back with each pair.

    ``on_pair`` runs in the thread of a publisher or of the executor, one call at a time, so it
    only enqueues. A pair may lack one camera where that one stays away beyond the time-out.
    """

    def __init__(self, node: StageNode, parameters: PairingParameters,
                 on_pair: Callable[[Pair[Frame]], None], thermal_topic: str = 'thermal/image_raw',
                 rgb_topic: str = 'rgb/image_raw', thermal_transport: str = 'raw',
                 rgb_transport: str = 'raw') -> None:
        self._synchronizer: PairSynchronizer[Frame] = PairSynchronizer(parameters)
        self._on_pair = on_pair
        self._lock = threading.Lock()
        started_s = time.monotonic()
        self._last_seen_s = {'thermal': started_s, 'rgb': started_s}
        self._topics = {'thermal': _subscribe(node, thermal_topic, thermal_transport,
                                              lambda frame: self._add('thermal', frame)),
                        'rgb': _subscribe(node, rgb_topic, rgb_transport,
                                          lambda frame: self._add('rgb', frame))}
        node.every(_POLL_PERIOD_S, self._poll)

    def drops(self) -> dict[str, int]:
        """Return how many frames found no partner, by reason."""
        with self._lock:
            return dict(self._synchronizer.drops)

    def silence(self) -> str:
        """Name the topics from which nothing came for seconds; empty where both speak."""
        now_s = time.monotonic()
        silent = [f"'{self._topics[stream]}' ({now_s - seen_s:.0f} s)"
                  for stream, seen_s in self._last_seen_s.items() if now_s - seen_s > _SILENCE_S]
        return 'nothing received on ' + ' and '.join(silent) if silent else ''

    def _add(self, stream: str, frame: Frame) -> None:
        now_s = time.monotonic()
        self._last_seen_s[stream] = now_s
        with self._lock:
            for pair in self._synchronizer.add(stream, frame.stamp_ns, frame, now_s):
                self._on_pair(pair)

    def _poll(self) -> None:
        with self._lock:
            for pair in self._synchronizer.poll(time.monotonic()):
                self._on_pair(pair)


def _subscribe(node: StageNode, topic: str, transport: str,
               callback: Callable[[Frame], None]) -> str:
    """Subscribe to an image topic by the convention of image_transport; return its name."""
    if transport == 'compressed':
        topic, wire = f'{topic}/compressed', messages.COMPRESSED
    else:
        wire = messages.IMAGE
    node.subscribe(wire, topic, callback)
    return topic
