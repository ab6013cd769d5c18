# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two image topics of a rosbag2 bag as a source, read without ROS by the rosbags library."""

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

# What rosbags and the storage libraries under it let through when a file is damaged.
_DAMAGE = (ReaderError, OSError, ValueError, TypeError, LookupError, RuntimeError, EOFError,
           MemoryError, OverflowError, AssertionError, struct.error, apsw.Error, ZstdError)


class BagSource:
    """
    Images of two topics in the order in which they were recorded.

    Stamps are those of the headers, or the time of recording where the header has none. Thermal
    frames are ``(H, W)`` with their depth, RGB frames ``(H, W, 3)`` uint8 BGR. Messages that do
    not decode are left out and counted.

    Parameters
    ----------
    path:
        Directory with ``metadata.yaml``, or one ``.mcap`` or ``.db3`` file.
    thermal_topic, rgb_topic:
        Topics of type Image or CompressedImage, with or without a namespace. A relative name also
        stands for the only topic that ends in it, and for its ``/compressed``.

    Raises
    ------
    SourceError
        The bag is damaged, or does not hold the topics.

    """

    def __init__(self, path: Path, thermal_topic: str, rgb_topic: str) -> None:
        self.name = str(path)
        self._path = path
        self._skip = SkipCount(self.name)
        with self._opened() as reader:
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
        """Return how many messages were left out, by reason, in the latest pass."""
        return dict(self._skip.counts)

    def events(self) -> Iterator[Event]:
        """
        Read and decode message by message.

        Raises
        ------
        SourceError
            Not one image could be read.

        """
        self._skip.counts.clear()
        streams = {topic: stream for stream, topic in self.topics.items()}
        store = get_typestore(Stores.LATEST)  # images are defined alike in every distribution
        good = 0
        with self._opened() as reader:
            connections = [c for c in reader.connections if c.topic in streams]
            for connection, time_ns, data in self._messages(reader, connections):
                try:
                    message = store.deserialize_cdr(memoryview(data), connection.msgtype)
                    event = _event(streams[connection.topic], message, time_ns)
                except SerdeError as error:
                    self._skip.add('message cut short', f'{connection.topic}: {error}')
                except images.ImageError as error:
                    self._skip.add('undecodable image', f'{connection.topic}: {error}')
                else:
                    good += 1
                    yield event
        if not good:
            raise SourceError(f'{self.name}: no image can be read; skipped {self.skipped}')

    def _messages(self, reader: Reader, connections: list) -> Iterator[tuple[Any, int, bytes]]:
        """Read up to the end, or to where the file is damaged."""
        messages = reader.messages(connections)
        missing = sum(connection.msgcount for connection in connections)
        reason = 'the index of the bag counts more messages'
        while True:
            try:
                message = next(messages, None)
            except _DAMAGE as error:
                message, reason, missing = None, _one_line(error), max(missing, 1)
            if message is None:
                break
            missing -= 1
            yield message
        if missing > 0:
            self._skip.add('bag damaged', reason, missing)

    @contextmanager
    def _opened(self) -> Iterator[Reader]:
        try:
            reader = Reader(self._path)
            reader.open()
        except _DAMAGE as error:
            raise SourceError(f'{self._path} is damaged or was not closed after recording: '
                              f'{_one_line(error)}') from None
        try:
            yield reader
        finally:
            reader.close()

    def _resolve_topic(self, requested: str, types: dict[str, str | None]) -> str:
        """Return the name in the bag of the topic that a name stands for."""
        pictures = sorted(name for name, kind in types.items()
                          if kind in (IMAGE, COMPRESSED_IMAGE))
        plain = requested.strip('/')
        for ending in (plain, f'{plain}/compressed'):
            exact = [name for name in pictures if name.strip('/') == ending]
            found = exact or [name for name in pictures if name.endswith(f'/{ending}')]
            if len(found) == 1:
                return found[0]
            if found:
                raise SourceError(f"{self._path}: '{requested}' may be any of {', '.join(found)}; "
                                  'give the full name')
        held = ', '.join(pictures) or f'none among {len(types)} topics'
        raise SourceError(f"{self._path}: no image topic '{requested}'; image topics of the bag: "
                          f'{held}')


def _event(stream: str, message: Any, time_ns: int) -> Event:
    if message.__msgtype__ == IMAGE:
        image = images.decode(message.encoding, message.data, message.width, message.height,
                              message.step, bool(message.is_bigendian))
    else:
        image = images.decode_compressed(message.format, message.data)
    header = message.header
    stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec or time_ns
    if stream == 'thermal':
        return Event(stream, Frame(to_single_channel(image), stamp_ns, header.frame_id))
    return Event(stream, Frame(images.as_bgr8(image), stamp_ns, header.frame_id), Truth())


def _one_line(error: BaseException) -> str:
    return ' '.join(f'{error}'.split()) or type(error).__name__
