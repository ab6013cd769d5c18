# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files of any writer, whole, cut off and damaged."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given, HealthCheck, settings, strategies
from ivf_ros.data.sources import open_source, SourceError
from mcap_files import Channel, find_chunks, image, write_mcap
import numpy as np
import pytest

PERIOD_NS = 100_000_000
GRAY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
CAMERAS = [Channel('/thermal/image_raw'), Channel('/rgb/image_raw')]


def pairs(count: int = 10) -> list[tuple[int, int, bytes]]:
    """Return thermal of the value n, and RGB, at 10 Hz from 1 s on."""
    messages = []
    for index in range(count):
        stamp_ns = 1_000_000_000 + index * PERIOD_NS
        messages += [(0, stamp_ns, image(np.full_like(GRAY, index), 'mono8', stamp_ns)),
                     (1, stamp_ns + 1, image(np.dstack([GRAY] * 3), 'bgr8', stamp_ns + 1))]
    return messages


def read(path: Path) -> tuple[list[int], dict[str, int]]:
    """Return the values of the thermal images in order, and what was skipped."""
    source = open_source(path)
    events = list(source.events())
    stamps_ns = [event.recorded_ns for event in events]
    assert stamps_ns == sorted(stamps_ns)
    return [int(event.frame.image[0, 0]) for event in events
            if event.stream == 'thermal'], source.skipped


@pytest.mark.parametrize('chunk, has_indexes, has_summary, profile', [
    *itertools.product(['', 'lz4', 'zstd'], [True, False], [True, False], ['ros2']),
    *itertools.product([None], [False], [True, False], ['ros2', '', 'of another writer'])])
def test_all_kinds_of_files_are_read(tmp_path, chunk, has_indexes, has_summary, profile):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), chunk=chunk, has_indexes=has_indexes,
                      has_summary=has_summary, profile=profile)
    assert read(file) == (list(range(10)), {})
    assert open_source(file).rate_hz == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize('has_summary', [True, False])
@pytest.mark.parametrize('chunk', ['', None])
def test_messages_are_ordered_by_time_also_across_chunks(tmp_path, has_summary, chunk):
    shuffled = pairs()
    for index in range(0, 16, 6):
        shuffled[index], shuffled[index + 3] = shuffled[index + 3], shuffled[index]
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, shuffled, chunk=chunk, per_chunk=3,
                      has_summary=has_summary)
    assert read(file) == (list(range(10)), {})


@pytest.mark.parametrize('foreign', [
    Channel('/pose', 'foxglove.PoseInFrame', 'protobuf', b'\x0a\x00', 'protobuf'),
    Channel('/status', 'Status', 'jsonschema', b'{}', 'json'), Channel('/bare', '', '', b'', ''),
    Channel('/empty', 'odd_msgs/msg/Odd', '', b'', 'cdr'),
    Channel('/old', 'std_msgs/String', 'ros1msg', b'string data', 'ros1'),
    Channel('/thermal/image_raw', 'std_msgs/msg/String', 'ros2msg', b'string data', 'cdr')])
@pytest.mark.parametrize('has_summary', [True, False])
def test_foreign_channels_beside_the_cameras_do_not_matter(tmp_path, foreign, has_summary):
    messages = [*pairs(5), *((2, time_ns, b'{}') for _, time_ns, _ in pairs(5))]
    file = write_mcap(tmp_path / 'a.mcap', [*CAMERAS, foreign], messages, has_summary=has_summary)
    assert read(file) == (list(range(5)), {})


@pytest.mark.parametrize('encodings', [('ros2msg', ''), ('', 'cdr'), ('ros2idl', 'cdr')])
def test_a_channel_needs_no_message_encoding_or_schema_encoding(tmp_path, encodings):
    channels = [channel._replace(schema_encoding=encodings[0], encoding=encodings[1])
                for channel in CAMERAS]
    assert read(write_mcap(tmp_path / 'a.mcap', channels, pairs())) == (list(range(10)), {})


