# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What is fuzzed: functions that take bytes from outside, and the exceptions that they document.

Any other exception is a finding, and so is a result that breaks the documentation, a call that
takes longer than ``TIMEOUT_S``, or one that needs more memory than the limit of the run. A new
reader of outside bytes gets a line in ``TARGETS`` and seeds in ``fuzz_seeds.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
import logging
import math
from pathlib import Path
import struct
import tempfile
from typing import Any

from builtin_interfaces.msg import Time
from ivf_ros import images, parameters
from ivf_ros.calibration import rig_files
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.camera_model import CameraModelError
from ivf_ros.data import radiometric
from ivf_ros.data.bags import image_messages
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.files import find_bag_files
from ivf_ros.data.bags.storage import Message, Topic
from ivf_ros.data.datasets import boxes, landmarks
from ivf_ros.data.label_files.formats import read_label_file
from ivf_ros.data.recording import SourceError
from ivf_ros.data.simulator import SimulatorParameters
from ivf_ros.data.sources import open_source
from ivf_ros.data.video_packets import PacketDecoder
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.onnx import separate_outputs, single_output
from ivf_ros.detection.onnx.detector import LAYOUTS, OnnxDetector, OnnxParameters
from ivf_ros.detection.onnx.layout import Evidence
from ivf_ros.detection.onnx.metadata import read_class_names, read_metadata
from ivf_ros.images import encodings, file_ends, ImageError, tiff
from ivf_ros.images.depth_codec import decode_rvl
from ivf_ros.nn import weights
from ivf_ros.nn.errors import WeightsError
from ivf_ros.nn.runtime import decode_metadata
from ivf_ros.nodes.graph import cdr, messages, point_clouds
from ivf_ros.nodes.graph.messages import MessageError
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS
from ivf_ros.parameters import ParameterError
from ivf_ros.protobuf import read_fields
from ivf_ros.registration import CalibratedParameters, RegistrationError
from ivf_ros.registration.calibrated import make_homography
import numpy as np
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField
from std_msgs.msg import Header
from torch import nn

TIMEOUT_S = 20

_FOLDER = tempfile.TemporaryDirectory(prefix='ivf_fuzz_')
_FORMATS = ('rgb8; jpeg compressed bgr8', 'mono16; png compressed ', 'bayer_rggb8; png compressed',
            'bgr8; tiff compressed', '16UC1; compressedDepth png', '32FC1; compressedDepth rvl',
            'zstd', 'mono8; compressedDepth', 'webp', '')
_CODECS = ('h264', 'hevc', 'mjpeg', 'vp8', 'vp9', 'mpeg4', 'av1')
_MESSAGE_TOPICS = tuple(
    Topic('/a', msgtype, serialization) for msgtype, serialization in (
        (image_messages.IMAGE, 'cdr'), (image_messages.IMAGE, 'ros1'),
        (image_messages.COMPRESSED_IMAGE, 'cdr'), (image_messages.COMPRESSED_IMAGE, 'ros1'),
        ('ffmpeg_image_transport_msgs/msg/FFMPEGPacket', 'cdr'),
        ('foxglove_msgs/msg/RawImage', 'cdr'), ('foxglove_msgs/msg/CompressedVideo', 'cdr'),
        ('foxglove.RawImage', 'protobuf'), ('foxglove.CompressedImage', 'protobuf'),
        ('foxglove.CompressedVideo', 'protobuf')))
_MAX_LAYOUT_VALUES = 1 << 14


@dataclass(frozen=True)
class Target:
    """
    Functions that take the bytes of one input, each by itself.

    Attributes
    ----------
    documented:
        Exceptions that the functions may raise.
    max_bytes:
        Greatest size of an input.

    """

    name: str
    functions: tuple[Callable[[bytes], object], ...]
    documented: tuple[type[Exception], ...]
    max_bytes: int = 4096

    def run(self, data: bytes) -> None:
        """Call the functions; raise what none of them documents."""
        for function in self.functions:
            try:
                function(data)
            except self.documented as error:
                assert str(error), 'an error says what is wrong'


