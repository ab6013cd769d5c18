# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why nothing, or too much, may arrive on a topic, told by what the graph knows of it."""

from __future__ import annotations

from copy import copy
from typing import Any

from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile

# A topic that somebody waits for is worth a warning after this long.
SILENCE_TIMEOUT_S = 5.0

# Policies by which DDS refuses to connect two ends.
_POLICIES = ('reliability', 'durability')


def type_name(message_type: type) -> str:
    """Return the name of a message class as ROS has it, such as ``sensor_msgs/msg/Image``."""
    package, kind = message_type.__module__.split('.')[:2]
    return f'{package}/{kind}/{message_type.__name__}'


def check_subscription(node: Node, topic: str, message_type: type, qos: QoSProfile
                       ) -> list[str]:
    """
    Say what is wrong with the publishers of a topic that ``node`` subscribes to.

    Parameters
    ----------
    node:
        Who asks.
    topic:
        Full name.
    message_type, qos:
        What the subscription takes.

    Returns
    -------
    list of str
        A line each for another type, a QoS that does not fit, and more than one publisher; empty
        where all is well, also where nobody publishes: that is no trouble before somebody waits.

    """
    expected_type = type_name(message_type)
    found, compatible = [], []
    for publisher in node.get_publishers_info_by_topic(topic):
        name = _name(publisher)
        if publisher.topic_type != expected_type:
            found.append(f"'{topic}' is published by {name} as {publisher.topic_type}, "
                         f'this node takes {expected_type}')
        elif qos_check_compatible(publisher.qos_profile, qos)[0] == QoSCompatibility.ERROR:
            found.append(f"'{topic}': {name} offers {_policies(publisher.qos_profile)}; this node "
                         f'asks for {_policies(qos)}; qos_overrides.{topic}.subscription.* change '
                         'that')
        else:
            compatible.append(name)
    if len(compatible) > 1:
        found.append(f"'{topic}' has {len(compatible)} publishers: {', '.join(sorted(compatible))}")
    return found


def check_publisher(node: Node, topic: str, qos: QoSProfile) -> list[str]:
    """Name those who subscribe to a topic of ``node`` and get nothing, as its QoS does not fit."""
    return [f"'{topic}': {_name(one)} asks for {_policies(one.qos_profile)}; this node offers "
            f'{_policies(qos)}; qos_overrides.{topic}.publisher.* change that'
            for one in node.get_subscriptions_info_by_topic(topic)
            if qos_check_compatible(_without_limits(qos), one.qos_profile)[0]
            == QoSCompatibility.ERROR]


def explain_refusal(node: Node, topic: str, message_type: type, error: Exception) -> str:
    """Say why the middleware did not let ``node`` join a topic: most often its type is another."""
    name = node.resolve_topic_name(topic)
    types = {kind for other, kinds in node.get_topic_names_and_types() for kind in kinds
             if other == name} - {type_name(message_type)}
    why = f'this process knows it as {", ".join(sorted(types))}' if types else str(error)
    return f"'{name}' cannot be {type_name(message_type)}: {why}"


def explain_silence(node: Node, topic: str) -> str:
    """Say why nothing comes on a topic, as far as the graph knows."""
    publishers = node.count_publishers(topic)
    return 'nobody publishes it' if not publishers else f'publishers: {publishers}'


def _without_limits(qos: QoSProfile) -> QoSProfile:
    """Say of limits that are not set what the graph says of them: that they are infinite."""
    offered = copy(qos)
    for limit in ('deadline', 'liveliness_lease_duration'):
        if not getattr(offered, limit).nanoseconds:
            setattr(offered, limit, Infinite)
    return offered


def _policies(qos: QoSProfile) -> str:
    return ', '.join(str(getattr(qos, policy).name) for policy in _POLICIES)


def _name(end: Any) -> str:
    if 'UNKNOWN' in end.node_name:  # discovery has not come that far
        return 'a node'
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'
