# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images, camera infos and transforms from the messages of a bag."""

from __future__ import annotations

from functools import cache
import struct
from typing import Any, NamedTuple

from ivf_ros import images
from ivf_ros.data.bags.calibration import RecordedCameraInfo, RecordedTransform
from ivf_ros.data.bags.storage import Message, Topic
from ivf_ros.data.recording import SourceError
from ivf_ros.data.video_packets import PacketDecoder
from ivf_ros.protobuf import read_fields
import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
TRANSFORMS = 'tf2_msgs/msg/TFMessage'

_FFMPEG_PACKET = 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'
_NOT_SUPPORTED = {'theora_image_transport/msg/Packet': 'theora'}
_DEFINITIONS = {
    _FFMPEG_PACKET: 'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\n'
                    'uint64 pts\nuint8 flags\nbool is_bigendian\nuint8[] data',
    'foxglove_msgs/msg/RawImage':
        'builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\nuint32 height\n'
        'string encoding\nuint32 step\nuint8[] data',
    'foxglove_msgs/msg/CompressedImage':
        'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format',
    'foxglove_msgs/msg/CompressedVideo':
        'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format'}
# Numbers of the fields in the .proto files of Foxglove, besides the timestamp.
_PROTOBUF_FIELDS = {
    'foxglove.RawImage': {'frame_id': 7, 'width': 2, 'height': 3, 'encoding': 4, 'step': 5,
                          'data': 6},
    'foxglove.CompressedImage': {'frame_id': 4, 'encoding': 3, 'data': 2},
    'foxglove.CompressedVideo': {'frame_id': 2, 'encoding': 4, 'data': 3}}
_NUMBERS = ('width', 'height', 'step')  # of these fields; the others are bytes


class MessageError(ValueError):
    """A message is cut short or is none of its type."""


class RecordedImage(NamedTuple):
    """
    An image from a message.

    Attributes
    ----------
    image:
        As ``images.decode`` returns it.
    stamp_ns:
        Stamp in the header; 0 if there is none.
    frame_id:
        Frame in the header.
    recorded_ns:
        Time of recording.

    """

    image: np.ndarray
    stamp_ns: int
    frame_id: str
    recorded_ns: int


class Packet(NamedTuple):
    """
    An image message before it is decoded.

    Attributes
    ----------
    kind:
        ``'raw'``, ``'compressed'`` or ``'video'``.
    encoding:
        Encoding, format or codec.
    width, height, step:
        Of raw images; 0 otherwise.

    """

    kind: str
    stamp_ns: int
    frame_id: str
    encoding: str
    data: Any
    width: int = 0
    height: int = 0
    step: int = 0
    is_bigendian: bool = False


def is_image_topic(topic: Topic) -> bool:
    """Return whether a topic carries images, also of a kind that cannot be decoded."""
    return topic.msgtype in (IMAGE, COMPRESSED_IMAGE, *_DEFINITIONS, *_PROTOBUF_FIELDS,
                             *_NOT_SUPPORTED)


def find_obstacle(topic: Topic) -> str:
    """Return why the images of a topic cannot be decoded, or an empty string."""
    if topic.msgtype in _NOT_SUPPORTED:
        return (f"images of the transport '{_NOT_SUPPORTED[topic.msgtype]}' cannot be decoded; "
                'republish them: ros2 run image_transport republish theora raw')
    if _find_kind(topic) is None:
        return f"images of type '{topic.msgtype}' in '{topic.serialization}' cannot be decoded"
    return ''


class ImageDecoder:
    """
    Decodes the messages of one topic, in their order.

    Raises
    ------
    SourceError
        The topic cannot be decoded, or a library for it is missing.

    """

    def __init__(self, topic: Topic) -> None:
        obstacle = find_obstacle(topic)
        if obstacle:
            raise SourceError(f"'{topic.name}': {obstacle}")
        self._video: PacketDecoder | None = None
        # Stamp, frame and time of recording of each packet of video, which may be decoded later.
        self._origins: list[tuple[int, str, int]] = []

    def decode(self, message: Message) -> list[RecordedImage]:
        """
        Return the images that are complete with this message: of video none or several.

        Raises
        ------
        MessageError
            The message is cut short.
        images.ImageError
            The image cannot be decoded.
        SourceError
            The codec of video is unknown, or PyAV is not installed.

        """
        packet = read_packet(message)
        origin = packet.stamp_ns, packet.frame_id, message.time_ns
        if packet.kind == 'video':
            if self._video is None:
                self._video = _make_video_decoder(message.topic, packet.encoding)
            self._origins.append(origin)
            return self._with_origins(
                self._video.decode_stamped(packet.data, len(self._origins) - 1))
        if packet.kind == 'raw':
            image = images.decode(packet.encoding, packet.data, packet.width, packet.height,
                                  packet.step, packet.is_bigendian)
        else:
            image = images.decode_compressed(packet.encoding, packet.data)
        return [RecordedImage(image, *origin)]

    def flush(self) -> list[RecordedImage]:
        """
        Return the images of video that are still held back at the end.

        Raises
        ------
        images.ImageError
            They are damaged.

        """
        return self._with_origins(self._video.flush_stamped()) if self._video else []

    @property
    def skipped_count(self) -> int:
        """Return the number of packets of video before the first key frame."""
        return self._video.skipped_count if self._video else 0

    def _with_origins(self, decoded: list[tuple[int, np.ndarray]]) -> list[RecordedImage]:
        return [RecordedImage(image, *self._origins[number]) for number, image in decoded]


