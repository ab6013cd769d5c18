# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A replay whose files are changed or removed while it plays says so and is no success."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

from conftest import REPOSITORY, wait_until
import cv2
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.source_changes import SourceChanges
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.nodes.replay_node import ReplayNode  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

PAIRS = 40
SUCCESS = TransitionCallbackReturn.SUCCESS


def write_source(path: Path, kind: str) -> Path:
    """Write 40 pairs, which last 4 s, as a bag or as a folder of images."""
    frames = {'thermal': (240, 320), 'rgb': (240, 320, 3)}  # more than SQLite caches
    if kind == 'folder':
        for stream, shape in frames.items():
            (path / stream).mkdir(parents=True)
            for index in range(PAIRS):
                cv2.imwrite(str(path / stream / f'{index:03}.png'),
                            np.full(shape, index, np.uint8))
        return path
    with BagWriter(path, kind) as writer:
        for index in range(PAIRS):
            for stream, shape in frames.items():
                write_image(writer, f'{stream}/image_raw', Frame(
                    np.full(shape, index, np.uint8), 10 ** 18 + index * 10 ** 8, stream))
            writer.flush()
    return path


def damage(path: Path, kind: str) -> None:
    """Cut the file of a bag; remove a folder of images."""
    if kind == 'folder':
        shutil.rmtree(path)
        return
    [file] = [file for file in path.iterdir() if file.suffix in ('.mcap', '.db3')]
    os.truncate(file, file.stat().st_size // 8)


@pytest.fixture
def received(live_graph):
    """Return the RGB images that another node receives."""
    images: list[Image] = []
    live_graph.node('listener').create_subscription(Image, 'rgb/image_raw', images.append, 50)
    return images


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3', 'folder'])
@pytest.mark.parametrize('command', [
    ['-m', 'ivf_ros.cli', 'replay', '{}'],
    ['-c', 'import sys; from ivf_ros.nodes.replay_node import main; sys.exit(main())',
     '--ros-args', '-p', 'source:={}']], ids=['command', 'node'])
def test_a_source_that_is_damaged_while_it_plays_is_no_success(
        live_graph, received, tmp_path, command, kind):
    source = write_source(tmp_path / 'source', kind)
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id()),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    with subprocess.Popen([sys.executable, *(word.format(source) for word in command)],
                          cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            assert wait_until(lambda: len(received) >= 3)
            damage(source, kind)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 1, errors
    assert 'Traceback' not in errors
    last = errors.strip().splitlines()[-1]
    assert f'{source} was changed while it was played: ' in last
    assert ('is missing; lost: ' if kind == 'folder' else 'has changed; lost: ') in last
    assert last.startswith(('ivf replay: ', 'error: '))


def test_a_node_reports_the_failure_until_it_is_activated_again(live_graph, received, tmp_path):
    source = write_source(tmp_path / 'source', 'mcap')
    levels: list[tuple[bytes, str]] = []
    live_graph.node('monitor').create_subscription(
        DiagnosticArray, '/diagnostics', lambda message: levels.extend(
            (status.level, status.message) for status in message.status
            if status.name == '/replay'), 10)
    node = live_graph.add(ReplayNode, Hub(), parameter_overrides=[
        Parameter('source', value=str(source)), Parameter('autostart', value=False)])
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    assert wait_until(lambda: len(received) >= 3)
    damage(source, 'mcap')
    assert node.finished.wait(60.0)
    assert wait_until(lambda: levels[-1:] and levels[-1][0] == DiagnosticStatus.ERROR)
    first = len(levels)
    assert wait_until(lambda: len(levels) >= first + 2), 'the process goes on'
    assert {level for level, _ in levels[first:]} == {DiagnosticStatus.ERROR}
    assert 'was changed while it was played' in levels[-1][1]
    shutil.rmtree(source)
    write_source(source, 'mcap')
    received.clear()
    assert node.trigger_cleanup() == SUCCESS and node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS and node.failure is None
    assert wait_until(lambda: len(received) >= 3)
    assert wait_until(lambda: levels[-1][0] != DiagnosticStatus.ERROR)


def test_a_bag_that_was_damaged_before_is_played_as_far_as_it_can_be_read(
        live_graph, received, tmp_path):
    source = write_source(tmp_path / 'source', 'mcap')
    damage(source, 'mcap')
    node = live_graph.add(ReplayNode, Hub(), parameter_overrides=[
        Parameter('source', value=str(source)), Parameter('rate', value=4.0)])
    assert node.autostart() and node.finished.wait(60.0)
    assert node.failure is None and node.is_complete and node.played['rgb'] >= 3


def test_changes_of_the_files_of_a_source(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'image.png').write_bytes(b'12345')
    changes = SourceChanges(f"{tmp_path / 'a'}, {tmp_path / 'b'}")
    assert changes.describe() == ''
    with (tmp_path / 'a' / 'image.png').open('ab') as file:
        file.write(b'6')
    assert changes.describe() == '', 'a file that grows'
    (tmp_path / 'b' / 'image.png').write_bytes(b'1234')
    assert changes.describe() == f"{tmp_path / 'b' / 'image.png'} has changed"
    (tmp_path / 'a' / 'image.png').unlink()
    assert changes.describe() == f"{tmp_path / 'a' / 'image.png'} is missing"
    assert SourceChanges('simulator night seed 2').describe() == ''
