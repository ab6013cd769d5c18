# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a topic of a bag holds: count, rate, and encoding and size of its first image."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import images
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.image_messages import (
    find_obstacle,
    ImageDecoder,
    is_image_topic,
    MessageError,
    read_packet,
)
from ivf_ros.data.bags.storage import Topic
from ivf_ros.data.recording import SourceError

_MAX_UNDECODED = 300  # messages that are tried before the first image
_N_TIMES = 10


@dataclass(frozen=True)
class TopicSummary:
    """
    A topic of a bag and, of images, the first one.

    Attributes
    ----------
    count:
        Number of messages.
    rate_hz:
        Messages per second of the bag.
    encoding:
        Encoding, format or codec of the first image; empty if there is none.
    size:
        Width and height in pixels of the first image; None if it cannot be decoded.
    times_ns:
        Stamp (0: none) and time of recording of the first images.
    problem:
        Why there is no image.

    """

    name: str
    msgtype: str
    serialization: str
    count: int
    rate_hz: float | None
    encoding: str = ''
    size: tuple[int, int] | None = None
    times_ns: tuple[tuple[int, int], ...] = ()
    problem: str = ''

    def __str__(self) -> str:
        """Return the summary in brackets behind the name, for lists."""
        facts = [self.msgtype or 'no type', f'{self.count} messages']
        if self.rate_hz is not None:
            facts.append(f'{self.rate_hz:.1f} Hz')
        if self.encoding:
            facts.append(self.encoding)
        if self.size is not None:
            facts.append('{}x{}'.format(*self.size))
        return f"{self.name} ({', '.join(facts)})"


def summarize_topic(bag: Bag, topic: Topic) -> TopicSummary:
    """Read the first image of a topic and return the summary."""
    count = bag.counts[topic]
    span_s = ((bag.end_ns or 0) - (bag.start_ns or 0)) * 1e-9
    rate_hz = (count - 1) / span_s if count > 1 and span_s > 0 else None
    facts = (*topic, count, rate_hz)
    if not is_image_topic(topic) or count == 0:
        return TopicSummary(*facts)
    problem = find_obstacle(topic)
    if problem:
        return TopicSummary(*facts, problem=problem)
    encoding, size = '', None
    times_ns: list[tuple[int, int]] = []
    decoder = ImageDecoder(topic)
    for number, message in enumerate(bag.messages([topic], lambda damage: None)):
        if number == _MAX_UNDECODED or (size and len(times_ns) == _N_TIMES):
            break
        try:
            packet = read_packet(message)
            encoding = encoding or packet.encoding
            if len(times_ns) < _N_TIMES:
                times_ns.append((packet.stamp_ns, message.time_ns))
            if size is None and (decoded := decoder.decode(message)):
                height, width = decoded[0].image.shape[:2]
                size, problem = (width, height), ''
        except (MessageError, images.ImageError, SourceError) as error:
            problem = problem or str(error)
    if size is None:
        problem = problem or 'no image can be read'
    return TopicSummary(*facts, encoding, size, tuple(times_ns), problem)
