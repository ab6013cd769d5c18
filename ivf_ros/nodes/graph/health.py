# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node tells about itself: every second on ``/diagnostics``, and in the log once."""

from __future__ import annotations

from dataclasses import dataclass, field
import re
import threading
from typing import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.statistics import diagnostic_message, RateMeter, Statistics
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

_PERIOD_S = 1.0


@dataclass(frozen=True)
class NodeStatus:
    """
    How a node is at one moment.

    Attributes
    ----------
    lifecycle:
        ``unconfigured``, ``inactive`` or ``active``.
    error, warnings:
        What is wrong; the error is the worse one.
    received, published:
        Frames so far by topic.
    values:
        Further values for the diagnostics.

    """

    lifecycle: str
    error: str = ''
    warnings: list[str] = field(default_factory=list)
    received: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)


def to_single_line(text: str) -> str:
    """Return a message as one line, without the places in C code that rcl adds to its own."""
    return ' '.join(re.sub(r',?\s*at /\S+:\d+', '', text).split())


def _without_numbers(text: str) -> str:
    """Return what stays the same of a warning that counts the seconds, say."""
    return re.sub(r'\d+(\.\d+)?', '#', text)


def describe_backend(method: object) -> dict[str, object]:
    """Return what a method of a stage computes on, and by which files; most need none."""
    files = getattr(method, 'weight_files', ())
    return {'device': getattr(method, 'device', 'cpu'), 'weight_files': ', '.join(files) or 'none'}


class Health:
    """
    Publishes the condition of a node from its first second to its last, also while it rests.

    What is wrong is logged when it begins, not again while it lasts. Whoever holds ``state_lock``
    is not asked how it is meanwhile.
    """

    def __init__(self, node: Node, condition: Callable[[], NodeStatus]) -> None:
        self.statistics = Statistics()
        # A node may be unloaded in one thread while it tells how it is in another.
        self.state_lock = threading.RLock()
        self._is_over = False
        self._node, self._get_status = node, condition
        self._rates = RateMeter()
        self._warned: set[str] = set()  # what was wrong when it was told last
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # By the steady clock: it goes on while a bag is paused.
        node.create_timer(_PERIOD_S, self.publish_status, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def complain(self, text: str) -> None:
        """Say in one line, once, and in the diagnostics, what went wrong with one frame."""
        text = to_single_line(text)
        if self.statistics.complain(text):
            self._node.get_logger().error(text)

    def publish_status(self) -> None:
        """Publish the present condition."""
        with self.state_lock:
            if not self._is_over:
                self._publish(self._get_status())

    def end(self) -> None:
        """Fall silent, as the node goes."""
        self._is_over = True

    def _publish(self, now: NodeStatus) -> None:
        warnings = {_without_numbers(warning): warning for warning in now.warnings}
        for kind, warning in warnings.items():
            if kind not in self._warned:
                self._node.get_logger().warning(warning)
        self._warned = set(warnings)
        counts = {**{f'in.{topic}': n for topic, n in now.received.items()},
                  **{f'out.{topic}': n for topic, n in now.published.items()}}
        rates_hz = self._rates.rates_hz(counts)
        values = {
            'lifecycle': now.lifecycle,
            **{f'frames_{name}': count for name, count in counts.items()},
            **{f'rate_hz_{name}': rate for name, rate in rates_hz.items()},
            **{f'drops.{reason}': n for reason, n in self.statistics.drops().items()},
            **{f'latency_ms.{p}': ms for p, ms in self.statistics.latency_ms().items()},
            **now.values,
        }
        header = messages.header_of(self._node.get_clock().now().nanoseconds, '')
        self._publisher.publish(diagnostic_message(
            header, self._node.get_fully_qualified_name(), now.lifecycle,
            '; '.join(now.warnings), self.statistics.take_error() or now.error, values))
