# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory that killed processes leave behind: what is removed, and what is left alone."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path
import secrets
import signal
import subprocess
import sys

from conftest import REPOSITORY, wait_until
from ivf_ros import dds, doctor, shared_memory
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402, I100

# Any node of this package that starts elsewhere removes what these tests look at.
pytestmark = [pytest.mark.live, pytest.mark.alone]

NODE = 'import sys; from ivf_ros.nodes.fusion_node import main; sys.exit(main())'
STRANGER = """
import rclpy, sys, time
rclpy.init()
node = rclpy.create_node('stranger')
print('ready', flush=True)
time.sleep(60)
"""


def start(live_graph, *command: str) -> subprocess.Popen:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id()),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                   dds.profile_variable(): str(dds.profile_path())}
    return subprocess.Popen([sys.executable, *command], cwd=REPOSITORY, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def segments_of(pid: int) -> set[Path]:
    """Return the segments of which a process holds the lock file."""
    found = set()
    for descriptor in Path(f'/proc/{pid}/fd').glob('*'):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith('/dev/shm/fast') and target.endswith('_el') and '_port' not in target:
            found.add(Path(target.removesuffix('_el')))
    return found


def records() -> set[Path]:
    return set(shared_memory.FOLDER.glob('ivf_ros_*'))


def test_a_port_that_another_process_removed_is_reported(live_graph):
    """What Fast DDS does with a port whose reader did not run for a while."""
    warnings = []
    live_graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: warnings.append(m.status[0].message), 10)
    process = start(live_graph, '-c', NODE)
    try:
        assert wait_until(lambda: len(warnings) >= 2)
        assert not any('removed /dev/shm' in warning for warning in warnings)
        ports = [Path(name.removesuffix('_el')) for name
                 in map(os.readlink, Path(f'/proc/{process.pid}/fd').glob('*'))
                 if '/dev/shm/fast' in name and '_port' in name]
        assert ports
        ports[0].unlink()
        assert wait_until(lambda: f'another process removed {ports[0]}' in warnings[-1])
        ports[0].touch()  # the one that another process makes in its place
        received = len(warnings)
        assert wait_until(lambda: len(warnings) >= received + 3)
        assert all(f'another process removed {ports[0]}' in warning
                   for warning in warnings[received:])
    finally:
        ports[0].unlink(missing_ok=True)
        process.send_signal(signal.SIGINT)
        assert 'another process removed' in process.communicate(timeout=60)[1]


@pytest.fixture
def killed_node(live_graph):
    """Return the segments of a fusion node that was killed while it ran."""
    before = records()
    process = start(live_graph, '-c', NODE)
    try:
        # Its record is complete when its segments are restricted and named.
        assert wait_until(lambda: len(segments_of(process.pid)) >= 2 and records() - before)
        assert wait_until(lambda: all(
            any(segment.name in path.read_text() for path in records() - before)
            for segment in segments_of(process.pid)))
        segments = segments_of(process.pid)
        shared_memory.remove_leftovers()
        assert all(segment.exists() for segment in segments), 'of a process that lives'
    finally:
        process.kill()
        process.communicate()
    assert sum(segment.stat().st_size for segment in segments) > 60e6
    return segments


def test_the_segments_of_a_killed_node_are_removed_by_the_next_one(live_graph, killed_node):
    assert killed_node <= set(shared_memory.find_leftovers())
    finding = {finding.name: finding for finding in doctor.examine()}['shared_memory']
    assert not finding.ok and not finding.required and 'that were killed' in finding.found
    process = start(live_graph, '-c', NODE)
    try:
        assert wait_until(lambda: not any(
            segment.exists() or Path(f'{segment}_el').exists() for segment in killed_node), 30.0)
        assert wait_until(lambda: len(segments_of(process.pid)) >= 2)
        own = segments_of(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    # A process that ends removes its own, unless the machine is too busy for it.
    assert 'ended without clean-up' in errors or not any(segment.exists() for segment in own)


def test_a_segment_that_a_living_process_has_mapped_is_left_for_later(killed_node):
    mapped = max(killed_node, key=lambda segment: segment.stat().st_size)
    with mapped.open('r+b') as file, mmap.mmap(file.fileno(), 4096) as view:
        assert len(view) == 4096
        shared_memory.remove_leftovers()
        assert mapped.exists()
        assert not any(segment.exists() for segment in killed_node - {mapped})
    assert shared_memory.remove_leftovers() > 60e6
    assert not mapped.exists()


def test_a_segment_that_a_living_process_has_locked_is_not_removed(killed_node):
    locked = min(killed_node)
    with Path(f'{locked}_el').open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shared_memory.remove_leftovers()
        assert locked.exists() and locked not in shared_memory.find_leftovers()
    for path in (locked, Path(f'{locked}_el')):  # nobody else will
        path.unlink()


def test_the_segments_of_a_killed_stranger_are_left_alone_and_listed(live_graph):
    process = start(live_graph, '-c', STRANGER)
    try:
        assert process.stdout.readline() == 'ready\n'
        segments = segments_of(process.pid)
        assert segments and not segments & set(shared_memory.find_leftovers())
    finally:
        process.kill()
        process.communicate()
    try:
        shared_memory.remove_leftovers()
        assert all(segment.exists() for segment in segments)
        assert segments <= set(shared_memory.find_leftovers())
    finally:
        for segment in segments:
            segment.unlink()
            Path(f'{segment}_el').unlink()


def test_a_record_removes_nothing_but_segments(tmp_path):
    """A record of a dead process, with names that no process of this package writes."""
    precious = shared_memory.FOLDER / f'fastdds_{secrets.token_hex(4)}'  # too short for a segment
    record = shared_memory.FOLDER / f'ivf_ros_{secrets.token_hex(4)}'
    outside = tmp_path / 'fastdds_0123456789abcdef'
    try:
        for path in (precious, outside, Path(f'{outside}_el'), Path(f'{precious}_el')):
            path.touch()
        record.write_text(f'{precious.name}\n../..{outside}\n{outside}\n\nnonsense\n')
        assert shared_memory.remove_leftovers() >= 0
        assert precious.exists() and outside.exists() and not record.exists()
    finally:
        for path in (precious, Path(f'{precious}_el'), record):
            path.unlink(missing_ok=True)
