# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a running graph opens to others: sockets, shared memory, files outside its folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
import ctypes
from dataclasses import dataclass
import os
from pathlib import Path
import re
import secrets
import socket
import stat
import subprocess
import sys

from conftest import LiveGraph, REPOSITORY, wait_until
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = [pytest.mark.live, pytest.mark.skipif(
    sys.platform != 'linux' or not hasattr(os, 'pidfd_open'), reason='reads /proc')]

from ivf_ros import dds, shared_memory  # noqa: E402, I100
from ivf_ros.nodes.demo.container_process import stop_process  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

START_TIMEOUT_S = 60.0
STAGES = ('registration', 'fusion', 'perception', 'replay')

# Ports of DDSI-RTPS 2.5, section 9.6.2: PB + DG * domain + offset, PG * participant.
_PORT_BASE, _DOMAIN_GAIN, _PARTICIPANT_GAIN, _PARTICIPANTS = 7400, 250, 2, 120
_MULTICAST_OFFSETS, _UNICAST_OFFSETS = (0, 1), (10, 11)
# Fast DDS gives readers that must not share a port one of the 400 ports below the base; the rmw
# asks for it once a process, for ros_discovery_info.
_UNIQUE_FLOW_PORTS = range(_PORT_BASE - 400, _PORT_BASE)
_PIDFD_GETFD = 438  # the number of the system call on all processors


@dataclass(frozen=True)
class OpenSocket:
    """A socket of another process."""

    family: socket.AddressFamily
    kind: socket.SocketKind
    is_listening: bool
    address: tuple | str | bytes
    peer: tuple | str | bytes | None

    @property
    def port(self) -> int:
        """Return the local port; 0 if there is none."""
        return self.address[1] if isinstance(self.address, tuple) else 0


def open_sockets(pid: int) -> list[OpenSocket]:
    """Return the sockets of a process, through copies of its descriptors."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    found = []
    try:
        for link in Path(f'/proc/{pid}/fd').iterdir():
            try:
                if not os.readlink(link).startswith('socket:'):
                    continue
            except FileNotFoundError:
                continue
            copied = libc.syscall(_PIDFD_GETFD, pidfd, int(link.name), 0)
            if copied < 0:
                pytest.skip(f'pidfd_getfd: {os.strerror(ctypes.get_errno())}')
            with socket.socket(fileno=copied) as each:
                found.append(describe(each))
    finally:
        os.close(pidfd)
    return found


def describe(each: socket.socket) -> OpenSocket:
    try:
        peer = each.getpeername()
    except OSError:
        peer = None
    return OpenSocket(each.family, each.type,
                      bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
                      each.getsockname(), peer)


def dds_ports(domain_id: int) -> set[int]:
    """Return the ports that DDS listens on in a domain."""
    base = _PORT_BASE + _DOMAIN_GAIN * domain_id
    return {*_UNIQUE_FLOW_PORTS, *(base + offset for offset in _MULTICAST_OFFSETS),
            *(base + offset + _PARTICIPANT_GAIN * participant
              for offset in _UNICAST_OFFSETS for participant in range(_PARTICIPANTS))}


def ephemeral_ports() -> range:
    first, last = map(int, Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split())
    return range(first, last + 1)


@dataclass(frozen=True)
class RunningGraph:
    """A container with all stages and a replay, after its first results."""

    process: subprocess.Popen
    home: Path
    domain_id: int

    def open_files(self) -> set[str]:
        names = set()
        for link in Path(f'/proc/{self.process.pid}/fd').iterdir():
            try:
                names.add(os.readlink(link))
            except FileNotFoundError:
                continue
        return names


@pytest.fixture(scope='module')
def graph(tmp_path_factory) -> Iterator[RunningGraph]:
    """Start a container with a home of its own, and wait for a result of each stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        live_graph = LiveGraph()
        try:
            yield from run_graph(live_graph, tmp_path_factory.mktemp('home'))
        finally:
            live_graph.close()


def run_graph(live_graph: LiveGraph, home: Path) -> Iterator[RunningGraph]:
    counts: Counter[str] = Counter()
    observer = live_graph.node('observer')
    for topic, message_type in (('fused/image', Image), ('detections', Detection2DArray),
                                ('registration/homography', CameraInfo)):
        observer.create_subscription(
            message_type, topic, lambda _, topic=topic: counts.update([topic]), 5)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('CI', 'ORT_DISABLE_TELEMETRY')
                   and not name.startswith('XDG_')}
    domain_id = live_graph.context.get_domain_id()
    process = subprocess.Popen(
        [sys.executable, '-m', 'ivf_ros.nodes.component_container', *STAGES, '--ros-args',
         '-p', 'replay:loop:=true'],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**environment, 'HOME': str(home), 'ROS_DOMAIN_ID': str(domain_id),
             dds.profile_variable(): str(dds.profile_path())})
    try:
        assert wait_until(lambda: process.poll() is not None or (
            len(counts) == 3 and min(counts.values()) > 2), START_TIMEOUT_S), counts
        assert process.poll() is None
        yield RunningGraph(process, home, domain_id)
        assert process.poll() is None
    finally:
        stop_process(process)


def test_the_graph_has_no_socket_but_those_of_dds(graph):
    sockets = open_sockets(graph.process.pid)
    unix = [each for each in sockets if each.family == socket.AF_UNIX]
    internet = [each for each in sockets if each.family in (socket.AF_INET, socket.AF_INET6)]
    assert len(unix) + len(internet) == len(sockets), sockets
    assert not any(each.address for each in unix), 'only pairs without a name'
    assert {each.kind for each in internet} == {socket.SOCK_DGRAM}, 'no TCP'
    assert not any(each.is_listening or each.peer for each in internet)
    received_on = {each.port for each in internet} - set(ephemeral_ports()) - {0}
    assert received_on, 'DDS runs'
    assert received_on <= dds_ports(graph.domain_id)
    assert 0 < len(received_on - set(_UNIQUE_FLOW_PORTS)) <= 4
    senders = [each for each in internet if each.port not in received_on]
    interfaces = len(socket.if_nameindex())
    assert len(senders) <= 2 * (interfaces + 1), senders


def test_its_shared_memory_is_readable_by_its_user_only(graph):
    locks = {name for name in graph.open_files()
             if re.fullmatch(r'/dev/shm/fast(dds|rtps)_[0-9a-f]{16}_el', name)}
    segments = [Path(name.removesuffix('_el')) for name in locks]
    assert any(segment.stat().st_size >= 64 << 20 for segment in segments), 'that of the images'
    assert {stat.S_IMODE(segment.stat().st_mode) for segment in segments} == {0o600}


def test_it_writes_its_log_and_nothing_else(graph):
    """ONNX Runtime would keep what it reports about the networks in a database in the home."""
    assert not [name for name in graph.open_files()
                if 'onnxruntime' in name or 'telemetry' in name.lower()]
    written = {str(path.relative_to(graph.home)) for path in graph.home.rglob('*')
               if path.is_file()}
    assert written
    assert not [name for name in written if not name.startswith('.ros/log/')]


def test_only_the_segments_of_this_process_are_restricted(live_graph):
    live_graph.node('first')
    other = Path(f'/dev/shm/fastdds_{secrets.token_hex(8)}')  # of a process that is not this one
    lock = Path(f'{other}_el')
    try:
        for path in (other, lock):
            path.touch(0o644)
        own = shared_memory.claim()
        assert own and other not in own
        assert {stat.S_IMODE(path.stat().st_mode) for path in own} == {0o600}
        assert stat.S_IMODE(other.stat().st_mode) == 0o644
    finally:
        other.unlink()
        lock.unlink()
