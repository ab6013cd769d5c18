# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a graph shows and says, with the times of arrival."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from ivf_ros import geometry
from ivf_ros.nodes.faults.cameras import Cameras
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.transport import LATCHED_QOS, TypeAdapter
from rcl_interfaces.msg import Log
from rclpy.node import Node

_DEPTH = 50
_REFERENCE_WIDTH_PX = 640
_MAX_FUSED_AGE_S = 0.5
# Corner error at 640 width that no homography in use may have.
MAX_ERROR_PX = 8.0


@dataclass(frozen=True)
class StatusText:
    """A status of a node, the line of ``fusion/status``, or a line of another process."""

    at_s: float
    node: str
    text: str
    values: dict[str, str]


class Observer:
    """
    Subscribes to the outputs of a graph, so that each of them is computed.

    Parameters
    ----------
    node:
        The node that subscribes; its namespace is that of the graph.
    cameras:
        The cameras, which know the true homography.

    """

    def __init__(self, node: Node, cameras: Cameras) -> None:
        self._namespace = node.get_namespace()
        self._cameras = cameras
        self._changed = threading.Condition()
        self._said: list[StatusText] = []
        self._modes: list[tuple[float, str]] = []
        self._fused_s: list[float] = []
        self._errors_px: list[tuple[float, float]] = []  # of the homographies
        self._log: list[tuple[float, Log]] = []
        for topic, adapter, callback, qos in (
                ('fused/image', messages.IMAGE, self._on_fused, 5),
                ('detections', messages.DETECTIONS, lambda cdr: None, 5),
                ('segmentation/labels', messages.LABELS, lambda cdr: None, 5)):
            node.create_subscription(adapter.message_type, topic, callback, qos, raw=True)
        node.create_subscription(messages.TEXT.message_type, 'fused/mode',
                                 lambda text: self._add(self._modes, text.data), LATCHED_QOS)
        node.create_subscription(messages.TEXT.message_type, 'fusion/status', self._on_status,
                                 LATCHED_QOS)
        homography: TypeAdapter[Any] = messages.HOMOGRAPHY
        node.create_subscription(homography.message_type, 'registration/homography',
                                 self._on_homography, _DEPTH)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, _DEPTH)
        node.create_subscription(Log, '/rosout', self._on_log, 1000)

    def forget(self) -> None:
        """Forget all but the latest mode, homography and statuses."""
        with self._changed:
            for items in (self._modes, self._fused_s, self._errors_px):
                del items[:-1]
            del self._said[:-_DEPTH]
            self._log.clear()

    def forget_all(self) -> None:
        """Forget everything: the graph is another one."""
        with self._changed:
            for items in (self._modes, self._fused_s, self._errors_px, self._said, self._log):
                items.clear()  # type: ignore[attr-defined]

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition on what was observed holds; return False after the time-out."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def hear(self, name: str, text: str) -> None:
        """Add a line of a process that was started for a fault."""
        self._add_status(name, text, {})

    @property
    def mode(self) -> str:
        """The latest mode of fusion; empty before the first one."""
        return self._modes[-1][1] if self._modes else ''

    def find_said(self, text: str, since_s: float) -> StatusText | None:
        """Return what contains ``text`` first, or None."""
        return next((said for said in self._said if said.at_s >= since_s and text in said.text),
                    None)

    def modes_between(self, begin_s: float, end_s: float) -> set[str]:
        """Return the modes that were in force in a period, those of a moment included."""
        modes = {mode for at_s, mode in self._modes if begin_s <= at_s <= end_s}
        before = [mode for at_s, mode in self._modes if at_s < begin_s]
        return modes | set(before[-1:])

    def count_lines(self, begin_s: float, end_s: float) -> int:
        """Return the number of warnings and errors in the log of a period."""
        return sum(begin_s <= at_s <= end_s and log.level >= 30 for at_s, log in self._log)

    def age_of_fused_s(self) -> float:
        """Return the time since the latest fused image."""
        return time.monotonic() - self._fused_s[-1] if self._fused_s else float('inf')

    def find_false_tracking_s(self, begin_s: float, end_s: float) -> float:
        """Return how long the registration called a homography TRACKING that was wrong."""
        false_s = [said.at_s for said in self._said
                   if said.node == 'registration' and begin_s <= said.at_s <= end_s
                   and said.values.get('state') == 'TRACKING'
                   and self._error_at_px(said.at_s) > MAX_ERROR_PX]
        return false_s[-1] - begin_s if false_s else 0.0

    def find_unhealthy(self) -> str:
        """Return what is not as it should be now; '' if all is well."""
        if self.age_of_fused_s() > _MAX_FUSED_AGE_S:
            return 'no fused image'
        if self.mode != 'FUSED':
            return f'mode {self.mode or "unknown"}'
        error_px = self._error_at_px(time.monotonic())
        return f'the homography is off by {error_px:.0f} px' if error_px > MAX_ERROR_PX else ''

    def _error_at_px(self, at_s: float) -> float:
        errors_px = [error_px for when_s, error_px in self._errors_px if when_s <= at_s]
        return errors_px[-1] if errors_px else 0.0

    def _add(self, items: list[Any], item: Any) -> None:
        with self._changed:
            items.append((time.monotonic(), item))
            self._changed.notify_all()

    def _add_status(self, node: str, text: str, values: dict[str, str]) -> None:
        with self._changed:
            self._said.append(StatusText(time.monotonic(), node, text, values))
            self._changed.notify_all()

    def _on_fused(self, cdr: bytes) -> None:
        with self._changed:
            self._fused_s.append(time.monotonic())
            self._changed.notify_all()

    def _on_status(self, text: Any) -> None:
        self._add_status('fusion/status', text.data, {})

    def _on_homography(self, message: Any) -> None:
        try:
            item = messages.HOMOGRAPHY.from_message(message)
            error_px = geometry.corner_error_px(
                item.value.H_thermal_to_rgb, self._cameras.H_thermal_to_rgb,
                self._cameras.thermal_size)
        except ValueError:
            return  # of the fault that is injected
        self._add(self._errors_px, float(error_px) * _REFERENCE_WIDTH_PX / self._cameras.size[0])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            namespace, _, name = status.name.rpartition('/')
            if namespace == self._namespace:
                self._add_status(name, status.message,
                                 {item.key: item.value for item in status.values})

    def _on_log(self, log: Log) -> None:
        if log.name.startswith(self._namespace.strip('/')):
            self._add(self._log, log)
