# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the thermal and the RGB camera, and where their CameraInfo is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re

from ivf_ros.data.bags.image_messages import CAMERA_INFO, find_obstacle, is_image_topic
from ivf_ros.data.bags.storage import Topic
from ivf_ros.data.recording import RGB_NAMES, SourceError, THERMAL_NAMES

DEFAULT_NAMES = {'thermal': 'thermal/image_raw', 'rgb': 'rgb/image_raw'}

# Words of a topic name, with the names of thermal cameras.
_WORDS = {
    'thermal': {*THERMAL_NAMES, 'thermo', 'thermographic', 'thermography', 'flir', 'boson',
                'lepton', 'tau', 'seek', 'optris', 'infiray', 'xenics', 'heimann', 'hikmicro',
                'workswell', 'seekthermal'},
    'rgb': {*RGB_NAMES, 'color', 'colour'}}
_DEPTH_WORDS = {'depth', 'disparity'}
_CAMERA_WORDS = {'camera', 'cam', 'usb', 'webcam'}
# Endings of one camera, the preferred first: the transport, and how far the image is processed.
_TRANSPORTS = ('', 'compressed', 'compressedDepth', 'ffmpeg', 'foxglove', 'zstd', 'theora')
_IMAGES = ('image_raw', 'image', 'image_color', 'image_mono', 'image_rect', 'image_rect_raw',
           'image_rect_color', 'image_rect_mono')
_HIGH_DEPTH = ('mono16', '16UC1', '32FC1')


@dataclass(frozen=True)
class TopicRequest:
    """Names of topics that the user gave; None to find the topic."""

    thermal_topic: str | None = None
    rgb_topic: str | None = None
    thermal_info_topic: str | None = None
    rgb_info_topic: str | None = None

    def image_topic(self, stream: str) -> str | None:
        """Return the requested image topic of a stream."""
        return self.thermal_topic if stream == 'thermal' else self.rgb_topic

    def info_topic(self, stream: str) -> str | None:
        """Return the requested topic of the camera info of a stream."""
        return self.thermal_info_topic if stream == 'thermal' else self.rgb_info_topic


@dataclass(frozen=True)
class TopicChoice:
    """
    The image topics of both streams, and the reason for each.

    Attributes
    ----------
    guessed:
        Whether a topic was neither requested nor has the default name.

    """

    topics: dict[str, Topic]
    reasons: dict[str, str]
    guessed: bool


