# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One line about the whole graph: what the fused image shows, since when, and why not better."""

from __future__ import annotations

from datetime import datetime
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ivf_ros.fusion import FusionMode
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.statistics import mask_numbers
from ivf_ros.nodes.graph.transport import LATCHED_QOS

_DIAGNOSTICS_DEPTH = 20
# Older diagnostics of the registration say nothing about the present.
_MAX_AGE_S = 3.0


class GraphStatus:
    """
    Publishes ``~/status``, whenever more than a number in it changes.

    The reason is that of fusion. Where the registration is the cause, its own reason is added, as
    its diagnostics say it.

    Parameters
    ----------
    node:
        The fusion node; the registration is that of its namespace.

    Attributes
    ----------
    text:
        The latest status; empty before the first one.

    """

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._output = node.advertise(messages.TEXT, '~/status', LATCHED_QOS)
        self._mode: FusionMode | None = None
        self._since = ''
        self.text = ''
        self._published = ''  # without its numbers
        self._registration = -_MAX_AGE_S, ''  # time of arrival, and the message of a problem

    @property
    def has_subscribers(self) -> bool:
        """Whether somebody reads the status."""
        return self._output.has_subscribers

    def subscribe(self) -> None:
        """Listen to the registration until the node is deactivated."""
        self._node.subscribe_to_messages(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                         _DIAGNOSTICS_DEPTH)

    def update(self, mode: FusionMode, reason: str, stamp_ns: int) -> None:
        """Publish the status if it is another one than the latest."""
        if mode is not self._mode:
            self._since = datetime.now().strftime('%H:%M:%S')
            if self._mode is not None and mode is FusionMode.FUSED:
                # The beginning of a problem is logged as a warning of the node.
                self._node.get_logger().info(f'FUSED again, after {self._mode.value}')
            self._mode = mode
        arrived_s, cause = self._registration
        if 'regist' not in reason or time.monotonic() - arrived_s > _MAX_AGE_S:
            cause = ''
        text = ': '.join(filter(None, (f'{mode.value} since {self._since}', reason, cause)))
        if text == self.text:  # as for almost every image
            return
        self.text = text
        if mask_numbers(self.text) != self._published:
            self._published = mask_numbers(self.text)
            self._output.publish(Stamped(self.text, stamp_ns, ''))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            namespace, _, name = status.name.rpartition('/')
            if name == 'registration' and (namespace or '/') == self._node.get_namespace():
                problem = status.message if status.level != DiagnosticStatus.OK else ''
                self._registration = time.monotonic(), problem
