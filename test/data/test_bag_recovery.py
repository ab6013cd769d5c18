# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that were not closed: what ``ivf info --recover`` writes, and what it leaves alone."""

from __future__ import annotations

from contextlib import closing
import json
from pathlib import Path
import shutil
import sqlite3

from ivf_ros import cli
from ivf_ros.data.bag_writer import BagError, BagWriter
from ivf_ros.data.bags.recovery import recover
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sources import open_source
from ivf_ros.types import Frame
from mcap_files import Channel, find_chunks, serialize, write_mcap
import numpy as np
import pytest
from recorded_bags import write_image
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from rosbags.rosbag1 import Writer as Rosbag1Writer
from rosbags.typesys import get_typestore, Stores

PERIOD_NS = 100_000_000
PAIRS = 20
TEXT = b'\0\1\0\0\1\0\0\0\0'


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    """Return a bag of 20 pairs in chunks of a pair, with a latched topic."""
    path = tmp_path_factory.mktemp('bags') / 'street'
    with BagWriter(path) as writer:
        writer.write_raw('names', 'std_msgs/msg/String', TEXT, 1, latched=True)
        for index in range(PAIRS):
            for topic, shape in (('thermal/image_raw', (24, 32)), ('rgb/image_raw', (24, 32, 3))):
                write_image(writer, topic, Frame(np.full(shape, index, np.uint8),
                                                 1 + index * PERIOD_NS, 'camera'))
            writer.flush()
    return path


def cut(whole: Path, folder: Path, n_bytes: int, has_metadata: bool = True) -> bytes:
    """Copy the first bytes of a bag; return them."""
    folder.mkdir(parents=True)
    content = (whole / 'street.mcap').read_bytes()[:n_bytes]
    (folder / 'street.mcap').write_bytes(content)
    if has_metadata:
        shutil.copy(whole / 'metadata.yaml', folder)
    return content


def read(path: Path) -> list[tuple[str, int]]:
    """Read a bag by rosbags; return the topics and times of all messages, which must be valid."""
    with AnyReader([path]) as reader:
        assert all(reader.deserialize(data, connection.msgtype)
                   for connection, _, data in reader.messages())
        return [(connection.topic, time_ns) for connection, time_ns, _ in reader.messages()]


@pytest.mark.parametrize('has_metadata', [True, False])
@pytest.mark.parametrize('n_pairs', [1, 7, PAIRS])
def test_a_bag_that_was_cut_is_recovered_up_to_the_cut(whole, tmp_path, n_pairs, has_metadata):
    ends = [end for _, end in find_chunks((whole / 'street.mcap').read_bytes())]
    folder = tmp_path / 'street'
    content = cut(whole, folder, ends[n_pairs - 1] + 5, has_metadata)
    recovery = recover(folder)
    assert recovery.path == folder and recovery.file == folder / 'street_recovered.mcap'
    assert recovery.counts == {'/names': 1, '/thermal/image_raw': n_pairs,
                               '/rgb/image_raw': n_pairs}
    assert any('was not closed after recording' in problem for problem in recovery.problems)
    found = read(folder)
    assert sorted(found) == sorted(
        [('/names', 1)] + [(f'/{stream}/image_raw', 1 + index * PERIOD_NS)
                           for stream in ('thermal', 'rgb') for index in range(n_pairs)])
    assert len(list(open_source(folder).events())) == 2 * n_pairs
    assert (folder / 'street.mcap').read_bytes() == content
    with AnyReader([folder]) as reader:
        durability = {connection.topic: connection.ext.offered_qos_profiles[0].durability
                      for connection in reader.connections}
    assert durability['/names'] == QosDurability.TRANSIENT_LOCAL
    assert durability['/rgb/image_raw'] == QosDurability.VOLATILE
    names = sorted(path.name for path in folder.iterdir())
    assert names == ['metadata.yaml', 'street.mcap', 'street_recovered.mcap']
    assert recover(folder).file is None, 'a second recovery has nothing to do'


def test_a_whole_bag_is_left_alone(whole):
    before = sorted(whole.iterdir())
    assert recover(whole).file is None
    assert recover(whole / 'street.mcap').file is None
    assert sorted(whole.iterdir()) == before


def test_a_single_file_is_recovered_beside_it_without_metadata(whole, tmp_path):
    content = cut(whole, tmp_path / 'a', 20_000, has_metadata=False)
    recovery = recover(tmp_path / 'a' / 'street.mcap')
    assert recovery.path == recovery.file == tmp_path / 'a' / 'street_recovered.mcap'
    assert len(read(recovery.path)) == sum(recovery.counts.values()) > 2
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == [
        'street.mcap', 'street_recovered.mcap']
    assert (tmp_path / 'a' / 'street.mcap').read_bytes() == content


