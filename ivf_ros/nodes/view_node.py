# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The view node: shows the topics of a running graph in Rerun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from ivf_ros import images, shared_memory
from ivf_ros.fusion import FusionMode
from ivf_ros.nodes.graph import messages, topic_checks
from ivf_ros.nodes.graph.faults import describe_error
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.messages import Homography, Stamped
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS, Subscription, TypeAdapter
from ivf_ros.types import Detection, Frame, RegistrationState, Segmentation
from ivf_ros.worker import Worker
import numpy as np
from rclpy.node import Node

if TYPE_CHECKING:
    from ivf_ros.view.log import ViewLog

_MAX_AGE_S = 60.0  # of an image; an older one comes from another clock


class ViewNode(Node):
    """
    Logs the images and results of the graph at their stamps, and its diagnostics at the latest.

    The outputs that it shows are computed as long as it runs, because it subscribes to them.

    Parameters
    ----------
    log:
        Gets everything.
    transport:
        ``raw`` or ``compressed``, of all images.
    node_options:
        Options of ``rclpy.node.Node``, such as ``namespace``.

    Attributes
    ----------
    frames, skipped:
        Number of logged messages by topic, and of images that a newer one replaced.
    errors:
        Number of messages that could not be used, by reason.
    states:
        Latest state of the registration and content of the fused image.

    """

    def __init__(self, log: ViewLog, transport: str = 'raw', **node_options: Any) -> None:
        super().__init__('view', **node_options)
        shared_memory.claim()
        self._log, self._hub = log, Hub()
        self.frames: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.states: dict[str, str] = {}
        self._latest_ns = 0  # stamp of the latest image
        self._thermal_size: tuple[int, int] | None = None
        self._state = RegistrationState.TRACKING
        self._workers: list[Worker] = []
        self._inputs: list[Subscription] = []
        for topic, on_frame in (('thermal/image_raw', self._on_thermal),
                                ('rgb/image_raw', self._on_rgb),
                                ('thermal_registered/image_8bit', self._on_registered),
                                ('fused/image', self._on_fused)):
            self._subscribe(*resolve_transport(topic, transport), on_frame)
        self._images = tuple(self._inputs)
        self._subscribe(messages.LABELS, 'segmentation/labels', self._on_labels)
        self._subscribe(messages.LABEL_INFO, 'segmentation/label_info',
                        lambda item: log.log_class_names(item.value), qos=LATCHED_QOS)
        self._subscribe(messages.DETECTIONS, 'detections', self._on_detections)
        self._subscribe(messages.HOMOGRAPHY, 'registration/homography', self._on_homography)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 20)

    @property
    def has_images(self) -> bool:
        """Whether any image arrived."""
        return any(subscription.count for subscription in self._images)

    def find_problems(self) -> list[str]:
        """Return a line for each image topic without images so far, and each wrong publisher."""
        silent = [subscription.topic_name for subscription in self._images
                  if not subscription.count]
        return [*(f"nothing received on '{topic}' ({topic_checks.explain_silence(self, topic)})"
                  for topic in silent),
                *(problem for subscription in self._inputs
                  for problem in subscription.find_problems())]

    def destroy_node(self) -> None:
        """Unsubscribe, and end the threads after their present items."""
        for subscription in self._inputs:
            subscription.destroy()
        for worker in self._workers:
            worker.stop()
        self._inputs.clear()
        super().destroy_node()

    def _subscribe(self, adapter: TypeAdapter, topic: str, on_item: Callable[[Any], None],
                   **options: Any) -> None:
        """Log the newest item of a topic in a thread; the callback only enqueues."""
        def log_item(item: Any) -> None:
            on_item(item)
            self.frames[topic] += 1

        def count_skipped() -> None:
            self.skipped[topic] += 1

        worker = Worker(topic, log_item, partial(self._on_bad_message, topic), count_skipped)
        self._workers.append(worker)
        self._inputs.append(Subscription(self, self._hub, adapter, topic, worker.put,
                                         self._on_bad_message, **options))

    def _on_bad_message(self, topic: str, error: Exception) -> None:
        self.errors[f'{topic}: {describe_error(error)}'] += 1

    def _on_thermal(self, frame: Frame) -> None:
        self._thermal_size = frame.size
        self._log.log_thermal(frame)

    def _on_rgb(self, frame: Frame) -> None:
        self._latest_ns = frame.stamp_ns
        if frame.image.dtype != np.uint8:
            frame = replace(frame, image=images.as_bgr8(frame.image))
        self._log.log_rgb(frame)

    def _on_registered(self, frame: Frame) -> None:
        self._log.log_registered(frame.image, frame.stamp_ns)

    def _on_fused(self, frame: Frame) -> None:
        self._latest_ns = frame.stamp_ns
        self._log_age('camera_to_fused', frame.stamp_ns)
        self._log.log_fused(frame.image, frame.stamp_ns)

    def _on_labels(self, item: Stamped[Segmentation]) -> None:
        self._log.log_labels(item.value, item.stamp_ns)

    def _on_detections(self, item: Stamped[list[Detection]]) -> None:
        self._log_age('camera_to_detections', item.stamp_ns)
        self._log.log_detections(item.value, item.stamp_ns)

    def _on_homography(self, item: Stamped[Homography]) -> None:
        if self._thermal_size is not None:
            self._log.log_outline(item.value.H_thermal_to_rgb, self._thermal_size, self._state,
                                  item.stamp_ns)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            namespace, _, node = status.name.rpartition('/')
            if self._latest_ns and (namespace or '/') == self.get_namespace():
                values = {entry.key: entry.value for entry in status.values}
                try:
                    self._log_status(node, values)
                except ValueError as error:  # a node of somebody else with such a name
                    self._on_bad_message('/diagnostics', error)

    def _log_status(self, node: str, values: dict[str, str]) -> None:
        """Log what the diagnostics of a node say that its topics do not."""
        if 'latency_ms.p50' in values:
            self._log.log_latency(node, float(values['latency_ms.p50']) * 1e-3, self._latest_ns)
        if node == 'registration' and 'state' in values:
            self._state = RegistrationState(values['state'])
            self.states['registration'] = self._state.value
            self._log.log_reliability(self._state, float(values['confidence']),
                                      float(values['corner_deviation_px']), self._latest_ns)
        if node == 'fusion' and 'mode' in values:
            self.states['fusion'] = values.get('status', values['mode'])
            self._log.log_mode(FusionMode(values['mode']), self._latest_ns)

    def _log_age(self, name: str, stamp_ns: int) -> None:
        age_s = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        if 0 <= age_s < _MAX_AGE_S:
            self._log.log_latency(name, age_s, stamp_ns)
