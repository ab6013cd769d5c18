# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Source of frames from two image topics of a bag."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
import logging
from pathlib import Path
from typing import NamedTuple

from ivf_ros import images
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.calibration import RecordedCameraInfo, RecordedTransform
from ivf_ros.data.bags.image_messages import (
    ImageDecoder,
    MessageError,
    read_camera_info,
    read_transforms,
    RecordedImage,
    TRANSFORMS,
)
from ivf_ros.data.bags.storage import Topic
from ivf_ros.data.bags.summary import summarize_topic, TopicSummary
from ivf_ros.data.bags.topics import TopicChoice, TopicChooser, TopicRequest
from ivf_ros.data.recording import (
    drop_equal_channels,
    every_frame,
    FrameFilter,
    SkipCount,
    SourceError,
)
from ivf_ros.stamps import MessageTimes, StampCorrector
from ivf_ros.types import Event, Frame, Truth


class BagSource:
    """
    Source of the images of two topics, in recording order.

    Stamps are those of the message headers where they can be used: see ``StampCorrector``. Thermal
    frames are ``(H, W)`` and keep their bit depth; RGB frames are ``(H, W, 3)`` uint8 BGR.
    Messages that cannot be decoded are skipped and counted; so is what a damaged bag lost.

    Parameters
    ----------
    path:
        Directory of a bag, or one file of it.
    request:
        Image topics, with or without a namespace or ``/compressed``, and topics of CameraInfo.
    stamps:
        ``'auto'``, ``'header'`` or ``'recorded'``.

    Attributes
    ----------
    topics:
        Name of the image topic by stream.
    rate_hz:
        Thermal frames per second.
    camera_infos:
        First CameraInfo by stream, where the bag has it.

    Raises
    ------
    SourceError
        The bag cannot be read or does not contain the topics.

    """

    def __init__(self, path: Path, request: TopicRequest, stamps: str = 'auto') -> None:
        self.name = str(path)
        self._skip_count = SkipCount(self.name)
        self._bag = Bag(path)
        summaries: dict[Topic, TopicSummary] = {}
        try:
            cameras = choose_cameras(self._bag, request, summaries)
        except SourceError as error:
            damage = '; '.join(self._bag.problems)
            raise SourceError(f'{path}: {error}' + f'; the bag is damaged: {damage}' * bool(damage)
                              ) from None
        self._choice = cameras.choice
        self._stamps = stamps
        self.topics = {stream: topic.name for stream, topic in self._choice.topics.items()}
        self.camera_infos = {stream: info for stream, topic in cameras.info_topics.items()
                             if (info := _read_camera_info(self._bag, topic)) is not None}
        if self._choice.guessed:
            logging.getLogger(__name__).warning('%s: %s', path, _describe_choice(self._choice))
        # The times of the first images of each camera.
        self._first_times = [
            MessageTimes(stream, *times_ns) for stream, topic in self._choice.topics.items()
            for times_ns in (summaries.get(topic) or summarize_topic(self._bag, topic)).times_ns]
        self.rate_hz = self._measure_rate_hz()

    @property
    def static_transforms(self) -> list[RecordedTransform]:
        """Return the transforms of ``/tf_static``; the latest one of each child frame."""
        topics = [topic for topic in self._bag.counts if topic.msgtype == TRANSFORMS
                  and topic.name.endswith('/tf_static') and topic.serialization in ('cdr', 'ros1')]
        transforms: dict[str, RecordedTransform] = {}
        for message in self._bag.messages(topics, lambda problem: None) if topics else ():
            try:
                found = read_transforms(message)
            except MessageError:
                continue
            transforms.update({transform.child_frame_id: transform for transform in found})
        return list(transforms.values())

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped messages of the latest pass, by reason."""
        return dict(self._skip_count.counts)

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Read and decode message by message.

        A frame that ``is_wanted`` refuses is decoded all the same, because video needs it; see
        ``Source.events``.

        Raises
        ------
        SourceError
            No image could be read.

        """
        self._skip_count.counts.clear()
        streams = {topic: stream for stream, topic in self._choice.topics.items()}
        decoders = {topic: ImageDecoder(topic) for topic in streams}
        expected = [self._bag.counts[topic] for topic in streams]
        damage: list[str] = []
        corrector = StampCorrector(self._stamps, self._first_times, self._skip_count.warn_once)
        n_messages = n_decoded = 0

        def is_event_wanted(event: Event) -> bool:
            return is_wanted(event.stream, event.frame.stamp_ns)

        for message in self._bag.messages(streams, damage.append):
            n_messages += 1
            try:
                recorded = decoders[message.topic].decode(message)
                events = [_make_event(streams[message.topic], image, corrector)
                          for image in recorded]
            except MessageError as error:
                self._skip_count.add('message cut short', f'{message.topic.name}: {error}')
            except images.ImageError as error:
                self._skip_count.add('undecodable image', f'{message.topic.name}: {error}')
            else:
                n_decoded += len(events)
                yield from filter(is_event_wanted, events)
        for topic, decoder in decoders.items():
            try:
                events = [_make_event(streams[topic], image, corrector)
                          for image in decoder.flush()]
            except images.ImageError as error:
                self._skip_count.add('undecodable image', f'{topic.name}: {error}')
            else:
                n_decoded += len(events)
                yield from filter(is_event_wanted, events)
            if decoder.skipped_count:
                self._skip_count.add('before the first key frame', topic.name,
                                     decoder.skipped_count)
        n_missing = sum(count or 0 for count in expected) - n_messages
        if damage or n_missing > 0:
            self._skip_count.add(
                'bag damaged', '; '.join(dict.fromkeys(damage[:5]))
                or 'the index of the bag counts more messages', max(n_missing, 1))
        if not n_decoded:
            raise SourceError(f'{self.name}: no image can be read; skipped {self.skipped}'
                              + ': ' * bool(damage) + '; '.join(dict.fromkeys(damage[:5])))

    def _measure_rate_hz(self) -> float:
        """Return the thermal frames per second, by the first ones; 1 if there are too few."""
        times_ns = [times.recorded_ns for times in self._first_times
                    if times.stream == 'thermal']
        intervals_ns = sorted(after - before for before, after in pairwise(times_ns))
        median_ns = intervals_ns[len(intervals_ns) // 2] if intervals_ns else 0
        return 1e9 / median_ns if median_ns > 0 else 1.0


class Cameras(NamedTuple):
    """The topics of both cameras; ``info_topics`` has those of CameraInfo that exist."""

    choice: TopicChoice
    info_topics: dict[str, Topic]


def choose_cameras(bag: Bag, request: TopicRequest,
                   summaries: dict[Topic, TopicSummary] | None = None) -> Cameras:
    """
    Choose the topics of a bag; ``summaries`` are filled where they are needed.

    Raises
    ------
    SourceError
        See ``TopicChooser.choose``.

    """
    known = {} if summaries is None else summaries

    def summarize(topic: Topic) -> TopicSummary:
        if topic not in known:
            known[topic] = summarize_topic(bag, topic)
        return known[topic]

    chooser = TopicChooser(bag.counts, lambda topic: summarize(topic).encoding,
                           lambda topic: str(summarize(topic)))
    choice = chooser.choose(request)
    infos = {stream: chooser.find_info_topic(topic, request.info_topic(stream))
             for stream, topic in choice.topics.items()}
    return Cameras(choice, {stream: info for stream, info in infos.items() if info is not None})


def _describe_choice(choice: TopicChoice) -> str:
    """Return a line that says which topics were chosen, and why."""
    chosen = ', '.join(f"{stream} is '{topic.name}' ({choice.reasons[stream]})"
                       for stream, topic in choice.topics.items())
    return f'{chosen}; to choose others, use --thermal-topic and --rgb-topic'


def _read_camera_info(bag: Bag, topic: Topic) -> RecordedCameraInfo | None:
    """Return the first readable CameraInfo of a topic."""
    for message in bag.messages([topic], lambda problem: None):
        try:
            return read_camera_info(message)
        except MessageError:
            continue
    return None


def _make_event(stream: str, recorded: RecordedImage, corrector: StampCorrector) -> Event:
    stamp_ns = corrector.correct(MessageTimes(stream, recorded.stamp_ns, recorded.recorded_ns))
    if stream == 'thermal':
        frame = Frame(drop_equal_channels(recorded.image), stamp_ns, recorded.frame_id)
        return Event(stream, frame, recorded_ns=recorded.recorded_ns)
    frame = Frame(images.as_bgr8(recorded.image), stamp_ns, recorded.frame_id)
    return Event(stream, frame, Truth(), recorded.recorded_ns)
