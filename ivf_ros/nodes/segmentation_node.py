# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation node: labels each pixel of the fused image, or of both cameras."""

from __future__ import annotations

from typing import Any

from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.node_parameters import SegmentationNodeParameters
from ivf_ros.nodes.graph.perception_input import PerceptionSubscriber
from ivf_ros.nodes.graph.perception_output import LabelOutput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.segmentation import SegmentationStage
from ivf_ros.types import Frame


class SegmentationNode(StageNode):
    """Publishes ``segmentation/labels`` with the header of the image, and the class names."""

    default_name = 'segmentation'
    stage: SegmentationStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(SegmentationNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage."""
        self.stage = SegmentationStage(self.parameters)
        self._labels = LabelOutput(self)

    def activate(self) -> None:
        """Subscribe to the images and publish the class names."""
        self._input = PerceptionSubscriber(
            self, lambda: self._labels.has_subscribers, self._segment,
            takes_thermal=lambda: self.stage.method.takes_thermal, uses_counts=lambda: False)
        self._labels.publish_names(self.stage.method.class_names)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, and the device and weight files."""
        return self._input.find_problem(), describe_backend(self.stage.method)

    def _segment(self, frame: Frame) -> None:
        with self.statistics.measure_latency():
            result = self.stage.step(self._input.collect(frame))
        self._labels.publish(result, frame)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(SegmentationNode, arguments)