@pytest.mark.parametrize('chunk', ['', 'lz4', 'zstd'])
def test_a_chunk_with_a_wrong_checksum_is_lost_alone(tmp_path, chunk, caplog):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), chunk=chunk)
    content = bytearray(file.read_bytes())
    start, end = find_chunks(bytes(content))[2]
    content[(start + end) // 2] ^= 0xff
    file.write_bytes(content)
    values, skipped = read(file)
    assert len(values) == 8 and values[0] == 0 and values[-1] == 9
    assert skipped == {'bag damaged': 4}
    assert len(caplog.records) == 1


@pytest.mark.parametrize('chunk', ['', 'lz4', 'zstd', None])
def test_a_file_that_ends_anywhere_is_read_up_to_there(tmp_path, chunk):
    noise = np.random.default_rng(0)
    messages = [(channel, time_ns, image(noise.integers(0, 255, (24, 32), np.uint8), 'mono8', 1))
                for channel, time_ns, _ in pairs()]
    whole = write_mcap(tmp_path / 'a.mcap', CAMERAS, messages, chunk=chunk, per_chunk=3)
    content, numbers = whole.read_bytes(), []
    for part in range(2, 10):
        cut = tmp_path / f'{part}.mcap'
        cut.write_bytes(content[:len(content) * part // 10])
        source = open_source(cut)
        numbers.append(len(list(source.events())))
        assert source.skipped == {'bag damaged': 1}
    assert numbers == sorted(numbers)
    if chunk in ('', None):  # all complete messages are read
        size = len(content) / 20
        np.testing.assert_allclose(numbers, np.arange(2, 10) * len(content) / 10 / size, atol=2)


def test_messages_without_times_keep_their_order(tmp_path):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, [(channel, 0, data)
                                                     for channel, _, data in pairs()])
    assert read(file) == (list(range(10)), {})


def test_a_file_without_its_index_loses_nothing(tmp_path):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs())
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert read(file) == (list(range(10)), {})
    damaged = bytearray(content)
    damaged[-100] ^= 0xff
    file.write_bytes(damaged)
    assert read(file) == (list(range(10)), {})


def test_a_wrong_index_loses_nothing(tmp_path):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), has_crc=False)
    content = file.read_bytes()
    offset = (find_chunks(content)[2][0] - 49).to_bytes(8, 'little')  # of the third chunk
    assert content.count(offset) == 1
    file.write_bytes(content.replace(offset, (77).to_bytes(8, 'little')))
    assert read(file) == (list(range(10)), {})


def test_chunks_behind_a_damaged_one_are_found_by_the_index(tmp_path):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs())
    content = bytearray(file.read_bytes())
    start, end = find_chunks(bytes(content))[2]
    content[start - 60:end] = bytes(end - start + 60)
    file.write_bytes(content)
    assert read(file) == ([0, 1, 2, 3, 6, 7, 8, 9], {'bag damaged': 4})


def test_types_may_be_written_as_in_ros1_and_dds(tmp_path):
    for msgtype in ('sensor_msgs/Image', 'sensor_msgs::msg::dds_::Image_',
                    'sensor_msgs::msg::Image'):
        channels = [channel._replace(topic='rt' + channel.topic, msgtype=msgtype)
                    for channel in CAMERAS]
        assert read(write_mcap(tmp_path / 'a.mcap', channels, pairs(2))) == ([0, 1], {})


@pytest.fixture(scope='module')
def small_files(tmp_path_factory):
    """Return a folder and the contents of files of each kind."""
    folder = tmp_path_factory.mktemp('fuzz')
    contents = [write_mcap(folder / 'a.mcap', CAMERAS, pairs(3), chunk=chunk,
                           has_summary=has_summary).read_bytes()
                for chunk in ('', 'lz4', 'zstd', None) for has_summary in (True, False)]
    return folder, contents


def mutations():
    """Return a strategy for lists of (position from 0 to 1, new bytes, bytes to remove)."""
    return strategies.lists(strategies.tuples(
        strategies.floats(0, 1), strategies.binary(max_size=9), strategies.integers(0, 40)),
        min_size=1, max_size=6)


@settings(max_examples=300, deadline=None, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=strategies.integers(0, 7), changes=mutations())
def test_any_damage_gives_frames_or_one_line(small_files, kind, changes):
    folder, contents = small_files
    content = bytearray(contents[kind])
    for position, new, n_removed in changes:
        start = int(position * len(content))
        content[start:start + n_removed] = new
    file = folder / 'damaged.mcap'
    file.write_bytes(content)
    try:
        source = open_source(file)
        assert all(event.frame.image.size for event in source.events())
    except SourceError as error:
        assert '\n' not in str(error)
