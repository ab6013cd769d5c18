# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The inputs from which fuzzing starts: small, valid ones, written by our own writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
import json
from pathlib import Path
import struct
import tempfile
import zlib

import cv2
from flir_files import make_flir_jpeg
import fuzz_targets
from ivf_ros import images
from ivf_ros.calibration import rig_files
from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.label_files.formats import SUFFIXES, write_label_file
from ivf_ros.nn import weights
from ivf_ros.nodes.graph import messages
from ivf_ros.types import Detection, Frame
from mcap_files import Channel, header, IMAGE, image as image_cdr, serialize, STORE, write_mcap
import numpy as np
from rclpy.serialization import serialize_message
from recorded_bags import write_image
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.typesys import get_typestore, Stores
from torch import nn

THERMAL = np.arange(12, dtype=np.uint16).reshape(3, 4)
RGB = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
_ROS1 = get_typestore(Stores.ROS1_NOETIC)


def make_seeds(name: str) -> list[bytes]:
    """Return the inputs of a target."""
    with tempfile.TemporaryDirectory(prefix='ivf_seeds_') as folder:
        return [bytes(seed) for seed in _SEEDS[name](Path(folder))]


def _cdr_seeds(folder: Path) -> Iterator[bytes]:
    for image in (THERMAL, RGB, THERMAL.astype(np.uint8)):
        frame = Frame(image, 1_500_000_000, 'camera')
        yield serialize_message(messages.image_to_message(frame))
        yield serialize_message(messages.compressed_to_message(frame))


def _camera_info_seeds(folder: Path) -> Iterator[bytes]:
    K = (100.0, 0, 31.5, 0, 100.0, 23.5, 0, 0, 1)
    for roi, n_coefficients in (((0, 0, 0, 0), 5), ((8, 4, 32, 24), 0)):
        yield struct.pack('<8IB', 64, 48, 1, 1, *roi, 0) \
            + struct.pack('<30d', *K, *np.eye(3).ravel(), *np.eye(3, 4).ravel()) \
            + struct.pack(f'<B{n_coefficients}d', n_coefficients, *[0.1] * n_coefficients)


def _cloud_seeds(folder: Path) -> Iterator[bytes]:
    fields = b''.join(struct.pack('<IB', 4 * index, 7) for index in range(3))
    yield b'\0\0' + fields + struct.pack('<4I', 1, 2, 12, 24) + bytes(24)
    yield b'\1\0' + fields + struct.pack('<4I', 2, 1, 16, 20) + bytes(40)


def _image_fields_seeds(folder: Path) -> Iterator[bytes]:
    for number in range(len(fuzz_targets.encodings.ENCODINGS)):
        for n_bytes in (1, 2, 3, 4, 6, 8):
            yield struct.pack('<BHHHB', number, 4, 4, 0, number & 1) + bytes(16 * n_bytes)


def _rvl_seeds(folder: Path) -> Iterator[bytes]:
    # 1x1 pixel: no zero, one value. 4x2 pixels: two zeros, six values.
    yield struct.pack('<III', 1, 1, 0x01200000)
    yield struct.pack('<III', 4, 2, 0x26246801)


def _file_seeds() -> Iterator[bytes]:
    large = np.full((32, 32), 7, np.uint8)  # JPEG 2000 is not written smaller
    for suffix, image in (('.png', THERMAL), ('.png', RGB), ('.jpg', RGB), ('.tiff', THERMAL),
                          ('.tiff', RGB.astype(np.float32)), ('.webp', RGB), ('.bmp', RGB),
                          ('.jp2', large), ('.pgm', THERMAL)):
        yield cv2.imencode(suffix, image)[1].tobytes()


def _compressed_seeds(folder: Path) -> Iterator[bytes]:
    files = list(_file_seeds())
    for number in range(len(fuzz_targets._FORMATS)):
        for file in files:
            yield bytes([number]) + file
    depth_header = struct.pack('<iff', 0, 100.0, 1.0)
    for number in (4, 5, 7):
        yield bytes([number]) + depth_header + files[0]
        yield from (bytes([number]) + depth_header + rvl for rvl in _rvl_seeds(folder))
    pixels = zlib.compress(THERMAL.tobytes())
    yield bytes([6]) + struct.pack('<IIBII', 3, 4, 0, 8, 6) + b'mono16' + pixels


