# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of the cameras as files of all kinds, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import os
from pathlib import Path
import shutil
import struct
import zlib

import cv2
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.nodes.faults.cameras import Cameras
from ivf_ros.nodes.graph import messages
from ivf_ros.pairing import STREAMS
import numpy as np
from rclpy.serialization import serialize_message

# Writes a recording into a folder; returns its path.
Write = Callable[[Path, Cameras], Path]
Damage = Callable[[Path], None]

_START_NS = 10 ** 18
_BOMB_SIDE_PX = 30_000


def write_bag(kind: str) -> Write:
    """Return a function that writes all pairs as a bag of a storage."""
    def write(folder: Path, cameras: Cameras) -> Path:
        with BagWriter(folder / 'bag', kind) as bag:
            for index, pair in enumerate(cameras.pairs):
                stamp_ns = _START_NS + round(index * cameras.period_s * 1e9)
                for stream, frame in zip(STREAMS, pair, strict=True):
                    bag.write_raw(f'{stream}/image_raw', 'sensor_msgs/msg/Image',
                                  serialize_message(messages.image_to_message(
                                      replace(frame, stamp_ns=stamp_ns))), stamp_ns)
                bag.flush()
        return folder / 'bag'

    return write


def write_images(folder: Path, cameras: Cameras) -> Path:
    """Write all pairs as PNG files in two folders."""
    for index, pair in enumerate(cameras.pairs):
        for stream, frame in zip(STREAMS, pair, strict=True):
            (folder / stream).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / stream / f'{index:03}.png'), frame.image)
    return folder


def write_videos(folder: Path, cameras: Cameras) -> Path:
    """Write all pairs as two videos, thermal in gray levels of 8 bits."""
    for stream, images in zip(STREAMS, zip(*cameras.pairs, strict=True), strict=True):
        video = cv2.VideoWriter(str(folder / f'{stream}.avi'), cv2.VideoWriter.fourcc(*'MJPG'),
                                1 / cameras.period_s, cameras.size)
        for frame in images:
            image = frame.image if stream == 'rgb' else cv2.cvtColor(
                (frame.image >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR)
            video.write(image)
        video.release()
    return folder


def damage_first(write: Write, damage: Damage) -> Write:
    """Return a function that writes a recording and damages it."""
    def write_damaged(folder: Path, cameras: Cameras) -> Path:
        path = write(folder, cameras)
        damage(path)
        return path

    return write_damaged


def write_file(content: bytes) -> Write:
    """Return a function that writes a file with the name of a bag."""
    def write(folder: Path, cameras: Cameras) -> Path:
        (folder / 'bag.mcap').write_bytes(content)
        return folder / 'bag.mcap'

    return write


def write_pipe(folder: Path, cameras: Cameras) -> Path:
    """Make a named pipe with the name of a bag."""
    os.mkfifo(folder / 'bag.mcap')
    return folder / 'bag.mcap'


def cut(pattern: str, part: float = 0.5) -> Damage:
    """Return a function that cuts a part off the files of a pattern."""
    def damage(path: Path) -> None:
        for file in path.glob(pattern):
            os.truncate(file, round(part * file.stat().st_size))

    return damage


def remove(pattern: str) -> Damage:
    """Return a function that removes the files and folders of a pattern."""
    def damage(path: Path) -> None:
        for file in path.glob(pattern):
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.unlink()

    return damage


def overwrite(name: str, content: bytes) -> Damage:
    """Return a function that replaces the content of a file."""
    def damage(path: Path) -> None:
        (path / name).write_bytes(content)

    return damage


def plant_bomb(path: Path) -> None:
    """Replace an image by a file of 0.1 MB that unpacks to 30000x30000 pixels."""
    row = bytes(1 + -(-_BOMB_SIDE_PX // 8))  # a filter, and a bit a pixel
    header = struct.pack('>IIBBBBB', _BOMB_SIDE_PX, _BOMB_SIDE_PX, 1, 0, 0, 0, 0)
    chunks = {b'IHDR': header, b'IDAT': zlib.compress(row * _BOMB_SIDE_PX), b'IEND': b''}
    (path / 'thermal' / '005.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + name + content
        + struct.pack('>I', zlib.crc32(name + content)) for name, content in chunks.items()))
