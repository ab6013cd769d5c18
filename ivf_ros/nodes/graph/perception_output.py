# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics with the results of segmentation and of detection."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros import detection, segmentation
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.annotations import advertise_annotations
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import LATCHED_QOS
from ivf_ros.types import Detection, Frame, Segmentation


class LabelOutput:
    """Publishes ``segmentation/labels``, ``segmentation/label_info`` and an overlay."""

    def __init__(self, node: StageNode) -> None:
        self._node = node
        self._labels = node.advertise(messages.LABELS, 'segmentation/labels')
        self._info = node.advertise(messages.LABEL_INFO, 'segmentation/label_info', LATCHED_QOS)
        self._overlay = ImageOutput(node, 'segmentation/overlay')

    @property
    def has_subscribers(self) -> bool:
        """Whether any result has a subscriber."""
        return self._labels.has_subscribers or self._overlay.has_subscribers

    def publish_names(self, names: tuple[str, ...]) -> None:
        """Publish the names of the labels."""
        self._info.publish(Stamped(names, self._node.get_clock().now().nanoseconds, ''))

    def publish(self, result: Segmentation, frame: Frame) -> None:
        """Publish the labels of an image with its header."""
        self._labels.publish(Stamped(result, frame.stamp_ns, frame.frame_id))
        if self._overlay.has_subscribers:
            self._overlay.publish(Frame(segmentation.overlay(frame.image, result),
                                        frame.stamp_ns, frame.frame_id))


class DetectionOutput:
    """
    Publishes ``detections``, an overlay, and annotations for viewers.

    If the thermal camera is radiometric, ``detections/temperatures`` contains the temperatures.
    """

    def __init__(self, node: StageNode) -> None:
        self._detections = node.advertise(messages.DETECTIONS, 'detections')
        self._temperatures = node.advertise(messages.TEMPERATURES, 'detections/temperatures')
        self._annotations = advertise_annotations(node, 'detections')
        self._overlay = ImageOutput(node, 'detections/overlay')

    @property
    def has_subscribers(self) -> bool:
        """Whether any result has a subscriber."""
        return self._overlay.has_subscribers or any(
            publisher.has_subscribers
            for publisher in (self._detections, self._temperatures, *self._annotations))

    def publish(self, detections: Sequence[Detection], frame: Frame) -> None:
        """Publish the detections of an image with its header."""
        stamped = Stamped(list(detections), frame.stamp_ns, frame.frame_id)
        self._temperatures.publish(stamped)
        self._detections.publish(stamped)
        for publisher in self._annotations:
            publisher.publish(stamped)
        if self._overlay.has_subscribers:
            self._overlay.publish(Frame(detection.draw(frame.image, detections), frame.stamp_ns,
                                        frame.frame_id))