def _file_end_seeds(folder: Path) -> Iterator[bytes]:
    yield from _file_seeds()
    for order in '<>':  # a directory of two entries: bits per sample, sample format
        yield (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(order + 'IH', 8, 2) \
            + struct.pack(order + 'HHIHH', 258, 3, 1, 32, 0) \
            + struct.pack(order + 'HHIHH', 339, 3, 1, 1, 0) + bytes(4)


def _radiometric_seeds(folder: Path) -> Iterator[bytes]:
    celsius = np.linspace(0, 100, 12, dtype=np.float32).reshape(3, 4)
    yield make_flir_jpeg(celsius)
    yield make_flir_jpeg(celsius, RGB, (1.5, 1, -2))


def _video_seeds(folder: Path) -> Iterator[bytes]:
    import av
    for number, codec in enumerate(fuzz_targets._CODECS):
        try:
            encoder = av.CodecContext.create({'h264': 'libx264', 'hevc': 'libx265',
                                              'vp8': 'libvpx', 'vp9': 'libvpx-vp9',
                                              'av1': 'libsvtav1'}.get(codec, codec), 'w')
            encoder.width, encoder.height, encoder.time_base = 32, 32, Fraction(1, 10)
            encoder.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
            frames = [av.VideoFrame.from_ndarray(np.full((32, 32, 3), value, np.uint8), 'bgr24')
                      for value in (10, 90)]
            packets = [packet for frame in (*frames, None)
                       for packet in encoder.encode(frame and frame.reformat(
                           format=encoder.pix_fmt))]
        except (av.FFmpegError, ValueError):  # this build has no such encoder
            continue
        yield bytes([number]) + b''.join(struct.pack('<H', packet.size) + bytes(packet)
                                         for packet in packets)


def _protobuf_seeds(folder: Path) -> Iterator[bytes]:
    stamp = b'\x08\x01\x10\x02'
    yield b'\x0a\x04' + stamp + b'\x3a\x01a\x10\x04\x18\x03\x22\x05mono8\x28\x04\x32\x02ab'
    yield b'\x0a\x04' + stamp + b'\x12\x02ab\x1a\x04jpeg\x22\x01a'
    yield b'\x0a\x04' + stamp + b'\x12\x01a\x1a\x02ab\x22\x04h264'
    yield b'\x09' + bytes(8) + b'\x0d' + bytes(4)


def _recorded_image_seeds(folder: Path) -> Iterator[bytes]:
    contents = {'protobuf': list(_protobuf_seeds(folder)), 'cdr': list(_cdr_seeds(folder)),
                'ros1': [_ros1_image(THERMAL, 5), _ros1_image(RGB, 5)]}
    for number, topic in enumerate(fuzz_targets._MESSAGE_TOPICS):
        yield from (bytes([number]) + content for content in contents[topic.serialization])


def _ros1_image(image: np.ndarray, stamp_ns: int) -> bytes:
    """Serialise an image in ROS 1."""
    encoding, data, step = images.encode(image)
    types, (sec, nanosec) = _ROS1.types, divmod(stamp_ns, 10 ** 9)
    stamp = types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
    content = types[IMAGE](
        header=types['std_msgs/msg/Header'](seq=1, stamp=stamp, frame_id='camera'),
        height=len(image), width=image.shape[1], encoding=encoding, is_bigendian=0, step=step,
        data=np.frombuffer(data, np.uint8))
    return bytes(_ROS1.serialize_ros1(content, IMAGE))


def _recorded_info_seeds(folder: Path) -> Iterator[bytes]:
    info = messages.CameraInfo(width=4, height=3, d=[0.1] * 5)
    yield b'\0' + serialize_message(info)
    types = STORE.types
    transform = types['geometry_msgs/msg/TransformStamped'](
        header=header(1), child_frame_id='b', transform=types['geometry_msgs/msg/Transform'](
            translation=types['geometry_msgs/msg/Vector3'](x=1.0, y=2.0, z=3.0),
            rotation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0)))
    yield b'\0' + serialize('tf2_msgs/msg/TFMessage', transforms=[transform])


def _mcap_seeds(folder: Path) -> Iterator[bytes]:
    channels = [Channel('/thermal/image_raw'), Channel('/rgb/image_raw')]
    recorded = [(number % 2, 10 ** 8 * number, image_cdr(
        RGB if number % 2 else THERMAL, 'bgr8' if number % 2 else 'mono16', 10 ** 8 * number))
        for number in range(4)]
    for number, options in enumerate((
            {}, {'chunk': 'zstd'}, {'chunk': 'lz4'}, {'chunk': None}, {'has_summary': False},
            {'has_indexes': False, 'has_summary': False}, {'has_crc': False, 'per_chunk': 2})):
        yield write_mcap(folder / f'{number}.mcap', channels, recorded, **options).read_bytes()


