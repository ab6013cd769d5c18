# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What segmentation and detection look at: the fused image, or both cameras themselves."""

from __future__ import annotations

from collections import deque
from functools import partial
import threading
import time
from typing import Callable

from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.nodes.graph import topic_watch
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Frame
import numpy as np

_QUEUE_SIZE = 30  # images of each topic, to find the one with the stamp of the fused image
_WAIT_TIMEOUT_S = 0.05  # for an image that is on its way beside the fused one


class PerceptionSubscriber:
    """
    Subscribes a node to the fused image and to what it uses beside it.

    The fused image leads: it comes as long as any camera works. Beside it come RGB and registered
    thermal of 8 bit, for networks that take both cameras, and registered thermal in counts with
    its mask, for temperatures. They come by the transports in the parameters of the node.

    Parameters
    ----------
    node:
        Subscribes.
    wanted:
        Tells whether anybody wants the results of the node.
    on_fused:
        Is called with each fused image.
    wants_both, wants_counts:
        Tell whether RGB and thermal, and counts, are used at present.

    """

    def __init__(self, node: StageNode, is_needed: Callable[[], bool],
                 on_fused: Callable[[Frame], None], *, wants_both: Callable[[], bool],
                 wants_counts: Callable[[], bool]) -> None:
        self._node, self._wanted = node, is_needed
        self._last_seen_s = time.monotonic()
        self._arrived = threading.Condition()
        self._wants = {'rgb': wants_both, 'thermal': wants_both, 'counts': wants_counts,
                       'mask': wants_counts}
        self._frames = {stream: deque[Frame](maxlen=_QUEUE_SIZE) for stream in self._wants}
        self._latest_had = dict.fromkeys(self._wants, False)
        self._on_fused = on_fused
        p = node.parameters
        fused = resolve_transport('fused/image', p.fused_transport)
        self._topic = node.resolve_topic_name(fused[1])
        node.subscribe_while(is_needed, *fused, self._add_fused)
        for stream, form in (
                ('rgb', resolve_transport('rgb/image_raw', p.rgb_transport)),
                ('thermal', resolve_transport('thermal_registered/image_8bit', p.thermal_transport)),
                ('counts', resolve_transport('thermal_registered/image', p.thermal_transport)),
                ('mask', resolve_transport('thermal_registered/mask', p.thermal_transport))):
            node.subscribe_while(partial(self._is_needed, stream), *form,
                                 partial(self._add, stream))

    def at(self, fused: Frame) -> PerceptionInputs:
        """Return all there is of one stamp; wait a moment for what came with the last one."""
        found = {stream: self._find(stream, fused) for stream in self._wants}
        counts, mask = found['counts'], found['mask']
        return PerceptionInputs(
            fused.image, found['rgb'], found['thermal'],
            None if counts is None or mask is None else ThermalOnRgb(counts, mask != 0))

    def find_problem(self) -> str:
        """Say that no fused image has come for seconds, though somebody wants the results."""
        now_s, limit_s = time.monotonic(), topic_watch.SILENCE_TIMEOUT_S
        if not self._wanted():
            self._last_seen_s = now_s
        if now_s - self._last_seen_s <= limit_s:
            return ''
        return (f"nothing received for {limit_s:g} s on '{self._topic}' "
                f'({topic_watch.explain_silence(self._node, self._topic)})')

    def _add_fused(self, frame: Frame) -> None:
        self._last_seen_s = time.monotonic()
        self._on_fused(frame)

    def _is_needed(self, stream: str) -> bool:
        return self._wanted() and self._wants[stream]()

    def _add(self, stream: str, frame: Frame) -> None:
        with self._arrived:
            self._frames[stream].append(frame)
            self._arrived.notify_all()

    def _find(self, stream: str, fused: Frame) -> np.ndarray | None:
        if not self._wants[stream]():
            return None

        def find_match() -> np.ndarray | None:
            return next((one.image for one in reversed(self._frames[stream])
                         if one.stamp_ns == fused.stamp_ns), None)

        with self._arrived:
            if self._latest_had[stream]:
                self._arrived.wait_for(lambda: find_match() is not None, _WAIT_TIMEOUT_S)
            image = find_match()
        self._latest_had[stream] = image is not None
        return image if image is not None and image.shape[:2] == fused.image.shape[:2] else None
