# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The bond by which the lifecycle manager of nav2 notices that a node has died.

Both sides of a bond publish ``bond/msg/Status`` on the topic ``bond``, with the name of the node
as the id. A side knows that the bond is formed when it hears the other one. The bond breaks when a
side says that it ends, or is silent for longer than the other side allows. As for the nodes of
nav2, silence of the manager does not break it on the side of the node.
"""

from __future__ import annotations

import threading
from typing import Any
import uuid

from ivf_ros.nodes.graph.messages import make_header
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher

_TOPIC = 'bond'
_QUEUE_DEPTH = 100  # all nodes of a manager share the topic
# Announced to the other side; nodes of nav2 announce this value and do not act on it either.
_HEARTBEAT_TIMEOUT_S = 4.0


class Bond:
    """
    The side of a managed node.

    Parameters
    ----------
    node:
        The node that the manager watches.

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.RLock()  # a container deactivates a node in another thread
        self._period_s = 0.0
        self._instance_id = self._manager_id = ''  # the latter is empty until the bond is formed
        self._publisher: Publisher | None = None  # None: there is no bond
        self._timer: Any = None
        self._subscription: Any = None

    def start(self, period_s: float) -> None:
        """
        Send a heartbeat every ``period_s`` seconds until ``end``; do nothing if it is 0.

        Raises
        ------
        RuntimeError
            The message package ``bond`` is not installed.

        """
        if period_s == 0.0:
            return
        try:
            from bond.msg import Status
        except ImportError:
            raise RuntimeError('bond_heartbeat_period needs the package bond, which is not '
                               'installed (sudo apt install ros-$ROS_DISTRO-bond); 0 switches the '
                               'bond off') from None
        with self._lock:
            self._period_s = period_s
            self._instance_id, self._manager_id = str(uuid.uuid4()), ''
            self._publisher = self._node.create_publisher(Status, _TOPIC, _QUEUE_DEPTH)
            self._subscription = self._node.create_subscription(
                Status, _TOPIC, self._on_status, _QUEUE_DEPTH)
            self._timer = self._node.create_timer(period_s, self._send_heartbeat,
                                                  clock=Clock(clock_type=ClockType.STEADY_TIME))
            self._send_heartbeat()

    def end(self) -> None:
        """Tell the manager that this side ends, and stop the heartbeats."""
        with self._lock:
            if self._publisher is None:
                return
            if self._node.context.ok():
                self._publish(is_active=False)
            self._node.destroy_timer(self._timer)
            self._node.destroy_subscription(self._subscription)
            self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def _send_heartbeat(self) -> None:
        with self._lock:
            if self._publisher is not None:
                self._publish(is_active=True)

    def _publish(self, is_active: bool) -> None:
        assert self._publisher is not None
        self._publisher.publish(self._publisher.msg_type(
            header=make_header(self._node.get_clock().now().nanoseconds, ''),
            id=self._node.get_name(), instance_id=self._instance_id, active=is_active,
            heartbeat_timeout=_HEARTBEAT_TIMEOUT_S, heartbeat_period=self._period_s))

    def _on_status(self, status: Any) -> None:
        with self._lock:
            if self._publisher is None or status.id != self._node.get_name() \
                    or status.instance_id == self._instance_id:
                return
            if status.active and not self._manager_id:
                self._manager_id = status.instance_id
                self._node.get_logger().info('the bond with the lifecycle manager is formed')
            elif not status.active and status.instance_id == self._manager_id:
                self._node.get_logger().info('the lifecycle manager has ended the bond')
                self.end()  # which the manager waits for
