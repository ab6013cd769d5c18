# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection node: detects objects in the fused image, or in both cameras."""

from __future__ import annotations

from typing import Any

from ivf_ros import detection
from ivf_ros.detection import DetectionStage
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.node_parameters import DetectionNodeParameters
from ivf_ros.nodes.graph.perception_input import PerceptionSubscriber
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.pace import Pace
from ivf_ros.types import Frame


class DetectionNode(StageNode):
    """
    Publishes ``detections`` with the header of the source image.

    If the thermal camera is radiometric, ``detections/temperatures`` contains the temperatures.
    """

    default_name = 'detection'
    stage: DetectionStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(DetectionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage."""
        self.stage = DetectionStage(self.parameters)
        self._pace = Pace()
        self._detections = self.advertise(messages.DETECTIONS, 'detections')
        self._temperatures = self.advertise(messages.TEMPERATURES, 'detections/temperatures')
        self._overlay = ImageOutput(self, 'detections/overlay')

    def activate(self) -> None:
        """Subscribe to the images."""
        self._worker = self.start_worker(self._detect,
                                         lambda: self.statistics.count_drop('busy'))
        self._input = PerceptionSubscriber(self, self._has_subscribers, self._on_fused,
                                           uses_both=self._uses_both,
                                           uses_counts=lambda: self.stage.needs_counts)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, and the device and weight files."""
        return self._input.find_problem(), describe_backend(self.stage.method)

    def _has_subscribers(self) -> bool:
        return self._detections.has_subscribers or self._overlay.has_subscribers \
            or self._temperatures.has_subscribers

    def _uses_both(self) -> bool:
        return self.parameters.looks_at != 'fused' and self.stage.method.takes_thermal

    def _on_fused(self, frame: Frame) -> None:
        if self._has_subscribers() and self._pace.is_due(self.parameters.max_rate_hz):
            self._worker.put(frame)

    def _detect(self, frame: Frame) -> None:
        with self.statistics.measure_latency():
            detections = self.stage.step(self._input.collect(frame), frame.stamp_ns)
        self._temperatures.publish(Stamped(detections, frame.stamp_ns, frame.frame_id))
        self._detections.publish(Stamped(detections, frame.stamp_ns, frame.frame_id))
        if self._overlay.has_subscribers:
            self._overlay.publish(Frame(detection.draw(frame.image, detections), frame.stamp_ns,
                                        frame.frame_id))


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(DetectionNode, arguments)