def test_metadata_of_other_origin_are_kept(whole, tmp_path):
    folder = tmp_path / 'street'
    cut(whole, folder, 20_000)
    text = (folder / 'metadata.yaml').read_text().replace('ivf_ros', 'somebody')
    (folder / 'metadata.yaml').write_text(text)
    recover(folder)
    assert (folder / 'metadata.yaml.before_recovery').read_text() == text
    assert len(read(folder)) > 2


def test_a_file_that_is_in_the_way_is_not_overwritten(whole, tmp_path):
    folder = tmp_path / 'street'
    cut(whole, folder, 20_000)
    (folder / 'street_recovered.mcap').write_text('of the user')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BagError, match=r'street_recovered\.mcap is in the way; move it away'):
        recover(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_messages_of_other_encodings_and_types_are_said_to_be_lost(tmp_path):
    text = serialize('std_msgs/msg/String', data='hello')
    channels = [Channel('/text', 'std_msgs/msg/String', schema=b'string data'),
                Channel('/proto', 'foxglove.Log', 'protobuf', b'', 'protobuf'),
                Channel('/odd', 'strange_msgs/msg/Odd', schema=b'Missing field'),
                Channel('/own', 'strange_msgs/msg/Own', schema=b'string data')]
    file = write_mcap(tmp_path / 'a.mcap', channels,
                      [(number, 10 * index + number, text) for index in range(3)
                       for number in range(4)], has_summary=False)
    file.write_bytes(file.read_bytes()[:-30])
    recovery = recover(file)
    assert recovery.counts == {'/text': 3, '/own': 3}
    assert "3 messages of '/proto' are left out: they are in protobuf, not CDR" \
        in recovery.problems
    assert "3 messages of '/odd' are left out: they are of no known type" in recovery.problems
    assert len(read(recovery.path)) == 6


def test_what_cannot_be_recovered_is_said(whole, tmp_path):
    cut(whole, tmp_path / 'empty', 300)
    with pytest.raises(SourceError, match='not closed after recording'):
        recover(tmp_path / 'empty')
    with Rosbag1Writer(tmp_path / 'old.bag') as writer:
        writer.add_connection('/names', 'std_msgs/msg/String', typestore=get_typestore(
            Stores.ROS1_NOETIC))
    with pytest.raises(SourceError, match='is a bag of ROS 1'):
        recover(tmp_path / 'old.bag')
    with pytest.raises(SourceError):
        recover(tmp_path / 'nowhere')
    assert sorted(path.name for path in (tmp_path / 'empty').iterdir()) == [
        'metadata.yaml', 'street.mcap']


def test_the_command_recovers_and_describes_the_bag(whole, tmp_path, capsys):
    folder = tmp_path / 'street'
    cut(whole, folder, 20_000)
    assert cli.main(['info', str(folder), '--recover', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['recovered']['file'] == str(folder / 'street_recovered.mcap')
    assert report['recovered']['problems'] and not report['problems']
    assert sum(topic['messages'] for topic in report['topics']) == \
        sum(report['recovered']['messages'].values())
    assert cli.main(['info', str(folder), '--recover']) == 0
    assert 'the bag is complete, nothing to recover' in capsys.readouterr().out
    assert cli.main(['info', str(tmp_path / 'nowhere'), '--recover']) == 1


# SQLite


def write_database(folder: Path, n_pairs: int = PAIRS, compress: bool = False) -> Path:
    """Write an SQLite bag with a latched topic, larger than the cache of SQLite."""
    with BagWriter(folder, 'sqlite3', compress=compress) as writer:
        writer.write_raw('names', 'std_msgs/msg/String', TEXT, 1, latched=True)
        for index in range(n_pairs):
            for topic, shape in (('thermal/image_raw', (24, 32)), ('rgb/image_raw', (48, 64, 3))):
                write_image(writer, topic, Frame(np.full(shape, index, np.uint8),
                                                 1 + index * PERIOD_NS, 'camera'))
    return folder / f'{folder.name}.db3'


def kill_recorder(file: Path, folder: Path, pragma: str, n_committed: int, n_pending: int) -> Path:
    """
    Add messages to a database, the last ones uncommitted; copy it as a kill would leave it.

    Returns the copy. Its neighbours are the journal, if there is one, and ``metadata.yaml``.
    """
    folder.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(pragma)
        database.execute('PRAGMA cache_size = 4')  # pages are written before the commit
        [(topic, data)] = database.execute(
            'SELECT topic_id, data FROM messages JOIN topics ON topic_id = topics.id '
            'WHERE name = ? LIMIT 1', ['/rgb/image_raw'])
        for number in range(n_committed + n_pending):
            if number in (0, n_committed):
                database.execute('BEGIN')
            database.execute('INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)',
                             (topic, 10 ** 12 + number, data))
            if number == n_committed - 1:
                database.execute('COMMIT')
        for path in file.parent.iterdir():
            if not path.name.endswith('-shm'):
                shutil.copy(path, folder)
    return folder / file.name


def check_recovered(recovery, expected: dict[str, int]) -> None:
    """Check the counts of a recovery, by its own count, by rosbags, and by ``metadata.yaml``."""
    assert recovery.counts == expected and recovery.file is not None
    found = [topic for topic, _ in read(recovery.path)]
    assert {topic: found.count(topic) for topic in found} == expected
    with AnyReader([recovery.path]) as reader:
        assert reader.message_count == sum(expected.values())
        durability = {connection.topic: connection.ext.offered_qos_profiles[0].durability
                      for connection in reader.connections}
    assert durability['/names'] == QosDurability.TRANSIENT_LOCAL
    assert durability['/rgb/image_raw'] == QosDurability.VOLATILE


@pytest.mark.parametrize('pragma, journal, n_found', [
    ('PRAGMA journal_mode = DELETE', '-journal', PAIRS + 7),
    ('PRAGMA journal_mode = WAL', '-wal', PAIRS + 7)])
def test_a_database_is_completed_from_its_journal(tmp_path, pragma, journal, n_found):
    file = kill_recorder(write_database(tmp_path / 'street'), tmp_path / 'killed', pragma, 7, 40)
    assert file.with_name(file.name + journal).stat().st_size > 0
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    recovery = recover(file.parent)
    assert recovery.file == file.parent / 'killed_recovered.db3' and recovery.problems == ()
    check_recovered(recovery, {'/names': 1, '/thermal/image_raw': PAIRS,
                               '/rgb/image_raw': n_found})
    after = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert {name: after[name] for name in before if name != 'metadata.yaml'} == {
        name: content for name, content in before.items() if name != 'metadata.yaml'}
    assert recover(file.parent).file is None, 'a second recovery has nothing to do'


@pytest.mark.parametrize('part', [0.3, 0.7, 0.95])
def test_a_database_that_was_cut_is_recovered_up_to_the_cut(tmp_path, part):
    file = write_database(tmp_path / 'street')
    content = file.read_bytes()
    file.write_bytes(content[:int(part * len(content))])
    recovery = recover(file.parent)
    assert any('the end of the file is lost' in problem for problem in recovery.problems)
    n_found = recovery.counts['/rgb/image_raw']
    assert abs(n_found - part * PAIRS) <= 3
    check_recovered(recovery, {'/names': 1, '/rgb/image_raw': n_found,
                               '/thermal/image_raw': recovery.counts['/thermal/image_raw']})
    assert file.read_bytes() == content[:int(part * len(content))]


def test_a_database_without_a_journal_is_recovered_as_far_as_its_pages_lead(tmp_path):
    """rosbag2 writes with the journal in memory unless it is told to be resilient."""
    file = kill_recorder(write_database(tmp_path / 'street'), tmp_path / 'killed',
                         'PRAGMA journal_mode = OFF', 7, 40)
    recovery = recover(file.parent)
    assert recovery.counts['/thermal/image_raw'] == PAIRS
    assert PAIRS + 7 <= recovery.counts['/rgb/image_raw'] <= PAIRS + 47
    assert len(read(recovery.path)) == sum(recovery.counts.values())


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3'])
def test_numbers_in_the_metadata_that_are_not_those_of_the_file_are_corrected(tmp_path, kind):
    with BagWriter(tmp_path / 'street', kind) as writer:
        for index in range(3):
            write_image(writer, 'rgb/image_raw', Frame(np.zeros((4, 4, 3), np.uint8), 1 + index))
            writer.flush()
            if index == 0:
                early = (tmp_path / 'street' / 'metadata.yaml').read_bytes()
    assert recover(tmp_path / 'street').file is None
    (tmp_path / 'street' / 'metadata.yaml').write_bytes(early)
    recovery = recover(tmp_path / 'street')
    assert recovery.counts == {'/rgb/image_raw': 3} and recovery.problems == ()
    with AnyReader([recovery.path]) as reader:
        assert reader.message_count == len(list(reader.messages())) == 3
    assert recover(tmp_path / 'street').file is None


def test_compressed_messages_are_decompressed(tmp_path):
    file = write_database(tmp_path / 'street', compress=True)
    (file.parent / 'metadata.yaml').unlink()
    check_recovered(recover(file.parent), {
        '/names': 1, '/thermal/image_raw': PAIRS, '/rgb/image_raw': PAIRS})


def test_a_database_without_its_first_page_is_said_to_be_lost(tmp_path):
    file = write_database(tmp_path / 'street')
    file.write_bytes(bytes(4096) + file.read_bytes()[4096:])
    with pytest.raises(SourceError, match='is damaged or was not closed'):
        recover(file.parent)
    file.write_bytes(b'SQLite format 3\0' + bytes(4080))
    with pytest.raises(SourceError, match='is damaged or was not closed'):
        recover(file.parent)
