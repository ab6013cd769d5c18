# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags contain standard messages and can be read by rosbags."""

from __future__ import annotations

from collections import defaultdict
import multiprocessing
from multiprocessing.connection import Connection
import os
from pathlib import Path
import resource
import signal

from ivf_ros import images
from ivf_ros.data.bag_writer import BagError, BagWriter
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.storage import Topic
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_typestore, Stores
import yaml

STORAGES = ('mcap', 'sqlite3')
IMAGES = Topic('/fused/image', 'sensor_msgs/msg/Image', 'cdr')
SECOND = 1_000_000_000
GRAY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def messages(bag: Path) -> dict[str, list]:
    """Read all messages with the definitions stored in the bag."""
    received = defaultdict(list)
    with AnyReader([bag]) as reader:
        for connection, time_ns, data in reader.messages():
            received[connection.topic].append(
                (time_ns, reader.deserialize(data, connection.msgtype)))
    return received


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('compress', [False, True])
@pytest.mark.parametrize('image, encoding', [
    (GRAY, 'mono8'),
    (GRAY.astype(np.uint16) * 999, 'mono16'),
    (GRAY.astype(np.float32) / 7, '32FC1'),
    (np.dstack([GRAY, GRAY + 1, GRAY + 2]), 'bgr8'),
    (np.dstack([GRAY, GRAY + 1, GRAY + 2])[:, ::2], 'bgr8'),  # not contiguous
])
def test_an_image_keeps_its_pixels_stamp_and_frame(tmp_path, storage, compress, image, encoding):
    with BagWriter(tmp_path / 'bag', storage, compress) as bag:
        write_image(bag, 'fused/image', Frame(image, 3 * SECOND + 5, 'camera'))
    [(time_ns, message)] = messages(tmp_path / 'bag')['/fused/image']
    assert time_ns == 3 * SECOND + 5
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 5)
    assert message.header.frame_id == 'camera'
    assert message.encoding == encoding
    decoded = images.decode(message.encoding, message.data, message.width, message.height,
                            message.step, message.is_bigendian)
    np.testing.assert_array_equal(image, decoded)


@pytest.mark.parametrize('storage', STORAGES)
def test_serialised_messages_are_written_as_they_are(tmp_path, storage):
    store = get_typestore(Stores.LATEST)
    text = store.types['std_msgs/msg/String'](data='hello')
    cdr = bytes(store.serialize_cdr(text, 'std_msgs/msg/String'))
    with BagWriter(tmp_path / 'bag', storage) as bag:
        bag.write_raw('chatter', 'std_msgs/msg/String', cdr, 77)
        bag.write_raw('/chatter', 'std_msgs/msg/String', memoryview(cdr), 78)
        assert bag.counts == {'/chatter': 2}
    received = messages(tmp_path / 'bag')['/chatter']
    assert [(time_ns, message.data) for time_ns, message in received] \
        == [(77, 'hello'), (78, 'hello')]
    with Reader(tmp_path / 'bag') as reader:
        assert {data for _, _, data in reader.messages()} == {cdr}


@pytest.mark.parametrize('storage', STORAGES)
def test_topics_offer_reliable_qos_and_latched_topics_transient_local(tmp_path, storage):
    with BagWriter(tmp_path / 'bag', storage) as bag:
        write_image(bag, 'fused/image', Frame(GRAY, 1))
        bag.write_raw('segmentation/label_info', 'std_msgs/msg/String', b'\0\1\0\0\1\0\0\0\0', 1,
                      latched=True)
    with Reader(tmp_path / 'bag') as reader:
        offered = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    assert {qos.reliability for qos in offered.values()} == {QosReliability.RELIABLE}
    assert offered['/fused/image'].durability == QosDurability.VOLATILE
    assert offered['/segmentation/label_info'].durability == QosDurability.TRANSIENT_LOCAL


def test_the_bag_is_finished_when_the_recording_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'bag') as bag:
        write_image(bag, 'fused/image', Frame(GRAY, 1))
        raise KeyboardInterrupt
    assert len(messages(tmp_path / 'bag')['/fused/image']) == 1


