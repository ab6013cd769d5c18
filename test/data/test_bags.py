# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of several files, with wrong metadata, compressed, of old versions and of ROS 1."""

from __future__ import annotations

from functools import partial
import gc
import os
from pathlib import Path
import shutil
import sqlite3
import sys
import tempfile

from hypothesis import given, HealthCheck, settings
from ivf_ros.data.bags.storage import merge_by_time, Message, Span, Topic
from ivf_ros.data.sources import open_source, SourceError
from mcap_files import Channel, header, IMAGE, image, serialize, STORE, write_mcap
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from test_mcap import CAMERAS, mutations, pairs, read
import yaml

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

QOS = ('[{history: keep_last, depth: 10, reliability: best_effort, durability: volatile, '
       'deadline: {sec: 9223372036, nsec: 854775807}, lifespan: {sec: 9223372036, nsec: '
       '854775807}, liveliness: automatic, liveliness_lease_duration: {sec: 9223372036, nsec: '
       '854775807}, avoid_ros_namespace_conventions: false}]')
PLUGINS = {'mcap': StoragePlugin.MCAP, 'db3': StoragePlugin.SQLITE3}


def write_bag(path: Path, suffix: str = 'mcap', mode: CompressionMode | None = None,
              messages: list | None = None) -> Path:
    """Write a bag of rosbag2 by rosbags."""
    writer = Writer(path, version=8, storage_plugin=PLUGINS[suffix])
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = [writer.add_connection(topic, IMAGE, typestore=STORE)
                       for topic, *_ in CAMERAS]
        for number, time_ns, data in pairs() if messages is None else messages:
            writer.write(connections[number], time_ns, data)
    return path


def change_metadata(bag: Path, change) -> None:
    """Change the content of metadata.yaml in place."""
    file = bag / 'metadata.yaml'
    content = yaml.safe_load(file.read_text())
    change(content['rosbag2_bagfile_information'])
    file.write_text(yaml.safe_dump(content))


def write_split_bag(bag: Path, suffix: str = 'mcap') -> Path:
    """Write a bag of three files: pairs 0 to 3, 4 to 6 and 7 to 9."""
    bag.mkdir()
    parts = []
    for number, (start, end) in enumerate(((0, 8), (8, 14), (14, 20))):
        messages = pairs()[start:end]
        part = write_bag(bag.parent / f'part_{number}', suffix, messages=messages)
        name = f'{bag.name}_{number}.{suffix}'
        shutil.move(part / f'part_{number}.{suffix}', bag / name)
        parts.append({'path': name, 'message_count': len(messages),
                      'starting_time': {'nanoseconds_since_epoch': messages[0][1]},
                      'duration': {'nanoseconds': messages[-1][1] - messages[0][1]}})
    (bag / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': {
        'version': 8, 'storage_identifier': '', 'starting_time': {
            'nanoseconds_since_epoch': 1_000_000_000},
        'relative_file_paths': [part['path'] for part in parts], 'files': parts}}))
    return bag


def set_qos(content: dict) -> None:
    for topic in content['topics_with_message_count']:
        topic['topic_metadata']['offered_qos_profiles'] = QOS


def set_hash(content: dict) -> None:
    for topic in content['topics_with_message_count']:
        topic['topic_metadata']['type_description_hash'] = 'RIHS01_' + 64 * '0'


def set_counts(content: dict) -> None:
    content['message_count'] = 7
    for topic in content['topics_with_message_count']:
        topic['message_count'] = 0


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
@pytest.mark.parametrize('change', [
    set_qos, set_hash, set_counts,
    lambda content: content.update(storage_identifier=''),
    lambda content: content.update(storage_identifier='unknown'),
    lambda content: content.update(version=99),
    lambda content: content.update(relative_file_paths=['/home/somebody/other.mcap']),
    lambda content: content.update(topics_with_message_count=None),
    lambda content: content.pop('duration'),
    lambda content: content.pop('relative_file_paths'),
    lambda content: content.update(relative_file_paths=3)])
def test_metadata_does_not_hide_an_intact_file(tmp_path, suffix, change):
    bag = write_bag(tmp_path / 'bag', suffix)
    change_metadata(bag, change)
    assert read(bag) == (list(range(10)), {})


@pytest.mark.parametrize('text', ['', 'nothing: here', '{', 'rosbag2_bagfile_information: 3',
                                  '\0rosbag2_bagfile_information\x80'])
