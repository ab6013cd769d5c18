# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the files of a bag have in common: topics, messages, merging by time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
import heapq
import re
from typing import NamedTuple, Protocol

from ivf_ros.images.limits import MAX_IMAGE_BYTES

MAX_CHUNK_BYTES = 1 << 30  # a part of a file that is decompressed at once, of 1 MB usually
MAX_MESSAGE_BYTES = MAX_IMAGE_BYTES + (1 << 20)  # the fields beside the pixels take little

# In the QoS of a topic as rosbag2 writes it, up to Iron as a number.
_TRANSIENT_LOCAL = re.compile(rb'durability: (?:1|transient_local)\b')

# Takes a description of something that could not be read.
OnDamage = Callable[[str], None]


class Topic(NamedTuple):
    """
    A topic of a bag.

    Attributes
    ----------
    name:
        Name as recorded, for example ``'/thermal/image_raw'``.
    msgtype:
        Type; those of ROS 1 and ROS 2 are written ``'sensor_msgs/msg/Image'``. Empty without a
        schema.
    serialization:
        ``'cdr'``, ``'ros1'``, ``'protobuf'``, ``'json'``, or what else the file says.

    """

    name: str
    msgtype: str
    serialization: str


class Message(NamedTuple):
    """A serialised message; ``time_ns`` is the time of recording."""

    time_ns: int
    topic: Topic
    data: bytes | memoryview


class Storage(Protocol):
    """
    One file of a bag.

    Attributes
    ----------
    counts:
        Number of messages by topic, of those that can be found.
    start_ns, end_ns:
        Times of the first and the last message; None in an empty file.
    problems:
        What is damaged or missing, a sentence each.

    """

    counts: dict[Topic, int]
    start_ns: int | None
    end_ns: int | None
    problems: list[str]

    def messages(self, topics: Collection[Topic], on_damage: OnDamage) -> Iterator[Message]:
        """Yield the messages of some topics by time; damaged parts are reported and left out."""

    def close(self) -> None:
        """Close the file and remove temporary ones."""


@dataclass(frozen=True)
class Span:
    """Messages of a period: ``read`` yields them in the order of time."""

    start_ns: int
    read: Callable[[], Iterator[Message]]


def merge_by_time(spans: Iterable[Span]) -> Iterator[Message]:
    """Yield the messages of all spans by time; a span is opened when its period begins."""
    pending = sorted(spans, key=lambda span: span.start_ns)[::-1]
    active: list[tuple[int, int, Message, Iterator[Message]]] = []
    number = 0
    while pending or active:
        while pending and (not active or pending[-1].start_ns < active[0][0]):
            messages = pending.pop().read()
            message = next(messages, None)
            if message is not None:
                heapq.heappush(active, (message.time_ns, number, message, messages))
                number += 1
        if active:
            _, order, message, messages = active[0]
            yield message
            following = next(messages, None)
            if following is None:
                heapq.heappop(active)
            else:
                heapq.heapreplace(active, (following.time_ns, order, following, messages))


def is_latched(qos: bytes | memoryview) -> bool:
    """Return whether a topic was offered with transient-local durability, by its QoS in YAML."""
    return _TRANSIENT_LOCAL.search(qos) is not None


def decode_text(data: bytes | memoryview | None) -> str:
    """Return a name of a bag; what is no printable text in a damaged file becomes ``'?'``."""
    text = bytes(data or b'').decode(errors='replace')
    return ''.join(character if character.isprintable() else '?' for character in text)


def normalize_type(msgtype: str) -> str:
    """
    Return a type as ROS 2 writes it: ``'package/msg/Name'``.

    ROS 1 writes ``'package/Name'``, DDS writes ``'package::msg::dds_::Name_'``.
    """
    if '::' in msgtype:
        msgtype = msgtype.replace('::dds_::', '::').removesuffix('_').replace('::', '/')
    package, separator, name = msgtype.partition('/')
    return f'{package}/msg/{name}' if separator and '/' not in name else msgtype
