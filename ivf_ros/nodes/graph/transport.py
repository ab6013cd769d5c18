# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Publishers and subscriptions that pass items by reference inside one process.

rclpy has no intra-process communication: two nodes in one process serialise every image, send it
through the middleware and parse it again. Here a publisher first calls the subscriptions of the
same process with the item itself. It converts the item to a message and publishes it only if
there are subscribers outside the process::

    publish(item) --+--> subscriptions of this process        (the same object, no copy)
                    +--> DDS, if there are subscribers outside --> other processes

Every subscription is also a ROS subscription, so it receives from publishers outside, and
``ros2 topic info`` shows it. If an item is sent both ways, the DDS copy returns to the
subscriptions of this process. They recognise it by its stamp and drop it before conversion.
Subscriptions receive serialised messages (``cdr``). Those of one process to one topic convert a
message once and share the item. Compressed images are decoded in a thread of the topic, because
the executor serves all topics.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
import math
import threading
import time
from typing import Any, Callable, Generic, Protocol, TypeVar

from ivf_ros.nodes.graph import topic_checks
from ivf_ros.nodes.graph.cdr import read_stamp_ns
from ivf_ros.nodes.graph.decoder import Decoder
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.serialization import deserialize_message


class TransportError(RuntimeError):
    """A publisher or subscription cannot be created; the message contains the reason."""


class Item(Protocol):
    """The interface of an item that can be published."""

    @property
    def stamp_ns(self) -> int:
        """Return the stamp, which identifies an item of a topic."""


T = TypeVar('T', bound=Item)
V = TypeVar('V')

# A best-effort subscription matches any publisher; a reliable publisher matches any subscription.
SUBSCRIBE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
PUBLISH_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Stamps that are remembered per topic to recognise copies that return through DDS. Far more than
# can be in transit: the history depth is 5.
_REMEMBERED_STAMPS = 256

# After this time without an item that has no stamp, that is no problem any more.
_UNSTAMPED_PERIOD_S = 5.0

# Share of messages that newer ones may replace before it is reported.
_TOLERATED_SUPERSEDED = 0.2


@dataclass(frozen=True)
class TypeAdapter(Generic[T]):
    """
    Converts an item of the graph to a ROS message and back.

    ``from_cdr`` converts a serialised message directly, where that is faster. With
    ``stamps_by_arrival`` a received item without a stamp gets the time of arrival: a stamp of 0
    means 'no time' in ROS, and some drivers of cameras set none. With ``in_thread`` messages are
    converted in a thread of their topic; the newest one of each subscription if that is slow.
    """

    message_type: type
    to_message: Callable[[T], Any]
    from_message: Callable[[Any], T]
    from_cdr: Callable[[bytes], T] | None = None
    stamps_by_arrival: bool = False
    in_thread: bool = False

    def from_serialized(self, cdr: bytes) -> T:
        """Return the item of a serialised message; raise ValueError if its content is invalid."""
        if self.from_cdr is not None:
            return self.from_cdr(cdr)
        return self.from_message(deserialize_message(cdr, self.message_type))


class _TopicState(Generic[T]):
    """The subscriptions of this process to one topic, and what was delivered to them."""

    def __init__(self, adapter: TypeAdapter[T]) -> None:
        self.subscriptions: tuple[Subscription[T], ...] = ()
        self.decoder: Decoder | None = None  # while there are subscriptions that need it
        self._adapter = adapter
        self._delivered_stamps_ns: OrderedDict[int, None] = OrderedDict()
        self._converted: tuple[bytes, T] | None = None  # the latest message and its item
        self.unstamped_s = -math.inf  # time of arrival of the latest item without a stamp

    def remember(self, stamp_ns: int) -> None:
        self._delivered_stamps_ns[stamp_ns] = None
        while len(self._delivered_stamps_ns) > _REMEMBERED_STAMPS:
            self._delivered_stamps_ns.popitem(last=False)

    def was_delivered(self, stamp_ns: int) -> bool:
        return stamp_ns in self._delivered_stamps_ns

    def convert(self, cdr: bytes, arrival_ns: int) -> T:
        """Return the item of a serialised message, the same object for the same message."""
        converted = self._converted  # a local reference, as another thread may replace it
        if converted is None or converted[0] != cdr:
            item = self._adapter.from_serialized(cdr)
            if self._adapter.stamps_by_arrival and item.stamp_ns == 0:
                self.unstamped_s = time.monotonic()
                item = replace(item, stamp_ns=arrival_ns)  # type: ignore[type-var]
            converted = self._converted = cdr, item
        return converted[1]


