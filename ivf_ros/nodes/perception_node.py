# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The perception node: segmentation and detection by one network."""

from __future__ import annotations

from typing import Any

from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.node_parameters import PerceptionNodeParameters
from ivf_ros.nodes.graph.perception_input import PerceptionSubscriber
from ivf_ros.nodes.graph.perception_output import DetectionOutput, LabelOutput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.perception import PerceptionStage
from ivf_ros.types import Frame


class PerceptionNode(StageNode):
    """Publishes ``segmentation/labels`` and ``detections``, as the nodes of both stages do."""

    default_name = 'perception'
    stage: PerceptionStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(PerceptionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage."""
        self.stage = PerceptionStage(self.parameters)
        self._labels, self._detections = LabelOutput(self), DetectionOutput(self)

    def activate(self) -> None:
        """Subscribe to the images and publish the class names."""
        self._input = PerceptionSubscriber(
            self, self._has_subscribers, self._perceive,
            takes_thermal=lambda: self.stage.method.takes_thermal,
            uses_counts=lambda: self.stage.needs_counts)
        self._labels.publish_names(self.stage.method.label_names)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, the network files, and the temperatures."""
        return self._input.find_problem(), {
            **describe_backend(self.stage.method),
            'temperature_problem': self.stage.temperature_problem}

    def _has_subscribers(self) -> bool:
        return self._labels.has_subscribers or self._detections.has_subscribers

    def _perceive(self, frame: Frame) -> None:
        with self.statistics.measure_latency():
            result = self.stage.step(self._input.collect(frame), frame.stamp_ns)
        self._detections.publish(result.detections, frame)
        self._labels.publish(result.segmentation, frame)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(PerceptionNode, arguments)
