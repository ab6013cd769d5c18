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
                 on_pair: Callable[[Pair[Frame]], None], thermal_transport: str,
                 rgb_transport: str, pass_single: bool = True) -> None:
        self._synchronizer: PairSynchronizer[Frame] = PairSynchronizer(parameters, pass_single)
        self._tolerance_s = parameters.tolerance_s
        self._on_pair = on_pair
        self._lock = threading.Lock()
        started_s = time.monotonic()
        self._last_seen_s = {'thermal': started_s, 'rgb': started_s}
        self._last_pair_s = started_s
        self._topics = {'thermal': _subscribe(node, 'thermal/image_raw', thermal_transport,
                                              lambda frame: self._add('thermal', frame)),
                        'rgb': _subscribe(node, 'rgb/image_raw', rgb_transport,
                                          lambda frame: self._add('rgb', frame))}
        node.every(_POLL_PERIOD_S, self._poll)

    def drops(self) -> dict[str, int]:
        """Return how many frames found no partner, as diagnostic values named by the reason."""
        with self._lock:
            return {f'drops.{reason}': n for reason, n in self._synchronizer.drops.items() if n}

    def trouble(self) -> str:
        """Say why there has been no pair for seconds; empty where there was one."""
        now_s = time.monotonic()
        silent = [f"'{self._topics[stream]}' ({now_s - seen_s:.0f} s)"
                  for stream, seen_s in self._last_seen_s.items() if now_s - seen_s > _SILENCE_S]
        if silent:
            return 'nothing received on ' + ' and '.join(silent)
        if now_s - self._last_pair_s > _SILENCE_S:
            return (f'no pair for {now_s - self._last_pair_s:.0f} s: stamps of the two cameras '
                    f'differ by more than pairing.tolerance_s = {self._tolerance_s:g}')
        return ''

    def _add(self, stream: str, frame: Frame) -> None:
        now_s = time.monotonic()
        self._last_seen_s[stream] = now_s
        with self._lock:
            self._hand_on(self._synchronizer.add(stream, frame.stamp_ns, frame, now_s), now_s)

    def _poll(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._hand_on(self._synchronizer.poll(now_s), now_s)

    def _hand_on(self, pairs: list[Pair[Frame]], now_s: float) -> None:
        for pair in pairs:
            if pair.is_complete:
                self._last_pair_s = now_s
            self._on_pair(pair)


def _subscribe(node: StageNode, topic: str, transport: str,
               callback: Callable[[Frame], None]) -> str:
    """Subscribe to an image topic by the convention of image_transport; return its full name."""
    if transport == 'compressed':
        return node.subscribe(messages.COMPRESSED, f'{topic}/compressed', callback).topic_name
    return node.subscribe(messages.IMAGE, topic, callback).topic_name
