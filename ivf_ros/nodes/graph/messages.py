# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Conversion between the items of the graph and ROS messages.

An item is a value that the stages use (``types``), with stamp and frame. A ``TypeAdapter`` holds
the conversions in both directions for the transport.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ivf_ros import geometry, images
from ivf_ros.camera_model import CameraModel
from ivf_ros.images.limits import check_size
from ivf_ros.nodes.graph import cdr
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.types import Detection, Frame, Segmentation
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header, String
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
    """The content of a message is invalid."""


@dataclass(frozen=True, eq=False)
class Stamped(Generic[T]):
    """A value with the stamp and the optical frame of its image."""

    value: T
    stamp_ns: int
    frame_id: str


@dataclass(frozen=True, eq=False)
class Homography:
    """
    A homography with the size of its RGB grid.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64.
    rgb_size:
        Width and height in pixels.
    is_lost:
        Whether it is only the last known one, and the registration is lost.

    """

    H_thermal_to_rgb: np.ndarray
    rgb_size: tuple[int, int]
    is_lost: bool = False


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """Make a message header."""
    seconds, nanoseconds = divmod(stamp_ns, _NS_PER_S)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)


def stamp_ns_of(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * _NS_PER_S + header.stamp.nanosec


def refuse_drawing(message: object) -> NoReturn:
    """Raise MessageError: markers and annotations are for viewers and contain no results."""
    raise MessageError(f'{type(message).__name__} is drawn by viewers and contains no results; '
                       'subscribe to the topic of the results')


def color_message(color_bgr: tuple[int, int, int]) -> ColorRGBA:
    """Return an opaque colour of three values 0 to 255 as a message."""
    blue, green, red = (value / 255 for value in color_bgr)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)


def image_to_message(frame: Frame) -> Image:
    """Make an Image message; copies the data once."""
    encoding, data, step = images.encode(frame.image)
    width, height = frame.size
    message = Image(header=make_header(frame.stamp_ns, frame.frame_id), width=width, height=height,
                    encoding=encoding, step=step)
    message.data = _to_array(data)
    return message


def image_from_message(message: Image) -> Frame:
    """
    Return the image as a frame, without a copy if the encoding permits.

    Raises
    ------
    ImageError
        The encoding is unknown or the sizes are inconsistent.

    """
    image = images.decode(message.encoding, message.data, message.width, message.height,
                          message.step, bool(message.is_bigendian))
    return Frame(image, stamp_ns_of(message.header), message.header.frame_id)


def image_from_cdr(serialized: bytes) -> Frame:
    """
    Return a serialised Image as a frame, without a copy if the encoding permits.

    Raises
    ------
    CdrError
        The message is truncated or not plain CDR.
    ImageError
        The encoding is unknown or the sizes are inconsistent.

    """
    fields = cdr.read_image(serialized)
    image = images.decode(fields.encoding, fields.data, fields.width, fields.height, fields.step,
                          fields.is_bigendian)
    return Frame(image, fields.stamp_ns, fields.frame_id)


def compressed_to_message(frame: Frame) -> CompressedImage:
    """Make a CompressedImage message: PNG for one channel, JPEG for colour."""
    image_format = 'png' if frame.image.ndim == 2 else 'jpeg'
    encoding, data = images.encode_compressed(frame.image, image_format)
    message = CompressedImage(header=make_header(frame.stamp_ns, frame.frame_id), format=encoding)
    message.data = _to_array(data)
    return message


def compressed_from_message(message: CompressedImage) -> Frame:
    """Decode a CompressedImage message; raise ImageError if it is damaged."""
    image = images.decode_compressed(message.format, message.data)
    return Frame(image, stamp_ns_of(message.header), message.header.frame_id)


def compressed_from_cdr(serialized: bytes) -> Frame:
    """Decode a serialised CompressedImage; raise CdrError or ImageError if it is damaged."""
    fields = cdr.read_compressed_image(serialized)
    image = images.decode_compressed(fields.message_format, fields.data)
    return Frame(image, fields.stamp_ns, fields.frame_id)


def homography_to_message(item: Stamped[Homography]) -> CameraInfo:
    """
    Make the CameraInfo that contains a homography.

    ``r`` is H_thermal_to_rgb in row-major order, ``k`` is the identity, ``p`` is [I|0]. Width and
    height are those of the RGB grid. The header is that of the measured thermal image. While the
    registration is lost, ``k`` is zero: in a CameraInfo this means that there is no calibration.
    """
    width, height = item.value.rgb_size
    message = CameraInfo(header=make_header(item.stamp_ns, item.frame_id), width=width,
                         height=height)
    message.k = np.zeros(9) if item.value.is_lost else np.eye(3).ravel()
    message.p = np.eye(3, 4).ravel()
    message.r = item.value.H_thermal_to_rgb.ravel()
    return message


