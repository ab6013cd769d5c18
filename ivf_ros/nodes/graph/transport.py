# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishers and subscriptions that hand items over by reference inside one process.

rclpy has no intra-process transport: two nodes in one process serialise every image, send it
through the middleware and parse it again. Here a publisher looks up the subscriptions of its own
process first and calls them with the item itself. Only when somebody outside listens is the item
converted to a message and published::

    publish(item) --+--> subscriptions of this process        (the same object, no copy)
                    +--> DDS, if anyone outside listens --> other processes

Every subscription is a real ROS subscription as well, so that publishers outside are served and
``ros2 topic info`` tells the truth. When an item goes both ways, the DDS copy comes back to the
subscriptions of this process; they know it by its stamp and drop it before converting it.
"""

from __future__ import annotations

from collections import defaultdict, OrderedDict
from copy import copy
from dataclasses import dataclass
import threading
from typing import Any, Callable, Generic, Protocol, TypeVar

from ivf_ros.nodes.graph import topic_watch
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


class TransportError(RuntimeError):
    """A topic cannot be joined; the message says why."""


class Item(Protocol):
    """Anything that travels."""

    @property
    def stamp_ns(self) -> int:
        """Return the time that tells one item of a topic from another."""


T = TypeVar('T', bound=Item)

# Best effort connects to any publisher; reliable connects to any subscription.
SUBSCRIBE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
PUBLISH_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Stamps remembered per topic to recognise copies that return through DDS. Far more than can be
# under way at once: histories are five deep.
_REMEMBERED_STAMPS = 256


@dataclass(frozen=True)
class TypeAdapter(Generic[T]):
    """How an item of the graph becomes a ROS message and back."""

    message_type: type
    to_message: Callable[[T], Any]
    from_message: Callable[[Any], T]


class _Topic:
    """The subscriptions of this process to one topic, and what they were handed directly."""

    def __init__(self) -> None:
        self.subscriptions: tuple[Subscription, ...] = ()
        self._delivered_stamps_ns: OrderedDict[int, None] = OrderedDict()

    def remember(self, stamp_ns: int) -> None:
        self._delivered_stamps_ns[stamp_ns] = None
        while len(self._delivered_stamps_ns) > _REMEMBERED_STAMPS:
            self._delivered_stamps_ns.popitem(last=False)

    def was_delivered(self, stamp_ns: int) -> bool:
        return stamp_ns in self._delivered_stamps_ns


class Hub:
    """
    The meeting point of the publishers and subscriptions of one process.

    Nodes that are given the same hub exchange items by reference. A node with a hub of its own
    reaches everybody, its neighbours in the process too, through DDS.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Two ends that read a topic as different items meet through DDS, like strangers.
        self._topics: dict[tuple[str, TypeAdapter], _Topic] = defaultdict(_Topic)

    def topic(self, name: str, adapter: TypeAdapter) -> _Topic:
        with self._lock:
            return self._topics[name, adapter]

    def add(self, subscription: Subscription, topic: _Topic) -> None:
        with self._lock:
            topic.subscriptions += (subscription,)

    def remove(self, subscription: Subscription, topic: _Topic) -> None:
        with self._lock:
            topic.subscriptions = tuple(s for s in topic.subscriptions if s is not subscription)


class Publisher(Generic[T]):
    """Publishes items of one topic: by reference inside the process, as messages outside."""

    def __init__(self, node: Node, hub: Hub, adapter: TypeAdapter[T], topic: str,
                 qos: QoSProfile = PUBLISH_QOS) -> None:
        self._adapter = adapter
        self._node = node
        self._ros: Any = _create_endpoint(
            node, node.create_publisher, adapter.message_type, topic,
            qos_profile=copy(qos),  # rclpy writes the overrides into it
            # What rclpy would say of a QoS that does not fit, ``troubles`` says better, and each
            # handler costs the executor time in every round.
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        self.topic_name = self._ros.topic_name
        self._topic = hub.topic(self.topic_name, adapter)
        self._latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        self.count = 0

    @property
    def has_subscribers(self) -> bool:
        """Whether anyone, inside or outside, would receive an item now."""
        return bool(self._topic.subscriptions) or self._has_external_subscribers

    @property
    def _has_external_subscribers(self) -> bool:
        return self._ros.get_subscription_count() > len(self._topic.subscriptions)

    def publish(self, item: T) -> None:
        """Hand ``item`` to everyone who listens; nobody may change it afterwards."""
        subscriptions = self._topic.subscriptions
        outside = self._latched or self._has_external_subscribers
        if outside and subscriptions:
            self._topic.remember(item.stamp_ns)
        for subscription in subscriptions:
            subscription.deliver(item)
        if outside:
            self._ros.publish(self._adapter.to_message(item))
        if outside or subscriptions:
            self.count += 1

    def troubles(self) -> list[str]:
        """Name those who get nothing; see ``topic_watch.check_publisher``."""
        return topic_watch.check_publisher(self._node, self.topic_name,
                                           self._ros.qos_profile)

    def destroy(self) -> None:
        """Leave the graph."""
        self._node.destroy_publisher(self._ros)


class Subscription(Generic[T]):
    """
    Receives the items of one topic, from this process by reference and from others as messages.

    ``callback(item)`` runs in the thread of the publisher or of the executor, so it only enqueues.
    A message that cannot be converted goes to ``on_bad_message(topic, error)`` and is dropped.
    """

    def __init__(self, node: Node, hub: Hub, adapter: TypeAdapter[T], topic: str,
                 callback: Callable[[T], None], on_bad_message: Callable[[str, ValueError], None],
                 qos: QoSProfile = SUBSCRIBE_QOS) -> None:
        self._node, self._hub, self._adapter = node, hub, adapter
        self._callback, self._on_bad_message = callback, on_bad_message
        self._ros: Any = _create_endpoint(
            node, node.create_subscription, adapter.message_type, topic,
            callback=self._from_dds, qos_profile=copy(qos),
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
        self.topic_name = self._ros.topic_name
        self._topic = hub.topic(self.topic_name, adapter)
        self.count = 0
        hub.add(self, self._topic)

    def deliver(self, item: T) -> None:
        """Receive an item from a publisher of the same process."""
        self.count += 1
        self._callback(item)

    def troubles(self) -> list[str]:
        """Say what is wrong with its publishers; see ``topic_watch.check_subscription``."""
        return topic_watch.check_subscription(
            self._node, self.topic_name, self._adapter.message_type, self._ros.qos_profile)

    def destroy(self) -> None:
        """Leave the graph; no callback runs after this returns, save one already running."""
        self._hub.remove(self, self._topic)
        self._node.destroy_subscription(self._ros)

    def _from_dds(self, message: Any) -> None:
        stamp = message.header.stamp
        if self._topic.was_delivered(stamp.sec * 1_000_000_000 + stamp.nanosec):
            return
        self.count += 1
        try:
            item = self._adapter.from_message(message)
        except ValueError as error:
            self._on_bad_message(self.topic_name, error)
            return
        self._callback(item)


def _create_endpoint(node: Node, create: Callable[..., Any], message_type: type, topic: str,
                     **options: Any) -> Any:
    """Make a ROS publisher or subscription by a method of a node, or say why there is none."""
    try:
        return create(message_type, topic, **options,
                      qos_overriding_options=QoSOverridingOptions.with_default_policies())
    except RuntimeError as error:
        raise TransportError(topic_watch.explain_refusal(node, topic, message_type, error)) from error
