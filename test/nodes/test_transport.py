# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The transport: by reference inside a process, as messages outside, each item once."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the transport needs rclpy')
pytestmark = pytest.mark.live

from ivf_ros.nodes.graph import messages, transport  # noqa: E402, I100
from ivf_ros.nodes.graph.transport import (  # noqa: E402
    Hub,
    LATCHED_QOS,
    Publisher,
    SUBSCRIBE_QOS,
    Subscription,
)
from ivf_ros.types import Frame  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402

TOPIC = 'camera/image'


def make_frame(stamp_ns: int = 5_000_000_007) -> Frame:
    return Frame(np.arange(12, dtype=np.uint8).reshape(3, 4), stamp_ns, 'camera_optical_frame')


def subscribe(node, hub, adapter=messages.IMAGE, topic=TOPIC, qos=SUBSCRIBE_QOS):
    """Return a subscription, the list of received items and the list of errors."""
    received, errors = [], []
    subscription = Subscription(node, hub, adapter, topic, received.append,
                                lambda *error: errors.append(error), qos)
    return subscription, received, errors


def test_inside_a_process_the_same_object_arrives_and_nothing_is_serialised(live_graph):
    hub = Hub()
    publisher = Publisher(live_graph.node('a'), hub, messages.IMAGE, TOPIC)
    _, received, _ = subscribe(live_graph.node('b'), hub)
    serialised = []
    publisher._adapter = messages.TypeAdapter(messages.IMAGE.message_type, serialised.append,
                                              messages.IMAGE.from_message)
    item = make_frame()
    publisher.publish(item)
    assert received == [item] and received[0] is item
    assert not serialised


def test_a_subscription_with_another_hub_receives_an_equal_image_through_dds(live_graph):
    publisher = Publisher(live_graph.node('a'), Hub(), messages.IMAGE, TOPIC)
    _, received, _ = subscribe(live_graph.node('b'), Hub())
    assert wait_until(lambda: publisher.has_subscribers)
    publisher.publish(make_frame())
    assert wait_until(lambda: received)
    assert received[0].stamp_ns == make_frame().stamp_ns
    assert received[0].frame_id == 'camera_optical_frame'
    np.testing.assert_array_equal(received[0].image, make_frame().image)


@pytest.mark.parametrize('adapter', [messages.IMAGE, messages.COMPRESSED, messages.LABELS],
                         ids=['raw', 'compressed', 'labels'])
def test_the_subscriptions_of_a_process_convert_a_message_once_and_share_it(live_graph, adapter):
    hub = Hub()
    received = [subscribe(live_graph.node(name), hub, adapter)[1] for name in ('a', 'b', 'c')]
    outside = live_graph.node('d').create_publisher(adapter.message_type, TOPIC, 10)
    assert wait_until(lambda: outside.get_subscription_count() == 3)
    publish_as = messages.COMPRESSED if adapter is messages.COMPRESSED else messages.IMAGE
    outside.publish(publish_as.to_message(make_frame()))
    assert wait_until(lambda: all(received))
    outside.publish(publish_as.to_message(make_frame(6_000_000_000)))
    assert wait_until(lambda: all(len(items) == 2 for items in received))
    assert [item.stamp_ns for item in received[0]] == [make_frame().stamp_ns, 6_000_000_000]
    for items in received[1:]:
        assert items[0] is received[0][0] and items[1] is received[0][1]


def test_two_messages_with_one_stamp_are_not_confused(live_graph):
    _, received, _ = subscribe(live_graph.node('a'), Hub())
    outside = live_graph.node('b').create_publisher(messages.IMAGE.message_type, TOPIC, 10)
    assert wait_until(lambda: outside.get_subscription_count() == 1)
    dark, bright = (Frame(np.full((3, 4), level, np.uint8), 7) for level in (10, 200))
    for frame in (dark, bright):
        outside.publish(messages.IMAGE.to_message(frame))
    assert wait_until(lambda: len(received) == 2)
    assert [int(item.image[0, 0]) for item in received] == [10, 200]


def test_subscribers_inside_and_outside_receive_every_item_once(live_graph):
    hub = Hub()
    publisher = Publisher(live_graph.node('a'), hub, messages.IMAGE, TOPIC)
    _, inside, _ = subscribe(live_graph.node('b'), hub)
    _, outside, _ = subscribe(live_graph.node('c'), Hub())
    assert wait_until(lambda: publisher._has_external_subscribers)
    stamps = [1_000_000_000 + index for index in range(20)]
    for stamp_ns in stamps:
        publisher.publish(make_frame(stamp_ns))
        assert wait_until(lambda: len(outside) == publisher.count)
    # The copies that return through DDS to the inside subscription have been received by now: the
    # executor processes them before, or together with, the last item of the outside subscription.
    publisher.publish(make_frame(2_000_000_000))
    assert wait_until(lambda: len(outside) == len(stamps) + 1)
    assert [item.stamp_ns for item in inside] == [*stamps, 2_000_000_000]