def homography_from_message(message: CameraInfo) -> Stamped[Homography]:
    """
    Read a homography.

    Raises
    ------
    MessageError
        It is singular or not finite, or its RGB grid is empty or larger than any image.

    """
    check_size(message.width, message.height, 'RGB grid of a homography', MessageError)
    matrix = np.array(message.r, dtype=np.float64).reshape(3, 3)
    try:
        H_thermal_to_rgb = geometry.normalize_homography(matrix)
    except geometry.GeometryError as error:
        raise MessageError(f'r contains no homography: {error}') from None
    return Stamped(Homography(H_thermal_to_rgb, (message.width, message.height),
                              is_lost=bool(message.k[0] == 0)),
                   stamp_ns_of(message.header), message.header.frame_id)


def camera_info_to_message(item: Stamped[CameraInfo]) -> CameraInfo:
    """Copy a CameraInfo with the stamp and the frame of an image."""
    source = item.value
    return CameraInfo(header=make_header(item.stamp_ns, item.frame_id), height=source.height,
                      width=source.width, distortion_model=source.distortion_model, d=source.d,
                      k=source.k, r=source.r, p=source.p, binning_x=source.binning_x,
                      binning_y=source.binning_y, roi=source.roi)


def camera_info_from_message(message: CameraInfo) -> Stamped[CameraInfo]:
    """
    Return the CameraInfo unchanged, with its stamp and frame.

    Raises
    ------
    CameraModelError
        The calibration contains numbers that no camera has.

    """
    camera_model_of(message).check()
    return Stamped(message, stamp_ns_of(message.header), message.header.frame_id)


def camera_model_of(info: CameraInfo) -> CameraModel:
    """Return the calibration in a CameraInfo."""
    return CameraModel(
        (info.width, info.height), np.array(info.k, np.float64).reshape(3, 3),
        info.distortion_model, tuple(info.d), np.array(info.r, np.float64).reshape(3, 3),
        np.array(info.p, np.float64).reshape(3, 4), (info.binning_x or 1, info.binning_y or 1),
        (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height))


def camera_info_of(model: CameraModel) -> CameraInfo:
    """Return a calibration as a CameraInfo without header."""
    left, top, width, height = model.roi
    info = CameraInfo(width=model.size[0], height=model.size[1], d=list(model.D),
                      distortion_model=model.distortion_model, binning_x=model.binning[0],
                      binning_y=model.binning[1])
    info.k, info.r, info.p = model.K.ravel(), model.R.ravel(), model.P.ravel()
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = \
        left, top, width, height
    return info


def detections_to_message(item: Stamped[list[Detection]]) -> Detection2DArray:
    """Make a Detection2DArray with the header of the source image."""
    header = make_header(item.stamp_ns, item.frame_id)
    return Detection2DArray(header=header,
                            detections=[_detection_to_message(d, header) for d in item.value])


def detections_from_message(message: Detection2DArray) -> Stamped[list[Detection]]:
    """
    Read detections; use the first hypothesis of each.

    Raises
    ------
    MessageError
        A detection has no hypothesis.

    """
    detections = []
    for detection in message.detections:
        if not detection.results:
            raise MessageError('a detection has no hypothesis; got 0, need at least 1')
        x, y = detection.bbox.center.position.x, detection.bbox.center.position.y
        half_width, half_height = detection.bbox.size_x / 2, detection.bbox.size_y / 2
        first = detection.results[0].hypothesis
        detections.append(Detection((x - half_width, y - half_height, x + half_width,
                                     y + half_height), first.class_id, first.score, detection.id))
    return Stamped(detections, stamp_ns_of(message.header), message.header.frame_id)


