# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every node of a stage inherits: the beginning and the end of its activity."""

from __future__ import annotations

from dataclasses import dataclass
import gc

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='nodes need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402, I100
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.stage_node import StageNode  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub, Publisher  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from ivf_ros.nodes.segmentation_node import SegmentationNode  # noqa: E402
from ivf_ros.parameters import parameter  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

FRAME = Frame(np.zeros((3, 4), np.uint8), 5)
# Thermal in colour: its refusal uses attributes that exist only after the subscriptions.
COLOUR = Frame(np.dstack([np.full((48, 64), level, np.uint8) for level in (10, 60, 200)]), 5)


@dataclass(frozen=True)
class ListenerParameters:
    """No parameters but that of every node."""

    autostart: bool = parameter(False, 'Configure and activate at start.', live=False)


class Listener(StageNode):
    """Receives an image in the middle of its activation, before ``received`` exists."""

    default_name = 'listener'

    def __init__(self, hub, **node_options):
        super().__init__(ListenerParameters, hub, **node_options)

    def configure(self):
        self.camera = Publisher(self, self.hub, messages.IMAGE, 'image')

    def activate(self):
        self.subscribe(messages.IMAGE, 'image', self._on_image)
        self.camera.publish(FRAME)
        self.received = []

    def _on_image(self, frame):
        self.received.append(frame)


def test_items_are_delivered_only_while_the_node_is_active(live_graph):
    node = live_graph.add(Listener, Hub())
    node.trigger_configure()
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert node.received == []
    node.camera.publish(FRAME)
    assert node.received == [FRAME]
    node.trigger_deactivate()
    node.camera.publish(FRAME)
    assert node.received == [FRAME]


def test_the_reason_of_a_failure_is_that_of_the_latest_transition(live_graph, monkeypatch):
    node = live_graph.add(Listener, Hub())
    node.trigger_configure()
    monkeypatch.setattr(node, 'activate', lambda: 1 / 0)
    node.trigger_activate()
    assert node.failure_reason.startswith('cannot activate: ZeroDivisionError')
    node.trigger_cleanup()
    assert node.failure_reason == '' and node._get_status().error == ''


def test_a_destroyed_node_leaves_the_graph_at_once(live_graph):
    watcher = live_graph.node('watcher')
    node = Listener(Hub(), context=live_graph.context)
    assert 'listener' in watcher.get_node_names()
    gc.disable()  # the node is a part of cycles
    try:
        node.destroy_node()
        assert 'listener' not in watcher.get_node_names()
    finally:
        gc.enable()
    node.destroy_node()  # again: it does nothing


@pytest.mark.parametrize('node_class, parameters', [
    (RegistrationNode, {'registration.method': 'dense'}),
    (FusionNode, {'fusion.method': 'average'}),
    (SegmentationNode, {'segmentation.method': 'thermal_saliency'}),
    (DetectionNode, {'detection.method': 'hog'})])
def test_cameras_that_send_before_the_start_do_not_disturb_a_node(
        live_graph, monkeypatch, node_class, parameters):
    hub = Hub()
    subscribe = StageNode.subscribe

    def subscribe_to_a_sending_camera(self, adapter, topic, callback):
        subscription = subscribe(self, adapter, topic, callback)
        if adapter is messages.IMAGE:
            for stamp_ns in range(1, 4):
                subscription.deliver(Frame(COLOUR.image, stamp_ns))
        return subscription

    monkeypatch.setattr(StageNode, 'subscribe', subscribe_to_a_sending_camera)
    overrides = [Parameter(name, value=value)
                 for name, value in {**parameters, 'autostart': False}.items()]
    listener = live_graph.node('listener')
    for topic, adapter in (('segmentation/labels', messages.LABELS),
                           ('detections', messages.DETECTIONS), ('fused/image', messages.IMAGE),
                           ('registration/homography', messages.HOMOGRAPHY)):
        listener.create_subscription(adapter.message_type, topic, lambda message: None, 5)
    node = live_graph.add(node_class, hub, parameter_overrides=overrides)
    node.trigger_configure()
    assert wait_until(lambda: any(publisher.has_subscribers
                                  for publisher in node._publishers_by_topic.values()))
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert not wait_until(lambda: not all(worker._thread.is_alive() for worker in node._workers),
                          timeout_s=0.3)
    node.diagnose()
