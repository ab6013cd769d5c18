# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image topics by the convention of image_transport: ``<topic>`` and ``<topic>/compressed``."""

from __future__ import annotations

from typing import Any

from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.node_parameters import TRANSPORTS
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.types import Frame


def resolve_transport(topic: str, transport: str) -> tuple[TypeAdapter[Any], str]:
    """Return the type adapter and the topic name of an image topic for a transport."""
    if transport == 'raw':
        return messages.IMAGE, topic
    return messages.COMPRESSED, f'{topic}/{transport}'


class ImageOutput:
    """
    Publishes images on ``<topic>`` and ``<topic>/compressed``, each only if it has subscribers.

    Images with one channel are compressed as PNG, which keeps 16 bits. Colour images are
    compressed as JPEG.
    """

    def __init__(self, node: StageNode, topic: str) -> None:
        self._publishers = [node.advertise(*resolve_transport(topic, transport))
                            for transport in TRANSPORTS]

    @property
    def has_subscribers(self) -> bool:
        """Whether the raw or the compressed topic has a subscriber now."""
        return any(publisher.has_subscribers for publisher in self._publishers)

    def publish(self, frame: Frame) -> None:
        """Publish an image to all subscribers; it must not be changed afterwards."""
        for publisher in self._publishers:
            publisher.publish(frame)
