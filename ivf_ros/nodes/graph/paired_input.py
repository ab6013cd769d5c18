# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Subscription to the thermal and the RGB topic, with the images paired by time."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
import threading
import time
from typing import Callable

from ivf_ros.nodes.graph import topic_checks
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.pairing import Pair, PairingParameters, PairSynchronizer
from ivf_ros.types import Frame
import numpy as np

_POLL_PERIOD_S = 0.02

_MAX_DIFFERENCES = 300  # latest pairs in the statistics of the stamp differences


class PairedInput:
    """
    Subscribes a node to two image topics and calls back with each pair.

    ``on_pair`` runs in the thread of a publisher or of the executor, one call at a time, so it
    must only enqueue. A pair contains only one image if the other camera sends none within the
    timeout. Some thermal cameras send three equal channels, for example as a webcam; these images
    are reduced to one channel.

    Parameters
    ----------
    node:
        The subscribing node.
    parameters:
        Parameters of the synchronizer.
    on_pair:
        Called with each pair.
    thermal_transport, rgb_transport:
        ``raw`` or ``compressed``.
    pass_single:
        Whether pairs with only one image are passed on.

    """

    def __init__(self, node: StageNode, parameters: PairingParameters,
                 on_pair: Callable[[Pair[Frame]], None], thermal_transport: str,
                 rgb_transport: str, pass_single: bool = True) -> None:
        self._node = node
        self._synchronizer: PairSynchronizer[Frame] = PairSynchronizer(parameters, pass_single)
        self._tolerance_s = parameters.tolerance_s
        self._on_pair = on_pair
        self._lock = threading.Lock()
        self._differences_s: deque[float] = deque(maxlen=_MAX_DIFFERENCES)
        start_s = time.monotonic()
        self._last_arrival_s = {'thermal': start_s, 'rgb': start_s}
        self._last_pair_s = start_s
        self._topics = {
            'thermal': node.subscribe(*resolve_transport('thermal/image_raw', thermal_transport),
                                      self._add_thermal).topic_name,
            'rgb': node.subscribe(*resolve_transport('rgb/image_raw', rgb_transport),
                                  lambda frame: self._add('rgb', frame)).topic_name}
        node.call_every(_POLL_PERIOD_S, self._poll)

    def diagnostics(self) -> dict[str, object]:
        """Return the number of unpaired frames by reason, and the stamp differences of pairs."""
        with self._lock:
            drops = {f'drops.{reason}': n for reason, n in self._synchronizer.drops.items() if n}
            differences_ms = np.array(self._differences_s) * 1e3
        if not differences_ms.size:
            return dict(drops)
        greatest_ms = float(differences_ms[np.abs(differences_ms).argmax()])
        return {**drops, 'thermal_minus_rgb_ms.p50': float(np.median(differences_ms)),
                'thermal_minus_rgb_ms.greatest': greatest_ms}

    def find_problem(self) -> str:
        """Return a warning if no pair arrived for seconds, else an empty string."""
        now_s = time.monotonic()
        limit_s = topic_checks.SILENCE_TIMEOUT_S
        silent = [f"'{self._topics[stream]}' "
                  f'({topic_checks.explain_silence(self._node, self._topics[stream])})'
                  for stream, arrival_s in self._last_arrival_s.items()
                  if now_s - arrival_s > limit_s]
        if silent:
            return f'nothing received for {limit_s:g} s on ' + ' and '.join(silent)
        if now_s - self._last_pair_s > limit_s:
            return (f'no pair for {limit_s:g} s: stamps of the two cameras differ by more than '
                    f'pairing.tolerance_s = {self._tolerance_s:g}')
        return ''

    def _add_thermal(self, frame: Frame) -> None:
        image = frame.image
        if image.ndim == 3 and np.array_equal(image[..., 0], image[..., 1]) \
                and np.array_equal(image[..., 0], image[..., 2]):
            frame = replace(frame, image=np.ascontiguousarray(image[..., 0]))
        self._add('thermal', frame)

    def _add(self, stream: str, frame: Frame) -> None:
        now_s = time.monotonic()
        self._last_arrival_s[stream] = now_s
        with self._lock:
            self._dispatch(self._synchronizer.add(stream, frame.stamp_ns, frame, now_s), now_s)

    def _poll(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            self._dispatch(self._synchronizer.poll(now_s), now_s)

    def _dispatch(self, pairs: list[Pair[Frame]], now_s: float) -> None:
        for pair in pairs:
            if pair.thermal_minus_rgb_s is not None:
                self._last_pair_s = now_s
                self._differences_s.append(pair.thermal_minus_rgb_s)
            if self._check_thermal(pair):
                self._on_pair(pair)

    def _check_thermal(self, pair: Pair[Frame]) -> bool:
        """Return whether the thermal image has one channel; report an error if it has colour."""
        if pair.thermal is None or pair.thermal.image.ndim == 2:
            return True
        self._node.statistics.count_drop('colour_as_thermal')
        hint = 'are the cameras swapped?' if pair.rgb is not None and pair.rgb.image.ndim == 2 \
            else 'have the thermal camera publish mono8 or mono16, without a palette'
        self._node.report_error(f"'{self._topics['thermal']}' carries images in colour: {hint}")
        return False
