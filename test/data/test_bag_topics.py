# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of the cameras: named, by default, guessed; and the kinds of image messages."""

from __future__ import annotations

from fractions import Fraction
import json
from pathlib import Path
import struct

import cv2
from ivf_ros.cli.main import main
from ivf_ros.data.sources import open_source, SourceError
from ivf_ros.evaluation.samples import SampleList
from mcap_files import Channel, header, IMAGE, image, serialize, STORE, write_mcap
import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg
from test_mcap import pairs
from test_video_packets import AV1_DAMAGED, AV1_HEADER

COMPRESSED = 'sensor_msgs/msg/CompressedImage'
GRAY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
COUNTS = GRAY.astype(np.uint16) * 100 + 20000
COLOUR = np.dstack([GRAY, GRAY + 50, 255 - GRAY])
IMAGES = {'8': (GRAY, 'mono8'), '16': (COUNTS, 'mono16'), 'c': (COLOUR, 'bgr8')}


def write_topics(path: Path, topics: dict[str, str], count: int = 3) -> Path:
    """Write images to topics: '8' gray, '16' counts, 'c' colour, 'j' JPEG, '' no message."""
    channels = [Channel(name, COMPRESSED if kind == 'j' else IMAGE)
                for name, kind in topics.items()]
    messages = []
    for index in range(count):
        time_ns = 1_000_000_000 + index * 100_000_000
        for number, kind in enumerate(topics.values()):
            if kind == 'j':
                file = cv2.imencode('.jpg', COLOUR)[1].reshape(-1)
                messages.append((number, time_ns, serialize(
                    COMPRESSED, header=header(time_ns), format='jpeg', data=file)))
            elif kind:
                messages.append((number, time_ns, image(*IMAGES[kind], time_ns)))
    return write_mcap(path / 'a.mcap', channels, messages)


@pytest.mark.parametrize('topics, thermal, rgb', [
    ({'/thermal/image_raw': '16', '/rgb/image_raw': 'c'}, '/thermal/image_raw', '/rgb/image_raw'),
    ({'/optris/thermal_image': '8', '/camera/color/image_raw': 'c'}, '/optris/thermal_image',
     '/camera/color/image_raw'),
    ({'/cam/thermal_image': '8', '/cam/rgb_image': 'c'}, '/cam/thermal_image', '/cam/rgb_image'),
    ({'/flir_boson/image_raw': '16', '/usb_cam/image_raw': 'c'}, '/flir_boson/image_raw',
     '/usb_cam/image_raw'),
    ({'/lepton/image': '16', '/zed/left/image_rect_color': 'c'}, '/lepton/image',
     '/zed/left/image_rect_color'),
    ({'/thermalCamera/image_raw': '8', '/front/image_raw': 'c'}, '/thermalCamera/image_raw',
     '/front/image_raw'),
    # a word is one by itself, and the last one counts
    ({'/thermal_camera/rgb/image': 'c', '/thermal_camera/ir/image': '8'},
     '/thermal_camera/ir/image', '/thermal_camera/rgb/image'),
    ({'/chair/image_raw': 'c', '/ir/image_raw': '8'}, '/ir/image_raw', '/chair/image_raw'),
    # counts of more than 8 bits are thermal, but depth is not
    ({'/front/image_raw': '16', '/camera/image_raw': 'c'}, '/front/image_raw',
     '/camera/image_raw'),
    ({'/ir/image': '8', '/camera/color/image_raw': 'c', '/camera/depth/image_raw': '16'},
     '/ir/image', '/camera/color/image_raw'),
    ({'/flir/a/image_raw': '16', '/flir/b/image_raw': 'c', '/rgb/image_raw': 'c'},
     '/flir/a/image_raw', '/rgb/image_raw'),
    ({'/optris/thermal_image/compressedDepth': 'j', '/rgb/image_raw': 'c'},
     '/optris/thermal_image/compressedDepth', '/rgb/image_raw'),
    # raw before compressed and rectified, but only if it has messages
    ({'/ir/image_rect': '8', '/ir/image_raw': '8', '/rgb/image_raw/compressed': 'j',
      '/rgb/image_raw': 'c'}, '/ir/image_raw', '/rgb/image_raw'),
    ({'/thermal/image_raw': '8', '/rgb/image_raw': '', '/rgb/image_raw/compressed': 'j'},
     '/thermal/image_raw', '/rgb/image_raw/compressed'),
    ({'/thermal/image_raw': '', '/optris/thermal/image': '8', '/rgb/image_raw': 'c'},
     '/optris/thermal/image', '/rgb/image_raw'),
])
def test_the_cameras_are_found(tmp_path, topics, thermal, rgb):
    source = open_source(write_topics(tmp_path, topics))
    assert source.topics == {'thermal': thermal, 'rgb': rgb}
    assert len(list(source.events())) == 6


