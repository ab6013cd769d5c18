# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What segmentation and detection look at: the fused image, or both cameras themselves."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
import threading
import time
from typing import Callable

from ivf_ros.fusion.fuser import filled
from ivf_ros.nodes import topic_watch
from ivf_ros.nodes.image_transport import form_of
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.thermal import Agc
from ivf_ros.types import Frame
import numpy as np

_KEPT = 30  # images of each topic, to find the one with the stamp of the fused image
_PATIENCE_S = 0.05  # for an image that is on its way beside the fused one


@dataclass(frozen=True, eq=False)
class Sight:
    """
    What there is to look at, on the RGB grid and all of one stamp.

    Attributes
    ----------
    fused:
        ``(H, W, 3)`` BGR uint8.
    rgb, thermal:
        ``(H, W, 3)`` BGR and ``(H, W)`` as the camera delivers it, 0 where thermal does not
        reach; None where they are not wanted or did not come, as when a camera fails or nothing
        is registered.

    """

    fused: np.ndarray
    rgb: np.ndarray | None
    thermal: np.ndarray | None


class PerceptionInput:
    """
    Subscribes a node to the fused image and, where it wants them, to RGB and registered thermal.

    They come by the transports in the parameters of the node.
    The fused image leads: it comes as long as any camera works. Those who look at both cameras
    look at it where one of the two is missing.
    """

    def __init__(self, node: StageNode, wanted: Callable[[], bool],
                 on_fused: Callable[[Frame], None], *, wants_rgb: Callable[[], bool],
                 wants_thermal: Callable[[], bool]) -> None:
        self._node, self._wanted = node, wanted
        self._last_seen_s = time.monotonic()
        self._agc = Agc()
        self._arrived = threading.Condition()
        self._frames = {'rgb': deque[Frame](maxlen=_KEPT), 'thermal': deque[Frame](maxlen=_KEPT)}
        self._latest_had = {'rgb': False, 'thermal': False}
        self._wants = {'rgb': wants_rgb, 'thermal': wants_thermal}
        self._on_fused = on_fused
        p = node.parameters
        fused = form_of('fused/image', p.fused_transport)
        self._topic = node.resolve_topic_name(fused[1])
        node.subscribe_while(wanted, *fused, self._add_fused)
        for stream, form in (
                ('thermal', form_of('thermal_registered/image', p.thermal_transport)),
                ('rgb', form_of('rgb/image_raw', p.rgb_transport))):
            node.subscribe_while(partial(self._is_wanted, stream), *form,
                                 partial(self._add, stream))

    def at(self, fused: Frame) -> Sight:
        """Return all there is of one stamp; wait a moment for what came with the last one."""
        found = {stream: self._find(stream, fused) for stream in self._frames}
        return Sight(fused.image, found['rgb'], found['thermal'])

    def seen(self, sight: Sight) -> tuple[np.ndarray, ...]:
        """
        Return RGB and 8-bit thermal where both are there, the fused image otherwise.

        Where fusion passes RGB on, it does not trust thermal: it is frozen, or lies elsewhere.
        """
        if sight.rgb is None or sight.rgb.ndim != 3 or sight.thermal is None \
                or is_passed_on(sight.rgb, sight.fused):
            return (sight.fused,)
        return sight.rgb, self._as_uint8(sight.thermal)

    def trouble(self) -> str:
        """Say that no fused image has come for seconds, though somebody wants the results."""
        now_s, limit_s = time.monotonic(), topic_watch.SILENCE_S
        if not self._wanted():
            self._last_seen_s = now_s
        if now_s - self._last_seen_s <= limit_s:
            return ''
        return (f"nothing received for {limit_s:g} s on '{self._topic}' "
                f'({topic_watch.silence(self._node, self._topic)})')

    def _add_fused(self, frame: Frame) -> None:
        self._last_seen_s = time.monotonic()
        self._on_fused(frame)

    def _is_wanted(self, stream: str) -> bool:
        return self._wanted() and self._wants[stream]()

    def _add(self, stream: str, frame: Frame) -> None:
        with self._arrived:
            self._frames[stream].append(frame)
            self._arrived.notify_all()

    def _find(self, stream: str, fused: Frame) -> np.ndarray | None:
        if not self._wants[stream]():
            return None

        def there() -> np.ndarray | None:
            return next((one.image for one in reversed(self._frames[stream])
                         if one.stamp_ns == fused.stamp_ns), None)

        with self._arrived:
            if self._latest_had[stream]:
                self._arrived.wait_for(lambda: there() is not None, _PATIENCE_S)
            image = there()
        self._latest_had[stream] = image is not None
        return image if image is not None and image.shape[:2] == fused.image.shape[:2] else None

    def _as_uint8(self, thermal: np.ndarray) -> np.ndarray:
        """Bring thermal to 8 bit; what it does not reach stays black and bends no contrast."""
        if thermal.dtype == np.uint8:
            return thermal
        reached = thermal != 0
        if not reached.any():
            return np.zeros(thermal.shape, np.uint8)
        return np.where(reached, self._agc(filled(thermal, reached)), np.uint8(0))


def is_passed_on(rgb: np.ndarray, fused: np.ndarray) -> bool:
    """Tell whether a fused image ``(H, W, 3)`` is RGB alone, by every sixteenth row."""
    return fused is rgb or np.array_equal(fused[::16], rgb[::16])