class TopicChooser:
    """
    Chooses among the topics of a bag.

    Parameters
    ----------
    counts:
        Number of messages by topic.
    read_encoding:
        Returns the encoding of the first image of a topic, empty if there is none.
    describe:
        Returns a topic as an error shows it.

    """

    def __init__(self, counts: dict[Topic, int], read_encoding: Callable[[Topic], str],
                 describe: Callable[[Topic], str]) -> None:
        self._counts = counts
        self._images = sorted(topic for topic in counts if is_image_topic(topic))
        self._read_encoding, self._describe = read_encoding, describe

    def choose(self, request: TopicRequest) -> TopicChoice:
        """
        Return the image topics.

        A requested name comes first, then the default name. What is left is guessed from the
        words in the names, and from the encoding.

        Raises
        ------
        SourceError
            A topic is not there, has no messages, or may be any of several.

        """
        topics: dict[str, Topic] = {}
        reasons: dict[str, str] = {}
        unusable: dict[str, Topic] = {}
        for stream, default in DEFAULT_NAMES.items():
            requested = request.image_topic(stream)
            topic = self._find(requested or default)
            if topic is None and requested:
                raise SourceError(f"no image topic '{requested}'; {self._list_images()}")
            if topic is not None and (requested or not self._find_fault(topic)):
                topics[stream] = topic
                reasons[stream] = 'requested' if requested else 'default name'
            elif topic is not None:
                unusable[stream] = topic
        guessed = [stream for stream in DEFAULT_NAMES if stream not in topics]
        for stream in guessed:
            guess = self._guess(stream, topics)
            if guess is None and stream not in unusable:
                raise SourceError(f"no image topic '{DEFAULT_NAMES[stream]}', and which other is "
                                  f'the {stream} camera is not clear; {self._list_images()}')
            topics[stream], reasons[stream] = guess or (unusable[stream], 'default name')
        if topics['thermal'] == topics['rgb']:
            raise SourceError(f"'{topics['rgb'].name}' cannot be both cameras; "
                              + self._list_images())
        for topic in topics.values():
            fault = self._find_fault(topic)
            if fault:
                raise SourceError(f"'{topic.name}': {fault}; {self._list_images()}")
        return TopicChoice(topics, reasons, bool(guessed))

    def find_info_topic(self, image_topic: Topic, requested: str | None) -> Topic | None:
        """
        Return the topic of CameraInfo: as requested, or ``camera_info`` beside the images.

        Raises
        ------
        SourceError
            The requested topic is not there.

        """
        infos = {topic.name: topic for topic in self._counts
                 if topic.msgtype == CAMERA_INFO and topic.serialization in ('cdr', 'ros1')}
        if requested is None:
            camera, _, _ = _split_name(image_topic.name)
            return infos.get(f'{camera}/camera_info')
        found = [topic for name, topic in infos.items()
                 if name.strip('/') == requested.strip('/')] or [
                     topic for name, topic in infos.items()
                     if name.endswith(f"/{requested.strip('/')}")]
        if len(found) != 1:
            raise SourceError(f"no CameraInfo topic '{requested}'; CameraInfo topics of the bag: "
                              f"{', '.join(sorted(infos)) or 'none'}")
        return found[0]

    def _find_fault(self, topic: Topic) -> str:
        """Return why a topic cannot be used, or an empty string."""
        return find_obstacle(topic) or 'there is no message on it' * (self._counts[topic] == 0)

    def _find(self, requested: str) -> Topic | None:
        """Return the topic of a name, also without its namespace or its transport."""
        relative = requested.strip('/')
        found = []
        for ending in [relative] + [f'{relative}/{transport}' for transport in _TRANSPORTS[1:]]:
            exact = [topic for topic in self._images if topic.name.strip('/') == ending]
            matches = exact or [topic for topic in self._images
                                if topic.name.endswith(f'/{ending}')]
            usable = sorted((topic for topic in matches if not self._find_fault(topic)),
                            key=_preference)
            if len({topic.name for topic in usable}) > 1:
                raise SourceError(f"'{requested}' may be any of several topics; give the full "
                                  f'name; {self._list_images()}')
            if usable:
                return usable[0]
            found += matches
        return found[0] if found else None

    def _guess(self, stream: str, taken: dict[str, Topic]) -> tuple[Topic, str] | None:
        """Return the only topic that may be a stream, and why; None if there is not one."""
        used = {_camera_of(topic) for topic in taken.values()}
        cameras: dict[str, list[Topic]] = {}
        for topic in self._images:
            if not self._find_fault(topic) and _camera_of(topic) not in used and \
                    _DEPTH_WORDS.isdisjoint(_words_of(topic)):
                cameras.setdefault(_camera_of(topic), []).append(topic)
        best = [min(topics, key=_preference) for topics in cameras.values()]
        named = [topic for topic in best if _stream_of(topic) == stream]
        unnamed = [topic for topic in best if not _stream_of(topic)]
        attempts = [(named, f'the only name with a word for {stream}')]
        if stream == 'thermal':
            deep = [topic for topic in named or unnamed
                    if len(named) != 1 and self._read_encoding(topic) in _HIGH_DEPTH]
            attempts.append((deep, 'the only images of more than 8 bits'))
        elif not named:
            generic = [topic for topic in unnamed
                       if not _CAMERA_WORDS.isdisjoint(_words_of(topic))]
            attempts += [(generic, 'the only other name with a word for a camera'),
                         (unnamed, 'the only other camera')]
        return next(((topics[0], reason) for topics, reason in attempts if len(topics) == 1), None)

    def _list_images(self) -> str:
        listed = ', '.join(map(self._describe, self._images)) or \
            f'none among {len(self._counts)} topics'
        return (f'image topics of the bag: {listed}; choose with --thermal-topic and --rgb-topic')


def _split_name(name: str) -> tuple[str, str, str]:
    """Split into camera, image and transport: ``('/a', 'image_raw', 'compressed')``."""
    head, _, last = name.rpartition('/')
    transport = last if last in _TRANSPORTS[1:] else ''
    if transport:
        head, _, last = head.rpartition('/')
    return head, last, transport


def _camera_of(topic: Topic) -> str:
    """Return what the topics of one camera have in common."""
    camera, image, _ = _split_name(topic.name)
    return camera if image in _IMAGES else f'{camera}/{image}'


def _words_of(topic: Topic) -> list[str]:
    """Return the words of a name, without its transport, in lower case."""
    camera, image, _ = _split_name(topic.name)
    spaced = re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', f'{camera}/{image}')
    return [word.lower() for word in re.split(r'[^A-Za-z]+', spaced) if word]


def _stream_of(topic: Topic) -> str:
    """Return the stream that the last word for one in a name says; empty without such a word."""
    return next((stream for word in reversed(_words_of(topic))
                 for stream, words in _WORDS.items() if word in words), '')


def _preference(topic: Topic) -> tuple[bool, int, int, str]:
    """Return a sort key: raw before compressed, unprocessed before rectified."""
    _, image, transport = _split_name(topic.name)
    return (not topic.msgtype.endswith('Image') or topic.msgtype.endswith('CompressedImage'),
            _TRANSPORTS.index(transport),
            _IMAGES.index(image) if image in _IMAGES else len(_IMAGES), topic.name)
