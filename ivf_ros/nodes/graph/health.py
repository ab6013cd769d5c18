# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The status of a node: published on ``/diagnostics`` every second, new problems also logged."""

from __future__ import annotations

from dataclasses import dataclass, field
import re
import threading
from typing import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray
from ivf_ros import shared_memory
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.statistics import (
    make_diagnostic_array,
    mask_numbers,
    RateMeter,
    Statistics,
)
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

_PERIOD_S = 1.0


@dataclass(frozen=True)
class NodeStatus:
    """
    The status of a node at one moment.

    Attributes
    ----------
    lifecycle:
        ``unconfigured``, ``inactive`` or ``active``.
    error:
        The error message; empty if there is none. An error is more severe than a warning.
    warnings:
        The warning messages.
    received, published:
        Number of frames so far by topic.
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
    """Return a message as one line, without the C source locations that rcl appends."""
    return ' '.join(re.sub(r',?\s*at /\S+:\d+', '', text).split())


def describe_backend(method: object) -> dict[str, object]:
    """Return where the networks of a method run, and their files, for the diagnostics."""
    networks = getattr(method, 'networks', ())
    devices = dict.fromkeys(str(network.placement) for network in networks)
    summary = getattr(method, 'summary', '')
    return {'device': ', '.join(devices) or 'cpu',
            'weight_files': ', '.join(str(network.path) for network in networks) or 'none',
            **({'network': summary} if summary else {})}


def _describe_lost_ports() -> list[str]:
    lost = shared_memory.find_lost_ports()
    return [f"another process removed /dev/shm/{', '.join(lost)}: this process hears no process "
            'that started afterwards; start it again'] if lost else []


class Health:
    """
    Publishes the status of a node from its creation to its destruction, in every lifecycle state.

    A problem is logged when it begins and is not logged again while it lasts. The status is not
    read while another thread holds ``state_lock``.

    Parameters
    ----------
    node:
        The node that publishes.
    get_status:
        Returns the present status of the node.

    """

    def __init__(self, node: Node, get_status: Callable[[], NodeStatus]) -> None:
        self.statistics = Statistics()
        # One thread may unload the node while another thread reads its status.
        self.state_lock = threading.RLock()
        self._is_stopped = False
        self._node, self._get_status = node, get_status
        self._rates = RateMeter()
        self._logged_warnings: set[str] = set()  # of the last status, without numbers
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # The steady clock continues while a bag is paused.
        node.create_timer(_PERIOD_S, self.publish_status,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def report_error(self, text: str) -> None:
        """
        Log an error of one frame in one line, and publish it with the next status.

        Errors that differ only in numbers are logged once; see ``Statistics.record_error``.
        """
        text = to_single_line(text)
        if self.statistics.record_error(text):
            self._node.get_logger().error(text)

    def publish_status(self) -> None:
        """Publish the present status."""
        with self.state_lock:
            if not self._is_stopped:
                self._publish(self._get_status())

    def stop(self) -> None:
        """Stop publishing; called when the node is destroyed."""
        self._is_stopped = True

    def _publish(self, status: NodeStatus) -> None:
        warnings = {mask_numbers(warning): warning
                    for warning in (*status.warnings, *_describe_lost_ports())}
        for masked, warning in warnings.items():
            if masked not in self._logged_warnings:
                self._node.get_logger().warning(warning)
        self._logged_warnings = set(warnings)
        counts = {**{f'in.{topic}': n for topic, n in status.received.items()},
                  **{f'out.{topic}': n for topic, n in status.published.items()}}
        rates_hz = self._rates.update(counts)
        values = {
            'lifecycle': status.lifecycle,
            **{f'frames_{name}': count for name, count in counts.items()},
            **{f'rate_hz_{name}': rate_hz for name, rate_hz in rates_hz.items()},
            **{f'drops.{reason}': n for reason, n in self.statistics.drops().items()},
            **self.statistics.error_counts(),
            **{f'latency_ms.{p}': ms for p, ms in self.statistics.latency_ms().items()},
            **status.values,
        }
        header = messages.make_header(self._node.get_clock().now().nanoseconds, '')
        self._publisher.publish(make_diagnostic_array(
            header, self._node.get_fully_qualified_name(), status.lifecycle,
            '; '.join(warnings.values()), self.statistics.take_error() or status.error, values))
