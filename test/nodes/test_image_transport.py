# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images by the convention of image_transport, published only on demand."""

from __future__ import annotations

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from ivf_ros.data.simulator import RigSimulator, SimulatorParameters  # noqa: E402, I100
from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from ivf_ros.nodes.replay_node import ReplayNode  # noqa: E402
from ivf_ros.nodes.segmentation_node import SegmentationNode  # noqa: E402
from ivf_ros.parameters import build  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

COMPRESSED = messages.COMPRESSED.message_type
SMALL = {'thermal.width': 320, 'thermal.height': 240, 'rgb.width': 320, 'rgb.height': 240}
SOURCE = 'simulator:' + ','.join(f'{key}={value}' for key, value in SMALL.items())


def start(graph, node_class, **overrides):
    """Start a node with a separate hub, so that it communicates by messages only."""
    node = graph.add(node_class, Hub(), parameter_overrides=[
        Parameter(name, value=value) for name, value in overrides.items()])
    assert node.autostart()
    return node


def test_the_whole_graph_takes_and_publishes_compressed_images(live_graph):
    received = {topic: [] for topic in (
        'thermal_registered/image/compressed', 'fused/image/compressed',
        'detections/overlay/compressed', 'segmentation/overlay/compressed')}
    viewer = live_graph.node('viewer')
    for topic, images in received.items():
        viewer.create_subscription(COMPRESSED, topic, images.append, 5)
    both = {'thermal_transport': 'compressed', 'rgb_transport': 'compressed'}
    start(live_graph, RegistrationNode, max_rate_hz=10.0,
          **{'registration.method': 'dense'}, **both)
    start(live_graph, FusionNode, **{'fusion.method': 'laplacian'}, **both)
    nodes = [start(live_graph, node_class, fused_transport='compressed', **both)
             for node_class in (DetectionNode, SegmentationNode)]
    start(live_graph, ReplayNode, source=SOURCE, loop=True)
    assert wait_until(lambda: all(len(images) >= 2 for images in received.values()), 40.0)
    formats = {topic: images[-1].format for topic, images in received.items()}
    assert 'png' in formats.pop('thermal_registered/image/compressed')
    assert all('jpeg' in text for text in formats.values())
    registered = messages.compressed_from_message(
        received['thermal_registered/image/compressed'][-1])
    assert registered.image.dtype == np.uint16 and registered.frame_id == 'rgb_optical_frame'
    for node in nodes:
        topics = set(node._subscriptions_by_topic)
        assert {'fused/image/compressed', 'rgb/image_raw/compressed',
                'thermal_registered/image_8bit/compressed'} == topics


def test_images_are_compressed_only_with_a_subscriber(live_graph):
    _, rgb, _ = RigSimulator(build(SimulatorParameters, SMALL)).pair(0)
    node = start(live_graph, FusionNode, **{'fusion.method': 'average'})
    raw, compressed = node._fused._publishers
    received = []
    viewer = live_graph.node('viewer')
    listener = viewer.create_subscription(messages.IMAGE.message_type, 'fused/image',
                                          received.append, 5)
    assert wait_until(lambda: raw.has_subscribers)
    node._fused.publish(rgb)
    assert wait_until(lambda: received)
    assert (raw.count, compressed.count) == (1, 0)
    viewer.destroy_subscription(listener)
    viewer.create_subscription(COMPRESSED, 'fused/image/compressed', received.append, 5)
    assert wait_until(lambda: compressed.has_subscribers and not raw.has_subscribers)
    node._fused.publish(rgb)
    assert wait_until(lambda: len(received) == 2)
    assert (raw.count, compressed.count) == (1, 1)