def test_damaged_metadata_is_not_used(tmp_path, text):
    bag = write_bag(tmp_path / 'bag')
    (bag / 'metadata.yaml').write_text(text)
    assert read(bag) == (list(range(10)), {})


def test_hidden_files_are_not_there(tmp_path):
    bag = write_bag(tmp_path / 'bag')
    (bag / '._bag.mcap').write_bytes(b'\0\5\x16\7')
    (bag / 'metadata.yaml').unlink()
    assert read(bag) == (list(range(10)), {})


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
@pytest.mark.parametrize('has_metadata', [True, False])
def test_the_files_of_a_split_bag_are_one_recording(tmp_path, suffix, has_metadata):
    bag = write_split_bag(tmp_path / 'bag', suffix)
    if has_metadata:
        change_metadata(bag, lambda content: content['relative_file_paths'].reverse())
    else:
        (bag / 'metadata.yaml').unlink()
    assert read(bag) == (list(range(10)), {})


@pytest.mark.parametrize('has_metadata, seconds', [
    (True, 'seconds 0.4 to 0.6'), (False, 'after second 0.3 and before second 0.7')])
def test_a_missing_part_is_named_with_its_seconds(tmp_path, has_metadata, seconds, caplog):
    bag = write_split_bag(tmp_path / 'bag')
    (bag / 'bag_1.mcap').unlink()
    if not has_metadata:
        (bag / 'metadata.yaml').unlink()
    assert read(bag) == ([0, 1, 2, 3, 7, 8, 9], {'bag damaged': 1})
    assert f'bag_1.mcap is missing ({seconds} of the recording)' in caplog.text


def test_an_unreadable_part_is_named_and_the_others_are_read(tmp_path, caplog):
    bag = write_split_bag(tmp_path / 'bag')
    (bag / 'bag_0.mcap').write_bytes(b'')
    assert read(bag) == ([4, 5, 6, 7, 8, 9], {'bag damaged': 1})
    assert 'bag_0.mcap is damaged' in caplog.text and 'seconds 0.0 to 0.3' in caplog.text


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
@pytest.mark.parametrize('has_metadata', [True, False])
def test_compressed_files_are_read_and_leave_nothing_behind(tmp_path, suffix, has_metadata,
                                                            monkeypatch):
    temporary = tmp_path / 'temporary'
    temporary.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
    bag = write_bag(tmp_path / 'bag', suffix)
    file = bag / f'bag.{suffix}'
    compressed = bag / f'{file.name}.zstd'
    compressed.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    if has_metadata:
        change_metadata(bag, lambda content: content.update(
            compression_mode='FILE', compression_format='zstd',
            relative_file_paths=[compressed.name]))
    else:
        (bag / 'metadata.yaml').unlink()
    for path in (bag, compressed):
        assert read(path) == (list(range(10)), {})
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_a_cut_compressed_file_is_read_up_to_the_cut(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 600, 400), np.uint8)
    messages = [(channel, time_ns, image(pixels, 'mono8', time_ns))
                for pixels, (channel, time_ns, _) in zip(noise, pairs(4), strict=True)]
    bag = write_bag(tmp_path / 'bag', messages=messages)
    data = zstd.compress((bag / 'bag.mcap').read_bytes())
    file = tmp_path / 'bag.mcap.zstd'
    file.write_bytes(data[:len(data) * 6 // 10])
    source = open_source(file)
    assert 2 <= len(list(source.events())) <= 5
    assert source.skipped == {'bag damaged': 1}


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
def test_compressed_messages_need_no_metadata(tmp_path, suffix):
    bag = write_bag(tmp_path / 'bag', suffix, CompressionMode.MESSAGE)
    (bag / 'metadata.yaml').unlink()
    assert read(bag) == (list(range(10)), {})


def test_an_uncompressed_file_is_preferred_to_the_compressed_one_beside_it(tmp_path):
    bag = write_bag(tmp_path / 'bag')
    (bag / 'bag.mcap.zstd').write_bytes(b'damaged')
    (bag / 'metadata.yaml').unlink()
    assert read(bag) == (list(range(10)), {})


def write_database(path: Path, version: int) -> Path:
    """Write the tables of an old rosbag2: 1 of Dashing, 2 of Foxy, 3 of Humble."""
    extra = ', offered_qos_profiles TEXT NOT NULL' if version > 1 else ''
    with sqlite3.connect(path) as database:
        database.executescript(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, '
            f'serialization_format TEXT NOT NULL{extra});'
            'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, '
            'timestamp INTEGER NOT NULL, data BLOB NOT NULL);'
            + 'CREATE INDEX timestamp_idx ON messages (timestamp ASC);' * (version > 1)
            + 'CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);'
            "INSERT INTO schema VALUES(3, 'humble');" * (version > 2))
        for number, channel in enumerate(CAMERAS):
            row = (number + 1, channel.topic, IMAGE, 'cdr', *['qos'] * (version > 1))
            database.execute(f'INSERT INTO topics VALUES({",".join("?" * len(row))})', row)
        messages = pairs()
        messages[2], messages[4] = messages[4], messages[2]
        database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                             [(number + 1, *rest) for number, *rest in messages])
    database.close()
    return path


@pytest.mark.parametrize('version', [1, 2, 3])
def test_databases_of_old_versions_are_read(tmp_path, version):
    assert read(write_database(tmp_path / 'old.db3', version)) == (list(range(10)), {})


def test_messages_in_the_journal_of_a_database_are_read(tmp_path):
    file = write_database(tmp_path / 'bag.db3', 3)
    database = sqlite3.connect(file)
    database.execute('PRAGMA journal_mode = WAL')
    database.execute('PRAGMA wal_autocheckpoint = 0')
    time_ns = 3_000_000_000
    database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(1, ?, ?)',
                     (time_ns, image(np.full((24, 32), 99, np.uint8), 'mono8', time_ns)))
    database.commit()
    killed = tmp_path / 'killed'
    killed.mkdir()
    for name in ('bag.db3', 'bag.db3-wal'):
        shutil.copy(tmp_path / name, killed)
    database.close()
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    os.chmod(killed, 0o555)
    try:
        assert read(killed) == ([*range(10), 99], {})
    finally:
        os.chmod(killed, 0o755)
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before