def _sqlite_seeds(folder: Path) -> Iterator[bytes]:
    for compress in (False, True):
        with BagWriter(folder / str(compress), 'sqlite3', compress) as bag:
            for number in range(2):
                write_image(bag, 'thermal/image_raw', Frame(THERMAL, 10 ** 8 * number))
                write_image(bag, 'rgb/image_raw', Frame(RGB, 10 ** 8 * number))
        [file] = [path for path in (folder / str(compress)).iterdir()
                  if path.name != 'metadata.yaml']
        yield file.read_bytes()


def _rosbag1_seeds(folder: Path) -> Iterator[bytes]:
    for compression in (None, Rosbag1Writer.CompressionFormat.BZ2,
                        Rosbag1Writer.CompressionFormat.LZ4):
        path = folder / f'{compression}.bag'
        writer = Rosbag1Writer(path)
        if compression is not None:
            writer.set_compression(compression)
        with writer:
            for topic, image in (('/thermal/image_raw', THERMAL), ('/rgb/image_raw', RGB)):
                connection = writer.add_connection(topic, IMAGE, typestore=_ROS1)
                for stamp_ns in (0, 10 ** 8):
                    writer.write(connection, stamp_ns, _ros1_image(image, stamp_ns))
        yield path.read_bytes()


def _bag_seeds(folder: Path) -> Iterator[bytes]:
    for name in (_mcap_seeds, _sqlite_seeds, _rosbag1_seeds):
        yield from name(folder)


def _bag_metadata_seeds(folder: Path) -> Iterator[bytes]:
    yield (b'rosbag2_bagfile_information:\n  version: 5\n  starting_time:\n'
           b'    nanoseconds_since_epoch: 0\n  relative_file_paths:\n    - part_0.mcap\n'
           b'  files:\n  - path: part_0.mcap\n    starting_time:\n'
           b'      nanoseconds_since_epoch: 5\n    duration:\n      nanoseconds: 7\n')


