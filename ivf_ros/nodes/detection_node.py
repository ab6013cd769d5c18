# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds objects in the fused image."""

from __future__ import annotations

from typing import Any

from ivf_ros import detection
from ivf_ros.nodes import messages
from ivf_ros.nodes.messages import Stamped
from ivf_ros.nodes.node_parameters import DetectionNodeParameters
from ivf_ros.nodes.process import run_node
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.nodes.transport import Hub
from ivf_ros.nodes.worker import Pace
from ivf_ros.parameters import flatten
from ivf_ros.types import Frame


class DetectionNode(StageNode):
    """Publishes ``detections`` with the header of the image that was searched."""

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__('detection', DetectionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the detector."""
        self.parameters_changed()
        self._pace = Pace()
        self._detections = self.advertise(messages.DETECTIONS, 'detections')
        self._overlay = self.advertise(messages.IMAGE, 'detections/overlay')

    def activate(self) -> None:
        """Subscribe to the fused image."""
        self._detecting = self.start_worker(self._detect,
                                            lambda: self.statistics.drop('busy'))
        self.subscribe_while(self._is_wanted, messages.IMAGE, 'fused/image', self._on_image)

    def cleanup(self) -> None:
        """Let go of the stage."""
        del self._detector

    def parameters_changed(self) -> None:
        """Build the detector anew."""
        self._detector = detection.create(**flatten(self.parameters.detection))

    def _is_wanted(self) -> bool:
        return self._detections.wanted or self._overlay.wanted

    def _on_image(self, frame: Frame) -> None:
        if self._is_wanted() and self._pace.is_due(self.parameters.max_rate_hz):
            self._detecting.put(frame)

    def _detect(self, frame: Frame) -> None:
        with self.statistics.timed():
            found = self._detector.detect(frame.image)
        self._detections.publish(Stamped(found, frame.stamp_ns, frame.frame_id))
        if self._overlay.wanted:
            self._overlay.publish(Frame(detection.draw(frame.image, found), frame.stamp_ns,
                                        frame.frame_id))


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a process of its own."""
    return run_node(DetectionNode, arguments)