def test_a_database_of_something_else_is_refused(tmp_path):
    file = tmp_path / 'other.db3'
    with sqlite3.connect(file) as database:
        database.execute('CREATE TABLE birds(name TEXT)')
    database.close()
    with pytest.raises(SourceError, match="without the tables 'topics' and 'messages'"):
        open_source(file)


def test_a_file_that_disappears_is_an_error_of_the_source(tmp_path):
    file = write_bag(tmp_path / 'bag', 'db3') / 'bag.db3'
    source = open_source(file)
    file.unlink()
    with pytest.raises(SourceError, match='no image can be read'):
        list(source.events())


def test_parts_are_opened_when_their_time_comes():
    topic = Topic('/a', IMAGE, 'cdr')
    opened = []

    def read_times(number, *times_ns):
        opened.append(number)
        for time_ns in times_ns:
            yield Message(time_ns, topic, bytes([number]))

    spans = [Span(start_ns, partial(read_times, number, *times_ns)) for number, start_ns, times_ns
             in ((2, 30, (30, 40)), (0, 0, (0, 10, 30)), (1, 10, (10, 20, 35)), (3, 30, ()))]
    merged = merge_by_time(spans)
    assert next(merged).time_ns == 0 and opened == [0]
    assert [(message.time_ns, message.data[0]) for message in merged] == [
        (10, 0), (10, 1), (20, 1), (30, 0), (30, 2), (35, 1), (40, 2)]
    assert opened == [0, 1, 2, 3]


def test_a_damaged_page_loses_only_its_message(tmp_path):
    messages = [(number, time_ns, image(np.full((100, 100), index, np.uint8), 'mono8', time_ns))
                for index, (number, time_ns, _) in enumerate(pairs())]
    file = write_bag(tmp_path / 'bag', 'db3', messages=messages) / 'bag.db3'
    content = bytearray(file.read_bytes())
    place = content.index(bytes([8]) * 4000) // 4096 * 4096
    content[place:place + 4] = b'\xff' * 4  # the page that continues the message
    file.write_bytes(content)
    source = open_source(file)
    values = [int(event.frame.image[0].ravel()[0]) for event in source.events()]
    assert values == [value for value in range(20) if value != 8]
    assert source.skipped == {'bag damaged': 1}