class Hub:
    """
    Connects the publishers and subscriptions of one process.

    Nodes with the same hub exchange items by reference. A node with a separate hub communicates
    through DDS only, also with the nodes of the same process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Endpoints with different type adapters for one topic communicate through DDS.
        self._topics: dict[tuple[str, TypeAdapter], _TopicState] = {}
        self._shared: dict[Hashable, Any] = {}

    def get_shared(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the object of this key that the nodes share; make it for the first of them."""
        with self._lock:
            if key not in self._shared:
                self._shared[key] = make()
            return self._shared[key]

    def get_topic(self, name: str, adapter: TypeAdapter[T]) -> _TopicState[T]:
        with self._lock:
            return self._topics.setdefault((name, adapter), _TopicState(adapter))

    def add(self, subscription: Subscription, topic: _TopicState) -> None:
        with self._lock:
            topic.subscriptions += (subscription,)
            if subscription.is_decoded and topic.decoder is None:
                topic.decoder = Decoder(subscription.topic_name)

    def remove(self, subscription: Subscription, topic: _TopicState) -> None:
        with self._lock:
            topic.subscriptions = tuple(s for s in topic.subscriptions if s is not subscription)
            if not topic.subscriptions and topic.decoder is not None:
                topic.decoder.request_stop()
                topic.decoder = None


