# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation node: labels each pixel of the fused image, or of both cameras."""

from __future__ import annotations

from typing import Any

from ivf_ros import segmentation
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.node_parameters import SegmentationNodeParameters
from ivf_ros.nodes.graph.perception_input import PerceptionSubscriber
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS
from ivf_ros.pace import Pace
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
        self._pace = Pace()
        self._labels = self.advertise(messages.LABELS, 'segmentation/labels')
        self._info = self.advertise(messages.LABEL_INFO, 'segmentation/label_info', LATCHED_QOS)
        self._overlay = ImageOutput(self, 'segmentation/overlay')

    def activate(self) -> None:
        """Subscribe to the images and publish the class names."""
        self._worker = self.start_worker(self._segment,
                                         lambda: self.statistics.count_drop('busy'))
        self._input = PerceptionSubscriber(self, self._has_subscribers, self._on_fused,
                                           uses_both=self._uses_both, uses_counts=lambda: False)
        self._info.publish(Stamped(self.stage.method.class_names,
                                   self.get_clock().now().nanoseconds, ''))

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, and the device and weight files."""
        return self._input.find_problem(), describe_backend(self.stage.method)

    def _has_subscribers(self) -> bool:
        return self._labels.has_subscribers or self._overlay.has_subscribers

    def _uses_both(self) -> bool:
        return self.parameters.looks_at != 'fused' and self.stage.method.takes_thermal

    def _on_fused(self, frame: Frame) -> None:
        if self._has_subscribers() and self._pace.is_due(self.parameters.max_rate_hz):
            self._worker.put(frame)

    def _segment(self, frame: Frame) -> None:
        with self.statistics.measure_latency():
            result = self.stage.step(self._input.collect(frame))
        self._labels.publish(Stamped(result, frame.stamp_ns, frame.frame_id))
        if self._overlay.has_subscribers:
            self._overlay.publish(Frame(segmentation.overlay(frame.image, result),
                                        frame.stamp_ns, frame.frame_id))


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(SegmentationNode, arguments)