def temperatures_to_message(item: Stamped[list[Detection]]) -> DiagnosticArray:
    """
    Make a DiagnosticArray with the apparent temperatures of detections, in the same order.

    Detection2D has no field for temperatures. In each status, ``name`` is the class,
    ``hardware_id`` is the track, and the values are ``median_celsius`` and ``maximum_celsius``.
    Where a temperature is unknown, there are no values, and ``message`` says why.
    """
    def make_status(detection: Detection) -> DiagnosticStatus:
        temperatures = {'median_celsius': detection.median_celsius,
                        'maximum_celsius': detection.maximum_celsius}
        return DiagnosticStatus(
            name=detection.class_name, hardware_id=detection.track_id,
            message=detection.temperature_problem,
            values=[KeyValue(key=key, value=f'{celsius:.2f}')
                    for key, celsius in temperatures.items() if celsius is not None])

    return DiagnosticArray(header=make_header(item.stamp_ns, item.frame_id),
                           status=[make_status(detection) for detection in item.value])


def temperatures_from_message(message: DiagnosticArray) -> Stamped[list[Detection]]:
    """
    Read temperatures as detections with empty boxes; the boxes are in the Detection2DArray.

    Raises
    ------
    MessageError
        A temperature is not a number.

    """
    detections = []
    for status in message.status:
        values = {pair.key: pair.value for pair in status.values}
        try:
            celsius = [float(values[key]) if key in values else None
                       for key in ('median_celsius', 'maximum_celsius')]
        except ValueError as error:
            raise MessageError(f'a temperature must be a number: {error}') from None
        detections.append(Detection(
            (0.0, 0.0, 0.0, 0.0), status.name, 0.0, status.hardware_id, median_celsius=celsius[0],
            maximum_celsius=celsius[1], temperature_problem=status.message))
    return Stamped(detections, stamp_ns_of(message.header), message.header.frame_id)


def _to_array(data: memoryview) -> array:
    # rclpy stores an array.array without conversion, but checks and converts bytes element by
    # element.
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
    """Make a mono8 Image; the pixel values are the labels."""
    return image_to_message(Frame(item.value.labels, item.stamp_ns, item.frame_id))


def labels_from_message(message: Image) -> Stamped[Segmentation]:
    """
    Read a label image, without class names; they are in the LabelInfo message.

    Raises
    ------
    ImageError
        The encoding is unknown or the sizes are inconsistent.
    MessageError
        The image is not mono8.

    """
    frame = image_from_message(message)
    if frame.image.dtype != np.uint8 or frame.image.ndim != 2:
        raise MessageError(f'labels must be mono8, got {message.encoding}')
    return Stamped(Segmentation(frame.image, ()), frame.stamp_ns, frame.frame_id)


def label_info_to_message(item: Stamped[tuple[str, ...]]) -> LabelInfo:
    """Make the LabelInfo with the class names; the class ids are the pixel values."""
    classes = [VisionClass(class_id=index, class_name=name)
               for index, name in enumerate(item.value)]
    return LabelInfo(header=make_header(item.stamp_ns, item.frame_id), class_map=classes,
                     threshold=0.0)


def label_info_from_message(message: LabelInfo) -> Stamped[tuple[str, ...]]:
    """
    Read the class names of a label image.

    Raises
    ------
    MessageError
        The class ids are not 0, 1, 2, ... without gaps.

    """
    names = {entry.class_id: entry.class_name for entry in message.class_map}
    if sorted(names) != list(range(len(names))):
        raise MessageError(f'class ids must be 0..{len(names) - 1}, got {sorted(names)}')
    return Stamped(tuple(names[index] for index in range(len(names))),
                   stamp_ns_of(message.header), message.header.frame_id)


def text_to_message(item: Stamped[str]) -> String:
    """Convert a text; the message has no header."""
    return String(data=item.value)


def text_from_message(message: String) -> Stamped[str]:
    """Read a text; its stamp is 0."""
    return Stamped(message.data, 0, '')


IMAGE = TypeAdapter(Image, image_to_message, image_from_message, image_from_cdr,
                    stamps_by_arrival=True)
COMPRESSED = TypeAdapter(CompressedImage, compressed_to_message, compressed_from_message,
                         compressed_from_cdr, stamps_by_arrival=True, in_thread=True)
HOMOGRAPHY = TypeAdapter(CameraInfo, homography_to_message, homography_from_message)
CAMERA_INFO = TypeAdapter(CameraInfo, camera_info_to_message, camera_info_from_message)
TEMPERATURES = TypeAdapter(DiagnosticArray, temperatures_to_message, temperatures_from_message)
DETECTIONS = TypeAdapter(Detection2DArray, detections_to_message, detections_from_message)
LABELS = TypeAdapter(Image, labels_to_message, labels_from_message)
LABEL_INFO = TypeAdapter(LabelInfo, label_info_to_message, label_info_from_message)
TEXT = TypeAdapter(String, text_to_message, text_from_message)
