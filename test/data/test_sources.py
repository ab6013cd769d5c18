# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of folders, videos, bags and the simulator, intact and damaged."""

from __future__ import annotations

import os
from pathlib import Path
import shutil

import cv2
from ivf_ros import geometry, images
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.recording import natural_key, split_stem
from ivf_ros.data.sources import open_source, SourceError
from ivf_ros.parameters import ParameterError
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image
from rosbags.typesys import get_typestore, Stores

GRAY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
COLOUR = np.dstack([GRAY, GRAY + 50, 255 - GRAY])
COUNTS = (GRAY.astype(np.uint16) * 100) + 20000
SUFFIXES = {'mcap': 'mcap', 'sqlite3': 'db3'}


def save(path: Path, image: np.ndarray = GRAY) -> Path:
    """Write an image file and create its parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def save_pairs(folder: Path, count: int, thermal: str = 'thermal', rgb: str = 'visible') -> Path:
    """Write pairs 0.png, 1.png, ... of the constant values ``index`` and ``100 + index``."""
    for index in range(count):
        save(folder / thermal / f'{index}.png', np.full((24, 32), index, np.uint8))
        save(folder / rgb / f'{index}.png', np.full((24, 32, 3), 100 + index, np.uint8))
    return folder


def save_video(path: Path, count: int, rate_hz: float = 25.0, colour: bool = True) -> Path:
    """Write a video whose frame n has the constant value ``8 n``; skip without an encoder."""
    codec = cv2.VideoWriter_fourcc(*('MJPG' if path.suffix == '.avi' else 'mp4v'))
    writer = cv2.VideoWriter(str(path), codec, rate_hz, (64, 48), colour)
    if not writer.isOpened():
        pytest.skip(f'this OpenCV has no encoder for {path.suffix}')
    for index in range(count):
        writer.write(np.full((48, 64, 3) if colour else (48, 64), 8 * index, np.uint8))
    writer.release()
    return path


def save_bag(path: Path, storage: str = 'mcap', count: int = 20, namespace: str = '',
             compress: bool = False) -> Path:
    """Write a bag of pairs at 10 Hz, 16-bit thermal and colour."""
    with BagWriter(path, storage, compress) as bag:
        for index in range(count):
            stamp_ns = 5_000_000_000 + index * 100_000_000
            write_image(bag, f'{namespace}/thermal/image_raw',
                        Frame(COUNTS + np.uint16(index), stamp_ns, 'lepton'))
            write_image(bag, f'{namespace}/rgb/image_raw',
                        Frame(COLOUR, stamp_ns + 1000, 'camera'))
    return path


def message(msgtype: str, stamp_ns: int = 7, **fields) -> bytes:
    """Serialise an image message."""
    store = get_typestore(Stores.LATEST)
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = store.types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    header = store.types['std_msgs/msg/Header'](stamp=stamp, frame_id='camera')
    fields['data'] = np.frombuffer(fields['data'], np.uint8)
    return bytes(store.serialize_cdr(store.types[msgtype](header=header, **fields), msgtype))


def image_message(stamp_ns: int = 7, **changed) -> bytes:
    """Serialise COLOUR as an Image message with some fields changed."""
    fields = {'height': 24, 'width': 32, 'encoding': 'bgr8', 'is_bigendian': 0, 'step': 96,
              'data': COLOUR.tobytes(), **changed}
    return message('sensor_msgs/msg/Image', stamp_ns, **fields)


def frames(source, stream: str) -> list[Frame]:
    return [event.frame for event in source.events() if event.stream == stream]


def values(source, stream: str) -> list[int]:
    """Return the mean of each image of a stream."""
    return [round(float(frame.image.mean())) for frame in frames(source, stream)]


def truncate(path: Path, length: int) -> Path:
    path.write_bytes(path.read_bytes()[:length])
    return path


@pytest.mark.parametrize('stem, expected', [
    ('012', (None, '012')),
    ('012_ir', ('thermal', '012')),
    ('VIS-012', ('rgb', '012')),
    ('IR12', ('thermal', '12')),
    ('12vi', ('rgb', '12')),
    ('Thermal', ('thermal', '')),
    ('day_street_rgb', ('rgb', 'day_street')),
    ('chair', (None, 'chair')),  # ends with 'ir' as part of a word
    ('visitor_3', (None, 'visitor_3')),
])
def test_a_stem_is_split_at_a_separate_stream_word(stem, expected):
    assert split_stem(stem) == expected


def test_names_sort_by_the_numbers_in_them():
    names = ['b2', 'a10', 'a9', 'A1', '7', 'a9b10', 'a9b9']
    assert sorted(names, key=natural_key) == ['7', 'A1', 'a9', 'a9b9', 'a9b10', 'a10', 'b2']


@pytest.mark.parametrize('thermal, rgb', [
    ('thermal', 'visible'), ('IR', 'VI'), ('Infrared', 'RGB'), ('lwir', 'vis'),
    ('input/ir', 'input/vi'),  # one level deeper
])
def test_a_folder_of_pairs_is_found_by_the_names_of_its_subfolders(tmp_path, thermal, rgb):
    source = open_source(save_pairs(tmp_path, 12, thermal, rgb))
    assert values(source, 'thermal') == list(range(12))
    assert values(source, 'rgb') == list(range(100, 112))
    assert source.skipped == {}


@pytest.mark.parametrize('thermal, rgb', [('{}_ir', '{}_vis'), ('IR{}', 'VIS{}'),
                                          ('street_{}_thermal', 'street_{}_rgb')])
def test_pairs_in_one_folder_are_found_by_a_word_in_their_names(tmp_path, thermal, rgb):
    for index in (2, 10):
        save(tmp_path / f'{thermal.format(index)}.png', np.full((4, 4), index, np.uint8))
        save(tmp_path / f'{rgb.format(index)}.bmp', np.full((4, 4), index + 1, np.uint8))
    source = open_source(tmp_path)
    assert values(source, 'thermal') == [2, 10]
    assert values(source, 'rgb') == [3, 11]


def test_two_folders_can_be_named_thermal_first(tmp_path):
    save_pairs(tmp_path, 2, 'warm', 'colour')
    source = open_source(f'{tmp_path}/warm,{tmp_path}/colour')
    assert values(source, 'thermal') == [0, 1]


def test_pairs_come_thermal_first_with_equal_stamps_at_the_rate(tmp_path):
    source = open_source(save_pairs(tmp_path, 3), rate_hz=20)
    events = list(source.events())
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 3
    stamps_ns = [event.frame.stamp_ns for event in events]
    assert stamps_ns == [stamp for n in (1, 2, 3) for stamp in (n * 50_000_000,) * 2]
    assert {event.frame.frame_id for event in events} == {'thermal_optical_frame',
                                                          'rgb_optical_frame'}
    assert source.rate_hz == 20
    assert open_source(tmp_path).rate_hz == 10


def test_still_pairs_are_repeated_with_increasing_stamps(tmp_path):
    source = open_source(save_pairs(tmp_path, 2), rate_hz=10, still_s=0.3)
    assert values(source, 'thermal') == [0, 0, 0, 1, 1, 1]
    stamps_ns = [frame.stamp_ns for frame in frames(source, 'rgb')]
    assert stamps_ns == [n * 100_000_000 for n in range(1, 7)]


@pytest.mark.parametrize('make', [
    lambda path: save_pairs(path, 4),
    lambda path: save_bag(path / 'bag'),
    lambda path: save_video(path / 'ir.avi', 4).parent if save_video(path / 'vis.avi', 4) else '',
], ids=['folder', 'bag', 'videos'])
def test_a_source_can_be_read_again_from_the_start(tmp_path, make):
    source = open_source(make(tmp_path))
    interrupted = source.events()
    next(interrupted)
    interrupted.close()
    first, second = ([(e.stream, e.frame.stamp_ns, e.frame.image.tobytes())
                      for e in source.events()] for _ in range(2))
    assert first == second
    assert len(first) >= 8


@pytest.mark.parametrize('stored, suffix, stream, expected', [
    (COUNTS, '.png', 'thermal', COUNTS),  # 16 bits are kept
    (COUNTS, '.tiff', 'thermal', COUNTS),
    (COUNTS / np.float32(100), '.tiff', 'thermal', COUNTS / np.float32(100)),
    (np.dstack([GRAY] * 3), '.bmp', 'thermal', GRAY),  # gray, stored as colour
    (COLOUR, '.png', 'thermal', COLOUR),  # false colours stay, for a palette to be removed
    (np.dstack([COLOUR, GRAY]), '.png', 'rgb', COLOUR),  # transparency is dropped
    (GRAY, '.png', 'rgb', np.dstack([GRAY] * 3)),
    (GRAY.astype(np.uint16) * 257, '.png', 'rgb', np.dstack([GRAY] * 3)),
])
def test_thermal_keeps_its_depth_and_rgb_becomes_bgr8(tmp_path, stored, suffix, stream, expected):
    save_pairs(tmp_path, 1)
    subfolder = {'thermal': 'thermal', 'rgb': 'visible'}[stream]
    (tmp_path / subfolder / '0.png').unlink()
    save(tmp_path / subfolder / f'0{suffix}', stored)
    [frame] = frames(open_source(tmp_path), stream)
    assert frame.image.dtype == expected.dtype
    np.testing.assert_array_equal(frame.image, expected)


def test_images_may_change_their_size(tmp_path):
    sizes = [(24, 32), (48, 64), (7, 5)]
    for index, size in enumerate(sizes):
        save(tmp_path / 'ir' / f'{index}.png', np.zeros(size, np.uint8))
        save(tmp_path / 'vis' / f'{index}.png', np.zeros((2 * size[0], size[1], 3), np.uint8))
    events = list(open_source(tmp_path, aligned=True).events())
    assert [event.frame.image.shape for event in events[::2]] == sizes
    for thermal, rgb in zip(events[::2], events[1::2], strict=True):
        assert rgb.frame.image.shape == (2 * thermal.frame.image.shape[0],
                                         thermal.frame.image.shape[1], 3)
        np.testing.assert_array_equal(rgb.truth.H_thermal_to_rgb, geometry.scaling(1, 2)
                                      + [[0, 0, 0], [0, 0, 0.5], [0, 0, 0]])


def test_the_true_homography_is_unknown_unless_declared(tmp_path):
    save_pairs(tmp_path, 1)
    thermal, rgb = open_source(tmp_path).events()
    assert thermal.truth is None
    assert rgb.truth.H_thermal_to_rgb is None
    _, rgb = open_source(tmp_path, aligned=True).events()
    np.testing.assert_array_equal(rgb.truth.H_thermal_to_rgb, np.eye(3))


def test_files_without_a_partner_are_counted(tmp_path, caplog):
    save_pairs(tmp_path, 3)
    save(tmp_path / 'thermal' / '8.png')
    save(tmp_path / 'visible' / '9.png')
    source = open_source(tmp_path)
    assert values(source, 'thermal') == [0, 1, 2]
    assert source.skipped == {'no partner': 2}
    list(source.events())
    assert source.skipped == {'no partner': 2}  # of the latest pass, not of both
    assert len(caplog.records) == 1
    assert 'no partner, skipped: 1 thermal (such as 8.png) and 1 visible (such as 9.png)' \
        in caplog.text


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.tif'])
@pytest.mark.parametrize('fraction', [0.0, 0.001, 0.1, 0.5, 0.95])
def test_a_truncated_file_is_skipped_and_counted(tmp_path, suffix, fraction, caplog):
    rng = np.random.default_rng(1)
    save_pairs(tmp_path, 3)
    (tmp_path / 'visible' / '1.png').unlink()
    path = save(tmp_path / 'visible' / f'1{suffix}',
                rng.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    truncate(path, int(fraction * path.stat().st_size))
    source = open_source(tmp_path)
    assert values(source, 'thermal') == [0, 2]
    assert source.skipped == {'unreadable': 1}
    assert path.name in caplog.text


def test_a_folder_without_readable_pairs_is_an_error(tmp_path):
    save_pairs(tmp_path, 2)
    for path in (tmp_path / 'thermal').iterdir():
        truncate(path, 20)
    with pytest.raises(SourceError, match='none of 2 pairs can be read'):
        list(open_source(tmp_path).events())


def test_videos_give_gray_thermal_and_their_own_rate(tmp_path):
    save_video(tmp_path / 'Thermal.mp4', 12, 12.5)
    save_video(tmp_path / 'visible.mp4', 12, 12.5)
    source = open_source(tmp_path)
    events = list(source.events())
    assert source.rate_hz == 12.5
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 12
    assert [event.frame.stamp_ns for event in events[::2]] == [n * 80_000_000
                                                               for n in range(1, 13)]
    assert {event.frame.image.shape for event in events} == {(48, 64), (48, 64, 3)}
    np.testing.assert_allclose(values(source, 'thermal'), np.arange(12) * 8, atol=3)
    assert source.skipped == {}


def test_the_rate_of_videos_can_be_given(tmp_path):
    thermal, rgb = save_video(tmp_path / 'a.avi', 3), save_video(tmp_path / 'b.avi', 3)
    source = open_source(f'{thermal},{rgb}', rate_hz=50, aligned=True)
    assert [frame.stamp_ns for frame in frames(source, 'rgb')] == [20_000_000, 40_000_000,
                                                                   60_000_000]
    np.testing.assert_array_equal(list(source.events())[1].truth.H_thermal_to_rgb, np.eye(3))


def test_videos_of_unequal_length_end_with_the_shorter(tmp_path, caplog):
    save_video(tmp_path / 'ir.avi', 5)
    save_video(tmp_path / 'rgb.avi', 9)
    source = open_source(tmp_path)
    assert len(frames(source, 'thermal')) == len(frames(source, 'rgb')) == 5
    assert source.skipped == {}
    assert len(caplog.records) == 1
    assert 'ends with ir.avi, after 5 frames' in caplog.text


def test_videos_of_unequal_rates_merge_by_time(tmp_path):
    save_video(tmp_path / 'ir.avi', 5, 10)
    save_video(tmp_path / 'rgb.avi', 15, 30)
    events = list(open_source(tmp_path).events())
    stamps_ns = [event.frame.stamp_ns for event in events]
    assert stamps_ns == sorted(stamps_ns)
    assert sum(event.stream == 'rgb' for event in events) == 15
    assert sum(event.stream == 'thermal' for event in events) == 5


@pytest.mark.parametrize('suffix', ['.avi', '.mp4'])
@pytest.mark.parametrize('fraction', [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_video_is_an_error_or_ends_early_with_a_warning(tmp_path, suffix, fraction,
                                                                    caplog):
    save_video(tmp_path / f'ir{suffix}', 30)
    path = save_video(tmp_path / f'vis{suffix}', 30)
    truncate(path, int(fraction * path.stat().st_size))
    try:
        source = open_source(tmp_path)
    except SourceError as error:
        assert path.name in str(error)
    else:
        assert 0 < len(frames(source, 'rgb')) < 30
        assert caplog.records


@pytest.mark.parametrize('storage', SUFFIXES)
@pytest.mark.parametrize('compress', [False, True])
def test_a_bag_is_read_as_it_was_written(tmp_path, storage, compress):
    source = open_source(save_bag(tmp_path / 'bag', storage, compress=compress))
    events = list(source.events())
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 20
    for index, (thermal, rgb) in enumerate(zip(events[::2], events[1::2], strict=True)):
        np.testing.assert_array_equal(thermal.frame.image, COUNTS + np.uint16(index))
        np.testing.assert_array_equal(rgb.frame.image, COLOUR)
        assert thermal.frame.stamp_ns == 5_000_000_000 + index * 100_000_000
        assert rgb.frame.stamp_ns == thermal.frame.stamp_ns + 1000
        assert (thermal.frame.frame_id, rgb.frame.frame_id) == ('lepton', 'camera')
    assert source.rate_hz == pytest.approx(10, rel=1e-3)
    assert source.skipped == {}


@pytest.mark.parametrize('storage, suffix', SUFFIXES.items())
def test_a_bag_needs_no_metadata(tmp_path, storage, suffix):
    bag = save_bag(tmp_path / 'bag', storage)
    (bag / 'metadata.yaml').unlink()
    assert len(list(open_source(bag).events())) == 40
    assert len(list(open_source(bag / f'bag.{suffix}').events())) == 40


@pytest.mark.parametrize('topic', ['/car/thermal/image_raw', 'car/thermal/image_raw',
                                   'thermal/image_raw', '/thermal/image_raw'])
def test_a_topic_is_found_in_its_namespace(tmp_path, topic):
    bag = save_bag(tmp_path / 'bag', namespace='/car', count=1)
    source = open_source(bag, thermal_topic=topic)
    assert source.topics == {'thermal': '/car/thermal/image_raw', 'rgb': '/car/rgb/image_raw'}


def test_an_exact_topic_has_priority_over_topics_that_end_with_it(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for name in ('thermal/image_raw', 'car/thermal/image_raw', 'rgb/image_raw'):
            write_image(bag, name, Frame(GRAY, 1))
    assert open_source(tmp_path / 'bag').topics['thermal'] == '/thermal/image_raw'


def test_compressed_topics_are_decoded(tmp_path):
    png, jpeg = (images.encode_compressed(image, codec)
                 for image, codec in ((COUNTS, 'png'), (COLOUR, 'jpeg')))
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, (message_format, data) in (('thermal', png), ('rgb', jpeg)):
            bag.write_raw(f'{topic}/image_raw/compressed', 'sensor_msgs/msg/CompressedImage',
                          message('sensor_msgs/msg/CompressedImage', format=message_format,
                                  data=data), 9)
    thermal, rgb = open_source(tmp_path / 'bag').events()
    np.testing.assert_array_equal(thermal.frame.image, COUNTS)
    assert np.abs(rgb.frame.image.astype(int) - COLOUR).mean() < 5


def test_big_endian_images_with_padded_rows_are_read(tmp_path):
    padded = np.zeros((24, 40), '>u2')
    padded[:, :32] = COUNTS
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write_raw('thermal/image_raw', 'sensor_msgs/msg/Image', image_message(
            encoding='mono16', is_bigendian=1, step=80, data=padded.tobytes()), 9)
        bag.write_raw('rgb/image_raw', 'sensor_msgs/msg/Image', image_message(
            encoding='rgb8', data=COLOUR[..., ::-1].tobytes()), 9)
    thermal, rgb = open_source(tmp_path / 'bag').events()
    np.testing.assert_array_equal(thermal.frame.image, COUNTS)
    np.testing.assert_array_equal(rgb.frame.image, COLOUR)


def test_a_message_without_a_stamp_gets_the_time_of_recording(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for topic in ('thermal/image_raw', 'rgb/image_raw'):
            bag.write_raw(topic, 'sensor_msgs/msg/Image', image_message(stamp_ns=0), 123_456)
    assert [event.frame.stamp_ns for event in open_source(tmp_path / 'bag').events()] == [
        123_456, 123_456]


@pytest.mark.parametrize('broken, reason', [
    (image_message()[:40], 'message cut short'),
    (b'', 'message cut short'),
    (image_message(data=b'12345'), 'undecodable image'),
    (image_message(encoding='bgr9'), 'undecodable image'),
    (image_message(width=0), 'undecodable image'),
])
def test_a_broken_message_is_skipped_counted_and_logged_once(tmp_path, broken, reason, caplog):
    with BagWriter(tmp_path / 'bag') as bag:
        for stamp_ns in (1, 2, 3):
            write_image(bag, 'thermal/image_raw', Frame(GRAY, stamp_ns))
            bag.write_raw('rgb/image_raw', 'sensor_msgs/msg/Image', broken, stamp_ns)
        write_image(bag, 'rgb/image_raw', Frame(COLOUR, 4))
    source = open_source(tmp_path / 'bag')
    assert [event.stream for event in source.events()] == ['thermal'] * 3 + ['rgb']
    assert source.skipped == {reason: 3}
    assert len(caplog.records) == 1


def test_a_bag_without_readable_images_is_an_error(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for topic in ('thermal/image_raw', 'rgb/image_raw'):
            bag.write_raw(topic, 'sensor_msgs/msg/Image', b'', 1)
    with pytest.raises(SourceError, match='no image can be read'):
        list(open_source(tmp_path / 'bag').events())


@pytest.mark.parametrize('storage, suffix', SUFFIXES.items())
@pytest.mark.parametrize('fraction, expected', [
    (0.0, 'damaged or was not closed'), (0.0001, 'damaged or was not closed'), (0.01, 'damaged'),
    (0.5, (4, 25)), (0.7, (20, 35)), (0.9, (30, 40))])
def test_a_truncated_bag_is_read_up_to_the_cut(tmp_path, storage, suffix, fraction, expected,
                                               caplog):
    bag = save_bag(tmp_path / 'bag', storage)
    file = bag / f'bag.{suffix}'
    truncate(file, int(fraction * file.stat().st_size))
    if isinstance(expected, str):
        with pytest.raises(SourceError, match=expected) as caught:
            list(open_source(bag).events())
        assert '\n' not in str(caught.value)
        return
    source = open_source(bag)
    read = frames(source, 'thermal')
    n_read = len(read) + len(frames(source, 'rgb'))
    assert expected[0] <= n_read < expected[1]
    assert source.skipped['bag damaged'] >= 1
    assert 'bag damaged' in caplog.text
    for index, frame in enumerate(read):
        np.testing.assert_array_equal(frame.image, COUNTS + np.uint16(index))


def test_a_bag_damaged_in_the_middle_loses_only_the_damaged_part(tmp_path, caplog):
    with BagWriter(tmp_path / 'bag', compress=True) as bag:
        noise = np.random.default_rng(0).integers(0, 255, (600, 800), dtype=np.uint8)
        for index in range(8):  # chunks of one megabyte, of two messages or three
            write_image(bag, 'thermal/image_raw', Frame(noise, 1 + index))
            write_image(bag, 'rgb/image_raw', Frame(noise, 1 + index))
    file = tmp_path / 'bag' / 'bag.mcap'
    content = bytearray(file.read_bytes())
    middle = content.index(b'zstd', len(content) // 2)
    content[middle:middle + 4000] = bytes(4000)
    file.write_bytes(content)
    source = open_source(tmp_path / 'bag')
    events = list(source.events())
    assert 13 <= len(events) < 16
    assert events[-1].frame.stamp_ns == 8
    assert source.skipped == {'bag damaged': 16 - len(events)}
    assert len(caplog.records) == 1


def make_nothing(folder: Path) -> Path:
    return folder / 'nowhere'


def make_empty(folder: Path) -> Path:
    return folder


def make_thermal_only(folder: Path) -> Path:
    save(folder / 'thermal' / '1.png')
    return folder


def make_different_stems(folder: Path) -> Path:
    save(folder / 'ir' / '1.png')
    save(folder / 'vis' / '2.png')
    return folder


def make_empty_subfolder(folder: Path) -> Path:
    save(folder / 'ir' / '1.png')
    (folder / 'vis').mkdir()
    return folder


def make_two_names(folder: Path) -> Path:
    save_pairs(folder, 1)
    save(folder / 'rgb' / '0.png')
    return folder


def make_same_stem(folder: Path) -> Path:
    save_pairs(folder, 1)
    save(folder / 'thermal' / '0.jpg')
    return folder


def make_splits(folder: Path) -> Path:
    save_pairs(folder / 'train', 1)
    save_pairs(folder / 'test', 1)
    return folder


def make_text_file(folder: Path) -> Path:
    (folder / 'notes.txt').write_text('no images')
    return folder / 'notes.txt'


def make_one_video(folder: Path) -> Path:
    return save_video(folder / 'ir.avi', 2)


def make_no_video(folder: Path) -> Path:
    for name in ('ir.mp4', 'vis.mp4'):
        (folder / name).write_text('no video at all')
    return folder


def make_missing_video(folder: Path) -> str:
    return f'{folder}/a.mp4,{folder}/b.mp4'


def make_ros1_bag(folder: Path) -> Path:
    (folder / 'old.bag').write_bytes(b'#ROSBAG V2.0\n')
    return folder / 'old.bag'


EMPTY_STRING = b'\0\1\0\0\1\0\0\0\0'  # serialised


def make_other_topics(folder: Path) -> Path:
    with BagWriter(folder / 'bag') as bag:
        write_image(bag, 'front/image', Frame(GRAY, 1))
        write_image(bag, 'back/image', Frame(GRAY, 1))
        bag.write_raw('thermal/image_raw', 'std_msgs/msg/String', EMPTY_STRING, 1)
    return folder / 'bag'


def make_no_images(folder: Path) -> Path:
    with BagWriter(folder / 'bag') as bag:
        bag.write_raw('chatter', 'std_msgs/msg/String', EMPTY_STRING, 1)
    return folder / 'bag'


def make_two_cars(folder: Path) -> Path:
    with BagWriter(folder / 'bag') as bag:
        for car in 'ab':
            write_image(bag, f'{car}/thermal/image_raw', Frame(GRAY, 1))
    return folder / 'bag'


def make_lost_file(folder: Path) -> Path:
    bag = save_bag(folder / 'bag', count=1)
    (bag / 'bag.mcap').unlink()
    return bag


def make_pipe(folder: Path) -> Path:
    os.mkfifo(folder / 'street.mcap')
    return folder / 'street.mcap'


def make_device(folder: Path) -> Path:
    (folder / 'street').symlink_to('/dev/zero')
    return folder / 'street'


def make_two_bag_files(folder: Path) -> Path:
    bag = save_bag(folder / 'bag', count=1)
    shutil.copy(bag / 'bag.mcap', bag / 'copy.mcap')
    (bag / 'metadata.yaml').unlink()
    return bag


@pytest.mark.parametrize('make, expected', [
    (make_nothing, ['no such source', 'nowhere']),
    (make_empty, ['looked for', 'metadata.yaml', 'infrared', 'visible', 'an empty folder']),
    (make_thermal_only, ['looked for', 'found thermal/']),
    (make_different_stems, ['same stem', '1 thermal (1.png)', '1 visible (2.png)']),
    (make_empty_subfolder, ["'vis' holds no images", '.png']),
    (make_two_names, ["'rgb'", "'visible'", 'A,B']),
    (make_same_stem, ["'0.jpg'", "'0.png'", 'same pair']),
    (make_splits, ['train', 'test', 'name one']),
    (make_text_file, ['notes.txt', '.mcap', '.db3']),
    (make_one_video, ['ir.avi is one video', 'thermal.mp4,visible.mp4']),
    (make_no_video, ['cannot open', 'ir.mp4']),
    (make_missing_video, ['no such video', 'a.mp4']),
    (make_ros1_bag, ['damaged or was not closed', 'rosbag reindex']),
    (make_other_topics, ["no image topic 'thermal/image_raw'", '/front/image (', '--thermal-topic',
                         '/back/image (sensor_msgs/msg/Image, 1 messages, mono8, 32x24)']),
    (make_no_images, ["no image topic 'thermal/image_raw'", 'none among 1 topics']),
    (make_two_cars, ['/a/thermal/image_raw (', '/b/thermal/image_raw (', 'full name',
                     '--rgb-topic']),
    (make_lost_file, ['missing', 'bag.mcap', 'metadata.yaml']),
    (make_pipe, ['street.mcap is no source: it is a named pipe, not a regular file']),
    (make_device, ['street is no source: it is a device, not a regular file']),
    (make_two_bag_files, ['2 bag files', 'reindex']),
], ids=lambda value: value.__name__[5:] if callable(value) else '')
def test_source_errors_are_reported_in_one_line(tmp_path, make, expected):
    with pytest.raises(SourceError) as caught:
        open_source(make(tmp_path))
    text = str(caught.value)
    assert '\n' not in text
    for part in expected:
        assert part in text


@pytest.mark.parametrize('rate_hz', [0, -1, float('nan')])
def test_an_invalid_rate_is_rejected(tmp_path, rate_hz):
    with pytest.raises(SourceError, match='rate_hz must be positive'):
        open_source(save_pairs(tmp_path, 1), rate_hz=rate_hz)


def test_the_simulator_takes_its_parameters_from_the_name():
    pytest.importorskip('ivf_ros.data.simulator')
    first = next(open_source('simulator:seed=3').events())
    same = next(open_source('simulator:seed=3').events())
    other = next(open_source('simulator:seed=4').events())
    np.testing.assert_array_equal(first.frame.image, same.frame.image)
    assert (first.frame.image != other.frame.image).any()


@pytest.mark.parametrize('spec, error, message', [
    ('simulator:weather=3', ParameterError, "unknown parameter 'weather'"),
    ('simulator:seed=often', ParameterError, "'seed' must be int"),
    ('simulator:night', ParameterError, "key=value, got 'night'"),
])
def test_wrong_simulator_parameters_are_rejected(spec, error, message):
    pytest.importorskip('ivf_ros.data.simulator')
    with pytest.raises(error, match=message):
        open_source(spec)


def test_a_real_sequence_of_videos_is_read_completely(shared_data):
    source = open_source(shared_data / 'm3svd_sequences' / '0113_1714', aligned=True)
    shapes = [event.frame.image.shape for event in source.events()]
    assert shapes == [(480, 640), (480, 640, 3)] * 560
    assert source.rate_hz == 30
    assert source.skipped == {}


@pytest.mark.parametrize('fraction', [0.01, 0.5, 0.99])
def test_a_truncated_real_video_ends_early_or_is_rejected(shared_data, tmp_path, fraction, caplog):
    original = shared_data / 'm3svd_sequences' / '0113_1714'
    for name in ('thermal.mp4', 'visible.mp4'):
        (tmp_path / name).write_bytes((original / name).read_bytes())
    path = tmp_path / 'thermal.mp4'
    truncate(path, int(fraction * path.stat().st_size))
    try:
        source = open_source(tmp_path)
        assert 0 < len(frames(source, 'thermal')) < 560
    except SourceError as error:
        assert 'thermal.mp4' in str(error)
    else:
        assert 'thermal.mp4 breaks off after' in caplog.text


def test_a_real_folder_of_pairs_of_changing_size_is_read_completely(shared_data):
    source = open_source(shared_data / 'roadscene' / 'train', aligned=True)
    sizes = {event.frame.size for event in source.events()}
    assert len(source.pairs) == 168
    assert len(sizes) > 5
    assert source.skipped == {}


@pytest.mark.parametrize('moves, unrelated', [(False, False), (True, True)])
def test_unrelated_scenes_are_told_from_a_sequence(tmp_path, moves, unrelated):
    random = np.random.default_rng(1)
    scene = random.integers(0, 256, (24, 32, 3), np.uint8)
    for number in range(4):
        if moves:
            scene = random.integers(0, 256, (24, 32, 3), np.uint8)
        save(tmp_path / 'thermal' / f'{number}.png', scene[..., 0])
        save(tmp_path / 'visible' / f'{number}.png', scene)
    assert open_source(tmp_path).shows_unrelated_scenes() is unrelated


@pytest.mark.parametrize('folder, unrelated', [
    ('msrs/officialtest_dev', True), ('roadscene/train', True), ('tno42/train', True),
    ('tno_sequences/nato_camp', False), ('tno_sequences/duine', False)])
def test_real_stills_and_sequences_are_told_apart(shared_data, folder, unrelated):
    assert open_source(shared_data / folder).shows_unrelated_scenes() is unrelated


def test_the_plain_simulator_is_the_scene_of_the_demonstration():
    source = open_source('simulator')
    assert source.name == 'simulator night seed 2' and source.rate_hz == 15
    assert open_source('simulator:seed=3').name == 'simulator day seed 3'


def test_refused_frames_are_not_read(tmp_path):
    save_pairs(tmp_path, 5)
    asked = []

    def is_wanted(stream, stamp_ns):
        asked.append((stream, stamp_ns))
        return len(asked) % 2 == 1

    events = list(open_source(tmp_path).events(is_wanted))
    assert len(asked) == 5  # a pair of files is asked about once
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 3
    simulated = open_source('simulator:duration_s=0.2')
    every = [event.frame.stamp_ns for event in simulated.events() if event.stream == 'rgb']
    some = [(event.stream, event.frame.stamp_ns) for event in simulated.events(
        lambda stream, stamp_ns: stream == 'rgb' and stamp_ns > every[2])]
    assert some == [('rgb', stamp_ns) for stamp_ns in every[3:]]
