# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder node: receives the topics of the graph over DDS and writes them into a bag."""

from __future__ import annotations

from collections import Counter
import threading
import time
from typing import Any, Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ivf_ros import shared_memory
from ivf_ros.data.bag_writer import BagError, BagWriter
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.cdr import read_stamp_ns
from ivf_ros.nodes.graph.health import to_single_line
from ivf_ros.nodes.graph.messages import Homography, Stamped
from ivf_ros.nodes.graph.topic_checks import type_name
from ivf_ros.nodes.graph.transport import LATCHED_QOS
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection2DArray, LabelInfo

# Topics in the recording; the overlays can be drawn again from these.
RECORDED_TOPICS = {
    'thermal/image_raw': Image,
    'rgb/image_raw': Image,
    'registration/homography': CameraInfo,
    'thermal_registered/image': Image,
    'fused/image': Image,
    'segmentation/labels': Image,
    'segmentation/label_info': LabelInfo,
    'detections': Detection2DArray,
}

_RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED_TOPICS = ('segmentation/label_info',)
# A killed process loses the messages of this time, and those that it has not received.
_FLUSH_PERIOD_S = 0.25
# What reading a message raises whose content is invalid.
_BAD_MESSAGE_ERRORS = (ValueError, RuntimeError)


class Recorder(Node):
    """
    Writes the serialised messages into a bag and stores their times of arrival.

    Any node may publish on the topics. A message that cannot be read is written all the same, but
    is no result.

    Attributes
    ----------
    frames:
        Number of received messages by topic.
    bad_messages:
        Number of messages that cannot be read by topic; ``frames`` does not count them.
    arrivals_s:
        By topic: stamp in nanoseconds to ``time.monotonic()`` of arrival.
    homographies:
        All received homographies that are valid.
    class_names:
        Class names of the segmentation labels.
    failure:
        Why the bag is no longer written, for example because the disk is full; empty if there is
        no error.
    diagnostics:
        Values of the latest diagnostic message by node name.
    problems:
        Message of the latest diagnostic status that was not OK, by node name.

    """

    def __init__(self, writer: BagWriter, **node_options: Any) -> None:
        super().__init__('recorder', **node_options)
        shared_memory.claim()
        self._writer = writer
        self.frames: Counter[str] = Counter()
        self.bad_messages: Counter[str] = Counter()
        self.arrivals_s: dict[str, dict[int, float]] = {t: {} for t in RECORDED_TOPICS}
        self.homographies: list[Stamped[Homography]] = []
        self.class_names: tuple[str, ...] = ()
        self.failure = ''
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.problems: dict[str, str] = {}
        self._updated = threading.Condition()
        for topic, message_type in RECORDED_TOPICS.items():
            self.create_subscription(
                message_type, topic, self._make_callback(topic, message_type),
                LATCHED_QOS if topic in _LATCHED_TOPICS else _RELIABLE, raw=True)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 20)
        self.create_timer(_FLUSH_PERIOD_S, self._flush,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``condition()`` is true; return False after the timeout."""
        with self._updated:
            return self._updated.wait_for(condition, timeout_s)

    def _make_callback(self, topic: str, message_type: type) -> Callable[[bytes], None]:

        def on_message(cdr: bytes) -> None:
            arrived_s = time.monotonic()
            self._write(topic, type_name(message_type), cdr)
            with self._updated:
                try:
                    self.arrivals_s[topic][read_stamp_ns(cdr)] = arrived_s
                    if topic == 'registration/homography':
                        homography = messages.homography_from_message(
                            deserialize_message(cdr, message_type))
                        if not homography.value.is_lost:
                            self.homographies.append(homography)
                    elif topic == 'segmentation/label_info':
                        self.class_names = messages.label_info_from_message(
                            deserialize_message(cdr, message_type)).value
                except _BAD_MESSAGE_ERRORS as error:
                    self._report_bad_message(topic, error)
                else:
                    self.frames[topic] += 1
                self._updated.notify_all()

        return on_message

    def _report_bad_message(self, topic: str, error: Exception) -> None:
        """Count a message that cannot be read; log the first one of a topic."""
        self.bad_messages[topic] += 1
        if self.bad_messages[topic] == 1:
            self.get_logger().warning(f"bad message on '{topic}': {to_single_line(str(error))}")

    def _write(self, topic: str, message_type: str, cdr: bytes) -> None:
        if self.failure:
            return
        try:
            self._writer.write_raw(topic, message_type, cdr, self.get_clock().now().nanoseconds,
                                   latched=topic in _LATCHED_TOPICS)
        except BagError as error:
            self.failure = str(error)

    def _flush(self) -> None:
        try:
            self._writer.flush()
        except BagError as error:
            self.failure = str(error)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._updated:
            for status in message.status:
                values = {entry.key: entry.value for entry in status.values}
                self.diagnostics[status.name.lstrip('/')] = values
                if status.level != DiagnosticStatus.OK:
                    self.problems[status.name.lstrip('/')] = status.message
            self._updated.notify_all()
