# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings that unpack to far more than a computer can take, and files that never end."""

from __future__ import annotations

import bz2
from contextlib import closing
from fractions import Fraction
import json
import os
from pathlib import Path
import sqlite3
import struct
import subprocess
import sys
import time
import zlib

from bombs import make_png, state_size
from conftest import REPOSITORY
import cv2
from ivf_ros.data import image_file, video_packets
from ivf_ros.data.bags import bag, mcap, mcap_records, rosbag1, sqlite, temporary
from ivf_ros.data.datasets import boxes, detection, landmarks
from ivf_ros.data.sources import open_source, SourceError
from ivf_ros.data.video_file import VideoFile
from ivf_ros.data.video_packets import PacketDecoder
from ivf_ros.images import ImageError, limits
from ivf_ros.images.limits import MAX_IMAGE_BYTES
import lz4.frame
from mcap_files import Channel, find_chunks, header, image, serialize, write_mcap
import numpy as np
import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CAMERAS = [Channel('/thermal/image_raw'), Channel('/rgb/image_raw')]
GRAY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
GIGABYTE = 1 << 30


def pairs(count: int = 8) -> list[tuple[int, int, bytes]]:
    """Return messages of thermal and RGB, at 10 Hz."""
    return [message for index in range(count) for stamp_ns in [10 ** 9 + index * 10 ** 8]
            for message in ((0, stamp_ns, image(GRAY, 'mono8', stamp_ns)),
                            (1, stamp_ns + 1, image(np.dstack([GRAY] * 3), 'bgr8', stamp_ns)))]


def compress_zeros(compress, n_bytes: int) -> bytes:
    """Return compressed zeros without having all of them at once."""
    compressor = compress()
    block = bytes(1 << 24)
    return getattr(compressor, 'begin', bytes)() + b''.join(
        compressor.compress(block) for _ in range(n_bytes // len(block))) + compressor.flush()


def replace_chunk(file: Path, number: int, size: int, data: bytes) -> None:
    """Replace the data of a chunk of an MCAP file without a summary, and its stated size."""
    content = file.read_bytes()
    start, end = find_chunks(content)[number]
    begin = content.rindex(b'\x06', 0, start - 41)  # the opcode of the chunk
    while struct.unpack_from('<Q', content, begin + 1)[0] != end - begin - 9:
        begin = content.rindex(b'\x06', 0, begin)
    head = bytearray(content[begin + 9:start])
    struct.pack_into('<QI', head, 16, size, 0)  # no checksum
    struct.pack_into('<Q', head, len(head) - 8, len(data))
    file.write_bytes(content[:begin] + struct.pack('<BQ', 6, len(head) + len(data))
                     + bytes(head) + data + content[end:])


def read_thermal_count(path: Path) -> tuple[int, dict[str, int]]:
    source = open_source(path)
    return sum(event.stream == 'thermal' for event in source.events()), source.skipped


@pytest.mark.parametrize('compression, compress', [
    ('zstd', zstd.ZstdCompressor), ('lz4', lz4.frame.LZ4FrameCompressor)])
@pytest.mark.parametrize('size', [16 * GIGABYTE, 2 ** 64 - 1, 5000])
def test_a_chunk_of_mcap_that_is_too_large_is_left_out(tmp_path, compression, compress, size):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), chunk=compression,
                      has_summary=False)
    replace_chunk(file, 2, size, compress_zeros(compress, GIGABYTE // 4))
    started_s = time.monotonic()
    assert read_thermal_count(file) == (6, {'bag damaged': 4})  # of both cameras
    assert time.monotonic() - started_s < 5.0


@pytest.mark.parametrize('compression, compress', [
    ('zstd', zstd.ZstdCompressor), ('lz4', lz4.frame.LZ4FrameCompressor)])
def test_a_chunk_is_decompressed_up_to_its_size(compression, compress):
    data = compress_zeros(compress, 1 << 24)
    assert len(mcap_records.decompress(memoryview(data), compression, 5000)) == 5001


def test_chunks_of_the_same_time_are_loaded_up_to_a_limit(tmp_path, monkeypatch, caplog):
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(20), chunk='zstd', per_chunk=4)
    monkeypatch.setattr(mcap, '_MAX_LOADED_BYTES', 30_000)
    assert read_thermal_count(file) == (20, {})
    # All chunks begin at the same time.
    shuffled = [message for part in range(10) for message in
                [(0, 10 ** 9, pairs(1)[0][2]), *pairs(20)[2 * part + 2:2 * part + 4]]][:30]
    file = write_mcap(tmp_path / 'b.mcap', CAMERAS, shuffled, chunk='zstd', per_chunk=3)
    count, skipped = read_thermal_count(file)
    assert 0 < count < 20 and skipped['bag damaged'] > 0
    assert 'chunks of the same time are too large; allowed are 30000 bytes' in caplog.text


def test_a_chunk_of_very_many_records_is_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(mcap_records, '_MAX_RECORDS', 1000)
    file = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), chunk='zstd', has_summary=False)
    records = struct.pack('<BQ', 99, 0) * 1001
    replace_chunk(file, 1, len(records), zstd.compress(records))
    assert read_thermal_count(file) == (6, {'bag damaged': 4})  # of both cameras
    assert 'a chunk has more than 1000 records' in caplog.text


