# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Subscription to the thermal and the RGB topic, with the images paired by time."""

from __future__ import annotations

from collections import deque
import threading
import time
from typing import Callable

from ivf_ros.nodes.graph import topic_checks
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.pairing import Pair, PairingParameters, PairSynchronizer, STREAMS
from ivf_ros.stamps import ClockReport, examine_clock, MessageTimes
from ivf_ros.types import Frame
import numpy as np

_POLL_PERIOD_S = 0.02

_MAX_DIFFERENCES = 300  # latest pairs in the statistics of the stamp differences
_EXAMINED_FRAMES = 30  # latest frames of a camera, by which its clock is judged


class PairedInput:
    """
    Subscribes a node to two image topics and calls back with each pair.

    ``on_pair`` runs in the thread of a publisher or of the executor, one call at a time, so it
    must only enqueue. A pair contains only one image if the other camera sends none within the
    timeout.

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
        self._parameters = parameters
        self._on_pair = on_pair
        self._lock = threading.Lock()
        self._differences_s: deque[float] = deque(maxlen=_MAX_DIFFERENCES)
        self._times = {stream: deque[MessageTimes](maxlen=_EXAMINED_FRAMES)
                       for stream in STREAMS}
        self._image_bytes = dict.fromkeys(STREAMS, 0)  # of the latest frames
        start_s = time.monotonic()
        self._last_arrival_s = {'thermal': start_s, 'rgb': start_s}
        self._last_pair_s = start_s
        self._topics = {
            'thermal': node.subscribe(*resolve_transport('thermal/image_raw', thermal_transport),
                                      lambda frame: self._add('thermal', frame)).topic_name,
            'rgb': node.subscribe(*resolve_transport('rgb/image_raw', rgb_transport),
                                  lambda frame: self._add('rgb', frame)).topic_name}
        node.call_every(_POLL_PERIOD_S, self._poll)

    def diagnostics(self) -> dict[str, object]:
        """
        Return the number of unpaired frames by reason, and the differences of the stamps.

        ``thermal_minus_rgb_ms`` is that of the pairs. ``stamp_offset_s`` is that of the clocks of
        the cameras, as far as the times of arrival show it.
        """
        with self._lock:
            values: dict[str, object] = {
                f'drops.{reason}': n for reason, n in self._synchronizer.drops.items() if n}
            values['tolerance_s'] = self._synchronizer.tolerance_s
            differences_ms = np.array(self._differences_s) * 1e3
        if differences_ms.size:
            values['thermal_minus_rgb_ms.p50'] = float(np.median(differences_ms))
            values['thermal_minus_rgb_ms.greatest'] = float(
                differences_ms[np.abs(differences_ms).argmax()])
        thermal, rgb = (self._examine_clock(stream) for stream in STREAMS)
        if thermal is not None and rgb is not None and not thermal.fault and not rgb.fault:
            values['stamp_offset_s'] = thermal.offset_s - rgb.offset_s
        return values

    def find_problem(self) -> str:
        """Return a warning if no pair arrived for seconds or images are lost, else ''."""
        now_s = time.monotonic()
        limit_s = topic_checks.SILENCE_TIMEOUT_S
        silent = [f"'{self._topics[stream]}' "
                  f'({topic_checks.explain_silence(self._node, self._topics[stream])})'
                  for stream, arrival_s in self._last_arrival_s.items()
                  if now_s - arrival_s > limit_s]
        if silent:
            return f'nothing received for {limit_s:g} s on ' + ' and '.join(silent)
        if now_s - self._last_pair_s > limit_s:
            return f'no pair for {limit_s:g} s: {self._explain_missing_pairs()}'
        return '; '.join(filter(None, map(self._explain_loss, STREAMS)))

    def _explain_loss(self, stream: str) -> str:
        """Explain why many images of a camera are lost on the way; '' if they are not."""
        with self._lock:
            times, image_bytes = list(self._times[stream]), self._image_bytes[stream]
        if len(times) < 2:
            return ''
        clock = examine_clock(times)
        times_s = [(each.recorded_ns if clock.fault else each.stamp_ns) / 1e9 for each in times]
        return topic_checks.explain_loss(self._topics[stream], times_s, image_bytes)

    def _explain_missing_pairs(self) -> str:
        """Explain why no frames of the two cameras make a pair."""
        clocks = {stream: self._examine_clock(stream) for stream in STREAMS}
        faults = [f"the stamps of '{self._topics[stream]}' {clock.fault}"
                  for stream, clock in clocks.items() if clock is not None and clock.fault]
        if faults and self._parameters.match == 'stamps':
            return ' and '.join(faults) + "; set pairing.match to 'arrival'"
        compared = 'stamps' if self._parameters.match == 'stamps' else 'times of arrival'
        text = (f'{compared} of the two cameras differ by more than '
                f'pairing.tolerance_s = {self._synchronizer.tolerance_s:.2g}')
        thermal, rgb = clocks['thermal'], clocks['rgb']
        if thermal is None or rgb is None or faults or self._parameters.match == 'arrival':
            return text
        offset_s = thermal.offset_s - rgb.offset_s
        proposed_s = self._parameters.rgb_offset_s - offset_s
        return (f'{text}; thermal minus RGB is about {offset_s:+.3f} s by their arrival: set '
                f"pairing.thermal_offset_s to {proposed_s:.3f}, or pairing.match to 'arrival'")

    def _examine_clock(self, stream: str) -> ClockReport | None:
        """Judge the clock of a camera by its latest frames; None before the second frame."""
        with self._lock:
            times = list(self._times[stream])
        return examine_clock(times) if len(times) > 1 else None

    def _add(self, stream: str, frame: Frame) -> None:
        now_s = time.monotonic()
        self._last_arrival_s[stream] = now_s
        with self._lock:
            self._image_bytes[stream] = frame.image.nbytes
            self._times[stream].append(MessageTimes(stream, frame.stamp_ns, round(now_s * 1e9)))
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
            self._on_pair(pair)
