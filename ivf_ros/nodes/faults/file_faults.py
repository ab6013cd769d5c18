# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of files: recordings that are damaged, before or while they are played, and a full disk.

A process beside the graph reads or writes them. It says in one line what is wrong, and its exit
code is 0 only where it has done its work. The graph fuses all the while.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
import resource
import subprocess
import tempfile
import threading

from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.recovery import recover
from ivf_ros.nodes.faults.camera_faults import Inject, stop
from ivf_ros.nodes.faults.fault import BOTH, Fault, NEITHER, Targets
from ivf_ros.nodes.faults.recorded_files import (
    cut,
    Damage,
    damage_first,
    overwrite,
    plant_bomb,
    remove,
    Write,
    write_bag,
    write_file,
    write_images,
    write_pipe,
    write_videos,
)
from ivf_ros.nodes.faults.side_process import run_beside, START_TIMEOUT_S
from ivf_ros.nodes.graph import messages
from ivf_ros.pairing import STREAMS
import numpy as np

_BESIDE = 'beside'  # namespace of replays that are not to reach the graph
_COMMAND, _REPLAY_NODE = 'ivf_ros.cli', 'ivf_ros.nodes.replay_node'
# A process needs some seconds until it has imported what it needs.
_START_S = 10.0
_SILENCE_S = 2.5  # until the graph says that both cameras are silent
_FUSED_S = 5.0  # until the graph fuses again, with another source
_NOISE = np.random.default_rng(0).bytes(100_000)
_LEFT_BYTES = 300_000  # less than a pair of images
_TMPFS = ('unshare', '--map-root-user', '--mount', 'sh', '-c',
          'mount -t tmpfs -o size=2m none "$0" && exec "$@"')


def replay(write: Write, exit_code: int = 1, damage: Damage | None = None) -> Inject:
    """Return an injection that replays a recording to its end, and may damage it meanwhile."""
    def inject(targets: Targets) -> None:
        with tempfile.TemporaryDirectory(dir=targets.folder) as folder, \
                _receive(targets) as has_played:
            source = write(Path(folder), targets.cameras)
            with run_beside(targets, _COMMAND, *_replay(targets, source)) as process:
                if damage is not None:
                    if not has_played.wait(START_TIMEOUT_S):
                        raise AssertionError('the replay does not play')
                    damage(source)
                process.wait(exit_code)

    return inject


@contextmanager
def _receive(targets: Targets) -> Iterator[threading.Event]:
    """Subscribe to what is played beside the graph; yield an event that the first image sets."""
    has_played = threading.Event()
    subscriptions = [targets.stranger.create_subscription(
        messages.IMAGE.message_type, f'{_BESIDE}/{stream}/image_raw',
        lambda cdr: has_played.set(), 5, raw=True) for stream in STREAMS]
    try:
        yield has_played
    finally:
        for subscription in subscriptions:
            targets.stranger.destroy_subscription(subscription)


def refuse(*arguments: str, module: str = _COMMAND) -> Inject:
    """Return an injection that runs a command beside the graph, which has to refuse."""
    def inject(targets: Targets) -> None:
        with run_beside(targets, module, *arguments) as process:
            process.wait(1)

    return inject


def cut_the_source_of_the_graph(targets: Targets) -> None:
    """Let a replay stand for the cameras, and cut its bag while the graph fuses it."""
    observer = targets.observer
    stop('thermal', 'rgb')(targets)
    if not observer.wait_for(lambda: observer.mode in NEITHER, _START_S):
        raise AssertionError('the graph does not see that the cameras have stopped')
    with tempfile.TemporaryDirectory(dir=targets.folder) as folder:
        source = write_bag('mcap')(Path(folder), targets.cameras)
        with run_beside(targets, _REPLAY_NODE, '--ros-args', '-r',
                        f'__ns:={targets.stranger.get_namespace()}', '-p', f'source:={source}',
                        '-p', 'loop:=true') as process:
            process.wait_for('playing')
            if not observer.wait_for(lambda: observer.mode in BOTH, _FUSED_S):
                raise AssertionError('the graph does not fuse the replay')
            cut('*.mcap', 0.1)(source)
            process.wait(1)
    if not observer.wait_for(lambda: observer.mode in NEITHER, _SILENCE_S):
        raise AssertionError('the graph does not see that the replay has ended')


def fill_file(targets: Targets) -> None:
    """Let the bag of a recording reach the limit of its process; all but a second can be read."""
    with tempfile.TemporaryDirectory(dir=targets.folder) as folder:
        source, bag = write_bag('mcap')(Path(folder), targets.cameras), Path(folder, 'recorded')
        with run_beside(targets, _COMMAND, *_replay(targets, source), '--loop', '--record',
                        str(bag)) as process:
            process.wait_for('loop 1')
            limit = (bag / 'recorded.mcap').stat().st_size + _LEFT_BYTES
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
            process.wait(1)
        counts = Bag(bag).counts
        image_bytes = dict(zip(STREAMS, (frame.image.nbytes for frame in targets.cameras.pairs[0]),
                               strict=True))
        missing_bytes = limit - sum(count * image_bytes[topic.name.split('/')[1]]
                                    for topic, count in counts.items())
        if missing_bytes > sum(image_bytes.values()) / targets.cameras.period_s:
            raise AssertionError(f'{missing_bytes} of {limit} bytes of the bag cannot be read')
        if sum(recover(bag).counts.values()) != sum(counts.values()):
            raise AssertionError('the recovered bag holds less')


