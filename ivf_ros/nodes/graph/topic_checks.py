# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of topics against the ROS graph: publishers, message types and QoS."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from ivf_ros import dds
import numpy as np
from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile

# A needed topic without messages for this long causes a warning.
SILENCE_TIMEOUT_S = 5.0

# Less is usual where a machine is busy.
_NOTABLE_LOSS = 0.3
_MIN_INTERVALS = 5

# DDS does not connect two endpoints if one of these policies is incompatible.
_POLICIES = ('reliability', 'durability')


def type_name(message_type: type) -> str:
    """Return the ROS name of a message class, such as ``sensor_msgs/msg/Image``."""
    package, interface = message_type.__module__.split('.')[:2]
    return f'{package}/{interface}/{message_type.__name__}'


def check_subscription(node: Node, topic: str, message_type: type, qos: QoSProfile
                       ) -> list[str]:
    """
    Check the publishers of a topic that ``node`` subscribes to.

    Parameters
    ----------
    node:
        The subscribing node.
    topic:
        Fully qualified name.
    message_type, qos:
        Message type and QoS of the subscription.

    Returns
    -------
    list of str
        One line for each publisher of another type, for each publisher with incompatible QoS, and
        for more than one publisher. Empty if there is no problem, also without any publisher:
        ``explain_silence`` reports that once a message is overdue.

    """
    expected_type = type_name(message_type)
    problems, compatible = [], []
    for publisher in node.get_publishers_info_by_topic(topic):
        name = _endpoint_name(publisher)
        if publisher.topic_type != expected_type:
            problems.append(f"'{topic}' is published by {name} as {publisher.topic_type}, "
                            f'this node takes {expected_type}')
        elif qos_check_compatible(publisher.qos_profile, qos)[0] == QoSCompatibility.ERROR:
            problems.append(
                f"'{topic}': {name} offers {_format_policies(publisher.qos_profile)}; this node "
                f'asks for {_format_policies(qos)}; qos_overrides.{topic}.subscription.* change '
                'that')
        else:
            compatible.append(name)
    if len(compatible) > 1:
        problems.append(f"'{topic}' has {len(compatible)} publishers: "
                        f"{', '.join(sorted(compatible))}")
    return problems


def check_publisher(node: Node, topic: str, qos: QoSProfile) -> list[str]:
    """Return one line for each subscriber of a topic of ``node`` with incompatible QoS."""
    return [f"'{topic}': {_endpoint_name(subscription)} asks for "
            f'{_format_policies(subscription.qos_profile)}; this node offers '
            f'{_format_policies(qos)}; qos_overrides.{topic}.publisher.* change that'
            for subscription in node.get_subscriptions_info_by_topic(topic)
            if qos_check_compatible(_with_infinite_limits(qos), subscription.qos_profile)[0]
            == QoSCompatibility.ERROR]


def explain_refusal(node: Node, topic: str, message_type: type, error: Exception) -> str:
    """Explain why the middleware refused a topic to ``node``: usually its type is different."""
    name = node.resolve_topic_name(topic)
    other_types = {other_type for other, types in node.get_topic_names_and_types()
                   for other_type in types if other == name} - {type_name(message_type)}
    reason = f'this process knows it as {", ".join(sorted(other_types))}' if other_types \
        else str(error)
    return f"'{name}' cannot be {type_name(message_type)}: {reason}"


def explain_silence(node: Node, topic: str) -> str:
    """Explain why no message arrives on a topic, as far as the ROS graph shows it."""
    publishers = node.count_publishers(topic)
    if not publishers:
        return 'nobody publishes it'
    return f'publishers: {publishers}; if its images have more than 0.5 MB, {_propose_profile()}'


def explain_loss(topic: str, times_s: Sequence[float], image_bytes: int) -> str:
    """
    Explain why many images of a topic are lost on the way, as far as their times show it.

    Parameters
    ----------
    topic:
        Fully qualified name.
    times_s:
        Times of the latest images in seconds, in any order.
    image_bytes:
        Size of an image.

    Returns
    -------
    str
        '' if less than 30 % are lost, or if the images fit into the shared memory of a publisher
        without the profile.

    """
    intervals_s = np.diff(np.sort(times_s))
    if image_bytes <= dds.DEFAULT_SEGMENT_BYTES or intervals_s.size < _MIN_INTERVALS:
        return ''
    # The shortest intervals are those without a lost image between.
    period_s = float(np.percentile(intervals_s, 10))
    lost = 1 - period_s / float(intervals_s.mean())
    if lost < _NOTABLE_LOSS:
        return ''
    return (f"about {lost:.0%} of the images on '{topic}' are lost on the way: they have "
            f'{image_bytes / 1e6:.1f} MB, more than the shared memory of a publisher without the '
            f'DDS profile; {_propose_profile()}')


def _propose_profile() -> str:
    return ('start the driver of the camera with: export '
            f'{dds.profile_variable()}={dds.profile_path()}')


def _with_infinite_limits(qos: QoSProfile) -> QoSProfile:
    """Return a copy with unset limits as infinite, which is how the ROS graph reports them."""
    offered = copy(qos)
    for limit in ('deadline', 'liveliness_lease_duration'):
        if not getattr(offered, limit).nanoseconds:
            setattr(offered, limit, Infinite)
    return offered


def _format_policies(qos: QoSProfile) -> str:
    return ', '.join(str(getattr(qos, policy).name) for policy in _POLICIES)


def _endpoint_name(endpoint: Any) -> str:
    if 'UNKNOWN' in endpoint.node_name:  # discovery is not complete yet
        return 'a node'
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'