class Publisher(Generic[T]):
    """
    Publishes items on one topic: by reference inside the process, as messages outside.

    Attributes
    ----------
    topic_name:
        Fully qualified name.
    count:
        Number of items published to at least one subscriber.

    Raises
    ------
    TransportError
        The middleware does not allow the publisher, usually because of another type.

    """

    def __init__(self, node: Node, hub: Hub, adapter: TypeAdapter[T], topic: str,
                 qos: QoSProfile = PUBLISH_QOS) -> None:
        self._adapter = adapter
        self._node = node
        self._endpoint: Any = _create_endpoint(
            node, node.create_publisher, adapter.message_type, topic,
            qos_profile=copy(qos),  # rclpy writes the overrides into it
            # ``find_problems`` reports incompatible QoS in more detail than the default handlers
            # of rclpy, and each handler costs the executor time in every iteration.
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        self.topic_name = self._endpoint.topic_name
        self._topic = hub.get_topic(self.topic_name, adapter)
        self._is_latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        self.count = 0

    @property
    def has_subscribers(self) -> bool:
        """Whether there is a subscriber inside or outside the process now."""
        return bool(self._topic.subscriptions) or self._has_external_subscribers

    @property
    def _has_external_subscribers(self) -> bool:
        return self._endpoint.get_subscription_count() > len(self._topic.subscriptions)

    def publish(self, item: T) -> None:
        """Publish ``item`` to all subscribers; it must not be changed afterwards."""
        subscriptions = self._topic.subscriptions
        send_message = self._is_latched or self._has_external_subscribers
        if send_message and subscriptions:
            self._topic.remember(item.stamp_ns)
        for subscription in subscriptions:
            subscription.deliver(item)
        if send_message:
            self._endpoint.publish(self._adapter.to_message(item))
        if send_message or subscriptions:
            self.count += 1

    def find_problems(self) -> list[str]:
        """Return a line for each incompatible subscriber; see ``topic_checks``."""
        return topic_checks.check_publisher(self._node, self.topic_name,
                                            self._endpoint.qos_profile)

    def destroy(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._endpoint)


class Subscription(Generic[T]):
    """
    Receives items of one topic: from this process by reference, from others as messages.

    ``callback(item)`` runs in the thread of the publisher, of the executor or of the topic, so it
    must only enqueue. A message that cannot be converted is dropped and reported by
    ``on_bad_message(topic, error)``.

    Attributes
    ----------
    topic_name:
        Fully qualified name.
    count:
        Number of items and messages received.
    superseded_count:
        Number of those that a newer message replaced before they were decoded.

    Raises
    ------
    TransportError
        The middleware does not allow the subscription, usually because of another type.

    """

    def __init__(self, node: Node, hub: Hub, adapter: TypeAdapter[T], topic: str,
                 callback: Callable[[T], None], on_bad_message: Callable[[str, ValueError], None],
                 qos: QoSProfile = SUBSCRIBE_QOS) -> None:
        self._node, self._hub, self._adapter = node, hub, adapter
        self._callback, self._on_bad_message = callback, on_bad_message
        self._endpoint: Any = _create_endpoint(
            node, node.create_subscription, adapter.message_type, topic,
            callback=self._on_message, qos_profile=copy(qos), raw=True,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False))
        self.topic_name = self._endpoint.topic_name
        self._topic = hub.get_topic(self.topic_name, adapter)
        self.count = self.superseded_count = 0
        self._checked = 0, 0  # both counts at the last ``find_problems``
        hub.add(self, self._topic)

    @property
    def is_decoded(self) -> bool:
        """Whether the messages are converted in a thread of the topic."""
        return self._adapter.in_thread

    def deliver(self, item: T) -> None:
        """Receive an item from a publisher of the same process."""
        self.count += 1
        self._callback(item)

    def find_problems(self) -> list[str]:
        """Return a line for each problem with the publishers; see ``topic_checks``."""
        problems = topic_checks.check_subscription(
            self._node, self.topic_name, self._adapter.message_type, self._endpoint.qos_profile)
        if time.monotonic() - self._topic.unstamped_s < _UNSTAMPED_PERIOD_S:
            problems.append(f"the stamps of '{self.topic_name}' are 0: the time of arrival stands "
                            'in, which other processes do not know; have the driver set them')
        counts = self.count, self.superseded_count
        n_received, n_superseded = (now - before for now, before in zip(counts, self._checked))
        self._checked = counts
        if n_superseded > _TOLERATED_SUPERSEDED * n_received:
            problems.append(f"the images of '{self.topic_name}' arrive faster than they can be "
                            f'decoded: {n_superseded} of {n_received} were left out; lower their '
                            'rate or size')
        return problems

    def destroy(self) -> None:
        """Destroy the subscription; no callback starts after this, a running one may finish."""
        self._hub.remove(self, self._topic)
        self._node.destroy_subscription(self._endpoint)

    def _on_message(self, cdr: bytes) -> None:
        try:
            if self._topic.was_delivered(read_stamp_ns(cdr)):
                return
        except ValueError as error:
            self._on_bad_message(self.topic_name, error)
            return
        self.count += 1
        arrival_ns = self._node.get_clock().now().nanoseconds
        if not self.is_decoded:
            self._convert(cdr, arrival_ns)
        elif decoder := self._topic.decoder:  # None: destroyed meanwhile
            self.superseded_count += decoder.put(self, partial(self._decode, cdr, arrival_ns))

    def _decode(self, cdr: bytes, arrival_ns: int) -> None:
        """Convert in the thread of the topic, unless the subscription was destroyed."""
        try:
            if self in self._topic.subscriptions:
                self._convert(cdr, arrival_ns)
        except Exception as error:  # in the executor, the node itself reports it
            self._on_bad_message(self.topic_name, ValueError(f'{type(error).__name__}: {error}'))

    def _convert(self, cdr: bytes, arrival_ns: int) -> None:
        try:
            item = self._topic.convert(cdr, arrival_ns)
        except ValueError as error:
            self._on_bad_message(self.topic_name, error)
            return
        self._callback(item)


def _create_endpoint(node: Node, create: Callable[..., Any], message_type: type, topic: str,
                     **options: Any) -> Any:
    """Create a ROS publisher or subscription; raise TransportError with the reason on failure."""
    try:
        return create(message_type, topic, **options,
                      qos_overriding_options=QoSOverridingOptions.with_default_policies())
    except RuntimeError as error:
        raise TransportError(
            topic_checks.explain_refusal(node, topic, message_type, error)) from error