def read_packet(message: Message) -> Packet:
    """
    Return the fields of an image message.

    Raises
    ------
    MessageError
        The message is cut short.

    """
    kind = _find_kind(message.topic)
    assert kind is not None
    if message.topic.msgtype in _PROTOBUF_FIELDS:
        return _read_protobuf(kind, message)
    content = _deserialize(message)
    if hasattr(content, 'header'):
        stamp, frame_id = content.header.stamp, content.header.frame_id
    else:
        stamp, frame_id = content.timestamp, content.frame_id
    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
    if kind == 'raw':
        return Packet(kind, stamp_ns, frame_id, content.encoding, content.data, content.width,
                      content.height, content.step, bool(getattr(content, 'is_bigendian', False)))
    encoding = content.encoding.partition(';')[0] if message.topic.msgtype == _FFMPEG_PACKET \
        else content.format
    return _check(Packet(kind, stamp_ns, frame_id, encoding, content.data))


def read_camera_info(message: Message) -> RecordedCameraInfo:
    """
    Return the fields of a ``CameraInfo`` message.

    Raises
    ------
    MessageError
        The message is cut short.

    """
    info = _deserialize(message)
    # ROS 1 has capital letters.
    d, k, r, p = (tuple(np.asarray(getattr(info, name, None) if hasattr(info, name)
                                   else getattr(info, name.upper()), np.float64).tolist())
                  for name in 'dkrp')
    roi = info.roi
    return RecordedCameraInfo(
        info.header.frame_id, info.width, info.height, info.distortion_model, d, k, r, p,
        info.binning_x, info.binning_y,
        (roi.x_offset, roi.y_offset, roi.height, roi.width, bool(roi.do_rectify)))


def read_transforms(message: Message) -> list[RecordedTransform]:
    """
    Return the transforms of a ``TFMessage``.

    Raises
    ------
    MessageError
        The message is cut short.

    """
    return [RecordedTransform(
        item.header.frame_id, item.child_frame_id, _read_numbers(item.transform.rotation, 'xyzw'),
        _read_numbers(item.transform.translation, 'xyz'))
        for item in _deserialize(message).transforms]


def _read_numbers(item: Any, names: str) -> Any:
    return tuple(float(getattr(item, name)) for name in names)


def _find_kind(topic: Topic) -> str | None:
    """Return the kind of the images of a topic, None if it carries none that are known."""
    if topic.serialization in ('cdr', 'ros1') and topic.msgtype in (IMAGE, COMPRESSED_IMAGE):
        return 'raw' if topic.msgtype == IMAGE else 'compressed'
    if not ((topic.serialization == 'cdr' and topic.msgtype in _DEFINITIONS)
            or (topic.serialization == 'protobuf' and topic.msgtype in _PROTOBUF_FIELDS)):
        return None
    return 'raw' if topic.msgtype.endswith('RawImage') else \
        'compressed' if topic.msgtype.endswith('CompressedImage') else 'video'


def _read_protobuf(kind: str, message: Message) -> Packet:
    try:
        fields = read_fields(message.data)
        values: dict[str, Any] = {
            name: _take_protobuf_field(fields, name, number, int if name in _NUMBERS
                                       else memoryview)
            for name, number in _PROTOBUF_FIELDS[message.topic.msgtype].items()
            if number in fields}
        for name in ('frame_id', 'encoding'):
            values[name] = bytes(values.get(name, b'')).decode()
        # google.protobuf.Timestamp: seconds, nanoseconds
        stamp = read_fields(_take_protobuf_field(fields, 'timestamp', 1, memoryview)) \
            if 1 in fields else {}
        stamp_ns = sum(_take_protobuf_field(stamp, name, number, int) * factor
                       for name, number, factor in (('seconds', 1, 1_000_000_000),
                                                    ('nanos', 2, 1)) if number in stamp)
    except (ValueError, struct.error) as error:
        raise MessageError(f'{error}') from None
    return _check(Packet(kind, stamp_ns, **{'data': b'', **values}))


def _take_protobuf_field(fields: dict[int, int | memoryview], name: str, number: int,
                         kind: type) -> Any:
    """Return a field; raise ValueError if it is a number instead of bytes, or the reverse."""
    if not isinstance(fields[number], kind):
        raise ValueError(f"the field '{name}' is of another type")
    return fields[number]


def _check(packet: Packet) -> Packet:
    if len(packet.data) == 0:
        raise MessageError('the message holds no data')
    return packet


def _make_video_decoder(topic: Topic, codec: str) -> PacketDecoder:
    try:
        return PacketDecoder(codec)
    except SourceError as error:
        raise SourceError(f"'{topic.name}': {error}") from None


def _deserialize(message: Message) -> Any:
    topic = message.topic
    try:
        if topic.serialization == 'ros1':
            return _ros1_types().deserialize_ros1(memoryview(message.data), topic.msgtype)
        return _ros2_types().deserialize_cdr(memoryview(message.data), topic.msgtype)
    except (SerdeError, ValueError, TypeError, LookupError, AssertionError, OverflowError,
            MemoryError, struct.error) as error:
        raise MessageError(f'{error}') from None


@cache
def _ros2_types() -> Typestore:
    """Return the message types; images are the same in every distribution."""
    store = get_typestore(Stores.LATEST)
    for name, definition in _DEFINITIONS.items():
        store.register(get_types_from_msg(definition, name))
    return store


@cache
def _ros1_types() -> Typestore:
    return get_typestore(Stores.ROS1_NOETIC)
