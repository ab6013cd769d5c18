# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Input of segmentation and detection: the fused image, both cameras, and the worker."""

from __future__ import annotations

from collections import deque
from functools import partial
import threading
import time
from typing import Callable

from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.nodes.graph import topic_checks
from ivf_ros.nodes.graph.camera_inputs import CameraInputs
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.pace import Pace
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Frame
import numpy as np

_NICENESS = 5  # fusion and the callbacks go first
_QUEUE_SIZE = 30  # images per topic, among which the stamp of the fused image is searched
_WAIT_TIMEOUT_S = 0.05  # for an image that arrives after the fused image of the same stamp


class PerceptionSubscriber:
    """
    Subscribes a node to the fused image and to the other images that it uses.

    The fused image triggers the node, because it is available as long as any camera works. The
    other images are RGB and registered 8-bit thermal, for networks that take both cameras, and
    registered thermal in counts with its mask, for temperatures. The parameters of the node are
    ``PerceptionInputParameters``: they select the images, their transports and the rate.

    Parameters
    ----------
    node:
        The subscribing node.
    is_needed:
        Returns whether the results of the node have subscribers.
    process:
        Called by a worker with the newest fused image, while ``is_needed()``.
    takes_thermal:
        Returns whether the method of the node takes RGB and thermal.
    uses_counts:
        Returns whether the node uses thermal in counts at present.

    """

    def __init__(self, node: StageNode, is_needed: Callable[[], bool],
                 process: Callable[[Frame], None], *, takes_thermal: Callable[[], bool],
                 uses_counts: Callable[[], bool]) -> None:
        self._node, self._is_needed, self._takes_thermal = node, is_needed, takes_thermal
        self._pace = Pace()
        self._worker = node.start_worker(
            process, lambda: node.statistics.count_drop('busy'), _NICENESS)
        self._last_arrival_s = time.monotonic()
        self._arrived = threading.Condition()
        self._is_used = {'rgb': self.uses_both, 'thermal': self.uses_both, 'counts': uses_counts,
                         'mask': uses_counts}
        self._frames = {stream: deque[Frame](maxlen=_QUEUE_SIZE) for stream in self._is_used}
        self._last_was_found = dict.fromkeys(self._is_used, False)
        p = node.parameters
        self._cameras = CameraInputs(node, None, p.rgb)
        if p.rgb.undistort:
            self._cameras.subscribe_to_info('rgb')
        fused = resolve_transport('fused/image', p.fused_transport)
        self._topic = node.resolve_topic_name(fused[1])
        node.subscribe_while(is_needed, *fused, self._add_fused)
        for stream, topic, transport in (
                ('rgb', 'rgb/image_raw', p.rgb_transport),
                ('thermal', 'thermal_registered/image_8bit', p.thermal_transport),
                ('counts', 'thermal_registered/image', p.thermal_transport),
                ('mask', 'thermal_registered/mask', p.thermal_transport)):
            node.subscribe_while(partial(self._is_stream_needed, stream),
                                 *resolve_transport(topic, transport), partial(self._add, stream))

    def uses_both(self) -> bool:
        """Return whether the node uses RGB and thermal at present."""
        return self._node.parameters.looks_at != 'fused' and self._takes_thermal()

    def collect(self, fused: Frame) -> PerceptionInputs:
        """
        Return the fused image with the other images of the same stamp.

        The call waits at most ``_WAIT_TIMEOUT_S`` for each image, and only if the previous image
        of its topic was found.
        """
        images = {stream: self._find(stream, fused) for stream in self._is_used}
        counts, mask = images['counts'], images['mask']
        return PerceptionInputs(
            fused.image, images['rgb'], images['thermal'],
            None if counts is None or mask is None else ThermalOnRgb(counts, mask != 0))

    def find_problem(self) -> str:
        """Return a warning if the results are needed but no fused image arrived, or about RGB."""
        now_s, limit_s = time.monotonic(), topic_checks.SILENCE_TIMEOUT_S
        if not self._is_needed():
            self._last_arrival_s = now_s
        if now_s - self._last_arrival_s <= limit_s:
            return self._cameras.find_problem()
        return (f"nothing received for {limit_s:g} s on '{self._topic}' "
                f'({topic_checks.explain_silence(self._node, self._topic)})')

    def _add_fused(self, frame: Frame) -> None:
        self._last_arrival_s = time.monotonic()
        if self._is_needed() and self._pace.is_due(self._node.parameters.max_rate_hz):
            self._worker.put(frame)

    def _is_stream_needed(self, stream: str) -> bool:
        return self._is_needed() and self._is_used[stream]()

    def _add(self, stream: str, frame: Frame) -> None:
        with self._arrived:
            self._frames[stream].append(frame)
            self._arrived.notify_all()

    def _find(self, stream: str, fused: Frame) -> np.ndarray | None:
        """Return the image with the stamp and the size of the fused image, or None."""
        if not self._is_used[stream]():
            return None

        def find_match() -> Frame | None:
            return next((frame for frame in reversed(self._frames[stream])
                         if frame.stamp_ns == fused.stamp_ns), None)

        with self._arrived:
            if self._last_was_found[stream]:
                self._arrived.wait_for(lambda: find_match() is not None, _WAIT_TIMEOUT_S)
            frame = find_match()
        self._last_was_found[stream] = frame is not None
        if frame is not None and stream == 'rgb':
            frame = self._cameras.correct_frame('rgb', frame)
        return frame.image if frame is not None and frame.size == fused.size else None