@pytest.mark.parametrize('data, words', [
    (lambda: compress_zeros(zstd.ZstdCompressor, GIGABYTE),
     f'more than {MAX_IMAGE_BYTES + 2 ** 20}'),
    (lambda: zstd.compress(pairs(1)[0][2])[:-9], 'its end is lost')])
def test_a_compressed_message_that_is_too_large_is_left_out(tmp_path, caplog, data, words):
    messages = pairs()
    messages[4] = (*messages[4][:2], data())
    assert read_thermal_count(write_mcap(tmp_path / 'a.mcap', CAMERAS, messages)) == (
        7, {'bag damaged': 1})
    assert 'a message cannot be decompressed' in caplog.text and words in caplog.text


def test_a_compressed_file_is_unpacked_up_to_a_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, '_MIN_LIMIT_BYTES', 1 << 26)
    intact = write_mcap(tmp_path / 'a.mcap', CAMERAS, pairs(), has_summary=False).read_bytes()
    file = tmp_path / 'b.mcap.zstd'
    file.write_bytes(zstd.compress(intact[:-40]) + compress_zeros(zstd.ZstdCompressor, GIGABYTE))
    monkeypatch.setattr(temporary.tempfile, 'tempdir', str(tmp_path / 'temporary'))
    (tmp_path / 'temporary').mkdir()
    content = bag.Bag(file)
    assert any('more than 1000 times its size' in problem for problem in content.problems)
    [unpacked] = (tmp_path / 'temporary').glob('*/*')
    assert unpacked.stat().st_size < 1 << 27
    assert sum(content.counts.values()) == 16