def fill_disk(targets: Targets) -> None:
    """Record into a file system of 2 MB that only the recorder sees."""
    with tempfile.TemporaryDirectory(dir=targets.folder) as folder:
        source, disk = write_bag('mcap')(Path(folder), targets.cameras), Path(folder, 'disk')
        disk.mkdir()
        with run_beside(targets, _COMMAND, *_replay(targets, source), '--record',
                        f'{disk}/bag', prefix=(*_TMPFS, str(disk))) as process:
            process.wait(1)


def find_obstacle_to_mount(targets: Targets) -> str:
    """Return why this user cannot mount a file system of its own; empty if it can."""
    try:
        subprocess.run([*_TMPFS, str(targets.folder), 'true'], check=True, capture_output=True,
                       text=True)
    except FileNotFoundError:
        return f'there is no {_TMPFS[0]}'
    except subprocess.CalledProcessError as error:
        return error.stderr.strip() or str(error)
    return ''


def _replay(targets: Targets, source: str | Path) -> tuple[str, ...]:
    """Return a command that replays beside the graph, not into it."""
    return 'replay', str(source), '--namespace', f'{targets.stranger.get_namespace()}/{_BESIDE}'


_Fault = partial(Fault, seconds=0.0, modes=BOTH, said_within_s=_START_S)
_Replay = partial(_Fault, said_within_s=_START_S + 10.0)  # the recording takes four seconds
_CHANGED = 'was changed while it was played'
_BAG, _DATABASE = write_bag('mcap'), write_bag('sqlite3')

FILE_FAULTS = (
    _Fault('no such recording', refuse('replay', '/nowhere'), said='no such source'),
    _Fault('bag: an empty file', replay(write_file(b'')), said="it begins with b''"),
    _Fault('bag: a file of unknown format', replay(write_file(_NOISE)),
           said='it is no MCAP, SQLite or ROS 1 file'),
    _Fault('bag: a named pipe', replay(write_pipe), said='it is a named pipe'),
    _Fault('bag: a device', refuse('replay', '/dev/zero'), said='it is a device'),
    _Fault('bag: metadata.yaml alone', replay(damage_first(_BAG, remove('*.mcap'))),
           said='are missing'),
    _Replay('bag: no metadata.yaml', replay(damage_first(_BAG, remove('metadata.yaml')), 0),
            said='end after'),
    _Replay('bag: noise as metadata.yaml', replay(damage_first(
        _BAG, overwrite('metadata.yaml', b'rosbag2_bagfile_information: ' + _NOISE)), 0),
        said='is not used, it is damaged'),
    _Replay('bag: MCAP, cut off', replay(damage_first(_BAG, cut('*.mcap')), 0),
            said='the end of the file is lost'),
    _Replay('bag: SQLite, cut off', replay(damage_first(_DATABASE, cut('*.db3')), 0),
            said='bag damaged'),
    _Replay('bag: MCAP, cut while it replays', replay(_BAG, damage=cut('*.mcap', 0.1)),
            said=_CHANGED, is_short=True),
    _Replay('bag: SQLite, cut while it replays', replay(_DATABASE, damage=cut('*.db3', 0.1)),
            said=_CHANGED),
    # An open file stays whole after it is deleted.
    _Replay('bag: deleted while it replays', replay(_BAG, 0, damage=remove('*')),
            said='end after'),
    _Replay('folder: images cut, empty, and too large to unpack', replay(damage_first(
        damage_first(damage_first(write_images, cut('rgb/003.png')),
                     overwrite('thermal/004.png', b'')), plant_bomb), 0), said='unreadable'),
    _Replay('folder: deleted while it replays', replay(write_images, damage=remove('*')),
            said=_CHANGED),
    _Fault('video: an empty file', replay(damage_first(write_videos, cut('thermal.avi', 0.0))),
           said='cannot open'),
    _Replay('video: cut off', replay(damage_first(write_videos, cut('thermal.avi')), 0),
            said='breaks off after'),
    _Replay('video: cut while it replays', replay(write_videos, damage=cut('thermal.avi', 0.1)),
            said=_CHANGED),
    Fault('the bag that stands for the cameras is cut', cut_the_source_of_the_graph, seconds=0.0,
          said=_CHANGED, said_within_s=2 * _START_S),
    _Replay('disk full: a recording reaches a limit', fill_file, said='File too large',
            is_short=True),
    _Replay('disk full: a file system of 2 MB', fill_disk, said='No space left on device',
            find_obstacle=find_obstacle_to_mount),
    _Fault('a simulated recording of NaN seconds', refuse('replay', 'simulator:duration_s=nan'),
           said="'duration_s'"),
    _Fault('an export to a folder that does not exist', refuse(
        'export', 'fusion', '--out', '/nowhere/fusion.onnx'), said='does not exist'),
    _Fault('a node in a namespace of 240 characters', refuse(
        '--ros-args', '-r', f'__ns:=/{"a" * 240}', module='ivf_ros.nodes.fusion_node'),
        said='error: '),
)
