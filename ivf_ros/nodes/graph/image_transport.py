# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image topics by the convention of image_transport: raw, and ``<topic>/compressed``."""

from __future__ import annotations

from typing import Any

from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.node_parameters import TRANSPORTS
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.types import Frame


def resolve_transport(topic: str, transport: str) -> tuple[TypeAdapter[Any], str]:
    """Return how images of a topic travel by one of ``TRANSPORTS``, and on which topic."""
    if transport == 'compressed':
        return messages.COMPRESSED, f'{topic}/compressed'
    return messages.IMAGE, topic


class ImageOutput:
    """
    Publishes images on ``<topic>`` and ``<topic>/compressed``, each while somebody listens.

    One channel is compressed as PNG, which keeps 16 bits, and colour as JPEG.
    """

    def __init__(self, node: StageNode, topic: str) -> None:
        self._publishers = [node.advertise(*resolve_transport(topic, transport)) for transport in TRANSPORTS]

    @property
    def has_subscribers(self) -> bool:
        """Whether anyone would receive an image now, in either form."""
        return any(form.has_subscribers for form in self._publishers)

    def publish(self, frame: Frame) -> None:
        """Hand an image to everyone who listens; nobody may change it afterwards."""
        for form in self._publishers:
            form.publish(frame)