def ros1_messages() -> list[tuple[int, int, bytes]]:
    """Return the pairs as messages of ROS 1."""
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    messages = []
    for number, time_ns, _ in pairs():
        value = np.full((24, 32), (time_ns - 1_000_000_000) // 100_000_000, np.uint8)
        sec, nanosec = divmod(time_ns, 1_000_000_000)
        head = types['std_msgs/msg/Header'](
            seq=0, stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
            frame_id='camera')
        content = types[IMAGE](header=head, height=24, width=32, encoding='mono8',
                               is_bigendian=0, step=32, data=value.ravel())
        messages.append((number, time_ns, bytes(store.serialize_ros1(content, IMAGE))))
    return messages


def test_a_bag_of_ros1_is_read(tmp_path):
    file = tmp_path / 'old.bag'
    with Rosbag1Writer(file) as writer:
        connections = [writer.add_connection(topic, IMAGE,
                                             typestore=get_typestore(Stores.ROS1_NOETIC))
                       for topic, *_ in CAMERAS]
        for number, time_ns, data in ros1_messages():
            writer.write(connections[number], time_ns, data)
    assert read(file) == (list(range(10)), {})
    folder = tmp_path / 'folder'
    folder.mkdir()
    shutil.move(file, folder)
    assert read(folder) == (list(range(10)), {})


def test_an_mcap_of_ros1_is_read(tmp_path):
    channels = [Channel(topic, 'sensor_msgs/Image', 'ros1msg', b'uint8[] data', 'ros1')
                for topic, *_ in CAMERAS]
    file = write_mcap(tmp_path / 'old.mcap', channels, ros1_messages(), profile='ros1')
    assert read(file) == (list(range(10)), {})


def test_a_file_is_recognised_by_its_content(tmp_path):
    content = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs()).read_bytes()
    for name in ('A.MCAP', 'a.mcap.active', 'recording'):
        (tmp_path / name).write_bytes(content)
        assert read(tmp_path / name) == (list(range(10)), {})
    for name in ('a.mcap.zst', 'a.db3', 'a.db3.zstd'):
        (tmp_path / name).write_bytes(zstd.compress(content))
        assert read(tmp_path / name) == (list(range(10)), {})


def test_a_bag_can_be_named_by_its_metadata(tmp_path):
    assert read(write_bag(tmp_path / 'bag') / 'metadata.yaml') == (list(range(10)), {})


def test_a_folder_above_bags_names_them(tmp_path):
    write_bag(tmp_path / 'day')
    with pytest.raises(SourceError, match=r'no bag but holds some; name one: .*/day'):
        open_source(tmp_path)