def test_a_database_that_leads_to_itself_has_an_end(tmp_path):
    """Rows are found by pages of pages; here a page of pages names one page again and again."""
    file = tmp_path / 'a.db3'
    with closing(sqlite3.connect(file)) as database:
        database.executescript(
            'PRAGMA page_size = 512; CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type '
            'TEXT, serialization_format TEXT); CREATE TABLE messages(id INTEGER PRIMARY KEY, '
            'topic_id INTEGER, timestamp INTEGER, data BLOB);'
            "INSERT INTO topics VALUES (1, '/rgb/image_raw', 'sensor_msgs/msg/Image', 'cdr');")
        database.executemany('INSERT INTO messages VALUES (?, 1, ?, ?)',
                             ((n, n, bytes(20)) for n in range(20000)))
        database.commit()
        [(root,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'")
    content = bytearray(file.read_bytes())

    def cells_of(page: int) -> list[int]:
        """Return the positions of the pointers of an interior page to its children."""
        start = (page - 1) * 512
        (n_cells,) = struct.unpack_from('>H', content, start + 3)
        return [start + 8, *(start + cell for cell
                             in struct.unpack_from(f'>{n_cells}H', content, start + 12))]

    # Let each pointer of the root lead to one page, each of that to another, and so on.
    interior = [root, *(page for page in range(2, len(content) // 512 + 1)
                        if content[(page - 1) * 512] == 5 and page != root)][:12]
    assert len(interior) == 12
    leaf = int.from_bytes(content[cells_of(interior[1])[1]:][:4], 'big')
    for page, child in zip(interior, [*interior[1:], leaf], strict=True):
        for cell in cells_of(page):
            struct.pack_into('>I', content, cell, child)
    file.write_bytes(content)
    started_s = time.monotonic()
    storage = sqlite.SqliteStorage(file)
    for _ in storage.messages(list(storage.counts), lambda damage: None):
        pass
    assert time.monotonic() - started_s < 20.0


def test_a_value_of_a_database_that_is_computed_is_bounded(tmp_path):
    file = tmp_path / 'a.db3'
    with closing(sqlite3.connect(file)) as database:
        database.executescript(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, '
            'serialization_format TEXT); CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id '
            'INTEGER, timestamp INTEGER, n INTEGER, data BLOB AS (zeroblob(n)));'
            "INSERT INTO topics VALUES (1, '/rgb/image_raw', 'sensor_msgs/msg/Image', 'cdr');"
            'INSERT INTO messages(topic_id, timestamp, n) VALUES (1, 1, 999), (1, 2, 700000000);')
        database.commit()
    damage: list[str] = []
    storage = sqlite.SqliteStorage(file)
    assert [len(message.data) for message
            in storage.messages(list(storage.counts), damage.append)] == [999]
    assert len(damage) == 1 and 'too big' in damage[0]


@pytest.mark.parametrize('make, compress', [
    (bz2.BZ2Decompressor, bz2.BZ2Compressor),
    (lz4.frame.LZ4FrameDecompressor, lz4.frame.LZ4FrameCompressor)])
def test_chunks_of_ros1_are_decompressed_up_to_a_size(monkeypatch, make, compress):
    monkeypatch.setattr(rosbag1, 'MAX_CHUNK_BYTES', 1 << 24)
    assert len(rosbag1._decompress(make, compress_zeros(compress, 1 << 24))) == 1 << 24
    with pytest.raises(rosbag1.ReaderError, match='a chunk has more than 16777216 bytes'):
        rosbag1._decompress(make, compress_zeros(compress, GIGABYTE // 4))


def make_video(path: Path, image: bytes) -> Path:
    """Write a video of frames that are JPEG files."""
    av = pytest.importorskip('av', reason='PyAV is not installed')
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuvj420p'
        for index in range(3):
            packet = av.Packet(image)
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    return path


def test_a_video_of_too_large_images_is_refused(tmp_path):
    # OpenCV opens it, because libavcodec decodes up to 16384x16384.
    pixels = cv2.imencode('.jpg', np.zeros((12000, 12000), np.uint8))[1].tobytes()
    with pytest.raises(SourceError, match='a video of 12000x12000 pixels is too large'):
        VideoFile(make_video(tmp_path / 'a.mkv', pixels))
    decoder = PacketDecoder('mjpeg')
    with pytest.raises(ImageError, match='is damaged or has more than 100 megapixels'):
        decoder.decode(pixels)
    small = cv2.imencode('.jpg', GRAY)[1].tobytes()
    assert decoder.decode(small)[0].shape == GRAY.shape


@pytest.mark.parametrize('encoder, codec', [('libx264', 'h264'), ('libx265', 'hevc')])
def test_the_size_of_video_packets_is_told(monkeypatch, encoder, codec):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    if encoder not in av.codecs_available:
        pytest.skip(f'this PyAV has no {encoder}')
    context = av.CodecContext.create(encoder, 'w')
    context.width = context.height = 256
    context.pix_fmt, context.time_base = 'yuv420p', Fraction(1, 10)
    packet = [*context.encode(av.VideoFrame(256, 256, 'yuv420p')), *context.encode(None)][0]
    monkeypatch.setattr(video_packets, 'DECODER_OPTIONS', {'max_pixels': '10000'})
    monkeypatch.setattr(limits, 'MAX_PIXELS', 10000)
    with pytest.raises(ImageError, match=f"'{codec}' video of 256x256 pixels is too large"):
        PacketDecoder(codec).decode(bytes(packet))


@pytest.mark.parametrize('kind', ['pipe', '/dev/zero', 'folder'])
@pytest.mark.parametrize('read', [image_file.read_image, image_file.read_thermal,
                                  image_file.read_visible, image_file.read_rgb])
def test_only_regular_files_are_read_as_images(tmp_path, kind, read):
    path = tmp_path / 'a.png'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    else:
        path.symlink_to(kind)
    with pytest.raises(SourceError, match=f'cannot read {path}: it is a '):
        read(path)


@pytest.mark.parametrize('read', [
    boxes.read_voc, boxes.read_bbgt, landmarks.read_matched_points, landmarks._read_displacements,
    detection._read_flir_keys], ids=lambda read: read.__name__)
def test_only_regular_files_are_read_as_annotations(tmp_path, read):
    path = tmp_path / 'a.txt'
    os.mkfifo(path)
    with pytest.raises(SourceError, match=f'cannot read {path}: .*it is a named pipe'):
        read(path)


def test_an_image_file_has_a_greatest_size(tmp_path):
    path = tmp_path / 'a.png'
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(SourceError, match='it has 1099511627776 bytes, and at most 1073741824'):
        image_file.read_image(path)


def save_pairs(folder: Path, count: int) -> Path:
    for stream, pixels in (('thermal', GRAY), ('rgb', np.dstack([GRAY] * 3))):
        (folder / stream).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(str(folder / stream / f'{index}.png'), pixels)
    return folder


def test_bombs_and_pipes_in_a_folder_are_skipped_and_counted(tmp_path, caplog):
    folder = save_pairs(tmp_path, 4)
    (folder / 'rgb' / '1.png').write_bytes(make_png(30000, 30000))
    (folder / 'thermal' / '2.png').unlink()
    os.mkfifo(folder / 'thermal' / '2.png')
    assert read_thermal_count(folder) == (2, {'unreadable': 2})
    assert 'pixels is too large' in caplog.text


def run_ivf(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-m', 'ivf_ros.cli', *map(str, arguments)],
                          capture_output=True, text=True, timeout=60, check=False,
                          cwd=REPOSITORY)


@pytest.fixture(scope='module')
def bombs(tmp_path_factory) -> Path:
    """Return a folder with a good pair, and with files not to be unpacked or waited for."""
    folder = save_pairs(tmp_path_factory.mktemp('bombs') / 'good', 1).parent
    (folder / 'bomb.png').write_bytes(make_png(30000, 30000))
    os.mkfifo(folder / 'pipe.png')
    for stream in ('thermal', 'rgb'):
        (folder / 'all' / stream).mkdir(parents=True)
        (folder / 'all' / stream / '0.png').write_bytes(make_png(30000, 30000))
    return folder


@pytest.mark.parametrize('file', ['bomb.png', 'pipe.png', '/dev/zero'])
@pytest.mark.parametrize('command', [
    'fuse {thermal} {file} --method average --out {out}',
    'fuse {file} {rgb} --method average --out {out}',
    'register {thermal} {file}', 'register {file} {rgb}',
    'segment {file} --method thermal_saliency --out {out}', 'detect {file} --method hog'])
def test_commands_refuse_such_images_in_one_line(bombs, tmp_path, command, file):
    good = bombs / 'good'
    started_s = time.monotonic()
    run = run_ivf(*command.format(thermal=good / 'thermal' / '0.png', rgb=good / 'rgb' / '0.png',
                                  file=bombs / file, out=tmp_path / 'out.png').split())
    assert run.returncode != 0 and 'Traceback' not in run.stderr, run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith('ivf '), run.stderr
    assert time.monotonic() - started_s < 20.0
    assert not (tmp_path / 'out.png').exists()


@pytest.mark.parametrize('command', [
    'info {d}', 'fuse {d} --method average --out {out}', 'detect {d}/rgb --method hog',
    'replay {d}', 'demo --source {d} --out {out}'])
def test_commands_that_can_read_nothing_fail_in_one_line(bombs, tmp_path, command):
    if command.startswith(('replay', 'demo')):
        pytest.importorskip('rclpy', reason='the command needs rclpy')
    run = run_ivf(*command.format(d=bombs / 'all', out=tmp_path / 'out').split())
    assert run.returncode != 0 and 'Traceback' not in run.stderr, run.stderr
    assert '\nivf ' in '\n' + run.stderr and 'is too large' in run.stderr, run.stderr


def test_a_compressed_image_of_a_bag_that_is_too_large_is_counted(tmp_path):
    def compress(data: bytes, stamp_ns: int) -> bytes:
        return serialize('sensor_msgs/msg/CompressedImage', header=header(stamp_ns), format='png',
                         data=np.frombuffer(data, np.uint8))

    good = cv2.imencode('.png', np.dstack([GRAY] * 3))[1].tobytes()
    messages = [(channel, stamp_ns, compress(good, stamp_ns) if channel else data)
                for channel, stamp_ns, data in pairs()]
    messages[5] = (1, messages[5][1], compress(state_size('.jpg', 65500, 65000), 1))
    messages[7] = (1, messages[7][1], compress(make_png(30000, 30000), 1))
    channels = [CAMERAS[0], Channel('/rgb/image_raw/compressed',
                                    'sensor_msgs/msg/CompressedImage')]
    file = write_mcap(tmp_path / 'a.mcap', channels, messages)
    assert read_thermal_count(file) == (8, {'undecodable image': 2})
    run = run_ivf('info', file, '--json')
    assert run.returncode == 0 and json.loads(run.stdout)['topics']


def test_zeros_are_compressed_as_they_should():
    assert zlib.decompress(compress_zeros(zlib.compressobj, 1 << 24)) == bytes(1 << 24)