def _boxes_seeds(folder: Path) -> Iterator[bytes]:
    yield (b'<annotation><object><name>car</name><difficult>0</difficult><bndbox><xmin>1</xmin>'
           b'<ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>')
    yield b'% bbGt version=3\nperson 1 2 3 4 0 0 0 0 0 0 0\n'
    yield b'1 2 3 4\n0,0,0,0\n'
    yield json.dumps({
        'categories': [{'id': 1, 'name': 'car'}], 'images': [{'id': 1, 'file_name': 'a.png'}],
        'annotations': [{'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4]}]}).encode()


def _label_file_seeds(folder: Path) -> Iterator[bytes]:
    image = AnnotatedImage('a', (64, 48), (Detection((1.0, 2.0, 30.0, 40.0), 'person', 0.5),))
    for name, suffix in SUFFIXES.items():
        path = folder / f'labels{suffix}'
        write_label_file(path, name, [image], ('person',), {'image': ''})
        yield path.read_bytes()
        if name == 'label-studio':
            task, = json.loads(path.read_text())
            yield json.dumps([{'data': {'name': 'a'}, 'annotations': [
                {'result': task['predictions'][0]['result'], 'updated_at': '2026'}]}]).encode()


def _landmarks_seeds(folder: Path) -> Iterator[bytes]:
    points = [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0], [7.0, 1.0]]
    yield json.dumps({'landmarks_mov': points, 'landmarks_fix': points}).encode()
    yield json.dumps({'corners_thermal_px': points, 'corners_visible_px': points}).encode()
    yield json.dumps({'T': np.eye(3).tolist()}).encode()
    for save in (np.savez, np.savez_compressed):
        save(folder / 'a.npz', dq=np.zeros((2, 4, 4), np.int8), scale=8.0)
        yield (folder / 'a.npz').read_bytes()


def _weight_seeds(folder: Path) -> Iterator[bytes]:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for layers, metadata in ((network, {'scores': {'iou': 0.5}, 'network': 'tiny'}),
                             (network[0], {})):
        weights.save(layers, folder / 'a.safetensors', metadata)
        yield (folder / 'a.safetensors').read_bytes()


def _onnx_metadata_seeds(folder: Path) -> Iterator[bytes]:
    yield (b"names={0: 'person', 1: 'car'}\ntask=pose\nimgsz=[640, 480]\nkpt_shape=[17, 3]\n"
           b"args={'nms': True}\nend2end=false")
    yield b'names=["a", "b"]\nhead=RTDETRDecoder\nimgsz=320\nnms=True'


def _layout_seeds(folder: Path) -> Iterator[bytes]:
    row = struct.pack('<8f', 10, 20, 8, 4, 0.9, 0.1, 0.0, 0.0)
    for requested in range(len(fuzz_targets.LAYOUTS)):
        for shapes in (((1, 84, 6),), ((1, 6, 84),), ((1, 100, 6),), ((10, 7),), ((10, 6), (1,)),
                       ((1, 100, 4), (1, 100, 2)), ((1, 10, 4), (1, 10), (1, 10))):
            yield bytes([len(shapes) - 1, 2, requested, 0]) + b''.join(
                bytes([len(shape), 0]) + struct.pack(f'<{len(shape)}H', *shape)
                for shape in shapes) + row


def _onnx_model_seeds(folder: Path) -> Iterator[bytes]:
    from onnx_models import count_cells, rows_of, write_model
    row = np.array([10, 20, 8, 4, 0.9, 0.1], np.float32)
    rows = rows_of(row, count_cells(32))
    for outputs, metadata in (({'output': rows.T[None]}, {'task': 'detect', 'imgsz': [32, 32]}),
                              ({'output': rows[None]}, {}),
                              ({'boxes': rows[None, :5, :4], 'scores': rows[None, :5, 4:]}, {})):
        yield Path(write_model(folder / 'a.onnx', outputs, side=32, **metadata)).read_bytes()


def _settings_seeds(folder: Path) -> Iterator[bytes]:
    for number in range(len(fuzz_targets.NODE_PARAMETERS) + 1):
        yield bytes([number]) + b'fusion.method=average\nhomography_timeout_s=0.5\nautostart=true'
        yield bytes([number]) + b'registration.calibrated.H_thermal_to_rgb=[1, 0, 0, 0, 1, 0, 9]'
        yield bytes([number]) + b'pairing.tolerance_s=inf\npairing.queue_size=-1'
        yield bytes([number]) + b'duration_s=1e400\nthermal.rate_hz=15\nseed=2'


def _simulator_seeds(folder: Path) -> Iterator[bytes]:
    yield b'condition=night,seed=2,duration_s=1'
    yield b'thermal.rate_hz=15,rgb.rate_hz=30'


def _rig_seeds(folder: Path) -> Iterator[bytes]:
    yield rig_files.format_rig(['a comment'], np.eye(3)).encode()
    yield (b'registration:\n  ros__parameters:\n    registration:\n      calibrated:\n'
           b'        K_thermal: [10.0, 0.0, 5.0, 0.0, 10.0, 5.0, 0.0, 0.0, 1.0]\n'
           b'        K_rgb: [9.0, 0.0, 5.0, 0.0, 9.0, 5.0, 0.0, 0.0, 1.0]\n'
           b'        plane_distance_m: .inf\n')


def _class_names_seeds(folder: Path) -> Iterator[bytes]:
    yield b'person\ncar\n'


_SEEDS: dict[str, Callable[[Path], Iterator[bytes]]] = {
    'cdr': _cdr_seeds, 'image_message': _cdr_seeds, 'camera_info': _camera_info_seeds,
    'point_cloud': _cloud_seeds, 'image_fields': _image_fields_seeds,
    'compressed_image': _compressed_seeds, 'rvl': _rvl_seeds, 'file_ends': _file_end_seeds,
    'radiometric': _radiometric_seeds, 'video': _video_seeds, 'protobuf': _protobuf_seeds,
    'recorded_image': _recorded_image_seeds, 'recorded_info': _recorded_info_seeds,
    'mcap': _mcap_seeds, 'sqlite': _sqlite_seeds, 'rosbag1': _rosbag1_seeds,
    'bag_source': _bag_seeds,
    'bag_metadata': _bag_metadata_seeds, 'boxes': _boxes_seeds,
    'label_file': _label_file_seeds, 'landmarks': _landmarks_seeds,
    'weights': _weight_seeds, 'onnx_metadata': _onnx_metadata_seeds,
    'class_names': _class_names_seeds, 'onnx_layout': _layout_seeds,
    'onnx_model': _onnx_model_seeds, 'settings': _settings_seeds, 'simulator': _simulator_seeds,
    'rig_file': _rig_seeds}