def test_a_guess_is_said_with_the_options_to_change_it(tmp_path, caplog):
    open_source(write_topics(tmp_path, {'/optris/thermal_image': '8', '/color/image_raw': 'c'}))
    [record] = caplog.records
    for part in ("'/optris/thermal_image'", "'/color/image_raw'", '--thermal-topic',
                 '--rgb-topic'):
        assert part in record.getMessage()


def test_default_names_are_not_worth_a_line(tmp_path, caplog):
    open_source(write_topics(tmp_path, {'/thermal/image_raw': '8', '/rgb/image_raw': 'c'}))
    assert not caplog.records


@pytest.mark.parametrize('topics, expected', [
    ({'/front/thermal/image_raw': '16', '/rear/thermal/image_raw': '16', '/rgb/image_raw': 'c'},
     ['full name', '/front/thermal/image_raw (sensor_msgs/msg/Image, 3 messages, 10.0 Hz, '
      'mono16, 32x24)', '--thermal-topic']),
    ({'/optris/image': '8', '/flir/image': '8', '/rgb/image_raw': 'c'},
     ['which other is the thermal camera is not clear', '/optris/image (', '/flir/image (']),
    ({'/thermal/image_raw': '16', '/left/image_raw': 'c', '/right/image_raw': 'c'},
     ['which other is the rgb camera is not clear', '/left/image_raw (']),
    ({'/thermal/image_raw': '16', '/rgb/image_raw': ''}, ["'/rgb/image_raw'", 'no message']),
    ({'/left/image_raw': '8', '/right/image_raw': '8'}, ["no image topic 'thermal/image_raw'"]),
    ({'/ir/image_raw': '16'}, ["no image topic 'rgb/image_raw'"]),
])
def test_what_is_not_clear_is_refused_with_a_list(tmp_path, topics, expected):
    with pytest.raises(SourceError) as caught:
        open_source(write_topics(tmp_path, topics))
    for part in expected:
        assert part in str(caught.value)
    assert '\n' not in str(caught.value)


def test_topics_can_be_named(tmp_path):
    file = write_topics(tmp_path, {'/a/thermal/image_raw': '16', '/b/thermal/image_raw': '16',
                                   '/rgb/image_raw': 'c'})
    for name in ('/b/thermal/image_raw', 'b/thermal/image_raw'):
        assert open_source(file, thermal_topic=name).topics['thermal'] == '/b/thermal/image_raw'
    with pytest.raises(SourceError, match="no image topic 'nowhere'"):
        open_source(file, thermal_topic='nowhere', rgb_topic='rgb/image_raw')
    with pytest.raises(SourceError, match='cannot be both'):
        open_source(file, thermal_topic='rgb/image_raw')
    with pytest.raises(SourceError, match='only bags have topics'):
        open_source(tmp_path.parent, thermal_topic='thermal/image_raw')


def test_an_evaluation_takes_the_topics_of_its_bags(tmp_path):
    file = write_topics(tmp_path, {'/a/ir': '16', '/b/ir': '8', '/rgb/image_raw': 'c'})
    samples = list(SampleList([str(file), 'simulator:duration_s=0.1'],
                              bag_options={'thermal_topic': '/b/ir'}))
    assert [sample.thermal.dtype for sample in samples[:3]] == [np.uint8] * 3
    assert len(samples) > 3


def test_theora_is_named(tmp_path):
    channels = [Channel('/thermal/image_raw'),
                Channel('/rgb/image_raw/theora', 'theora_image_transport/msg/Packet')]
    messages = [*pairs(1)[:1], (1, 1, b'\0\1\0\0')]
    with pytest.raises(SourceError, match="transport 'theora' cannot be decoded"):
        open_source(write_mcap(tmp_path / 'a.mcap', channels, messages))