class Fields:
    """Takes values from the bytes of an input, one after the other; what is missing is zero."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken.ljust(size, b'\0')

    def unpack(self, form: str) -> tuple[Any, ...]:
        """Return the next numbers, in the format of ``struct``."""
        return struct.unpack('<' + form, self.take(struct.calcsize('<' + form)))

    def choose(self, options: Sequence[Any]) -> Any:
        """Return one of up to 256 options."""
        return options[self.take(1)[0] % len(options)]


def quiet_logs() -> None:
    """Silence the warnings of damaged input."""
    logging.disable(logging.CRITICAL)
    image_log = getattr(images.codecs.cv2, 'setLogLevel', None)
    if image_log is not None:
        image_log(0)
    np.seterr(all='ignore')


def _file(name: str, data: bytes) -> Path:
    """Write an input to a new file, as the last one may still be open."""
    path = Path(_FOLDER.name, name)
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _check_image(image: np.ndarray) -> None:
    assert image.dtype.type in (np.uint8, np.uint16, np.float32, np.float64), image.dtype
    assert image.shape[2:] in ((), (3,)) and image.size, image.shape


# Messages of the graph.


def _read_image_cdr(data: bytes) -> None:
    frame = messages.image_from_cdr(data)
    _check_image(frame.image)
    assert frame.stamp_ns == cdr.read_stamp_ns(data)


def _read_compressed_cdr(data: bytes) -> None:
    _check_image(messages.compressed_from_cdr(data).image)


def _camera_info_of(data: bytes) -> CameraInfo:
    fields = Fields(data)
    width, height, binning_x, binning_y, left, top, roi_width, roi_height = fields.unpack('8I')
    info = CameraInfo(width=width, height=height, binning_x=binning_x, binning_y=binning_y,
                      distortion_model=fields.choose(('plumb_bob', 'equidistant', '', 'fisheye',
                                                      'rational_polynomial')))
    info.roi.x_offset, info.roi.y_offset = left, top
    info.roi.width, info.roi.height = roi_width, roi_height
    info.k, info.r, info.p = (list(fields.unpack(form)) for form in ('9d', '9d', '12d'))
    info.d = list(fields.unpack(f'{fields.take(1)[0] % 16}d'))
    return info


def _read_homography(data: bytes) -> None:
    H = messages.homography_from_message(_camera_info_of(data)).value.H_thermal_to_rgb
    assert np.isfinite(H).all() and H[2, 2] == 1


def _read_camera_model(data: bytes) -> None:
    model = messages.camera_model_of(_camera_info_of(data))
    fitted = model.fit_to_image((64, 48))
    assert fitted.size == (64, 48)
    fitted.make_undistortion_maps()


def _read_rig(data: bytes) -> None:
    info = _camera_info_of(data)
    H = make_homography(CalibratedParameters(K_thermal=tuple(info.k), K_rgb=tuple(info.r),
                                             t_thermal_to_rgb_m=tuple(info.p[:3])))
    assert H is None or (np.isfinite(H).all() and H[2, 2] == 1)


def _read_cloud(data: bytes) -> None:
    fields = Fields(data)
    cloud = PointCloud2(header=Header(stamp=Time()), is_bigendian=bool(fields.take(1)[0] & 1))
    for name in fields.choose(('xyz', 'xy', 'zyxx', ('x', 'y', 'z', 'rgb'))):
        offset, datatype = fields.unpack('IB')
        cloud.fields.append(PointField(name=name, offset=offset, datatype=datatype, count=1))
    cloud.height, cloud.width, cloud.point_step, cloud.row_step = fields.unpack('4I')
    cloud.data = fields.rest
    assert point_clouds.points_from_message(cloud).value.shape == (cloud.height * cloud.width, 3)


# Images.


def _decode_fields(data: bytes) -> None:
    fields = Fields(data)
    encoding = fields.choose((*encodings.ENCODINGS, '8UC2', 'unknown'))
    width, height, step, is_bigendian = fields.unpack('HHHB')
    image = images.decode(encoding, fields.rest, width, height, step, bool(is_bigendian & 1))
    _check_image(image)
    assert image.shape[:2] == (height, width)
    images.as_bgr8(image)


def _decode_compressed(data: bytes) -> None:
    fields = Fields(data)
    _check_image(images.decode_compressed(fields.choose(_FORMATS), fields.rest))


def _decode_file(data: bytes) -> None:
    _check_image(images.decode_file(data[1:]))


def _decode_rvl(data: bytes) -> None:
    image = decode_rvl(memoryview(data))
    assert image.dtype == np.uint16 and image.ndim == 2


def _find_file_end(data: bytes) -> None:
    end = file_ends.find_end(memoryview(data))
    assert end is None or 0 <= end <= len(data)


def _call_tiff_signed(data: bytes) -> None:
    signed = tiff.call_signed(memoryview(data))
    assert signed is None or len(signed) >= len(data)


def _read_radiometric(data: bytes) -> None:
    assert radiometric.has_visible_image(data) <= radiometric.is_flir(data)
    radiometric.is_dji(data)
    if not radiometric.is_flir(data):
        return
    image = radiometric.FlirImage('image.jpg', data)
    celsius = image.read_celsius()
    assert celsius.dtype == np.float32 and celsius.ndim == 2
    prior = image.read_prior()
    assert prior is None or np.isfinite(prior).all()
    _check_image(image.read_visible())


def _decode_video(data: bytes) -> None:
    fields = Fields(data)
    decoder = PacketDecoder(fields.choose(_CODECS))
    while fields.rest:
        (size,) = fields.unpack('H')
        for image in decoder.decode(fields.take(min(size, len(fields.rest)))):
            _check_image(image)
    decoder.flush()


# Bags.


def _read_bag(data: bytes) -> None:
    bag = Bag(_file('part', data))
    damage: list[str] = []
    for message in islice(bag.messages(list(bag.counts), damage.append), 1000):
        assert message.topic in bag.counts
    assert all(damage) and all(bag.problems)


def _open_bag(data: bytes) -> None:
    for event in islice(open_source(_file('part', data)).events(), 20):
        if event.frame is not None:
            _check_image(event.frame.image)


def _read_bag_metadata(data: bytes) -> None:
    folder = Path(_FOLDER.name, 'bag')
    folder.mkdir(exist_ok=True)
    (folder / 'part_0.mcap').touch()
    (folder / 'metadata.yaml').write_bytes(data)
    assert find_bag_files(folder).paths


def _read_recorded_image(data: bytes) -> None:
    fields = Fields(data)
    packet = image_messages.read_packet(Message(0, fields.choose(_MESSAGE_TOPICS), fields.rest))
    assert isinstance(packet.encoding, str) and isinstance(packet.stamp_ns, int)


def _decode_recorded_image(data: bytes) -> None:
    fields = Fields(data)
    topic = fields.choose(_MESSAGE_TOPICS)
    for item in image_messages.ImageDecoder(topic).decode(Message(0, topic, fields.rest)):
        _check_image(item.image)


def _read_recorded_camera_info(data: bytes) -> None:
    topic = Topic('/a', image_messages.CAMERA_INFO, ('cdr', 'ros1')[data[:1] == b'\1'])
    image_messages.read_camera_info(Message(0, topic, data[1:]))


def _read_recorded_transforms(data: bytes) -> None:
    topic = Topic('/a', image_messages.TRANSFORMS, ('cdr', 'ros1')[data[:1] == b'\1'])
    image_messages.read_transforms(Message(0, topic, data[1:]))


# Data sets.


def _read_boxes(reader: Callable[[Path], Any]) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        reader(_file('boxes.txt', data))

    return read


# Networks.


def _load_weights(data: bytes) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    weights.load(network, _file('a.safetensors', data))


def _read_weight_metadata(data: bytes) -> None:
    path = _file('a.safetensors', data)
    weights.metadata(path)
    weights.read_shapes(path)


def _read_onnx_metadata(data: bytes) -> None:
    lines = data.decode(errors='replace').split('\n')
    properties = dict(line.partition('=')[::2] for line in lines)
    metadata = read_metadata(decode_metadata(properties))
    assert all(isinstance(name, str) for name in metadata.class_names)
    assert metadata.size is None or min(metadata.size) > 0


def _recognise_layout(data: bytes) -> None:
    fields = Fields(data)
    n_outputs, n_classes = 1 + fields.take(1)[0] % 3, fields.take(1)[0] % 24
    requested, size = fields.choose(LAYOUTS), fields.choose(((64, 64), (32, 96), (320, 320)))
    shapes = []
    for _ in range(n_outputs):
        rank = fields.take(1)[0] % 5
        dtype = fields.choose((np.float32, np.float32, np.int64, np.float16, np.int32))
        shapes.append((fields.unpack(f'{rank}H'), dtype))
    values = np.frombuffer(fields.rest[:len(fields.rest) // 4 * 4] or bytes(4), np.float32)
    outputs = {}
    for number, (shape, dtype) in enumerate(shapes):
        if math.prod(shape) <= _MAX_LAYOUT_VALUES:
            outputs[fields.choose(('boxes', 'scores', 'labels', 'output')) + str(number)] = \
                np.resize(values, shape).astype(dtype)
    if not outputs:
        return
    evidence = Evidence(outputs, read_metadata({}), tuple(map(str, range(n_classes or 1))), size)
    layout = separate_outputs.recognise(evidence, requested) \
        or single_output.recognise(evidence, requested)
    if layout is not None:
        found = layout.decode(outputs)
        assert found.boxes_xyxy_px.shape == (len(found.scores), 4)
        assert len(found.class_ids) == len(found.scores)


def _load_onnx(data: bytes) -> None:
    detector = OnnxDetector(OnnxParameters(model=str(_file('a.onnx', data))))
    detector.detect(np.zeros((48, 64, 3), np.uint8))


# Parameters and settings.


def _parse_settings(data: bytes) -> None:
    fields = Fields(data)
    cls = fields.choose((*NODE_PARAMETERS.values(), SimulatorParameters))
    built = parameters.build(cls, parameters.parse_settings(
        fields.rest.decode(errors='replace').split('\n')))
    parameters.build(cls, parameters.flatten(built))


def _open_simulator(data: bytes) -> None:
    open_source('simulator:' + data.decode(errors='replace'))


def _read_rig_file(data: bytes) -> None:
    H = rig_files.read_prior(_file('rig.yaml', data))
    assert np.isfinite(H).all() and H[2, 2] == 1


TARGETS = {target.name: target for target in (
    Target('cdr', (cdr.read_stamp_ns, cdr.read_image, cdr.read_compressed_image),
           (cdr.CdrError,), 1024),
    Target('image_message', (_read_image_cdr, _read_compressed_cdr), (cdr.CdrError, ImageError)),
    Target('camera_info', (_read_homography, _read_camera_model, _read_rig),
           (MessageError, CameraModelError, RegistrationError), 512),
    Target('point_cloud', (_read_cloud,), (MessageError,), 512),
    Target('image_fields', (_decode_fields,), (ImageError,), 512),
    Target('compressed_image', (_decode_compressed, _decode_file), (ImageError,)),
    Target('rvl', (_decode_rvl,), (ImageError,), 512),
    Target('file_ends', (_find_file_end, _call_tiff_signed), (), 1024),
    Target('radiometric', (_read_radiometric,), (SourceError,), 8192),
    Target('video', (_decode_video,), (ImageError, SourceError), 8192),
    Target('protobuf', (read_fields,), (ValueError, struct.error), 256),
    Target('recorded_image', (_read_recorded_image, _decode_recorded_image),
           (image_messages.MessageError, ImageError, SourceError), 1024),
    Target('recorded_info', (_read_recorded_camera_info, _read_recorded_transforms),
           (image_messages.MessageError,), 1024),
    Target('mcap', (_read_bag,), (SourceError,), 8192),
    Target('sqlite', (_read_bag,), (SourceError,), 32768),
    Target('rosbag1', (_read_bag,), (SourceError,), 8192),
    Target('bag_source', (_open_bag,), (SourceError,), 32768),
    Target('bag_metadata', (_read_bag_metadata,), (SourceError,), 1024),
    Target('boxes', tuple(map(_read_boxes, (
        boxes.read_voc, boxes.read_bbgt, boxes.read_coco_file,
        lambda path: boxes.read_track(path, 0, 'car')))), (SourceError,), 1024),
    Target('label_file', (_read_boxes(read_label_file),), (SourceError,), 4096),
    Target('landmarks', tuple(map(_read_boxes, (
        landmarks.read_matched_points, landmarks.read_matched_H_thermal_to_rgb,
        landmarks.read_corners, landmarks._read_displacements))), (SourceError,), 2048),
    Target('weights', (_load_weights, _read_weight_metadata), (WeightsError,), 2048),
    Target('onnx_metadata', (_read_onnx_metadata,), (), 1024),
    Target('class_names', (_read_boxes(lambda path: read_class_names(str(path))),),
           (DetectionError,), 256),
    Target('onnx_layout', (_recognise_layout,), (DetectionError,), 512),
    Target('onnx_model', (_load_onnx,), (DetectionError, WeightsError), 4096),
    Target('settings', (_parse_settings,), (ParameterError,), 512),
    Target('simulator', (_open_simulator,), (ParameterError, SourceError), 256),
    Target('rig_file', (_read_rig_file,), (CalibrationError,), 1024),
)}