def test_without_subscribers_nothing_is_counted(live_graph):
    publisher = Publisher(live_graph.node('a'), Hub(), messages.IMAGE, TOPIC)
    assert not publisher.has_subscribers
    publisher.publish(make_frame())
    assert publisher.count == 0


def test_after_destroy_nothing_arrives_and_there_is_no_subscriber(live_graph):
    hub = Hub()
    publisher = Publisher(live_graph.node('a'), hub, messages.IMAGE, TOPIC)
    subscription, received, _ = subscribe(live_graph.node('b'), hub)
    subscription.destroy()
    assert wait_until(lambda: not publisher.has_subscribers)
    publisher.publish(make_frame())
    assert not received


def test_an_invalid_message_is_reported_and_the_next_valid_one_arrives(live_graph):
    node = live_graph.node('a')
    raw = node.create_publisher(messages.IMAGE.message_type, TOPIC, 10)
    subscription, received, errors = subscribe(live_graph.node('b'), Hub())
    assert wait_until(lambda: raw.get_subscription_count() == 1)
    invalid = messages.image_to_message(make_frame())
    invalid.encoding = 'no_such_encoding'
    raw.publish(invalid)
    raw.publish(messages.image_to_message(make_frame()))
    assert wait_until(lambda: received)
    (topic, error), = errors
    assert topic == subscription.topic_name == '/camera/image'
    assert 'no_such_encoding' in str(error)


def test_a_publisher_with_incompatible_qos_is_reported_with_both_policies(live_graph):
    subscription, _, _ = subscribe(live_graph.node('b'), Hub(), qos=QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE))
    assert subscription.find_problems() == []
    live_graph.node('a').create_publisher(messages.IMAGE.message_type, TOPIC, SUBSCRIBE_QOS)
    assert wait_until(subscription.find_problems)
    [problem] = subscription.find_problems()
    assert problem == (
        "'/camera/image': /a offers BEST_EFFORT, VOLATILE; this node asks for "
        'RELIABLE, VOLATILE; qos_overrides./camera/image.subscription.* change that')


def test_a_subscription_with_incompatible_qos_is_reported_with_both_policies(live_graph):
    publisher = Publisher(live_graph.node('a'), Hub(), messages.IMAGE, TOPIC)
    subscribe(live_graph.node('compatible'), Hub())
    assert wait_until(lambda: publisher.has_subscribers) and publisher.find_problems() == []
    live_graph.node('viewer').create_subscription(
        messages.IMAGE.message_type, TOPIC, print, LATCHED_QOS)
    assert wait_until(publisher.find_problems)
    assert publisher.find_problems() == [
        "'/camera/image': /viewer asks for RELIABLE, TRANSIENT_LOCAL; this node offers RELIABLE, "
        'VOLATILE; qos_overrides./camera/image.publisher.* change that']


def test_a_publisher_of_another_type_and_a_second_publisher_are_reported(live_graph):
    subscription, _, _ = subscribe(live_graph.node('b'), Hub())
    other = live_graph.stranger('other')
    other.create_publisher(messages.CAMERA_INFO.message_type, TOPIC, 1)
    for name in ('c', 'd'):
        live_graph.node(name).create_publisher(messages.IMAGE.message_type, TOPIC, 1)
    assert wait_until(lambda: '/other' in ' '.join(subscription.find_problems())
                      and len(subscription.find_problems()) == 2)
    assert subscription.find_problems() == [
        "'/camera/image' is published by /other as sensor_msgs/msg/CameraInfo, this node takes "
        'sensor_msgs/msg/Image', "'/camera/image' has 2 publishers: /c, /d"]


def test_qos_overrides_of_one_topic_do_not_change_others(live_graph):
    name = 'qos_overrides./camera/image.subscription.reliability'
    node = live_graph.add(Node, 'b', parameter_overrides=[Parameter(name, value='reliable')])
    overridden, _, _ = subscribe(node, Hub())
    other, _, _ = subscribe(node, Hub(), topic='another/image')
    assert overridden._endpoint.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert other._endpoint.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_endpoints_with_different_adapters_communicate_by_messages(live_graph):
    hub = Hub()
    publisher = Publisher(live_graph.node('a'), hub, messages.IMAGE, TOPIC)
    _, received, _ = subscribe(live_graph.node('b'), hub, adapter=messages.LABELS)
    assert wait_until(lambda: publisher.has_subscribers)
    publisher.publish(make_frame())
    assert wait_until(lambda: received)
    np.testing.assert_array_equal(received[0].value.labels, make_frame().image)


def test_the_last_256_stamps_of_a_topic_are_remembered():
    topic = Hub().get_topic(TOPIC, messages.IMAGE)
    for stamp_ns in range(1000, 1257):
        topic.remember(stamp_ns)
    assert not topic.was_delivered(1000)
    assert all(topic.was_delivered(stamp_ns) for stamp_ns in range(1001, 1257))
    assert not topic.was_delivered(1257)