def record_until_killed(storage: str, path: Path) -> None:
    bag = BagWriter(path, storage)
    for index in range(5):
        write_image(bag, 'fused/image', Frame(GRAY, 1 + index))
    bag.flush()
    write_image(bag, 'fused/image', Frame(GRAY, 9))  # less than a chunk
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize('storage', STORAGES)
def test_what_was_flushed_can_be_read_after_the_process_is_killed(tmp_path, storage):
    process = multiprocessing.get_context('spawn').Process(
        target=record_until_killed, args=(storage, tmp_path / 'bag'))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    found = list(Bag(tmp_path / 'bag').messages([IMAGES], lambda problem: None))
    assert [message.time_ns for message in found][:5] == [1, 2, 3, 4, 5]
    metadata = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information']
    assert metadata['storage_identifier'] == storage
    assert [(tmp_path / 'bag' / name).is_file() for name in metadata['relative_file_paths']] \
        == [True]
    assert metadata['starting_time']['nanoseconds_since_epoch'] == 1
    assert [topic['topic_metadata']['name'] for topic in metadata['topics_with_message_count']] \
        == ['/fused/image']


def record_until_full(storage: str, path: Path, errors: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    image = np.zeros((100, 100), np.uint8)
    found = []
    with BagWriter(path, storage) as bag:
        for index in range(15):
            try:
                write_image(bag, 'fused/image', Frame(image, 1 + index))
                bag.flush()
            except BagError as error:
                found.append(str(error))
    errors.send(found)


@pytest.mark.parametrize('storage', STORAGES)
def test_on_a_full_disk_writing_ends_with_an_error_and_the_bag_can_be_read(tmp_path, storage):
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context('spawn').Process(
        target=record_until_full, args=(storage, tmp_path / 'bag', sender))
    process.start()
    assert receiver.poll(60)
    errors = receiver.recv()
    process.join(60)
    assert process.exitcode == 0, 'the bag is closed without another error'
    assert errors[0].startswith(f'cannot write to {tmp_path / "bag"}: ')
    assert all('not open' in error for error in errors[1:])
    found = list(Bag(tmp_path / 'bag').messages([IMAGES], lambda problem: None))
    assert [message.time_ns for message in found] == list(range(1, len(found) + 1))
    assert 15 - len(errors) - 1 <= len(found) < 15


def test_an_empty_bag_can_be_read(tmp_path):
    with BagWriter(tmp_path / 'bag'):
        pass
    with Reader(tmp_path / 'bag') as reader:
        assert reader.message_count == 0


def test_write_errors_are_reported(tmp_path):
    with pytest.raises(BagError, match="storage is one of mcap, sqlite3, got 'rosbag'"):
        BagWriter(tmp_path / 'bag', 'rosbag')
    (tmp_path / 'taken').mkdir()
    with pytest.raises(BagError, match='taken exists already'):
        BagWriter(tmp_path / 'taken')
    (tmp_path / 'file').touch()
    with pytest.raises(BagError, match='file'):
        BagWriter(tmp_path / 'file' / 'bag')
    bag = BagWriter(tmp_path / 'bag')
    write_image(bag, 'a', Frame(GRAY, 1))
    with pytest.raises(BagError, match='no definition of strange_msgs/msg/Odd'):
        bag.write_raw('b', 'strange_msgs/msg/Odd', b'\0\1\0\0', 1)
    with pytest.raises(BagError, match="'/a' carries sensor_msgs/msg/Image, got std_msgs"):
        bag.write_raw('a', 'std_msgs/msg/String', b'\0\1\0\0', 1)
    with pytest.raises(images.ImageError):
        write_image(bag, 'a', Frame(GRAY.astype(np.int64), 1))
    bag.close()
    bag.close()  # closing again is allowed
    for topic in 'ac':
        with pytest.raises(BagError, match='not open'):
            write_image(bag, topic, Frame(GRAY, 1))
    assert len(messages(tmp_path / 'bag')['/a']) == 1