@pytest.mark.parametrize('encoding', ['json', 'flatbuffer', ''])
def test_images_that_cannot_be_decoded_are_named(tmp_path, encoding):
    channels = [Channel('/thermal/image_raw'),
                Channel('/rgb/image_raw', 'foxglove.CompressedImage', '', b'', encoding)]
    with pytest.raises(SourceError, match=f"'foxglove.CompressedImage' in '{encoding}' cannot"):
        open_source(write_mcap(tmp_path / 'a.mcap', channels, [*pairs(1)[:1], (1, 1, b'{}')]))


def varint(value: int) -> bytes:
    out = b''
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: int | bytes | str, fixed: bool = False) -> bytes:
    """Return a field of Protocol Buffers."""
    if fixed:
        return varint(number << 3 | 5) + struct.pack('<I', value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


STAMP = field(1, field(1, 5) + field(2, 7))  # 5 s 7 ns


def read_one(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the thermal and the RGB image, both with the stamp 5 s 7 ns."""
    events = {event.stream: event.frame for event in open_source(file).events()}
    assert {frame.stamp_ns for frame in events.values()} == {5_000_000_007}
    assert {frame.frame_id for frame in events.values()} == {'eye'}
    return events['thermal'].image, events['rgb'].image


def test_images_of_foxglove_in_protobuf_are_read(tmp_path):
    raw = STAMP + field(2, 32, True) + field(3, 24, True) + field(4, 'mono16') \
        + field(5, 64, True) + field(6, COUNTS.tobytes()) + field(7, 'eye')
    png = STAMP + field(2, cv2.imencode('.png', COLOUR)[1].tobytes()) + field(3, 'png') \
        + field(4, 'eye') + field(100, 'id')
    channels = [Channel(f'/{stream}/image_raw', f'foxglove.{kind}', 'protobuf', b'', 'protobuf')
                for stream, kind in (('thermal', 'RawImage'), ('rgb', 'CompressedImage'))]
    thermal, rgb = read_one(write_mcap(tmp_path / 'a.mcap', channels, [(0, 9, raw), (1, 9, png)],
                                       profile=''))
    np.testing.assert_array_equal(thermal, COUNTS)
    np.testing.assert_array_equal(rgb, COLOUR)


def test_images_of_foxglove_in_cdr_are_read(tmp_path):
    time = {'timestamp': STORE.types['builtin_interfaces/msg/Time'](sec=5, nanosec=7),
            'frame_id': 'eye'}
    STORE.register({**get_types_from_msg(
        'builtin_interfaces/Time timestamp\nstring frame_id\nuint32 width\nuint32 height\n'
        'string encoding\nuint32 step\nuint8[] data', 'foxglove_msgs/msg/RawImage'),
        **get_types_from_msg(
            'builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format',
            'foxglove_msgs/msg/CompressedImage')})
    raw = serialize('foxglove_msgs/msg/RawImage', **time, width=32, height=24, encoding='mono16',
                    step=64, data=np.frombuffer(COUNTS.tobytes(), np.uint8))
    png = serialize('foxglove_msgs/msg/CompressedImage', **time, format='png',
                    data=cv2.imencode('.png', COLOUR)[1].reshape(-1))
    channels = [Channel('/thermal/image_raw', 'foxglove_msgs/msg/RawImage'),
                Channel('/rgb/image_raw', 'foxglove_msgs/msg/CompressedImage')]
    thermal, rgb = read_one(write_mcap(tmp_path / 'a.mcap', channels, [(0, 9, raw), (1, 9, png)]))
    np.testing.assert_array_equal(thermal, COUNTS)
    np.testing.assert_array_equal(rgb, COLOUR)


def test_a_damaged_protobuf_message_is_skipped(tmp_path):
    whole = STAMP + field(2, cv2.imencode('.png', COLOUR)[1].tobytes()) + field(3, 'png')
    channels = [Channel('/thermal/image_raw'), Channel(
        '/rgb/image_raw', 'foxglove.CompressedImage', 'protobuf', b'', 'protobuf')]
    broken = (whole[:50], b'\xff' * 20, field(1, 3), b'\x0b',
              STAMP + field(2, 3, True),  # a number where the image should be
              whole + field(3, 10 ** 12), whole + field(4, 3, True),  # and the texts
              whole + field(1, field(1, 'a')), whole + field(1, 3, True))
    file = write_mcap(tmp_path / 'a.mcap', channels, [
        *pairs(1)[:1], *((1, 10 + index, data) for index, data in enumerate(broken)),
        (1, 20, whole)])
    source = open_source(file)
    assert [event.stream for event in source.events()].count('rgb') == 1
    assert source.skipped == {'message cut short': len(broken)}


def encode_video(images: list[np.ndarray], codec: str) -> list[bytes]:
    """Return one packet an image."""
    av = pytest.importorskip('av')
    context = av.CodecContext.create(codec, 'w')
    context.width, context.height, context.pix_fmt = 64, 48, 'yuv420p'
    context.framerate, context.time_base = 10, Fraction(1, 10)
    context.options = {'tune': 'zerolatency', 'x264-params': 'keyint=4'}
    packets = [packet for picture in images
               for packet in context.encode(av.VideoFrame.from_ndarray(picture, 'bgr24'))]
    return [bytes(packet) for packet in [*packets, *context.encode(None)]]


@pytest.mark.parametrize('kind', ['ffmpeg', 'foxglove'])
def test_video_in_messages_is_decoded_with_its_stamps(tmp_path, kind):
    pictures = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(10)]
    packets = encode_video(pictures, 'libx264')[1:]  # recording begins after the first key frame
    assert len(packets) == 9
    messages = pairs(10)[::2]
    STORE.register(get_types_from_msg(
        'std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\n'
        'uint8 flags\nbool is_bigendian\nuint8[] data',
        'ffmpeg_image_transport_msgs/msg/FFMPEGPacket'))
    for index, packet in enumerate(packets, 1):
        time_ns = 1_000_000_000 + index * 100_000_000
        data = serialize(
            'ffmpeg_image_transport_msgs/msg/FFMPEGPacket', header=header(time_ns), width=64,
            height=48, encoding='libx264;yuv420p;bgr8;bgr8', pts=index, flags=0,
            is_bigendian=False, data=np.frombuffer(packet, np.uint8)) if kind == 'ffmpeg' else \
            field(1, field(1, time_ns // 10**9) + field(2, time_ns % 10**9)) + field(2, 'eye') \
            + field(3, packet) + field(4, 'h264')
        messages.append((1, time_ns + 5, data))
    rgb = Channel('/rgb/image_raw/ffmpeg', 'ffmpeg_image_transport_msgs/msg/FFMPEGPacket') \
        if kind == 'ffmpeg' else Channel('/rgb/video', 'foxglove.CompressedVideo', 'protobuf',
                                         b'', 'protobuf')
    file = write_mcap(tmp_path / 'a.mcap', [Channel('/thermal/image_raw'), rgb], messages)
    source = open_source(file)
    frames = [event for event in source.events() if event.stream == 'rgb']
    assert [event.frame.stamp_ns // 100_000_000 for event in frames] == [14, 15, 16, 17, 18, 19]
    assert [event.recorded_ns - event.frame.stamp_ns for event in frames] == [5] * 6
    np.testing.assert_allclose([event.frame.image.mean() for event in frames],
                               np.arange(4, 10) * 20, atol=4)
    assert source.skipped == {'before the first key frame': 3}


def test_a_damaged_end_of_a_video_is_skipped(tmp_path):
    pytest.importorskip('av')
    packets = [(1, 10 + number, STAMP + field(3, packet) + field(4, 'av1'))
               for number, packet in enumerate((AV1_HEADER, AV1_DAMAGED))]
    channels = [Channel('/thermal/image_raw'), Channel('/rgb/video', 'foxglove.CompressedVideo',
                                                       'protobuf', b'', 'protobuf')]
    source = open_source(write_mcap(tmp_path / 'a.mcap', channels, [*pairs(1)[:1], *packets]))
    assert {event.stream for event in source.events()} == {'thermal', 'rgb'}
    assert source.skipped == {'undecodable image': 1, 'before the first key frame': 1}


def info(capsys, *arguments: str) -> tuple[int, str, str]:
    """Run ``ivf info`` and return the exit code, the output and the errors."""
    code = main(['info', *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_info_describes_a_bag(tmp_path, capsys):
    file = write_topics(tmp_path, {'/optris/thermal_image': '16', '/camera/color/image_raw': 'c',
                                   '/camera/depth/image_raw': ''})
    code, out, _ = info(capsys, str(file))
    assert code == 0
    for part in ('duration: 0.200 s', 'start: 1970-01-01T00:00:01',
                 '/optris/thermal_image: sensor_msgs/msg/Image, 3 messages, 10.0 Hz, mono16, '
                 '32x24', '/camera/depth/image_raw: sensor_msgs/msg/Image, 0 messages',
                 'thermal: /optris/thermal_image (the only name with a word for thermal)',
                 'no CameraInfo'):
        assert part in out
    code, out, _ = info(capsys, str(file), '--json')
    report = json.loads(out)
    assert code == 0
    assert report['cameras']['rgb']['topic'] == '/camera/color/image_raw'
    assert [topic['messages'] for topic in report['topics']] == [3, 0, 3]
    assert report['problems'] == []


@pytest.mark.parametrize('stamp_ns, expected', [
    (0, 'unusable, they are zero'), (5_000_000_000, 'count from the start of a clock'),
    (1_700_000_100_000_000_000, 'differ by 100.0 s'), (1_700_000_000_000_000_000, 'usable')])
def test_info_judges_the_stamps(tmp_path, capsys, stamp_ns, expected):
    recorded_ns = 1_700_000_000_000_000_000
    messages = [(number, recorded_ns + index, image(GRAY, 'mono8', stamp_ns and stamp_ns + index))
                for index in range(5) for number in (0, 1)]
    file = write_mcap(tmp_path / 'a.mcap', [Channel('/thermal/image_raw'),
                                            Channel('/rgb/image_raw')], messages)
    assert f'stamps: {expected}' in info(capsys, str(file))[1]


def test_info_says_what_is_damaged_or_not_clear(tmp_path, capsys):
    file = write_topics(tmp_path, {'/a/thermal/image_raw': '16', '/b/thermal/image_raw': '16',
                                   '/rgb/image_raw': 'c'}, count=6)
    file.write_bytes(file.read_bytes()[:-1200])
    code, out, _ = info(capsys, str(file))
    assert code == 0
    assert 'problem: a.mcap: the file was not closed' in out
    assert "problem: 'thermal/image_raw' may be any of several topics" in out
    file.write_bytes(b'')
    code, out, err = info(capsys, str(file))
    assert (code, out, err.count('\n')) == (1, '', 1)
    assert 'a.mcap is damaged' in err


def test_info_describes_folders(tmp_path, capsys):
    for name, picture in (('ir', COUNTS), ('vis', COLOUR)):
        (tmp_path / name).mkdir()
        for index in range(4):
            cv2.imwrite(str(tmp_path / name / f'{index}.png'), picture)
    _, out, _ = info(capsys, str(tmp_path))
    for part in ('folder', 'pairs: 4', 'duration: 0.400 s', 'thermal: 32x24 uint16',
                 'rgb: 32x24 uint8'):
        assert part in out


def test_info_describes_videos(tmp_path, capsys):
    for name, count in (('ir', 5), ('rgb', 9)):
        writer = cv2.VideoWriter(str(tmp_path / f'{name}.avi'), cv2.VideoWriter_fourcc(*'MJPG'),
                                 10, (64, 48))
        for index in range(count):
            writer.write(np.full((48, 64, 3), index, np.uint8))
        writer.release()
    for source in (str(tmp_path), f'{tmp_path}/ir.avi,{tmp_path}/rgb.avi'):
        report = json.loads(info(capsys, source, '--json')[1])
        assert report['kind'] == 'video'
        assert [report['cameras'][stream]['frames'] for stream in ('thermal', 'rgb')] == [5, 9]
        assert report['cameras']['thermal']['duration_s'] == 0.5
    assert 'rgb: 64x48 uint8, 9 frames of MJPG at 10 Hz' in info(capsys, str(tmp_path))[1]