def test_stamps_of_zero_are_a_problem_for_five_seconds(live_graph, monkeypatch):
    now_s = [1000.0]
    monkeypatch.setattr(transport, 'time', SimpleNamespace(monotonic=lambda: now_s[0]))
    subscription, received, _ = subscribe(live_graph.node('a'), Hub())
    assert subscription.find_problems() == []
    outside = live_graph.node('b').create_publisher(messages.IMAGE.message_type, TOPIC, 10)
    assert wait_until(outside.get_subscription_count)
    outside.publish(messages.image_to_message(make_frame(0)))
    assert wait_until(lambda: received)
    assert received[0].stamp_ns > 10 ** 18  # the time of arrival stands in
    now_s[0] = 1004.75
    [problem] = subscription.find_problems()
    assert problem.startswith(f"the stamps of '/{TOPIC}' are 0: ")
    now_s[0] = 1005.0
    assert subscription.find_problems() == []


class SlowDecoding:
    """Decoding of compressed images that waits until it is released."""

    def __init__(self, monkeypatch):
        self.release, self.started = threading.Event(), threading.Event()
        self.error: Exception | None = None
        decode = messages.images.decode_compressed

        def wait(*arguments):
            self.started.set()
            assert self.release.wait(60.0)
            if self.error is not None:
                raise self.error
            return decode(*arguments)

        monkeypatch.setattr(messages.images, 'decode_compressed', wait)


def publish_compressed(node):
    """Return a function that publishes a compressed image of a stamp."""
    publisher = node.create_publisher(messages.COMPRESSED.message_type, TOPIC, 10)
    assert wait_until(publisher.get_subscription_count)
    return lambda stamp_ns: publisher.publish(
        messages.compressed_to_message(make_frame(stamp_ns)))


def test_while_an_image_is_decoded_the_executor_goes_on_and_the_newest_one_waits(
        live_graph, monkeypatch):
    decoding = SlowDecoding(monkeypatch)
    hub, node = Hub(), live_graph.node('a')
    subscription, received, _ = subscribe(node, hub, messages.COMPRESSED)
    ticks = []
    node.create_timer(0.01, lambda: ticks.append(1))
    publish = publish_compressed(live_graph.node('camera'))
    publish(1)
    assert wait_until(decoding.started.is_set)
    ticks.clear()
    assert wait_until(lambda: len(ticks) > 5) and not received
    for stamp_ns in (2, 3, 4):
        publish(stamp_ns)
        assert wait_until(lambda stamp_ns=stamp_ns: subscription.count == stamp_ns)
    decoding.release.set()
    assert wait_until(lambda: len(received) == 2)
    assert [frame.stamp_ns for frame in received] == [1, 4]
    assert subscription.superseded_count == 2
    assert subscription.find_problems() == [
        f"the images of '/{TOPIC}' arrive faster than they can be decoded: 2 of 4 were left out; "
        'lower their rate or size']
    assert subscription.find_problems() == []


def test_a_subscription_that_is_destroyed_while_it_decodes_is_not_called_back(
        live_graph, monkeypatch):
    decoding = SlowDecoding(monkeypatch)
    others = set(threading.enumerate())
    subscription, received, errors = subscribe(live_graph.node('a'), Hub(), messages.COMPRESSED)
    [thread] = [each for each in threading.enumerate()
                if each not in others and each.name == f'decode /{TOPIC}']
    publish = publish_compressed(live_graph.node('camera'))
    publish(1)
    assert wait_until(decoding.started.is_set)
    publish(2)
    assert wait_until(lambda: subscription.count == 2)
    subscription.destroy()
    decoding.release.set()
    thread.join(10.0)
    assert not thread.is_alive()
    # The image that was being decoded may arrive, as from a publisher of the process.
    assert [frame.stamp_ns for frame in received] in ([], [1]) and not errors


def test_a_topic_of_compressed_images_has_one_thread_while_it_has_subscriptions(live_graph):
    node, hub, others = live_graph.node('a'), Hub(), set(threading.enumerate())

    def decoding_threads():
        return [each.name for each in threading.enumerate()
                if each not in others and each.name.startswith('decode ')]

    subscribe(node, hub, messages.IMAGE)
    assert decoding_threads() == []
    subscriptions = [subscribe(node, hub, messages.COMPRESSED, 'compressed')[0] for _ in 'ab']
    assert decoding_threads() == ['decode /compressed']
    subscriptions[0].destroy()
    assert not wait_until(lambda: not decoding_threads(), 0.2)
    subscriptions[1].destroy()
    assert wait_until(lambda: not decoding_threads())


def test_any_error_of_decoding_is_one_bad_message(live_graph, monkeypatch):
    decoding = SlowDecoding(monkeypatch)
    decoding.error = MemoryError('no room')
    decoding.release.set()
    _, received, errors = subscribe(live_graph.node('a'), Hub(), messages.COMPRESSED)
    publish = publish_compressed(live_graph.node('camera'))
    publish(1)
    assert wait_until(lambda: errors)
    assert errors[0][0] == f'/{TOPIC}' and str(errors[0][1]) == 'MemoryError: no room'
    decoding.error = None
    publish(2)
    assert wait_until(lambda: received)