def test_the_calibration_of_ros1_is_read(tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    head = types['std_msgs/msg/Header'](
        seq=0, stamp=types['builtin_interfaces/msg/Time'](sec=1, nanosec=0), frame_id='eye')
    info = types['sensor_msgs/msg/CameraInfo'](
        header=head, height=24, width=32, distortion_model='equidistant', D=np.arange(4.0),
        K=np.arange(9.0), R=np.eye(3).ravel(), P=np.arange(12.0), binning_x=0, binning_y=0,
        roi=types['sensor_msgs/msg/RegionOfInterest'](x_offset=0, y_offset=0, height=0, width=0,
                                                      do_rectify=False))
    data = bytes(store.serialize_ros1(info, 'sensor_msgs/msg/CameraInfo'))
    channels = [Channel(topic, 'sensor_msgs/Image', 'ros1msg', b'', 'ros1')
                for topic, *_ in CAMERAS]
    channels.append(Channel('/rgb/camera_info', 'sensor_msgs/CameraInfo', 'ros1msg', b'', 'ros1'))
    source = open_source(write_mcap(tmp_path / 'old.mcap', channels,
                                    [*ros1_messages(), (2, 5, data)], profile='ros1'))
    assert set(source.camera_infos) == {'rgb'}
    rgb = source.camera_infos['rgb']
    assert (rgb.frame_id, rgb.distortion_model, rgb.d) == ('eye', 'equidistant', (0, 1, 2, 3))
    assert (rgb.k, rgb.p) == (tuple(range(9)), tuple(range(12)))


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
def test_any_characters_may_be_in_a_path(tmp_path, suffix, monkeypatch):
    bag = write_bag(tmp_path / 'bag', suffix).rename(tmp_path / 'a #?% ü')
    assert read(bag) == (list(range(10)), {})
    monkeypatch.chdir(bag)
    assert read(Path(f'bag.{suffix}')) == (list(range(10)), {})


@pytest.mark.parametrize('has_numbers', [True, False])
def test_files_of_several_bags_are_refused(tmp_path, has_numbers):
    for name in ('day_0.mcap', 'night_0.mcap') if has_numbers else ('day.mcap', 'night.mcap'):
        write_mcap(tmp_path / name, CAMERAS, pairs(1))
    with pytest.raises(SourceError, match=r'2 bag files of 2 bags.*name one of them'):
        open_source(tmp_path)


def test_the_calibration_beside_the_images_is_read(tmp_path):
    info = serialize('sensor_msgs/msg/CameraInfo', header=header(1, 'lepton'), height=24, width=32,
                     distortion_model='plumb_bob', d=np.arange(5.0), k=np.arange(9.0),
                     r=np.eye(3).ravel(), p=np.arange(12.0), binning_x=1, binning_y=2,
                     roi=STORE.types['sensor_msgs/msg/RegionOfInterest'](
                         x_offset=1, y_offset=2, height=3, width=4, do_rectify=True))
    channels = [*CAMERAS, Channel('/thermal/camera_info', 'sensor_msgs/msg/CameraInfo'),
                Channel('/odd/info', 'sensor_msgs/msg/CameraInfo')]
    file = write_mcap(tmp_path / 'a.mcap', channels, [*pairs(2), (2, 5, info), (3, 5, info)])
    source = open_source(file)
    assert set(source.camera_infos) == {'thermal'}
    thermal = source.camera_infos['thermal']
    assert (thermal.frame_id, thermal.width, thermal.height) == ('lepton', 32, 24)
    assert (thermal.d, thermal.k) == ((0, 1, 2, 3, 4), tuple(range(9)))
    assert (thermal.binning_y, thermal.roi) == (2, (1, 2, 3, 4, True))
    named = open_source(file, rgb_info_topic='/odd/info')
    assert named.camera_infos == {'thermal': thermal, 'rgb': thermal}
    with pytest.raises(SourceError, match=r"no CameraInfo topic 'nowhere'.*/odd/info"):
        open_source(file, rgb_info_topic='nowhere')


def make_transforms(**x_m_of_children):
    """Return a serialised ``TFMessage`` with transforms from ``base`` to child frames."""
    types = STORE.types
    transforms = [types['geometry_msgs/msg/TransformStamped'](
        header=header(1, 'base'), child_frame_id=child,
        transform=types['geometry_msgs/msg/Transform'](
            translation=types['geometry_msgs/msg/Vector3'](x=x_m, y=0.5, z=0.0),
            rotation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.6, z=0.0, w=0.8)))
        for child, x_m in x_m_of_children.items()]
    return serialize('tf2_msgs/msg/TFMessage', transforms=transforms)


def test_the_latest_static_transform_of_each_frame_is_read(tmp_path):
    channels = [*CAMERAS, *(Channel(name, 'tf2_msgs/msg/TFMessage')
                            for name in ('/tf_static', '/robot/tf_static', '/tf'))]
    file = write_mcap(tmp_path / 'a.mcap', channels, [
        *pairs(2), (2, 5, make_transforms(lepton=1.0, eye=2.0)), (3, 6, make_transforms(lidar=4)),
        (4, 7, make_transforms(wheel=9.0)), (2, 8, b'cut'), (2, 9, make_transforms(eye=3.0))])
    transforms = open_source(file).static_transforms
    assert {item.child_frame_id: item.translation_m for item in transforms} == {
        'lepton': (1.0, 0.5, 0.0), 'eye': (3.0, 0.5, 0.0), 'lidar': (4.0, 0.5, 0.0)}
    assert {item.parent_frame_id for item in transforms} == {'base'}
    assert transforms[0].rotation_xyzw == (0.0, 0.6, 0.0, 0.8)
    assert open_source(write_bag(tmp_path / 'bag')).static_transforms == []


@pytest.fixture(scope='module')
def small_databases(tmp_path_factory):
    """Return a folder and the contents of a small database, plain and compressed."""
    folder = tmp_path_factory.mktemp('fuzz')
    content = (write_bag(folder / 'bag', 'db3', messages=pairs(3)) / 'bag.db3').read_bytes()
    return folder, [('bag.db3', content), ('bag.db3.zstd', zstd.compress(content))]


@settings(max_examples=200, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations())
@pytest.mark.parametrize('kind', [0, 1])
def test_any_damage_of_a_database_gives_frames_or_one_line(small_databases, kind, changes):
    folder, contents = small_databases
    name, original = contents[kind]
    content = bytearray(original)
    for position, new, n_removed in changes:
        start = int(position * len(content))
        content[start:start + n_removed] = new
    (folder / name).write_bytes(content)
    try:
        source = open_source(folder / name)
        assert all(event.frame.image.size for event in source.events())
    except SourceError as error:
        assert '\n' not in str(error)
