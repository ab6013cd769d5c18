# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Source of frames from two image topics of a rosbag2 bag, read by rosbags without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import struct
import sys
from typing import Any

import apsw
from ivf_ros import images
from ivf_ros.data.recording import SkipCount, SourceError, to_single_channel
from ivf_ros.types import Event, Frame, Truth
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import get_typestore, Stores

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'

# Exceptions of rosbags and its storage libraries for a damaged file.
_DAMAGE = (ReaderError, OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError,
           MemoryError, OverflowError, AssertionError, struct.error, apsw.Error, ZstdError)


class BagSource:
    """
    Source of the images of two topics, in recording order.

    Stamps are those of the message headers, or the recording time if the header has none. Thermal
    frames are ``(H, W)`` and keep their bit depth; RGB frames are ``(H, W, 3)`` uint8 BGR.
    Messages that cannot be decoded are skipped and counted.

    Parameters
    ----------
    path:
        Directory with ``metadata.yaml``, or one ``.mcap`` or ``.db3`` file.
    thermal_topic, rgb_topic:
        Topics of type Image or CompressedImage, with or without a namespace. A relative name also
        matches the only topic that ends with it, or with it and ``/compressed``.

    Raises
    ------
    SourceError
        The bag is damaged or does not contain the topics.

    """

    def __init__(self, path: Path, thermal_topic: str, rgb_topic: str) -> None:
        self.name = str(path)
        self._path = path
        self._skip_count = SkipCount(self.name)
        with self._open_reader() as reader:
            types = {name: info.msgtype for name, info in reader.topics.items()}
            counts = {name: info.msgcount for name, info in reader.topics.items()}
            span_s = reader.duration * 1e-9
        self.topics = {'thermal': self._resolve_topic(thermal_topic, types),
                       'rgb': self._resolve_topic(rgb_topic, types)}
        for topic in self.topics.values():
            if not counts[topic]:
                raise SourceError(f"{path}: there is no message on '{topic}'")
        frames = counts[self.topics['thermal']]
        self.rate_hz = (frames - 1) / span_s if frames > 1 and span_s > 0 else 1.0

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped messages of the latest pass, by reason."""
        return dict(self._skip_count.counts)

    def events(self) -> Iterator[Event]:
        """
        Read and decode message by message.

        Raises
        ------
        SourceError
            No image could be read.

        """
        self._skip_count.counts.clear()
        streams = {topic: stream for stream, topic in self.topics.items()}
        store = get_typestore(Stores.LATEST)  # image messages are the same in every distribution
        n_decoded = 0
        with self._open_reader() as reader:
            connections = [c for c in reader.connections if c.topic in streams]
            for connection, time_ns, data in self._messages(reader, connections):
                try:
                    message = store.deserialize_cdr(memoryview(data), connection.msgtype)
                    event = _event(streams[connection.topic], message, time_ns)
                except SerdeError as error:
                    self._skip_count.add('message cut short', f'{connection.topic}: {error}')
                except images.ImageError as error:
                    self._skip_count.add('undecodable image', f'{connection.topic}: {error}')
                else:
                    n_decoded += 1
                    yield event
        if not n_decoded:
            raise SourceError(f'{self.name}: no image can be read; skipped {self.skipped}')

    def _messages(self, reader: Reader, connections: list) -> Iterator[tuple[Any, int, bytes]]:
        """Yield the messages up to the end of the bag or up to the first damage."""
        messages = reader.messages(connections)
        missing = sum(connection.msgcount for connection in connections)
        reason = 'the index of the bag counts more messages'
        while True:
            try:
                message = next(messages, None)
            except _DAMAGE as error:
                message, reason, missing = None, _to_single_line(error), max(missing, 1)
            if message is None:
                break
            missing -= 1
            yield message
        if missing > 0:
            self._skip_count.add('bag damaged', reason, missing)

    @contextmanager
    def _open_reader(self) -> Iterator[Reader]:
        try:
            reader = Reader(self._path)
            reader.open()
        except _DAMAGE as error:
            raise SourceError(f'{self._path} is damaged or was not closed after recording: '
                              f'{_to_single_line(error)}') from None
        try:
            yield reader
        finally:
            reader.close()

    def _resolve_topic(self, requested: str, types: dict[str, str | None]) -> str:
        """Return the full name of the requested topic in the bag."""
        image_topics = sorted(name for name, msgtype in types.items()
                              if msgtype in (IMAGE, COMPRESSED_IMAGE))
        relative = requested.strip('/')
        for ending in (relative, f'{relative}/compressed'):
            exact = [name for name in image_topics if name.strip('/') == ending]
            matches = exact or [name for name in image_topics if name.endswith(f'/{ending}')]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise SourceError(f"{self._path}: '{requested}' may be any of "
                                  f"{', '.join(matches)}; give the full name")
        available = ', '.join(image_topics) or f'none among {len(types)} topics'
        raise SourceError(f"{self._path}: no image topic '{requested}'; image topics of the bag: "
                          f'{available}')


def _event(stream: str, message: Any, time_ns: int) -> Event:
    if message.__msgtype__ == IMAGE:
        image = images.decode(message.encoding, message.data, message.width, message.height,
                              message.step, bool(message.is_bigendian))
    else:
        image = images.decode_compressed(message.format, message.data)
    header = message.header
    stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or time_ns
    if stream == 'thermal':
        return Event(stream, Frame(to_single_channel(image), stamp_ns, header.frame_id),
                     recorded_ns=time_ns)
    return Event(stream, Frame(images.as_bgr8(image), stamp_ns, header.frame_id), Truth(), time_ns)


def _to_single_line(error: BaseException) -> str:
    return ' '.join(f'{error}'.split()) or type(error).__name__
