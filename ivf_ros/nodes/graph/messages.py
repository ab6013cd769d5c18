# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Items of the graph to ROS messages and back.

The one place that knows both. An item is what stages understand (``types``), with stamp and frame;
a ``TypeAdapter`` pairs the two directions for the transport.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Generic, TypeVar

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ivf_ros import geometry, images
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.types import Detection, Frame, Segmentation
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)

T = TypeVar('T')

_NS_PER_S = 1_000_000_000


class MessageError(ValueError):
    """A message has the right type but its content makes no sense."""


@dataclass(frozen=True, eq=False)
class Stamped(Generic[T]):
    """A value with the stamp and the optical frame of the image that it belongs to."""

    value: T
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class Homography:
    """``H_thermal_to_rgb`` ``(3, 3)`` float64 and the size (width, height) of the RGB grid."""

    H_thermal_to_rgb: np.ndarray
    rgb_size: tuple[int, int]


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """Make a message header."""
    seconds, nanoseconds = divmod(stamp_ns, _NS_PER_S)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def stamp_ns_of(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * _NS_PER_S + header.stamp.nanosec


def image_to_message(frame: Frame) -> Image:
    """Make an Image message; its data is copied once."""
    encoding, data, step = images.encode(frame.image)
    width, height = frame.size
    message = Image(header=header_of(frame.stamp_ns, frame.frame_id), width=width, height=height,
                    encoding=encoding, step=step)
    message.data = _buffer(data)
    return message


def image_from_message(message: Image) -> Frame:
    """
    View an Image message as a frame, without a copy where the encoding allows it.

    Raises
    ------
    ImageError
        The encoding is unknown or the sizes do not add up.

    """
    image = images.decode(message.encoding, message.data, message.width, message.height,
                          message.step, bool(message.is_bigendian))
    return Frame(image, stamp_ns_of(message.header), message.header.frame_id)


def compressed_to_message(frame: Frame) -> CompressedImage:
    """Make a CompressedImage message: PNG for one channel, JPEG for colour."""
    kind = 'png' if frame.image.ndim == 2 else 'jpeg'
    encoding, data = images.encode_compressed(frame.image, kind)
    message = CompressedImage(header=header_of(frame.stamp_ns, frame.frame_id), format=encoding)
    message.data = _buffer(data)
    return message


def compressed_from_message(message: CompressedImage) -> Frame:
    """Decode a CompressedImage message; raises ImageError where it is damaged."""
    image = images.decode_compressed(message.format, message.data)
    return Frame(image, stamp_ns_of(message.header), message.header.frame_id)


def homography_to_message(item: Stamped[Homography]) -> CameraInfo:
    """
    Make the CameraInfo that carries a homography.

    ``r`` is H_thermal_to_rgb, row-major, ``k`` the identity, ``p`` = [I|0]; width and height are
    those of the RGB grid. The header is that of the thermal image it was measured on.
    """
    width, height = item.value.rgb_size
    message = CameraInfo(header=header_of(item.stamp_ns, item.frame_id), width=width,
                         height=height)
    message.k = np.eye(3).ravel()
    message.p = np.eye(3, 4).ravel()
    message.r = item.value.H_thermal_to_rgb.ravel()
    return message


def homography_from_message(message: CameraInfo) -> Stamped[Homography]:
    """Read a homography; raises MessageError where it is singular or not finite."""
    matrix = np.array(message.r, dtype=np.float64).reshape(3, 3)
    try:
        H_thermal_to_rgb = geometry.normalize_homography(matrix)
    except geometry.GeometryError as error:
        raise MessageError(f'no homography in r: {error}') from None
    return Stamped(Homography(H_thermal_to_rgb, (message.width, message.height)),
                   stamp_ns_of(message.header), message.header.frame_id)


def camera_info_to_message(item: Stamped[CameraInfo]) -> CameraInfo:
    """Give a camera's calibration the stamp of the image that it goes with."""
    source = item.value
    return CameraInfo(header=header_of(item.stamp_ns, item.frame_id), height=source.height,
                      width=source.width, distortion_model=source.distortion_model, d=source.d,
                      k=source.k, r=source.r, p=source.p, binning_x=source.binning_x,
                      binning_y=source.binning_y, roi=source.roi)


def camera_info_from_message(message: CameraInfo) -> Stamped[CameraInfo]:
    """Keep a CameraInfo as it is."""
    return Stamped(message, stamp_ns_of(message.header), message.header.frame_id)


def detections_to_message(item: Stamped[list[Detection]]) -> Detection2DArray:
    """Make a Detection2DArray whose header is that of the image that was searched."""
    header = header_of(item.stamp_ns, item.frame_id)
    return Detection2DArray(header=header,
                            detections=[_detection_to_message(d, header) for d in item.value])


def detections_from_message(message: Detection2DArray) -> Stamped[list[Detection]]:
    """Read detections; of several hypotheses the first counts."""
    detections = []
    for found in message.detections:
        if not found.results:
            raise MessageError('a detection has no hypothesis; got 0, need at least 1')
        x, y = found.bbox.center.position.x, found.bbox.center.position.y
        half_width, half_height = found.bbox.size_x / 2, found.bbox.size_y / 2
        best = found.results[0].hypothesis
        detections.append(Detection((x - half_width, y - half_height, x + half_width,
                                     y + half_height), best.class_id, best.score, found.id))
    return Stamped(detections, stamp_ns_of(message.header), message.header.frame_id)


def temperatures_to_message(item: Stamped[list[Detection]]) -> DiagnosticArray:
    """
    Make a DiagnosticArray with the apparent temperatures of detections, in their order.

    Detection2D has no place for them. Each status is named after the class, its hardware_id is
    the track, and its values are ``median_celsius`` and ``maximum_celsius``; none where thermal
    does not reach the box.
    """
    return DiagnosticArray(header=header_of(item.stamp_ns, item.frame_id), status=[
        DiagnosticStatus(name=one.class_name, hardware_id=one.track_id, values=[
            KeyValue(key=key, value=f'{celsius:.2f}') for key, celsius in (
                ('median_celsius', one.median_celsius), ('maximum_celsius', one.maximum_celsius))
            if celsius is not None]) for one in item.value])


def temperatures_from_message(message: DiagnosticArray) -> Stamped[list[Detection]]:
    """Read temperatures; the boxes travel on the topic of the detections."""
    found = []
    for status in message.status:
        values = {pair.key: pair.value for pair in status.values}
        try:
            celsius = [float(values[key]) if key in values else None
                       for key in ('median_celsius', 'maximum_celsius')]
        except ValueError as error:
            raise MessageError(f'a temperature is a number: {error}') from None
        found.append(Detection((0.0, 0.0, 0.0, 0.0), status.name, 0.0, status.hardware_id,
                               *celsius))
    return Stamped(found, stamp_ns_of(message.header), message.header.frame_id)


def _buffer(data: memoryview) -> array:
    # The fastest way into a message: rclpy takes an array.array as it is, while bytes are checked
    # and converted element by element.
    buffer = array('B')
    buffer.frombytes(data)
    return buffer


def _detection_to_message(detection: Detection, header: Header) -> Detection2D:
    left, top, right, bottom = detection.box_xyxy_px
    message = Detection2D(header=header, id=detection.track_id)
    message.bbox.center.position.x = (left + right) / 2
    message.bbox.center.position.y = (top + bottom) / 2
    message.bbox.size_x = float(right - left)
    message.bbox.size_y = float(bottom - top)
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = detection.class_name
    hypothesis.hypothesis.score = float(detection.score)
    message.results = [hypothesis]
    return message


def labels_to_message(item: Stamped[Segmentation]) -> Image:
    """Make a mono8 Image of the label of each pixel."""
    return image_to_message(Frame(item.value.labels, item.stamp_ns, item.frame_id))


def labels_from_message(message: Image) -> Stamped[Segmentation]:
    """Read a label image; its class names travel on the LabelInfo topic."""
    frame = image_from_message(message)
    if frame.image.dtype != np.uint8 or frame.image.ndim != 2:
        raise MessageError(f'labels are mono8, got {message.encoding}')
    return Stamped(Segmentation(frame.image, ()), frame.stamp_ns, frame.frame_id)


def label_info_to_message(item: Stamped[tuple[str, ...]]) -> LabelInfo:
    """Make the LabelInfo that names the labels; its ids are the pixel values."""
    classes = [VisionClass(class_id=index, class_name=name)
               for index, name in enumerate(item.value)]
    return LabelInfo(header=header_of(item.stamp_ns, item.frame_id), class_map=classes,
                     threshold=0.0)


def label_info_from_message(message: LabelInfo) -> Stamped[tuple[str, ...]]:
    """Read the class names of a label image."""
    names = {entry.class_id: entry.class_name for entry in message.class_map}
    if sorted(names) != list(range(len(names))):
        raise MessageError(f'class ids are 0..{len(names) - 1}, got {sorted(names)}')
    return Stamped(tuple(names[index] for index in range(len(names))),
                   stamp_ns_of(message.header), message.header.frame_id)


IMAGE = TypeAdapter(Image, image_to_message, image_from_message)
COMPRESSED = TypeAdapter(CompressedImage, compressed_to_message, compressed_from_message)
HOMOGRAPHY = TypeAdapter(CameraInfo, homography_to_message, homography_from_message)
CAMERA_INFO = TypeAdapter(CameraInfo, camera_info_to_message, camera_info_from_message)
TEMPERATURES = TypeAdapter(DiagnosticArray, temperatures_to_message, temperatures_from_message)
DETECTIONS = TypeAdapter(Detection2DArray, detections_to_message, detections_from_message)
LABELS = TypeAdapter(Image, labels_to_message, labels_from_message)
LABEL_INFO = TypeAdapter(LabelInfo, label_info_to_message, label_info_from_message)
