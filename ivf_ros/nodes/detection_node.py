# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection node: detects objects in the fused image, or in both cameras."""

from __future__ import annotations

from typing import Any

from ivf_ros.detection import DetectionStage
from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.node_parameters import DetectionNodeParameters
from ivf_ros.nodes.graph.perception_input import PerceptionSubscriber
from ivf_ros.nodes.graph.perception_output import DetectionOutput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.types import Frame


class DetectionNode(StageNode):
    """Publishes ``detections`` with the header of the source image; see ``DetectionOutput``."""

    default_name = 'detection'
    stage: DetectionStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(DetectionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage."""
        self.stage = DetectionStage(self.parameters)
        self._detections = DetectionOutput(self)

    def activate(self) -> None:
        """Subscribe to the images."""
        self._input = PerceptionSubscriber(
            self, lambda: self._detections.has_subscribers, self._detect,
            takes_thermal=lambda: self.stage.method.takes_thermal,
            uses_counts=lambda: self.stage.needs_counts)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, the network files, and the temperatures."""
        return self._input.find_problem(), {
            **describe_backend(self.stage.method),
            'temperature_problem': self.stage.temperature_problem}

    def _detect(self, frame: Frame) -> None:
        with self.statistics.measure_latency():
            detections = self.stage.step(self._input.collect(frame), frame.stamp_ns)
        self._detections.publish(detections, frame)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(DetectionNode, arguments)
